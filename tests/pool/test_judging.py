"""The pool as a function: it grows a device's judges from its reports, and judges them; it may be moved at any moment."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.errors import ModelError, SettingError
from eddy.functions.forest import NumpyTrainer, score
from eddy.kernel.batch import LOST, Gap
from eddy.kernel.forest import Forest
from eddy.kernel.function import CONFIGURE, GAP, SAMPLE, TICK, Instance, Sample
from eddy.kernel.functions.chain import Chain
from eddy.kernel.functions.forward import Forward
from eddy.kernel.functions.model import Model
from eddy.kernel.functions.rule import Rule
from eddy.links.recordings.runs import open_recordings
from eddy.links.replay import Replay
from eddy.pool.judge import STRATEGIES
from eddy.pool.judging import Judge

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
FEATURES = ["rms", "mean_abs_difference", "peak_to_peak"]
ROWS = 30
TREES = [3, 4, 5]
LEARNING: dict[str, Any] = {"features": FEATURES, "trees": 5, "subsample": 16, "quantile": 900, "rows": ROWS, "seed": 7}
JUDGED = {"name": "health", **LEARNING, "pool_trees": TREES}
TICKS = sum(2 * (trees + 1) for trees in TREES)  # rehearsal and member, and one more for each threshold
UNJUDGED = [-1, 2]
ORIGIN = "report@pump-1"
CALM, LOUD = [3000] * 3, [9000] * 3
NORMAL: list[list[int]] = (3000 * (1 + 0.1 * np.random.default_rng(1).standard_normal((200, 3)))).astype(int).tolist()

needs_data = pytest.mark.skipif(not (DATA / "ims_bearing").exists(), reason=f"no recordings in {DATA}; EDDY_DATA names their folder")
ROOM = "eddy.kernel.functions"
BEARING = {**LEARNING, "trees": 50, "subsample": 100, "quantile": 980, "rows": 150, "seed": 1}
Reports = tuple[dict[int, int], list[tuple[int, Any]]]
"""Starts of the recordings, ns, with their numbers; the reports with their times, ns."""


def report(value: Any, seq: int = 0, origin: str = "report@pump-1") -> Sample:
    return Sample("report", origin, seq, seq * 10**9, value)


def taught(decide: str = "majority", origins: Iterable[str] = ("report@pump-1",), rows: list[list[int]] = NORMAL) -> Judge:
    """A judge that has grown the pools of these devices."""
    judge = Judge(JUDGED, decide)
    for origin in origins:
        for seq, row in enumerate(rows[:ROWS]):
            judge.on(report([-1, 2, row], seq, origin))
    while judge.every_ms:
        judge.tick(0)
    return judge


def threshold(forest: Forest, rows: list[list[int]]) -> int:
    """The 90 % quantile of the rows, below the score of a row that is the largest in everything."""
    scores = sorted(score(forest, np.array(rows)).tolist())
    loudest = int(score(forest, np.array([[max(column) for column in zip(*rows, strict=True)]]))[0])
    return min(int(scores[-(-len(rows) * 9 // 10) - 1]), loudest - 1)


def grown(trees: int, rows: list[list[int]], seed: int) -> tuple[Forest, int]:
    """A forest and its threshold, by the trainer and the scorer in numpy."""
    trainer = NumpyTrainer([x for row in rows for x in row], 3, trees, 16, seed)
    while trainer.step():
        pass
    return trainer.forest(), threshold(trainer.forest(), rows)


def said(forest: Forest, limit: int, rows: list[list[int]]) -> list[bool]:
    return [one > limit for one in score(forest, np.array(rows)).tolist()]


@pytest.mark.parametrize("decide", sorted(STRATEGIES))
def test_votes_weights_and_ranks_are_those_of_an_independent_computation(decide: str) -> None:
    judge, training = taught(decide), NORMAL[:ROWS]
    worn = [[int(x * wear) for x in row] for row, wear in zip(NORMAL[ROWS:100], np.linspace(0.9, 1.6, 70), strict=True)]
    rows = training + worn  # among the training rows are those that lie just at a threshold
    members = [grown(trees, training, 8 + i) for i, trees in enumerate(TREES)]
    opinions = np.array([said(*member, rows) for member in members])
    rehearsed = [grown(trees, training[:24], 8 + i) for i, trees in enumerate(TREES)]
    false_alarms = [1000 * sum(said(*member, training[24:])) // 6 for member in rehearsed]
    agreed = np.zeros(3, int)
    for seq, row in enumerate(rows):
        weights = {
            "majority": [1, 1, 1],
            "rank": [1 + 1000 * (int(yes) + 1) // (seq + 2) for yes in agreed],
            "validation": [10_000 // (10 + one) for one in false_alarms],
        }[decide]
        votes = opinions[:, seq]
        heard = sum(weight for weight, vote in zip(weights, votes, strict=True) if vote)
        verdict = 2 * heard > sum(weights)
        share = heard * 65536 // sum(weights)
        assert judge.on(report([40000, 1, row], seq)) == [[share, int(verdict), row, 0, ORIGIN, 1, int(not verdict)]]
        agreed += votes == verdict
    assert 0 < opinions.mean() < 1 and any(false_alarms)
    members_ranked = [rank for rank in judge.ranking("report@pump-1") if rank.model != "health"]
    assert sorted(rank.score for rank in members_ranked) == sorted(int(2 * yes) - 100 for yes in agreed)
    assert {rank.seen for rank in members_ranked} == {100}


def log(devices: int, judged: int) -> list[tuple[int, Any]]:
    """The input log of a judge: rows that arrive by turns, ticks in between, a gap, another strategy, and reports of both kinds."""
    entries: list[tuple[int, Any]] = []
    for seq in range(ROWS):
        entries += [(SAMPLE, report([-1, 2, NORMAL[seq + device]], seq, f"report@pump-{device}")) for device in reversed(range(devices))]
    entries += [(TICK, tick) for tick in range(devices * TICKS)]
    entries += [(GAP, report(Gap(ROWS, ROWS + 2, LOST), ROWS)), (CONFIGURE, {"decide": "rank"})]
    for seq in range(judged):
        row = [int(x * (1 + seq / judged)) for x in NORMAL[ROWS + seq]]
        entries.append((SAMPLE, report([40000, seq % 2, row], ROWS + 3 + seq, f"report@pump-{seq % devices}")))
    return entries


LOG = log(2, 20)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, len(LOG)), st.integers(0, len(LOG)))
def test_a_judge_that_is_moved_at_any_moment_ends_as_its_unmoved_twin(first: int, second: int) -> None:
    stayed, moved = Instance(Judge(JUDGED), "judge"), Instance(Judge(JUDGED), "judge")
    for at, entry in enumerate(LOG):
        if at in (first, second):
            checkpoint = moved.checkpoint()
            moved = Instance(Judge(JUDGED), "judge")
            moved.restore(checkpoint)
            assert moved.function.every_ms == stayed.function.every_ms
        assert moved.feed(*entry) == stayed.feed(*entry)
        assert at % 8 or moved.checkpoint() == stayed.checkpoint()
    assert moved.checkpoint() == stayed.checkpoint()
    assert isinstance(moved.function, Judge) and moved.function.missed == 3


def test_a_champion_and_its_judge_agree_on_when_training_is_over() -> None:
    champion, judge = Model(**LEARNING), Judge(JUDGED)
    for seq, row in enumerate(NORMAL[:ROWS]):
        for value in champion.on(report(row, seq)):
            assert judge.on(report(value, seq)) == [[*UNJUDGED, row, 0, ORIGIN, 2, 0]]
    ticks = 0
    while champion.every_ms or judge.every_ms:
        champion.tick(ticks)
        judge.tick(ticks)
        ticks += 1
    assert ticks == TICKS
    (value,) = champion.on(report(LOUD))
    assert judge.on(report(value)) == [[65536, 1, value[2], 0, ORIGIN, 1, 0]]


def test_it_asks_for_ticks_only_while_trees_grow() -> None:
    judge = Judge(JUDGED)
    for seq, row in enumerate(NORMAL[: ROWS - 1]):
        judge.on(report([-1, 2, row], seq))
    assert judge.every_ms == 0
    judge.on(report([-1, 2, NORMAL[ROWS]]))
    assert judge.every_ms > 0
    assert taught().every_ms == 0


def test_a_false_positive_is_called_so_and_costs_the_champion_its_rank() -> None:
    judge = taught()
    assert judge.on(report([40000, 1, CALM])) == [[0, 0, CALM, 0, ORIGIN, 1, 1]]
    assert judge.on(report([40000, 0, CALM])) == [[0, 0, CALM, 0, ORIGIN, 0, 0]]
    assert judge.on(report([40000, 0, LOUD])) == [[65536, 1, LOUD, 0, ORIGIN, 0, 0]]
    ranks = judge.ranking("report@pump-1")
    assert [(rank.score, rank.seen) for rank in ranks] == [(3, 3)] * len(TREES) + [(-1, 3)]
    assert ranks[-1].model == "health"
    assert [rank.bytes for rank in ranks] == [*sorted(rank.bytes for rank in ranks[:-1]), 0], "of equals the smallest comes first"


def test_each_device_is_judged_by_its_own_pool() -> None:
    louder = [[2 * x for x in row] for row in NORMAL]
    both = taught()
    for seq, row in enumerate(louder[:ROWS]):
        both.on(report([-1, 2, row], seq, "report@pump-2"))
    while both.every_ms:
        both.tick(0)
    alone = taught(origins=["report@pump-2"], rows=louder)
    for seq, row in enumerate(louder[ROWS:60]):
        assert both.on(report([40000, 1, row], seq, "report@pump-2")) == alone.on(report([40000, 1, row], seq, "report@pump-2"))
    assert both.on(report([40000, 1, louder[70]]))[0][1] == 1, "for the first pump that is loud"
    assert both.ranking("report@pump-3") == []


def test_one_pump_is_judged_while_the_pool_of_another_still_grows() -> None:
    judge = taught()
    for seq, row in enumerate(NORMAL[:ROWS]):
        judge.on(report([-1, 2, row], seq, "report@pump-0"))
    judge.tick(0)
    assert judge.on(report([40000, 1, CALM], 0, "report@pump-0"))[0][:2] == UNJUDGED
    assert judge.on(report([40000, 1, CALM]))[0][:2] == [0, 0]


def test_rows_of_a_dead_or_overdriven_sensor_are_neither_learned_from_nor_judged() -> None:
    dead, overdriven, judge = [0, 0, 0], [9000, 9000, 16 * 65535], Judge(JUDGED)
    for row in [dead, overdriven] * ROWS:
        assert judge.on(report([-1, 2, row])) == [[*UNJUDGED, row, 0, ORIGIN, 2, 0]]
    assert judge.every_ms == 0
    assert taught().on(report([-1, 2, dead])) == [[*UNJUDGED, dead, 0, ORIGIN, 2, 0]]


def test_lost_training_rows_are_made_up_for_by_rows_that_the_champion_calls_normal() -> None:
    judge = Judge(JUDGED)
    for row in NORMAL[: ROWS - 2]:
        judge.on(report([-1, 2, row]))
    judge.on(report([40000, 1, LOUD]))  # an anomaly does not count as normal
    judge.on(report([30000, 0, NORMAL[ROWS - 2]]))
    assert judge.every_ms == 0
    judge.on(report([30000, 0, NORMAL[ROWS - 1]]))
    while judge.every_ms:
        judge.tick(0)
    assert judge.state()[4] == taught().state()[4]


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 40), 1 << 40) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(plain)
def test_what_is_no_report_is_counted_and_changes_nothing_else(value: Any) -> None:
    judge = Judge(JUDGED)
    assert judge.on(report(value)) == []
    assert judge.malformed == 1
    assert judge.state()[4] == []


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
    ],
)
def test_near_misses_are_no_reports_either(value: Any) -> None:
    judge = taught()
    assert judge.on(report(value)) == []
    assert judge.malformed == 1


def test_five_confirmed_reports_of_six_raise_the_alarm_and_false_positives_do_not() -> None:
    judge, rule = taught(), Rule(["anomalies", 5, 6])
    rows = [CALM] * 6 + [LOUD] * 6
    raised = [rule.on(report(value, seq)) for seq, row in enumerate(rows) for value in judge.on(report([40000, 1, row], seq))]
    assert raised == [[]] * 10 + [[[1, 10 * 10**9]]] + [[]]


def test_settings_change_the_strategy_and_an_unknown_one_is_refused() -> None:
    judge = taught("majority")
    with pytest.raises(SettingError, match="loudest"):
        judge.configure({"decide": "loudest"})
    assert judge.configure({"threshold": 1}) == []
    for _ in range(3):
        judge.on(report([40000, 1, CALM]))
    twin = taught("rank")
    twin.restore(judge.state())
    judge.configure({"decide": "rank"})
    edge = [[int(x * wear / 100) for x in CALM] for wear in range(100, 160, 2)]
    assert [judge.on(report([40000, 1, row])) for row in edge] == [twin.on(report([40000, 1, row])) for row in edge]


def test_a_strategy_that_was_configured_survives_and_one_in_a_new_program_counts_unless_there_is_one() -> None:
    judge = Judge(JUDGED, "majority")
    moved = Judge(JUDGED, "validation")
    moved.restore(judge.state())
    assert moved._strategy is STRATEGIES["validation"]
    judge.configure({"decide": "rank"})
    moved.restore(judge.state())
    assert moved._strategy is STRATEGIES["rank"]


def test_with_another_recipe_the_pools_grow_anew() -> None:
    judge = Judge({**JUDGED, "pool_trees": [3]})
    judge.restore(taught().state())
    assert judge.ranking("report@pump-1") == []
    assert judge.on(report([40000, 1, CALM])) == [[*UNJUDGED, CALM, 0, ORIGIN, 1, 0]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": []}, "columns"),
        ({"pool_trees": []}, "member"),
        ({"rows": 1}, "2 to 256 rows"),
        ({"rows": 257}, "2 to 256 rows"),
        ({"quantile": 0}, "per mille"),
        ({"pool_trees": [10, 1001]}, "1001 trees"),
        ({"subsample": 1}, "of 1 rows"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((SettingError, ModelError), match=message):
        Judge({**JUDGED, **wrong})


def test_a_program_that_lacks_something_says_what() -> None:
    with pytest.raises(SettingError, match="'seed'"):
        Judge({key: value for key, value in JUDGED.items() if key != "seed"})
    with pytest.raises(SettingError, match="majority, rank, validation"):
        Judge(JUDGED, "loudest")


@pytest.mark.parametrize("rows", [2, 3])
def test_the_smallest_training_gives_a_pool(rows: int) -> None:
    judge = Judge({**JUDGED, "rows": rows})
    for row in NORMAL[:rows]:
        judge.on(report([-1, 2, row]))
    while judge.every_ms:
        judge.tick(0)
    assert judge.on(report([40000, 1, NORMAL[0]]))[0][1] in (0, 1)


@pytest.mark.slow
def test_the_state_is_bounded() -> None:
    model = {**JUDGED, "subsample": 100, "rows": 150, "pool_trees": [50] * 5}
    judge, largest = Instance(Judge(model), "judge"), 0
    for seq in range(150):
        for pump in range(4):
            judge.feed(SAMPLE, report([-1, 2, NORMAL[seq + pump]], seq, f"report@pump-{pump}"))
    while judge.function.every_ms:
        judge.feed(TICK, 0)
        largest = max(largest, len(judge.checkpoint()))
    grown_bytes = len(judge.checkpoint())
    for seq in range(200):
        judge.feed(SAMPLE, report([40000, 1, NORMAL[seq]], seq, "report@pump-0"))
    assert len(judge.checkpoint()) - grown_bytes < 50, "standings grow by their digits only"
    assert largest < 90_000


# A thinned report says how many normal windows were held back before it, so that the rule speaks when bare scores do
# (tests/links/test_sources.py). Counting arrivals, the anomalies of files 512 to 532 would look like five of six windows.
@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(("normal_every", "alarm"), [(1, 540), (20, 540)])
@pytest.mark.parametrize("decide", sorted(STRATEGIES))
def test_the_wear_of_bearing_1_is_confirmed_from_its_onset_on(decide: str, normal_every: int, alarm: int, ims: Reports) -> None:
    files, reports = ims
    thinned, rule = Forward(normal_every), Rule(["anomalies", 5, 6])
    judge = Judge({**BEARING, "name": "bearing", "pool_trees": [10, 20, 30, 40, 50]}, decide)
    alarms, verdicts = [], []
    for seq, (time_ns, value) in enumerate(reports):
        file = max(index for start, index in files.items() if start <= time_ns)
        for passed in thinned.on(report(value, seq)):
            for verdict in judge.on(report(passed, seq)):
                verdicts.append((file, verdict))
                alarms += [file for held, _ in rule.on(Sample("judge", "judge", seq, time_ns, verdict)) if held]
        while judge.every_ms:
            judge.tick(time_ns)
    assert alarms == [alarm]
    assert all(verdict[1] == 1 for file, verdict in verdicts if file >= 540)
    assert sum(verdict[1] == 1 for file, verdict in verdicts if file < 533) <= 8, "of 118 windows after training"
    assert sum(verdict[6] for _, verdict in verdicts) == 1


@pytest.fixture(scope="module")
def ims() -> Reports:
    """What the device on bearing 1 reports."""
    stages = [
        [f"{ROOM}.window", "Window", {"size_ms": 500}],
        [f"{ROOM}.features", "Features", {"compute": FEATURES}],
        [f"{ROOM}.model", "Model", BEARING],
    ]
    device, source, reports = Chain(stages), Replay(data=f"recordings:{DATA / 'ims_bearing'}#1", speed=0), []
    with contextlib.suppress(EOFError):
        while True:
            for time_ns, chunk in source.read() or []:
                reports += [(time_ns, value) for value in device.on(Sample("vibration", "pump", 0, time_ns, chunk))]
                for tree in range(60):
                    device.tick(time_ns + tree * 20_000_000)
    return {recording.time_ns: recording.index for recording in open_recordings(DATA / "ims_bearing", ["1"])}, reports
