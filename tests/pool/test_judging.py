"""The pool as a function: its members come as samples, it judges reports, and it may be moved at any moment."""

import contextlib
import os
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumps import ELSEWHEN

from eddy.errors import SettingError
from eddy.functions.forest import score
from eddy.kernel.batch import LOST, Gap
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.kernel.function import CONFIGURE, GAP, SAMPLE, Instance, Sample
from eddy.kernel.functions.chain import Chain
from eddy.kernel.functions.forward import Forward
from eddy.kernel.functions.rule import Rule
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.registry import JOIN, LEAVE, SPEAKS
from eddy.links.recordings.runs import open_recordings
from eddy.links.replay import Replay
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Recipe, Search, grow, train
from eddy.models.derived import columns
from eddy.models.engine import Training
from eddy.pool.judge import STRATEGIES
from eddy.pool.judging import Judge

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
FEATURES = ["rms", "mean_abs_difference", "peak_to_peak"]
DEVICES = {"report@pump-1": "pump-1", "report@pump-2": "pump-2"}
ORIGIN = "report@pump-1"
CALM, LOUD = [3000] * 3, [9000] * 3
NORMAL: list[list[int]] = (3000 * (1 + 0.1 * np.random.default_rng(1).standard_normal((200, 3)))).astype(int).tolist()
FALSE_ALARMS = [0, 40, 250]  # of the members in their validation, per mille


def member(number: int) -> Forest:
    forest = grow(np.array(NORMAL[:30], dtype=np.int64), 3 + number, 16, 8 + number)
    forest.calibrate([x for row in NORMAL[:30] for x in row], 900)
    return forest


MEMBERS = {f"m{number}": member(number) for number in range(3)}


def report(value: Any, seq: int = 0, origin: str = ORIGIN) -> Sample:
    return Sample("report", origin, seq, seq * 10**9, value)


def told(*said: Any) -> Sample:
    return Sample("pool", "health.pool", 0, 0, list(said))


def joining(device: str = "pump-1", seen: int = 0) -> list[Sample]:
    return [
        told(JOIN, device, name, forest.to_wire(), FEATURES, seen, seen, false)
        for (name, forest), false in zip(MEMBERS.items(), FALSE_ALARMS, strict=True)
    ]


def pooled(decide: str = "majority", device: str = "pump-1") -> Judge:
    """A judge with the three members."""
    judge = Judge(FEATURES, DEVICES, decide)
    for sample in joining(device):
        assert judge.on(sample) == []
    return judge


def opinions(rows: list[list[int]]) -> Any:
    """bool [members, rows], by the scorer in numpy."""
    return np.array([score(forest, np.array(rows)) > forest.threshold for forest in MEMBERS.values()])


