"""Adapting scikit-learn's forests: the kernel's score beside scikit-learn's on the same trees."""

import os
from pathlib import Path

import numpy as np
import pytest

from eddy.functions.features import compute
from eddy.functions.forest import score
from eddy.kernel.errors import ModelError
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.models.adapt import from_sklearn

ensemble = pytest.importorskip("sklearn.ensemble")
DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
SETS = [("kurtosis", "skewness", "mean"), ("rms", "mean_abs_difference", "peak_to_peak"), NAMES]


def compare(train: np.ndarray, rows: np.ndarray, trees: int, seed: int) -> tuple[float, int]:
    """The largest difference of a score, and how many decisions differ, at 0.6 and at the 98 % quantile of training."""
    theirs = ensemble.IsolationForest(n_estimators=trees, max_samples=100, random_state=seed).fit(train)
    ours = from_sklearn(theirs, train)
    expected = -theirs.score_samples(rows)
    scores = score(ours, rows) / 65536
    thresholds = (0.6, np.quantile(-theirs.score_samples(train), 0.98))
    different = max(int(((expected > threshold) != (scores > threshold)).sum()) for threshold in thresholds)
    return float(np.abs(expected - scores).max()), different


@pytest.mark.slow
def test_scores_and_decisions_on_real_bearings_are_scikit_learns() -> None:
    shards = sorted((DATA / "ims_bearing" / "2nd_test_raw").glob("*.npz"))
    if not shards:
        pytest.skip(f"no IMS recordings in {DATA} (set EDDY_DATA)")
    parts = []
    for shard in shards[::2]:  # 138 recordings of 4 bearings, 2 windows of 0.5 s each: 1,104 rows
        signal = np.load(shard)["x_milli"][:, :, : 2 * 10240]
        parts.append(compute(signal.reshape(-1, 10240)))
    rows = np.concatenate(parts)
    assert len(rows) >= 1000
    worst, different, decided = 0.0, 0, 0
    for trees in (10, 50):
        for names in SETS:
            chosen = rows[:, [NAMES.index(name) for name in names]]
            difference, flips = compare(chosen[:400], chosen, trees, seed=trees)
            worst, different, decided = max(worst, difference), different + flips, decided + len(rows)
    assert worst <= 0.02
    assert different <= decided // 1000


@pytest.mark.slow
@pytest.mark.parametrize("spread", [10, 10_000, 10_000_000])
def test_scores_and_decisions_on_heavy_tails_are_scikit_learns(spread: int) -> None:
    rows = (np.random.default_rng(spread).standard_t(2, (2000, 3)) * spread).astype(np.int64)
    difference, different = compare(rows[:500], rows, 50, seed=1)
    assert difference <= 0.02
    assert different <= 2


def test_an_adapted_forest_travels_like_any_other() -> None:
    rows = np.random.default_rng(2).integers(-1000, 1000, (300, 4))
    forest = from_sklearn(ensemble.IsolationForest(n_estimators=5, max_samples=64, random_state=1, max_features=0.5).fit(rows), rows)
    assert forest.threshold == 32768
    assert Forest.from_wire(forest.to_wire()).to_image() == forest.to_image()


def test_splits_closer_than_a_step_keep_their_paths() -> None:
    # All rows but one share a single step of the grid: what scikit-learn splits there cannot be told apart.
    rows = np.concatenate([np.arange(63), [2**30]])[:, None]
    theirs = ensemble.IsolationForest(n_estimators=20, max_samples=64, random_state=1).fit(rows)
    ours = from_sklearn(theirs, rows)
    assert Forest.from_wire(ours.to_wire()).to_image() == ours.to_image()
    assert ours.score([2**30]) / 65536 == pytest.approx(-theirs.score_samples([[2**30]])[0], abs=0.001)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"bootstrap": True}, (50, 2), "bootstrap=False"),
        ({"max_samples": 1}, (50, 2), "2 to 4095 rows"),
        ({}, (50, 13), "at most 12 features"),
    ],
)
def test_what_the_format_does_not_hold_is_refused(options: dict[str, object], shape: tuple[int, int], message: str) -> None:
    rows = np.random.default_rng(3).integers(0, 100, shape)
    theirs = ensemble.IsolationForest(n_estimators=2, random_state=1, **options).fit(rows)
    with pytest.raises(ModelError, match=message):
        from_sklearn(theirs, rows)


def test_rows_of_another_width_are_refused() -> None:
    rows = np.arange(40).reshape(20, 2)
    theirs = ensemble.IsolationForest(n_estimators=2, random_state=1).fit(rows)
    with pytest.raises(ModelError, match="do not fit"):
        from_sklearn(theirs, rows[:, :1])
