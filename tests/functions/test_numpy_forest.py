"""The numpy twins of the forest: batches of scores and grown trees, the kernel's bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.functions.forest import NumpyTrainer, paths, quantise, score
from eddy.kernel.grid import Grid
from eddy.kernel.trainer import Trainer


def rows_of(count: int, features: int, seed: int, spread: int) -> np.ndarray:
    """Heavy-tailed rows."""
    rows = np.random.default_rng(seed).standard_t(2, (count, features)) * spread
    return np.clip(rows, -(2**29), 2**29).astype(np.int64)


# rows, features, trees, subsample, seed, spread
jobs = st.tuples(*[st.integers(low, high) for low, high in ((2, 80), (1, 12), (1, 4), (2, 100), (0, 2**32), (0, 2**20))])


@settings(max_examples=40)
@given(jobs)
def test_the_same_seed_grows_the_same_bytes(job: tuple[int, int, int, int, int, int]) -> None:
    count, features, trees, subsample, seed, spread = job
    rows = rows_of(count, features, seed, spread).ravel().tolist()
    trainers = [kind(rows, features, trees, subsample, seed) for kind in (Trainer, NumpyTrainer)]
    for trainer in trainers:
        while trainer.step():
            pass
    assert trainers[0].forest().to_image() == trainers[1].forest().to_image()
    assert trainers[0].state() == trainers[1].state()


@settings(max_examples=40)
@given(jobs)
def test_a_batch_scores_as_row_by_row(job: tuple[int, int, int, int, int, int]) -> None:
    count, features, trees, subsample, seed, spread = job
    trainer = Trainer(rows_of(count, features, seed, spread).ravel().tolist(), features, trees, subsample, seed)
    while trainer.step():
        pass
    forest = trainer.forest()
    rows = rows_of(50, features, seed + 1, 3 * spread)
    assert score(forest, rows).tolist() == [forest.score(row) for row in rows.tolist()]
    assert paths(forest, rows).tolist() == [forest.paths(row) for row in rows.tolist()]


def test_a_shared_state_goes_on_in_either_trainer() -> None:
    rows = rows_of(60, 2, 1, 1000).ravel().tolist()
    whole = Trainer(rows, 2, 4, 32, seed=3)
    half = NumpyTrainer(rows, 2, 4, 32, seed=3)
    half.step()
    half.step()
    moved = Trainer.restore(half.state())
    for trainer in (whole, moved):
        while trainer.step():
            pass
    assert moved.forest().to_image() == whole.forest().to_image()


@pytest.mark.parametrize("bounds", [(-5, 90), (7, 7), (-(2**30), 2**30 - 1), (0, 2**31 - 1)])
def test_quantising_a_batch_is_the_grids(bounds: tuple[int, int]) -> None:
    grid = Grid([bounds, (0, 4095)])
    rows = np.random.default_rng(1).integers(-(2**31), 2**31, (200, 2))
    assert quantise(grid, rows).tolist() == [grid.quantise(row) for row in rows.tolist()]


def test_an_empty_batch_has_no_scores() -> None:
    trainer = Trainer([1, 2, 3, 4], 1, 1)
    trainer.step()
    assert score(trainer.forest(), np.zeros((0, 1), np.int64)).tolist() == []