@pytest.mark.parametrize("decide", sorted(STRATEGIES))
def test_votes_weights_and_ranks_are_those_of_an_independent_computation(decide: str) -> None:
    judge = pooled(decide)
    worn = [[int(x * wear) for x in row] for row, wear in zip(NORMAL[30:100], np.linspace(0.9, 1.6, 70), strict=True)]
    rows = NORMAL[:30] + worn  # among the training rows are those that lie just at a threshold
    voices = opinions(rows)
    agreed = np.zeros(3, int)
    for seq, row in enumerate(rows):
        weights = {
            "majority": [1, 1, 1],
            "rank": [1 + 1000 * (int(yes) + 1) // (seq + 2) for yes in agreed],
            "validation": [10_000 // (10 + false) for false in FALSE_ALARMS],
        }[decide]
        votes = voices[:, seq]
        heard = sum(weight for weight, vote in zip(weights, votes, strict=True) if vote)
        verdict = 2 * heard > sum(weights)
        share = heard * 65536 // sum(weights)
        ballot = {name: [forest.score(row), int(vote)] for (name, forest), vote in zip(MEMBERS.items(), votes, strict=True)}
        expected = [share, int(verdict), row, 0, ORIGIN, 1, int(not verdict), 40000, ballot, heard, sum(weights)]
        assert judge.on(report([40000, 1, row], seq)) == [expected]
        agreed += votes == verdict
    assert 0 < voices.mean() < 1
    (_, (members, _, _)) = judge.state()[2][0]
    assert [standing for *_, standing in members] == [[2 * int(y) - 100, 100, f] for y, f in zip(agreed, FALSE_ALARMS, strict=True)]


def test_who_speaks_on_the_device_is_asked_what_it_said_but_has_no_voice() -> None:
    judge = pooled()
    judge.on(told(SPEAKS, "pump-1", 0, "m0"))
    for label in (1, 0):
        ((share, verdict, *_, false, _, ballot, weight, total),) = judge.on(report([40000, label, CALM, 0]))
        assert ballot["m0"] == [MEMBERS["m0"].score(CALM), label]
        assert (share, verdict, false, weight, total) == (0, 0, label, 0, 2)
    (_, (members, _, _)) = judge.state()[2][0]
    assert [standing[:2] for *_, standing in members] == [[0, 2], [2, 2], [2, 2]]


def test_the_speaker_changes_when_the_device_says_that_a_package_is_installed() -> None:
    judge = pooled()

    def speaker() -> set[str]:
        """Whose opinion is what was said, not what the forest says here."""
        said = [judge.on(report([40000, label, CALM]))[0][8] for label in (0, 1)]
        return {name for name in MEMBERS if [ballot[name][1] for ballot in said] == [0, 1]}

    assert speaker() == set()
    judge.on(told(SPEAKS, "pump-1", 0, "m0"))
    assert speaker() == {"m0"}
    judge.on(told(SPEAKS, "pump-1", 4, "m1"))  # goes out
    assert speaker() == {"m0"}
    judge.on(report([-1, 3, {"e": "refused", "sequence": 4}]))
    assert speaker() == {"m0"}
    for sequence in (4, 5):  # 5 configures only
        judge.on(report([-1, 3, {"e": "installed", "sequence": sequence}]))
        assert speaker() == {"m1"}
    judge.on(told(SPEAKS, "pump-1", 4, ""))  # it was none of ours
    assert speaker() == set()
    judge.on(told(SPEAKS, "pump-1", 4, "m1"))
    judge.on(report([-1, 3, {"e": "trained"}]))  # another, whose nobody knows yet
    assert speaker() == set()
    judge.on(told(SPEAKS, "pump-1", 5, "m2"))
    assert speaker() == {"m2"}


def test_who_leaves_is_not_asked_and_who_joins_twice_is_there_once() -> None:
    judge = pooled()
    judge.on(report([40000, 1, LOUD]))
    before = judge.state()
    for sample in joining(seen=7):
        judge.on(sample)
    assert judge.state() == before, "its standing here is newer than that of an old announcement"
    judge.on(told(LEAVE, "pump-1", "m1"))
    assert set(judge.on(report([40000, 1, LOUD]))[0][8]) == {"m0", "m2"}
    judge.on(joining(seen=7)[1])
    (_, (members, _, _)) = judge.state()[2][0]
    assert members[1][3] == [7, 7, FALSE_ALARMS[1]]


def test_without_a_voice_there_is_no_verdict() -> None:
    judge = Judge(FEATURES, DEVICES)
    unjudged = [[-1, 2, CALM, 3, ORIGIN, 1, 0, 40000, {}, 0, 0]]
    assert judge.on(report([40000, 1, CALM, 3])) == unjudged
    judge.on(joining()[0])
    judge.on(told(SPEAKS, "pump-1", 0, "m0"))
    assert judge.on(report([40000, 1, CALM, 3])) == unjudged
    assert pooled().on(report([-1, 2, CALM])) == [[-1, 2, CALM, 0, ORIGIN, 2, 0, -1, {}, 0, 0]], "nor did the champion judge it"


def test_a_member_may_look_at_other_features_and_at_derived_ones() -> None:
    names = ("ratio(peak_to_peak, rms)", "rms")
    rows = np.tile(np.array(NORMAL, dtype=np.int64)[:, :1], (1, len(NAMES)))
    forest = train(Recipe(5, 32, names, 1, 950), rows)
    judge = Judge(FEATURES, DEVICES)
    judge.on(told(JOIN, "pump-1", "d", forest.to_wire(), list(names), 0, 0, 0))
    row = [3000, 5, 9000]
    table = [[{"rms": 3000, "mean_abs_difference": 5, "peak_to_peak": 9000}.get(name, 0) for name in NAMES]]
    ((*_, ballot, _, _),) = judge.on(report([40000, 1, row]))
    assert ballot["d"][0] == forest.score(columns(table, names)[0].tolist())


def test_each_device_is_judged_by_its_own_pool() -> None:
    judge = pooled()
    assert judge.on(report([40000, 1, LOUD], origin="report@pump-2"))[0][:2] == [-1, 2]
    judge.on(told(JOIN, "pump-2", "m0", MEMBERS["m0"].to_wire(), FEATURES, 0, 0, 0))
    assert judge.on(report([40000, 1, LOUD], origin="report@pump-2"))[0][9:] == [1, 1]
    assert judge.on(report([40000, 1, LOUD]))[0][9:] == [3, 3]


def test_the_pools_of_other_judges_take_no_room_here() -> None:
    judge, other = pooled(), pooled(device="pump-9")
    assert [device for device, _ in judge.state()[2]] == ["pump-1"]
    assert (other.state()[2], other.malformed) == ([], 0)


def test_news_pass_in_their_place_and_change_no_rank() -> None:
    judge = pooled()
    before = judge.state()
    news = {"e": "refused", "sequence": 4, "code": 302}
    assert judge.on(report([-1, 3, news, 5])) == [[-1, 3, news, 5, ORIGIN, 3, 0, -1, {}, 0, 0]]
    assert judge.on(report([-1, 3, news])) == [[-1, 3, news, 0, ORIGIN, 3, 0, -1, {}, 0, 0]]
    assert judge.state() == before


def test_reports_that_are_missing_are_told_and_announcements_are_not() -> None:
    judge = pooled()
    news = {"e": "gap", "first": 7, "last": 9, "reason": LOST}
    assert judge.gap(report(Gap(7, 9, LOST), 7)) == [[-1, 3, news, 3, ORIGIN, 3, 0, -1, {}, 0, 0]]
    assert judge.gap(Sample("pool", "health.pool", 7, 0, Gap(7, 9, LOST))) == []


def log() -> list[tuple[int, Any]]:
    """The input log of a judge: pools that come and change while reports of two devices arrive, news, a gap and another strategy."""
    entries: list[tuple[int, Any]] = [(SAMPLE, report([-1, 2, NORMAL[0], 0])), (SAMPLE, report([40000, 1, NORMAL[1], 0]))]
    entries += [(SAMPLE, sample) for pair in zip(joining("pump-1"), joining("pump-2"), strict=True) for sample in pair]
    for seq in range(24):
        row = [int(x * (1 + seq / 24)) for x in NORMAL[30 + seq]]
        entries.append((SAMPLE, report([40000, seq % 2, row, seq % 3], seq, f"report@pump-{1 + seq % 2}")))
    entries.insert(10, (SAMPLE, told(SPEAKS, "pump-1", 0, "m0")))
    entries.insert(14, (SAMPLE, told(SPEAKS, "pump-1", 3, "m1")))
    entries.insert(17, (SAMPLE, report([-1, 3, {"e": "installed", "sequence": 3}, 0])))
    entries.insert(20, (GAP, report(Gap(30, 32, LOST), 30)))
    entries.insert(22, (CONFIGURE, {"decide": "rank"}))
    entries.insert(25, (SAMPLE, told(LEAVE, "pump-2", "m2")))
    entries.insert(27, (SAMPLE, report("?")))
    return entries


LOG = log()


def test_a_judge_that_is_moved_at_every_moment_says_what_its_unmoved_twin_says() -> None:
    stayed, moved = Instance(Judge(FEATURES, DEVICES), "judge"), Instance(Judge(FEATURES, DEVICES), "judge")
    for entry in LOG:
        checkpoint = moved.checkpoint()
        assert checkpoint == stayed.checkpoint()
        moved = Instance(Judge(FEATURES, DEVICES), "judge")
        moved.restore(checkpoint)
        assert moved.feed(*entry) == stayed.feed(*entry)
    assert moved.checkpoint() == stayed.checkpoint()
    assert isinstance(moved.function, Judge) and moved.function.malformed == 1


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 40), 1 << 40)
    | st.sampled_from([*MEMBERS, JOIN, LEAVE, SPEAKS, "pump-1"])
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["e", "sequence"]), inner, max_size=2),
    max_leaves=8,
)


