"""The loop of a model: real models and forwards report, the real judge judges, and packages go back."""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pumps import DEVICES, ELSEWHEN, FEATURES, SECOND, SETTINGS, SMALL, Pump, Site, contents

from eddy.errors import ModelError, OutOfMemory, RollbackError, SampleError, SettingError, SignatureError, StorageFull, WrongTarget
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.kernel.function import Sample
from eddy.kernel.hop import Gap
from eddy.kernel.package import read
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Search
from eddy.models.engine import Training
from eddy.models.package import fingerprint_of
from eddy.pool.champion import Replacement
from eddy.pool.judging import Judge
from eddy.security.signing import SigningKey

PHASES = {"plan", "create", "adapt", "verify", "package", "release", "configure", "monitor"}
CALM = LoopSettings(training=Training(search=SMALL, refresh=0))

MakeSite = Callable[..., Site]


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.load_or_create(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture
def make(tmp_path: Path, key: SigningKey) -> MakeSite:
    def make(settings: LoopSettings = SETTINGS, name: str = "base") -> Site:
        return Site(tmp_path / name, key, settings)

    return make


def steady(key: SigningKey, name: str = "pump-1", **options: int) -> Pump:
    return Pump(key, name, **options)


def wolf(key: SigningKey, name: str = "pump-1") -> Pump:
    """A pump whose champion takes every fourth normal window for an anomaly."""
    return Pump(key, name, quantile=750)


def until_replaced(site: Site, pump: Pump) -> bytes:
    """Run until there is a package for the pump."""
    for _ in range(100):
        site.hear(pump.run(10))
        if (package := site.package(pump)) is not None:
            return package
    raise AssertionError("the champion was never replaced")


def decided(site: Site, what: str) -> list[dict[str, Any]]:
    return [row for row in site.loop.base.table("decisions") if what in row["what"]]


def wire(site: Site, device: str = "pump-1") -> bytes:
    """Of the champion that the loop knows."""
    return site.loop.registry.model(site.status(device)["champion"]["model"]).wire


def full_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on there is no memory for the next forest, but for those after it."""
    real, failed = Forest.from_wire, list[bool]()

    def from_wire(*arguments: Any, **more: Any) -> Forest:
        if not failed:
            failed.append(True)
            raise MemoryError
        return real(*arguments, **more)

    monkeypatch.setattr(Forest, "from_wire", from_wire)


@pytest.mark.parametrize("ticks", [1001, 1], ids=["at once", "while windows come"])
def test_the_loop_holds_the_very_champion_that_the_device_has_trained(make: MakeSite, key: SigningKey, ticks: int) -> None:
    site, pump = make(), steady(key, ticks=ticks)
    site.hear(pump.run(120))
    assert wire(site) == pump.forest.to_wire()
    model = site.loop.registry.model(site.status()["champion"]["model"])
    assert (model.origin, model.features) == ("device", tuple(FEATURES))
    assert site.status()["scores_compared"] > 5
    assert site.status()["scores_differing"] == 0


def test_a_champion_is_never_a_voice_on_what_it_says_itself(make: MakeSite, key: SigningKey) -> None:
    """However late a judge is told, one thing after the other."""
    site, pump = make(CALM), wolf(key)
    until_replaced(site, pump)
    site.deliver(pump)
    champions = [row["model"] for row in site.loop.base.table("champions")]
    late, judged = Judge(list(NAMES), dict(DEVICES)), 0
    for position in range(site.announced):
        late.on(Sample("pool", "pool", position, 0, site.loop.announcement(position)))
        for said in late.on(Sample("report", "report@pump-1", position, 0, [40_000, 1, pump.row(1.0), 0])):
            judged += said[1] != 2
            assert said[8].get(champions[0], [0, 1])[1] == 1, "what it said there"
            assert said[10] == max(0, len(said[8]) - (champions[0] in said[8]))
    assert judged >= 5


def test_every_window_has_its_place_although_most_normal_ones_are_held_back(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    site.hear(pump.run(60).run(150))
    windows = site.loop.base.windows("pump-1")
    assert len(windows) < pump.index
    assert [window.position for window in windows] == [window.time_ns // (10 * SECOND) for window in windows]


def test_a_device_that_scores_unlike_the_loop_is_put_on_record_once(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(100))
    pump.model.configure({"threshold": pump.threshold + 1})  # harmless: thresholds are configured
    site.hear(pump.run(20))
    assert site.status()["scores_differing"] == 0
    for _ in range(2):
        site.say("pump-1", [1234, 0, pump.row(1.0), 0], pump.time_ns)
    assert site.status()["scores_differing"] == 2
    assert len(decided(site, "scores unlike")) == 1


def test_a_champion_that_cries_wolf_is_replaced_and_the_false_alarms_fall(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    first = site.status()
    assert first["false_positives"] >= 5
    assert site.deliver(pump) == [{"e": "installed", "sequence": 1}]
    assert site.status()["deploying"] is None
    site.hear(pump.run(200))
    status = site.status()
    assert status["champion"]["sequence"] == 1
    assert wire(site) == pump.forest.to_wire()
    rate_before = first["false_positives"] / (pump.index - 200 - pump.train)
    assert status["false_positives_of_champion"] / 200 < rate_before / 2
    assert (status["scores_compared"] > first["scores_compared"], status["scores_differing"]) == (True, 0)
    assert {row["phase"] for row in site.loop.base.table("decisions")} == PHASES
    assert [row["model"] for row in site.loop.base.table("champions")] == [first["champion"]["model"], status["champion"]["model"]]


def test_the_fifth_false_positive_within_the_window_replaces_and_no_earlier_one(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    (decision,) = decided(site, "replace ")
    false = [row["time_ns"] for row in site.loop.base.table("verdicts") if row["label"] == 1 and row["outcome"] == 0]
    assert json.loads(decision["evidence"])["false_positives_ns"] == false[:5]
    assert decision["time_ns"] == false[4]
    rare = make(LoopSettings(training=Training(search=SMALL), replacement=Replacement(within_ns=20 * SECOND)), name="rare")
    rare.hear(wolf(key).run(300))
    assert rare.status()["false_positives"] > 5 and rare.loop.registry.deployments("pump-1") == []


def test_a_loop_that_does_not_replace_only_judges(make: MakeSite, key: SigningKey) -> None:
    site = make(LoopSettings(training=Training(search=SMALL), replacement=None))
    site.hear(wolf(key).run(300))
    assert site.status()["false_positives"] > 5
    assert site.loop.registry.deployments("pump-1") == []


def test_the_best_ranked_candidate_follows(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(CALM), wolf(key)
    until_replaced(site, pump)
    (decision,) = decided(site, "replace ")
    ranks = json.loads(decision["evidence"])["ranking"]
    follower = site.status()["deploying"]["model"]
    assert ranks[follower[:12]] == max(ranks.values()) > 0


def test_while_a_replacement_is_in_flight_none_other_starts(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    package = until_replaced(site, pump)
    site.hear(pump.run(200))
    assert [one.sequence for one in site.loop.registry.deployments("pump-1")] == [1]
    assert site.package(pump) == package
    with pytest.raises(SettingError, match="already on its way"):
        site.loop.promote("pump-1", "")


def test_a_loop_that_starts_again_sends_the_same_bytes(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    package = until_replaced(site, pump)
    site.restart()
    assert site.package(pump) == package


def test_a_model_that_does_not_fit_is_never_offered_again_and_the_champion_stays(
    make: MakeSite, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    champion, before = site.status()["champion"], pump.forest.to_wire()
    bad = site.status()["deploying"]["model"]
    with monkeypatch.context() as small:
        full_for_one(small)
        refused = pump.take(site.package(pump) or b"")
    assert (refused["e"], refused["sequence"], refused["code"], refused["runs"]) == ("refused", 1, OutOfMemory.code, 0)
    assert (pump.forest.to_wire(), pump.sequence) == (before, 0)
    site._delivered["pump-1"] = 1
    site.hear(pump)
    assert site.status()["champion"] == champion
    until_replaced(site, pump)
    offered = site.status()["deploying"]
    assert offered["model"] not in (bad, champion["model"])
    assert offered["sequence"] == 2
    assert site.deliver(pump) == [{"e": "installed", "sequence": 2}]
    assert site.status()["champion"]["model"] == offered["model"]


def test_a_refusal_that_says_nothing_about_the_model_does_not_count_against_it(make: MakeSite, key: SigningKey, tmp_path: Path) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    model = site.status()["deploying"]["model"]
    site.key = SigningKey.load_or_create(tmp_path / "other.pem")
    assert site.deliver(pump)[0]["code"] == SignatureError.code
    assert site.loop.registry.deployments("pump-1")[0].state == "refused"
    site.key = key
    for _ in range(20):
        site.hear(pump.run(10))
    assert site.deliver(pump)[0]["e"] == "installed"
    assert [one.model for one in site.loop.registry.deployments("pump-1")] == [model, site.status()["champion"]["model"]]
    assert not any(entry.blocked for entry in site.loop.registry.entries("pump-1"))


def test_a_package_whose_number_the_device_has_seen_comes_again_with_a_higher_one(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    pump.run(pump.train)
    assert pump.take(pump.foreign(40, pump.threshold))["e"] == "installed"  # by a gateway that is no more
    del pump.said[-1]  # and that has heard of it
    until_replaced(site, pump)
    model = site.status()["deploying"]["model"]
    refused, installed = site.deliver(pump)
    assert (refused["code"], refused["runs"], installed) == (RollbackError.code, 40, {"e": "installed", "sequence": 41})
    assert [(one.sequence, one.state) for one in site.loop.registry.deployments("pump-1")] == [(1, "superseded"), (41, "installed")]
    assert site.status()["champion"]["model"] == model
    site.hear(pump.run(40))
    assert site.status()["scores_differing"] == 0


@pytest.mark.parametrize("news", [{"e": "refused", "sequence": 7, "code": 302, "why": "", "runs": 0}, {"e": "other", "sequence": 1}])
def test_news_of_another_package_say_nothing_about_the_one_on_its_way(make: MakeSite, key: SigningKey, news: dict[str, Any]) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    before = site.status()
    site.say("pump-1", [-1, 3, news, 0])
    assert (site.status()["deploying"], site.status()["champion"]) == (before["deploying"], before["champion"])
    assert site.deliver(pump) == [{"e": "installed", "sequence": 1}]


def test_a_package_that_cannot_even_be_read_is_over(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    assert pump.take(b"torn")["sequence"] == 0
    site.hear(pump)
    assert site.status()["deploying"] is None


def test_what_another_gateway_has_sent_runs_unknown_and_is_ranked_by_what_it_says(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(100))
    assert pump.take(pump.foreign(9, threshold=0))["e"] == "installed"
    site.hear(pump)
    assert (site.status()["champion"]["model"], site.status()["champion"]["sequence"]) == (None, 9)
    compared = site.status()["scores_compared"]
    until_replaced(site, pump)
    assert site.status()["scores_compared"] == compared, "of one that nobody here has"
    assert site.deliver(pump) == [{"e": "installed", "sequence": 10}]
    assert site.status()["champion"]["model"] is not None


def test_a_key_that_comes_again_is_not_taken_twice(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(100))
    before = contents(site.loop.base)
    site.offer(site.outputs[-30:])
    site.restart()
    site.offer(site.outputs)
    assert contents(site.loop.base) == before
    taken, time_ns, value = site.outputs[-1]
    site.loop.take(taken, time_ns + 1, value)
    assert len(site.loop.base.table("windows")) == len(before["windows"]) + 1, "another numbering begins at 0 too"


# The judge and the loop


def test_a_judge_that_has_forgotten_its_pool_is_told_again_after_eight_reports(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(CALM), wolf(key)
    site.hear(pump.run(120))
    until_replaced(site, pump)
    site.deliver(pump)
    site.hear(pump.run(40))
    site.judge = Judge(list(NAMES), dict(DEVICES))
    forgotten = len(site.outputs)
    site.hear(pump.run(60))
    verdicts = [value[1] for _, _, value in site.outputs[forgotten:]]
    assert len(verdicts) > 12
    assert verdicts == [2] * 8 + [verdict for verdict in verdicts[8:] if verdict in (0, 1)]
    assert len(decided(site, "told again")) == 1
    ballots = [value[8] for _, _, value in site.outputs[forgotten + 8 :]]
    assert {len(ballot) for ballot in ballots} == {6}, "five models and the first champion"
    champion = site.status()["champion"]["model"]
    row = pump.row(1.0)
    for label in (1, 0):
        (_, _, value) = site.ask("pump-1", [40_000, label, row, 0])[0]
        assert value[8][champion][1] == label, "who speaks on the device is asked what it said there"


def test_what_the_judge_ranks_is_what_the_loop_ranks(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    site.deliver(pump)
    site.hear(pump.run(60))
    site.loop.promote("pump-1", next(rank["model"] for rank in site.status()["ranking"] if rank["eligible"]))
    site.tell()
    site.deliver(pump)
    site.hear(pump.run(60))
    here = {one.model.id: [one.score, one.seen] for one in site.loop.registry.entries("pump-1") if one.role != "retired"}
    _, _, ((_, (members, _, sequence)),) = site.judge.state()
    assert {name: standing[:2] for name, _, _, standing in members} == here
    assert sequence == site.status()["champion"]["sequence"] == 2


def test_a_judge_without_voices_is_not_told_again_and_again(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key, train=10)
    site.hear(pump.run(60))
    assert "too little to learn from" in str(decided(site, "nothing"))
    assert {value[1] for _, _, value in site.outputs} == {2, 3}
    announced = site.announced
    site.hear(pump.run(80))
    assert site.announced == announced


def test_a_deaf_judge_is_told_ever_more_rarely(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(CALM), steady(key, normal_every=1)
    site.hear(pump.run(80))
    site.judge = Judge(list(NAMES), dict(DEVICES))
    site.announced = 10**6  # the announcements do not get through
    site.hear(pump.run(200))
    assert len(decided(site, "told again")) == 5, "after 8, 16, 32, 64, 128"


@pytest.mark.parametrize("strategy", ["majority", "rank", "validation"])
def test_the_strategy_stands_beside_each_verdict(make: MakeSite, key: SigningKey, strategy: str) -> None:
    site, pump = make(LoopSettings(training=Training(search=SMALL), strategy=strategy)), steady(key)
    site.hear(pump.run(120))
    verdicts = site.loop.base.table("verdicts")
    assert {row["strategy"] for row in verdicts} == {strategy}
    assert all((row["total"] > row["members"]) == (strategy != "majority") for row in verdicts)
    assert all(2 * row["weight"] > row["total"] for row in verdicts if row["outcome"])


# Wear, alarms, newcomers


def test_wear_raises_one_alarm_and_repair_clears_it(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(160))
    assert site.loop.base.table("alarms") == []
    onset = pump.index
    site.hear(pump.run(50, wear=2.0))
    repaired = pump.index
    site.hear(pump.run(100))
    alarms = {row["detector"]: row for row in site.loop.base.table("alarms")}
    assert len(site.loop.base.table("alarms")) == 2, "an alarm is an episode, not a window"
    assert onset + 4 <= alarms["pool"]["raised_position"] <= onset + 8
    assert onset + 2 <= alarms["rule"]["raised_position"] <= onset + 4
    assert alarms["pool"]["cleared_position"] > repaired
    assert alarms["rule"]["cleared_position"] > repaired
    assert [row["what"] for row in site.loop.base.table("decisions") if row["who"] == "pool"] == ["alarm raised", "alarm cleared"]


def test_true_anomalies_do_not_cost_the_champion_its_place(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(120).run(100, wear=2.0))
    assert site.loop.registry.deployments("pump-1") == []
    assert site.status()["confirmed_anomalies"] >= 100


def test_wear_is_not_learned_as_normal(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    pump.run(200)
    for step in range(300):
        pump.window(pump.row(1 + step / 300))
    site.hear(pump)
    assert max(entry.generation for entry in site.loop.registry.entries("pump-1")) >= 1
    site.loop.base.connection.execute("DELETE FROM verdicts")
    site.hear(pump.run(50, wear=2.0))
    assert [row["outcome"] for row in site.loop.base.table("verdicts")] == [1] * 50


def test_nothing_is_learned_while_an_alarm_is_open(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key, normal_every=1)
    pump.run(100).run(10, wear=2.0)
    for _ in range(30):
        pump.run(4).run(2, wear=2.0)
    flickering = pump.index
    site.hear(pump.run(60))
    (alarm,) = [row for row in site.loop.base.table("alarms") if row["detector"] == "pool"]
    assert alarm["raised_position"] < 110 < flickering <= alarm["cleared_position"]
    learned = [row["time_ns"] // (10 * SECOND) for row in decided(site, "make newcomers")]
    assert learned
    assert not [position for position in learned if alarm["raised_position"] <= position < alarm["cleared_position"]]


def test_newcomers_join_and_the_first_generation_keeps_its_voices(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(100))
    founders = {e.model.id for e in site.loop.registry.entries("pump-1") if e.role != "champion"}
    site.hear(pump.run(1000))
    entries = site.loop.registry.entries("pump-1")
    assert {e.model.id for e in entries if e.generation == 0 and e.role in ("candidate", "pool")} == founders
    active = [e for e in entries if e.generation > 0 and e.role in ("candidate", "pool")]
    assert len(active) == 4
    assert max(e.generation for e in active) == max(e.generation for e in entries) > 3
    assert any(e.role == "retired" for e in entries)
    assert set(site.outputs[-1][2][8]) == {e.model.id for e in entries if e.role != "retired"}, "who judges is who belongs to the pool"


def test_a_champion_without_successor_stays_and_brings_newcomers(make: MakeSite, key: SigningKey) -> None:
    site = make(LoopSettings(training=Training(search=SMALL, refresh=0), replacement=Replacement(false_positives=2)))
    pump = wolf(key)
    site.hear(pump.run(80))
    site.loop.base.connection.execute("UPDATE rankings SET score = -1000")
    site.hear(pump.run(60))
    assert len(decided(site, "no candidate")) == 1
    assert max(entry.generation for entry in site.loop.registry.entries("pump-1")) == 1
    until_replaced(site, pump)
    assert site.loop.registry.model(site.status()["deploying"]["model"]).parameters["generation"] == 1


def test_a_champion_whose_training_windows_were_lost_is_unknown_but_judged(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    pump.run(10)
    pump.told = 6  # to a gateway that is no more
    site.offer(
        [
            (f"gap/{i}", 0, value)
            for i, value in enumerate(site.judge.gap(Sample("report", "report@pump-1", 0, ELSEWHEN, Gap(0, 5, "trimmed"))))
        ]
    )
    until_replaced(site, pump)
    assert site.status()["champion"]["model"] is None
    assert site.status()["missing"] == 6
    assert site.loop.base.table("gaps")[0]["reason"] == "trimmed"
    assert decided(site, "cannot be grown again")
    site.deliver(pump)
    assert site.status()["champion"]["model"] is not None


@pytest.mark.parametrize("quantile", [950, 750])
def test_a_device_that_trained_before_gets_a_pool_from_what_it_calls_normal(make: MakeSite, key: SigningKey, quantile: int) -> None:
    site, pump = make(), steady(key, quantile=quantile)
    make(name="another").hear(pump.run(80))
    site.hear(pump.run(400))
    assert site.status()["ranking"]
    assert "it called 40 windows normal" in site.loop.base.table("decisions")[0]["evidence"]
    assert bool(site.loop.registry.deployments("pump-1")) == (quantile == 750), "one that cries wolf is replaced all the same"


def test_a_device_that_trained_on_too_little_gets_a_pool_from_what_it_calls_normal(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key, train=10, normal_every=1)
    site.hear(pump.run(30))
    assert len(site.status()["ranking"]) == 1
    site.hear(pump.run(60))
    assert len(site.status()["ranking"]) > 3
    assert wire(site) == pump.forest.to_wire()


def test_a_device_that_trains_anew_speaks_for_itself_again(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), wolf(key)
    until_replaced(site, pump)
    site.deliver(pump)
    site.hear(pump.run(20))
    first = site.status()["champion"]["model"]
    pump.model.configure({"retrain": 8})
    site.hear(pump.run(100))
    assert [news["e"] for news in pump.news()] == ["trained", "installed", "trained"]
    assert site.status()["champion"]["model"] is None, "its training windows were thinned"
    assert site.status()["champion"]["sequence"] == 1
    assert first in [rank["model"] for rank in site.status()["ranking"] if rank["eligible"]]
    until_replaced(site, pump)
    assert site.deliver(pump) == [{"e": "installed", "sequence": 2}]
    site.hear(pump.run(40))
    assert site.status()["scores_differing"] == 0


def test_a_blind_champion_gets_a_threshold_with_which_it_sees(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key, quantile=1000, train=20)
    for _ in range(4):
        pump.run(4).run(1, wear=6.0)  # louder than twice as loud is not unheard of, so its threshold is beyond that
    site.hear(pump)
    (asked,) = site.loop.registry.deployments("pump-1")
    assert asked.model is None and asked.configuration["threshold"] < pump.threshold
    assert site.deliver(pump) == [{"e": "installed", "sequence": 1}]
    assert pump.threshold == asked.configuration["threshold"]
    assert wire(site) == pump.forest.to_wire()


# What cannot be read, and what cannot be stored


@pytest.mark.parametrize(
    "value",
    [
        "?",
        {},
        [1, 2],
        [-1, 2, [1, 2, 3], 0, "report@pump-1", 2, 0, -1, {}, 0, 0],
        [70_000, 1, [0] * 12, 0, "report@pump-1", 1, 0, 70_000, {"a": [70_000, 1]}, 1, 2],
        [0, 1, [0] * 12, 0, "report@pump-1", 1, 0, 5, {"a": [5, 2]}, 1, 2],
        [0, 1, [0] * 12, 0, "report@pump-1", 1, 0, 5, {"a": "5"}, 1, 2],
        [0, 1, [0] * 12, -1, "report@pump-1", 1, 0, 5, {}, 1, 2],
        [0, 1, [1 << 40, *[0] * 11], 0, "report@pump-1", 1, 0, 5, {}, 1, 2],
        [0, 1, [0] * 12, 0, "report@pump-1", 5, 0, 5, {}, 1, 2],
        *(
            [-1, 3, news, 0, "report@pump-1", 3, 0, -1, {}, 0, 0]
            for news in (
                {},
                {"e": 3},
                {"e": "installed"},
                {"e": "installed", "sequence": True},
                {"e": "installed", "sequence": -1},
                {"e": "installed", "sequence": 1 << 32},
                {"e": "gap", "first": 0},
                {"e": "gap", "first": 0, "last": "much"},
            )
        ),
    ],
)
def test_what_is_no_output_of_a_judge_is_refused_and_leaves_no_trace(make: MakeSite, key: SigningKey, value: Any) -> None:
    site = make()
    site.hear(steady(key).run(5))
    before = contents(site.loop.base)
    with pytest.raises(SampleError):
        site.loop.take("judge/judge/99", 0, value)
    assert contents(site.loop.base) == before


@pytest.mark.parametrize(
    "news",
    [
        {"e": "trained", "rows": "many"},
        {"e": "trained", "rows": -1, "features": 5},
        {"e": "trained", "rows": 70, "features": ["smell"], "trees": 1, "subsample": 2, "seed": 1, "threshold": 3},
        {"e": "trained", "rows": 70, "features": FEATURES, "trees": 0, "subsample": 2, "seed": 1, "threshold": 3},
        {"e": "refused", "sequence": 1},
        {"e": "refused", "sequence": 0, "code": "?"},
        {"e": "refused", "sequence": 0, "runs": 1 << 63, "code": 202},
        {"e": "refused", "sequence": 0, "runs": "many", "code": 202},
        {"e": "gap", "first": 0, "last": 5},
        {"e": "weather", "sequence": [1]},
    ],
)
def test_news_of_nonsense_do_not_stop_the_loop(make: MakeSite, key: SigningKey, news: dict[str, Any]) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(70))
    site.say("pump-1", [-1, 3, news, 0], ELSEWHEN)
    site.hear(pump.run(100))
    assert site.status()["windows"] == len([value for _, value in pump.said if value[1] != 3])
    sequence = site.loop.configure("pump-1", threshold=60_000)
    assert sequence < 10
    assert site.deliver(pump)[-1] == {"e": "installed", "sequence": sequence}


def test_rows_of_an_unusable_sensor_are_told_and_neither_kept_nor_learned(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(40))
    dead, overdriven = [0] * len(NAMES), [16 * 65535] * len(NAMES)
    for row in [dead] * 5 + [overdriven] * 5:
        pump.window(row)
    site.hear(pump.run(60))
    told = [json.loads(row["value"])["reason"] for row in site.loop.base.table("events") if row["kind"] == "sensor"]
    assert told == [1, 2, 0]
    assert {len(window.features) for window in site.loop.base.windows("pump-1")} == {len(NAMES)}
    assert dead not in [list(window.features) for window in site.loop.base.windows("pump-1")]
    assert wire(site) == pump.forest.to_wire(), "they are no training windows"
    assert site.loop.base.windows("pump-1")[-1].position == site.loop.base.windows("pump-1")[-1].time_ns // (10 * SECOND)


def test_rows_of_other_columns_are_refused_and_name_them(make: MakeSite, key: SigningKey) -> None:
    site = make(LoopSettings(columns=("rms", "mean")))
    with pytest.raises(SampleError, match=r"12 numbers, not the 2 of .*rms"):
        site.loop.take("k", 0, [-1, 2, [0] * 12, 0, "report@pump-1", 2, 0, -1, {}, 0, 0])
    site.loop.take("k", 0, [-1, 2, [7, 8], 0, "report@pump-1", 2, 0, -1, {}, 0, 0])
    (window,) = site.loop.base.windows("pump-1")
    assert window.features == tuple({"rms": 7, "mean": 8}.get(name, 0) for name in NAMES)


def test_constant_and_absurd_windows_do_not_stop_the_loop(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key, train=60)
    for _ in range(60):
        pump.window([5] * len(NAMES))
    for extreme in ([1] * len(NAMES), [-(1 << 31)] * len(NAMES), [16 * 65535 - 1] * len(NAMES)) * 10:
        pump.window(extreme)
    site.hear(pump)
    assert site.status()["windows"] == len(pump.said) - 1
    assert decided(site, "make a pool")


def test_a_full_disk_takes_nothing_and_loses_nothing(make: MakeSite, key: SigningKey) -> None:
    site, pump, other = make(CALM), steady(key, normal_every=1), steady(key, "pump-2", seed=2)
    site.hear(pump.run(100))
    connection = site.loop.base.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    said = [output for value in pump.run(400).said[pump.told :] for output in site.ask("pump-1", value[1], value[0])]
    with pytest.raises(StorageFull, match="make room"):
        site.offer(said)
    stored = len(site.loop.base.table("windows"))
    connection.execute("PRAGMA max_page_count = 1000000")
    site.hear(other.run(30))
    site.offer(said)
    windows = [(row["time_ns"], json.loads(row["features"])) for row in site.loop.base.table("windows", "pump-1")]
    assert stored < len(windows)
    assert windows == [(time_ns, value[2]) for time_ns, value in pump.said if value[1] != 3]


def test_a_database_that_another_process_holds_is_a_clear_error(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.loop.base.connection.execute("PRAGMA busy_timeout = 1")
    other = KnowledgeBase(site.file)
    with other.transaction(), pytest.raises(StorageFull, match="another process"):
        site.hear(pump.run(5))
    site.offer(site.outputs)
    assert site.status()["windows"] == 1


class Ending:
    """A connection that comes to its end after so many statements."""

    def __init__(self, connection: sqlite3.Connection, statements: int) -> None:
        self._connection, self._left = connection, statements

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._left -= 1
        if self._left == 0:
            raise InterruptedError
        return self._connection.execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._left -= 1
        if self._left == 0:
            raise InterruptedError
        return self._connection.executemany(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def take_within(file: Path, output: tuple[str, int, Any], statements: int) -> bool:
    """Whether a loop that starts just now takes it in before its database comes to its end."""
    base = KnowledgeBase(file, clock=lambda: 0)
    base.connection = Ending(base.connection, statements)  # type: ignore[assignment]
    try:
        Loop(base, SETTINGS, DEVICES).take(*output)
    except InterruptedError:
        return False
    finally:
        base.close()
    return True


def test_an_end_at_any_point_of_a_transaction_leaves_the_same_knowledge(make: MakeSite, key: SigningKey) -> None:
    """What the judge says is broken off in the database ever later, and comes again; outputs that decide something the most often."""
    site, pump, ends = make(), wolf(key), 0
    until_replaced(site, pump)
    site.deliver(pump)
    site.hear(pump.run(10))
    broken = site.file.with_name("broken")
    for output in site.outputs:
        after = 1 if output[2][1] == 3 or output[2][6] else 60
        while not take_within(broken, output, after):
            ends += 1
            after = after * 4 // 3 + 1
    assert ends > 60
    found, expected = contents(KnowledgeBase(broken, clock=lambda: 0)), contents(site.loop.base)
    for table in expected:
        assert found[table] == expected[table], table


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_repeats_and_restarts_leave_no_trace_in_what_was_decided(make: MakeSite, key: SigningKey, seed: int) -> None:
    """The same reports, some of them doubled, with a loop that starts again in between: the same knowledge base."""
    random = np.random.default_rng(seed)

    def play(site: Site, shaken: bool) -> Site:
        pump = wolf(key)
        for _ in range(12):
            site.hear(pump.run(20))
            if shaken:
                site.offer(site.outputs[-int(random.integers(1, 40)) :])
                site.restart()
            site.deliver(pump)
        return site

    plain, shaken = play(make(name="plain"), False), play(make(name="shaken"), True)
    assert len(plain.loop.base.table("champions")) > 1
    assert contents(shaken.loop.base) == contents(plain.loop.base)


def test_a_report_and_twelve_models_take_less_than_ten_milliseconds(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(LoopSettings(training=Training(refresh=0))), steady(key, normal_every=1)
    site.hear(pump.run(100))
    assert len(site.status()["ranking"]) == 13
    took = []
    for _ in range(20):
        pump.run(1)
        started = time.perf_counter()
        site.hear(pump)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.010


# What people ask for


def test_a_configuration_reaches_the_device_without_a_model(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(100))
    assert site.loop.configure("pump-1", who="ada", threshold=50_000) == 1
    package, before = site.package(pump) or b"", pump.forest.to_wire()
    assert len(package) < 260
    assert site.deliver(pump) == [{"e": "installed", "sequence": 1}]
    site.hear(pump.run(20))
    assert (pump.threshold, pump.forest.to_wire()) == (50_000, before)
    configured = [row for row in site.loop.base.table("decisions") if row["phase"] == "configure" and row["who"] == "ada"]
    assert json.loads(configured[0]["evidence"]) == {"threshold": 50_000}
    assert site.status()["champion"]["sequence"] == 0
    assert (site.status()["scores_compared"] > 0, site.status()["scores_differing"]) == (True, 0)


def test_what_is_wanted_while_another_package_is_on_its_way_waits_for_its_turn(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(100))
    site.loop.configure("pump-1", threshold=50_000)
    site.loop.configure("pump-1", threshold=60_000)
    assert site.loop.package("pump-1", 0) is not None and site.loop.package("pump-1", 1) is None
    assert site.deliver(pump) == [{"e": "installed", "sequence": 1}, {"e": "installed", "sequence": 2}]
    assert site.status()["deploying"] is None
    assert pump.threshold == 60_000
    assert read(pump.taken[1])[0].predecessor == fingerprint_of(pump.taken[0])


@pytest.mark.parametrize("bad", [{"threshold": 1.5}, {"threshold": 70_000}, {"normal_every": 2}, {"window": 5}, {}, {"threshold": True}])
def test_a_configuration_that_a_device_would_refuse_is_refused_here(make: MakeSite, key: SigningKey, bad: dict[str, Any]) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(5))
    with pytest.raises(SettingError):
        site.loop.configure("pump-1", **bad)
    assert site.package(pump) is None


def test_who_asks_for_an_unknown_device_is_told_the_known_ones(make: MakeSite, key: SigningKey) -> None:
    loop = make().hear(steady(key).run(5)).loop
    with pytest.raises(SettingError, match="pump-1"):
        loop.configure("pump-9", threshold=2)
    with pytest.raises(SettingError, match="pump-1"):
        loop.promote("pump-9", "")
    with pytest.raises(SettingError, match="pump-1"):
        loop.push_model(b"", [], "ada", "pump-9")


def test_a_persons_model_judges_everywhere_and_can_become_champion(make: MakeSite, key: SigningKey) -> None:
    from sklearn.ensemble import IsolationForest  # type: ignore[import-untyped]

    site, pump, late = make(), steady(key), steady(key, "pump-2", seed=5)
    site.hear(pump.run(100))
    rows = np.array([[value[2][NAMES.index(n)] for n in FEATURES] for _, value in pump.said if value[1] != 3])
    forest = IsolationForest(n_estimators=10, max_samples=32, contamination=0.06, random_state=1).fit(rows)
    pushed = site.loop.push_model(forest, FEATURES, who="ada")
    site.tell()
    site.hear(late.run(100))
    for pump_or_late in (pump, late):
        site.hear(pump_or_late.run(4))
        assert pushed.id in [rank["model"] for rank in site.status(pump_or_late.name)["ranking"]]
        assert pushed.id in site.outputs[-1][2][8]
    site.loop.promote("pump-1", pushed.id[:10], who="ada")
    site.tell()
    site.deliver(pump)
    site.hear(pump.run(20))
    status = site.status()
    assert status["champion"]["model"] == pushed.id
    assert (status["scores_compared"] > 0, status["scores_differing"]) == (True, 0)
    assert {"ada"} <= {row["who"] for row in site.loop.base.table("decisions")}


def test_only_a_candidate_is_promoted(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    site.hear(pump.run(100))
    with pytest.raises(SettingError, match="candidates"):
        site.loop.promote("pump-1", site.status()["champion"]["model"])
    with pytest.raises(SettingError, match="candidates"):
        site.loop.promote("pump-1", "")


def test_a_model_that_is_none_is_refused_with_a_reason(make: MakeSite, key: SigningKey) -> None:
    site, pump = make(), steady(key)
    loop = site.hear(pump.run(100)).loop
    with pytest.raises(ModelError):
        loop.push_model(b"nonsense", FEATURES, who="eve")
    with pytest.raises(ModelError, match="2 are named"):
        loop.push_model(pump.forest.to_wire(), FEATURES[:2], who="eve")
    with pytest.raises(ModelError, match="not reported"):
        loop.push_model(pump.forest.to_wire(), ["rms", "smell", "mean"], who="eve")
    assert [row for row in loop.base.table("models") if row["origin"] == "person:eve"] == []


def test_a_derived_feature_is_used_by_the_pool_but_never_sent_to_the_device(make: MakeSite, key: SigningKey) -> None:
    search = Search(trees=(10,), subsample=(32,), features=(("rms", "ratio(peak_to_peak, rms)"), ("rms",)), size=5)
    site, pump = make(LoopSettings(training=Training(search=search, refresh=0))), steady(key)
    site.hear(pump.run(100))
    entries = {e.model.features: e for e in site.loop.registry.entries("pump-1")}
    derived = entries["rms", "ratio(peak_to_peak, rms)"]
    assert (derived.role, entries[("rms",)].role) == ("pool", "candidate")
    assert derived.seen == entries[("rms",)].seen > 0
    with pytest.raises(SettingError, match="candidates"):
        site.loop.promote("pump-1", derived.model.id)


def test_pumps_are_kept_apart(make: MakeSite, key: SigningKey) -> None:
    both, alone = make(name="both"), make(name="alone")
    one, other = wolf(key), steady(key, "pump-2", seed=3)
    for _ in range(15):
        both.hear(one.run(20), other.run(20))
    twin = steady(key, "pump-2", seed=3)
    for _ in range(15):
        alone.hear(twin.run(20))
    assert both.status("pump-2") == alone.status("pump-2")
    assert other.take(both.package(one) or b"")["code"] == WrongTarget.code


def test_endless_gaps_do_not_stop_the_status(make: MakeSite, key: SigningKey) -> None:
    site = make().hear(steady(key).run(3))
    with site.loop.base.transaction():
        for first in (0, 1):
            site.loop.base.add_gap("pump-1", "other", first, 2**62, 0, "lost")
    assert site.status()["missing"] > 2**62
