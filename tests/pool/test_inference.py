import numpy as np

from eddy.kernel.features import NAMES
from eddy.knowledge.records import ANOMALOUS, Window
from eddy.knowledge.registry import Entry, Model, identity
from eddy.models.create import Recipe, train
from eddy.pool.inference import PoolInference
from eddy.pool.judge import STRATEGIES

ENERGY = ("rms", "mean_abs_difference", "peak_to_peak")
ROWS = (3000 * (1 + 0.1 * np.random.default_rng(1).standard_normal((100, len(NAMES))))).astype(np.int64)


def entry(seed: int, role: str = "candidate", features: tuple[str, ...] = ENERGY, false_alarms: int = 0) -> Entry:
    wire = train(Recipe(10, 48, features, seed, 960), ROWS).to_wire()
    model = Model(identity(wire, features), wire, features, "engine", metrics={"held_out_false_alarms": false_alarms})
    return Entry(model, role, 0, 0, 0, None)


def reports(*wear: float) -> list[Window]:
    return [Window("pump-1", i, i, i, 0, ANOMALOUS, 0, tuple((ROWS[i] * w).astype(int).tolist())) for i, w in enumerate(wear)]


THREE = [entry(1), entry(2), entry(3)]


def test_the_pool_tells_wear_from_a_steady_machine() -> None:
    judged = PoolInference().judge(THREE, reports(1.0, 3.0), [None, None])
    assert [one.verdict.anomalous for one in judged] == [False, True]
    assert [(one.votes, one.members) for one in judged][1] == (3, 3)


def test_scores_are_those_of_the_kernel() -> None:
    pool, windows = PoolInference(), reports(1.0, 1.2, 3.0)
    for window, judged in zip(windows, pool.judge(THREE, windows, [None] * 3), strict=True):
        for one in THREE:
            row = [window.features[NAMES.index(name)] for name in one.model.features]
            assert judged.scores[one.model.id] == pool.forest(one).score(row)


def test_the_speaker_is_ranked_by_what_it_said_but_has_no_voice() -> None:
    speaker = THREE[0].model.id
    (judged,) = PoolInference().judge(THREE, reports(1.0), [speaker])
    assert (judged.members, judged.verdict.anomalous) == (2, False)
    assert judged.rewards[speaker] == -1, "it said anomalous"
    assert all(judged.rewards[one.model.id] == 1 for one in THREE[1:])


def test_who_is_retired_or_cannot_be_computed_is_not_asked() -> None:
    unknown = Entry(Model("x", b"", ("smell(rms)",), "person:ada"), "pool", 0, 0, 0, None)
    retired = Entry(THREE[1].model, "retired", 0, 0, 0, None)
    (judged,) = PoolInference().judge([THREE[0], retired, unknown], reports(1.0), [None])
    assert list(judged.scores) == [THREE[0].model.id]


def test_without_anybody_to_vote_there_is_no_verdict() -> None:
    assert PoolInference().judge([], reports(1.0), [None]) == []
    assert PoolInference().judge(THREE[:1], reports(1.0), [THREE[0].model.id]) == []


def test_a_batch_is_judged_as_its_windows_one_by_one() -> None:
    windows = reports(1.0, 1.1, 2.0, 1.3, 0.9, 1.15)
    for name in STRATEGIES:
        whole = PoolInference(STRATEGIES[name]).judge(THREE, windows, [None] * len(windows))
        standing = list(THREE)
        for window, together in zip(windows, whole, strict=True):
            (alone,) = PoolInference(STRATEGIES[name]).judge(standing, [window], [None])
            assert alone == together
            earned = alone.rewards
            standing = [Entry(e.model, e.role, e.score + earned[e.model.id], e.seen + 1, 0, None) for e in standing]


def test_a_member_with_many_false_alarms_weighs_less_when_validation_counts() -> None:
    trusted, noisy = entry(1), entry(2, false_alarms=500)
    (judged,) = PoolInference(STRATEGIES["validation"]).judge([trusted, noisy], reports(1.0), [None])
    assert judged.verdict.total == 1000 + 19