@settings(max_examples=100)
@given(plain)
def test_what_is_no_report_is_counted_and_changes_nothing_else(value: Any) -> None:
    judge = pooled()
    before = judge.state()
    assert judge.on(report(value)) == []
    assert judge.malformed == 1
    assert judge.state()[2] == before[2]


@pytest.mark.parametrize(
    "value",
    [
        [True, 1, [1, 2, 3]],
        [1, True, [1, 2, 3]],
        [1, 3, [1, 2, 3]],
        [1, 1, [1, 2, False]],
        [1, 1, [1, 2]],
        [1, 1, [1, 2, 1 << 31]],
        [1, 1, [1, 2, 3], 0, 0],
        [1, 1, [1, 2, 3], "0"],
        [1, 1, [1, 2, 3], -1],
        [1, 1, [1, 2, 3], True],
        [-2, 1, [1, 2, 3]],
        [65537, 1, [1, 2, 3]],
        [-1, 3, {}],
        [-1, 3, {"e": 5}],
        [-1, 3, {"e": "trained"}, "0"],
        [0, 3, {"e": "trained"}],
        [JOIN, "pump-1", "m"],
    ],
)
def test_near_misses_are_no_reports_either(value: Any) -> None:
    judge = pooled()
    before = judge.state()[2]
    assert judge.on(report(value)) == []
    assert (judge.malformed, judge.state()[2]) == (1, before)


