"""Training: isolation trees as in scikit-learn, the same bits wherever and however they are grown."""

from array import array
from random import Random

import pytest
from clouds import cloud, train
from hypothesis import given, settings
from hypothesis import strategies as st
from wrapping import load

from eddy.kernel import codec
from eddy.kernel.errors import ModelError
from eddy.kernel.forest import LEAF, Forest, depth_limit, path_lengths
from eddy.kernel.plain.trainer import grow as grow_plain
from eddy.kernel.rng import M1, M2, Rng
from eddy.kernel.trainer import Trainer

TWIN = load("forest")


def shapes_of(forest: Forest, tree: int) -> list[tuple[int, int]]:
    """(depth, rows) of each leaf, with every split checked to be a split of rows that it can tell apart."""
    nodes = forest.tree(tree)
    leaves = []
    waiting = [(0, 0, dict.fromkeys(range(forest.features), (0, 4095)))]
    while waiting:
        node, depth, box = waiting.pop()
        split = nodes[2 * node]
        if split >= LEAF:
            assert nodes[2 * node + 1] == 256 * depth + path_lengths(forest.subsample)[split & 0xFFF]
            leaves.append((depth, split & 0xFFF))
            continue
        feature, threshold = split >> 12, split & 0xFFF
        low, high = box[feature]
        assert low <= threshold < high
        waiting.append((node + 1, depth + 1, {**box, feature: (low, threshold)}))
        waiting.append((nodes[2 * node + 1], depth + 1, {**box, feature: (threshold + 1, high)}))
    return leaves


@settings(max_examples=40)
@given(st.integers(2, 150), st.integers(1, 12), st.integers(2, 120), st.integers(0, 2**64))
def test_each_tree_isolates_its_subsample(rows: int, features: int, subsample: int, seed: int) -> None:
    # All values differ, and 12 bits tell them apart: so do the trees.
    values = [Random(f"{seed} {f}").sample(range(4096), rows) for f in range(features)]
    forest = train(array("i", [values[f][row] for row in range(rows) for f in range(features)]), features, 2, subsample, seed)
    assert forest.subsample == min(subsample, rows)
    for tree in range(2):
        leaves = shapes_of(forest, tree)
        assert sum(size for _, size in leaves) == forest.subsample
        assert all(depth <= depth_limit(forest.subsample) for depth, _ in leaves)
        assert all(size == 1 for depth, size in leaves if depth < depth_limit(forest.subsample))


def test_identical_rows_make_one_leaf() -> None:
    forest = train(array("i", [7, 9] * 20), 2, 1, 16, seed=1)
    assert shapes_of(forest, 0) == [(0, 16)]


def test_features_and_thresholds_are_drawn_evenly() -> None:
    rng = Rng(4)
    forest = train(array("i", [rng.below(4096) for _ in range(2 * 250)]), 2, 400, 100, seed=9)
    roots = [forest.tree(tree)[0] for tree in range(400)]
    assert 160 < sum(root >> 12 for root in roots) < 240
    thresholds = [root & 0xFFF for root in roots]
    for quarter in range(4):
        assert 70 < sum(1024 * quarter <= threshold < 1024 * (quarter + 1) for threshold in thresholds) < 130


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    # One feature, rows 0..15, subsamples of 4: which values the trees span tells which rows they saw.
    pool = array("H", range(16))
    draws = array("i", Rng(3).state())
    seen = [0] * 16
    for _ in range(2000):
        order = array("H", bytes(32))
        grow_plain(pool, draws, order, array("H", [1, 4, 2, 16]), path_lengths(4), array("H", bytes(28)))
        for row in order[:4]:
            seen[row] += 1
    assert sum(seen) == 8000
    assert all(400 < count < 600 for count in seen)


@settings(max_examples=20)
@given(st.integers(0, 6))
def test_a_half_trained_forest_moves_and_keeps_its_bits(steps: int) -> None:
    rows = cloud(64, 3, seed=2)
    trainer = Trainer(rows, 3, trees=6, subsample=32, seed=5)
    for _ in range(steps):
        assert trainer.step()
    state = codec.decode(codec.encode(trainer.state()))
    assert isinstance(state, dict)
    moved = Trainer.restore(state)
    while moved.step():
        pass
    assert moved.forest().to_image() == train(rows, 3, 6, 32, seed=5).to_image()
    assert not moved.step()


def test_seeds_make_different_forests() -> None:
    rows = cloud(64, 3, seed=2)
    assert train(rows, 3, 2, 32, seed=1).to_image() != train(rows, 3, 2, 32, seed=2).to_image()


def test_what_cannot_be_trained_is_refused() -> None:
    for rows, features in (([1], 1), ([1, 2, 3], 2), ([], 1), ([1, 2], 0), ([1] * 26, 13)):
        with pytest.raises(ModelError):
            Trainer(rows, features)
    for trees, subsample in ((0, 10), (1001, 10), (1, 1), (1, 4096)):
        with pytest.raises(ModelError, match="at most 1000"):
            Trainer([1, 2, 3], 1, trees, subsample)
    with pytest.raises(ModelError, match="step"):
        Trainer([1, 2, 3], 1).forest()


def grow_twice(pool: "array[int]", features: int, subsample: int, state: list[int]) -> None:
    rows = len(pool) // features
    shape = array("H", [features, subsample, depth_limit(subsample), rows])
    lengths = path_lengths(subsample)
    results = []
    for compiled in (False, True):
        draws, order, nodes = array("i", state), array("H", bytes(2 * rows)), array("H", bytes(4 * (2 * subsample - 1)))
        waiting = array("H", bytes(2 * features + 8 * (shape[2] + 1)))
        grow = TWIN.grow if compiled else grow_plain
        count = grow(pool, draws, order, shape, lengths, nodes, *([waiting] if compiled else []))
        results.append((count, draws, nodes[: 2 * count]))
    assert results[0] == results[1]


@settings(max_examples=15)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(2, 60), st.integers(1, M1 - 1), st.integers(1, M2 - 1), st.integers(1, 4095))
def test_compiled_growing_is_the_plain_one_within_32_bits(rows: int, features: int, subsample: int, s1: int, s2: int, top: int) -> None:
    rng = Rng(s1)
    pool = array("H", [rng.below(top + 1) for _ in range(rows * features)])
    grow_twice(pool, features, min(subsample, rows), [s1, s2])


def test_compiled_growing_stays_within_32_bits_on_a_full_pool() -> None:
    pool = array("H", [4095 if i * 7 % 11 else 0 for i in range(256 * 12)])
    grow_twice(pool, 12, 256, [M1 - 1, M2 - 1])


@given(st.integers(1, M1 - 1), st.integers(1, M2 - 1), st.one_of(st.integers(1, 4096), st.integers(1, M1 - 1)))
def test_compiled_draws_are_the_kernels(s1: int, s2: int, n: int) -> None:
    rng = Rng.from_state([s1, s2])
    draws = array("i", [s1, s2])
    assert TWIN.draw(draws, n) == rng.below(n)
    assert draws.tolist() == rng.state()