@pytest.mark.parametrize(
    "said",
    [
        [JOIN, "pump-1", "m"],
        [JOIN, "pump-1", "m", b"wire", FEATURES, 0, 0, 0],
        [JOIN, "pump-1", "m", MEMBERS["m0"].to_wire(), FEATURES, 0],
        [JOIN, "pump-1", "m", MEMBERS["m0"].to_wire(), FEATURES[:2], 0, 0, 0],
        [JOIN, "pump-1", "m", MEMBERS["m0"].to_wire(), ["rms", "mean", "smell"], 0, 0, 0],
        [LEAVE, "pump-1", 5],
        [SPEAKS, "pump-1", "0", "m0"],
        ["dance", "pump-1", "m0"],
    ],
)
def test_what_is_no_announcement_is_counted_and_changes_nothing_else(said: list[Any]) -> None:
    judge = pooled()
    before = judge.state()[2]
    assert judge.on(told(*said)) == []
    assert (judge.malformed, judge.state()[2]) == (1, before)
    assert judge.on(report([40000, 1, LOUD]))[0][1] == 1


@pytest.mark.parametrize("sequence", [None, "4", -1, True, 1 << 40])
def test_a_package_number_that_is_none_leaves_the_speaker(sequence: Any) -> None:
    judge = pooled()
    judge.on(told(SPEAKS, "pump-1", 0, "m0"))
    news = {"e": "installed", "sequence": sequence}
    assert len(judge.on(report([-1, 3, news]))) == 1
    assert judge.on(report([40000, 1, CALM]))[0][8]["m0"][1] == 1
    assert judge.state()[2][0][1][2] == 0


def test_five_confirmed_reports_of_six_raise_the_alarm_and_neither_false_positives_nor_news_do() -> None:
    judge, rule = pooled(), Rule(["anomalies", 5, 6])
    news = [[-1, 3, {"e": "refused", "sequence": 1}, 0]]
    reports: list[Any] = [[40000, 1, CALM]] * 6 + [[40000, 1, LOUD]] * 4 + news * 4 + [[40000, 1, LOUD]] * 2
    raised = [rule.on(report(value, seq)) for seq, one in enumerate(reports) for value in judge.on(report(one, seq))]
    assert raised == [[]] * 14 + [[[1, 14 * 10**9]]] + [[]]


def test_settings_change_the_strategy_and_an_unknown_one_is_refused() -> None:
    judge = pooled("majority")
    with pytest.raises(SettingError, match="loudest"):
        judge.configure({"decide": "loudest"})
    assert judge.configure({"threshold": 1}) == []
    with pytest.raises(SettingError, match="majority, rank, validation"):
        Judge(FEATURES, DEVICES, "loudest")
    assert judge.on(report([40000, 1, LOUD]))[0][9:] == [3, 3]
    judge.configure({"decide": "validation"})
    assert judge.on(report([40000, 1, LOUD]))[0][9:] == [sum(10_000 // (10 + false) for false in FALSE_ALARMS)] * 2


def test_a_strategy_that_was_configured_survives_and_one_in_a_new_program_counts_unless_there_is_one() -> None:
    judge, moved = pooled("majority"), Judge(FEATURES, DEVICES, "validation")
    moved.restore(judge.state())
    validated = moved.on(report([40000, 1, LOUD]))[0][10]
    assert validated != 3
    judge.configure({"decide": "majority"})
    moved.restore(judge.state())
    assert moved.on(report([40000, 1, LOUD]))[0][10] == 3


def test_the_state_is_bounded() -> None:
    rows = np.array(NORMAL[:150], dtype=np.int64)
    judge = Instance(Judge(FEATURES, {f"report@{n}": f"pump-{n}" for n in range(4)}), "judge")
    for number in range(12):
        wire = grow(rows, 50, 100, number).to_wire()
        for device in range(4):
            judge.feed(SAMPLE, told(JOIN, f"pump-{device}", f"{number:064x}", wire, FEATURES, 0, 0, 0))
    full = len(judge.checkpoint())
    assert full < 4 * 12 * 4500
    for seq in range(200):
        judge.feed(SAMPLE, report([40000, 1, NORMAL[seq]], seq, "report@0"))
        judge.feed(SAMPLE, told(SPEAKS, "pump-0", seq, f"{seq % 12:064x}"))
    assert len(judge.checkpoint()) - full < 16 * 80 + 100, "standings grow by their digits, and some packages are remembered"


# What the whole says about real wear

ROOM = "eddy.kernel.functions"
BEARING: dict[str, Any] = {"features": FEATURES, "trees": 50, "subsample": 100, "quantile": 980, "rows": 150, "seed": 1}
Reports = tuple[dict[int, int], list[tuple[int, Any]]]
"""Starts of the recordings, ns, with their numbers; the reports with their times, ns."""

needs_data = pytest.mark.skipif(not (DATA / "ims_bearing").exists(), reason=f"no recordings in {DATA}; EDDY_DATA names their folder")


# A thinned report says how many normal windows were held back before it, so that the rule speaks when bare scores do
# (tests/links/test_sources.py). Counting arrivals, the anomalies of files 512 to 532 would look like five of six windows.
@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("normal_every", [1, 20])
@pytest.mark.parametrize("decide", sorted(STRATEGIES))
def test_the_wear_of_bearing_1_is_confirmed_from_its_onset_on(decide: str, normal_every: int, ims: Reports) -> None:
    files, reports = ims
    search = Search((10, 20, 30, 40, 50), (64, 100), (tuple(FEATURES),))
    chosen = LoopSettings(tuple(FEATURES), Training(search=search, refresh=0), replacement=None, strategy=decide)
    loop = Loop(KnowledgeBase(":memory:"), chosen, {ORIGIN: "pump-1"})
    judge, thinned, rule = Judge(FEATURES, {ORIGIN: "pump-1"}, decide), Forward(normal_every), Rule(["anomalies", 5, 6])
    alarms, verdicts, announced = [], [], 0
    for seq, (time_ns, value) in enumerate(reports):
        file = max(index for start, index in files.items() if start <= time_ns or value[1] == 3)
        for passed in thinned.on(report(value, seq)):
            for verdict in judge.on(report(passed, seq)):
                verdicts += [(file, verdict)] if verdict[1] != 3 else []
                alarms += [file for held, _ in rule.on(Sample("judge", "judge", seq, time_ns, verdict)) if held]
                loop.take(str(seq), time_ns, verdict)
        while (said := loop.announcement(announced)) is not None:
            judge.on(told(*said))
            announced += 1
    assert alarms == [540]
    assert all(verdict[1] == 1 for file, verdict in verdicts if file >= 540)
    assert sum(verdict[1] == 1 for file, verdict in verdicts if file < 533) <= 8, "of 118 windows after training"
    assert loop.status()["pump-1"]["scores_differing"] == 0


@pytest.fixture(scope="module")
def ims() -> Reports:
    """What the device on bearing 1 reports."""
    stages = [
        [f"{ROOM}.window", "Window", {"size_ms": 500}],
        [f"{ROOM}.features", "Features", {"compute": FEATURES}],
        [f"{ROOM}.model", "Model", BEARING],
    ]
    device, source, reports = Chain(stages), Replay(data=f"recordings:{DATA / 'ims_bearing'}#1", speed=0), []
    clock = count(ELSEWHEN, 20_000_000)
    with contextlib.suppress(EOFError):
        while True:
            for time_ns, chunk in source.read() or []:
                reports += [(time_ns, value) for value in device.on(Sample("vibration", "pump", 0, time_ns, chunk))]
                for _ in range(60):
                    reports += [(ELSEWHEN, value) for value in device.tick(next(clock))]
    return {recording.time_ns: recording.index for recording in open_recordings(DATA / "ims_bearing", ["1"])}, reports
