"""Growing an isolation forest: a long job of one tree a step, whose state is plain data.

Trees are grown as in scikit-learn's ExtraTreeRegressor under IsolationForest: a subsample without replacement; at each node a feature at
random among those that are not constant there, a threshold uniform between its smallest and largest value; down to single rows or the
depth ceil(log2(subsample)). On the 12-bit grid, in integers, from one seed, so that every interpreter grows the same trees.
"""

import sys
from array import array

from eddy.kernel.errors import ModelError
from eddy.kernel.forest import MAX_SUBSAMPLE, MAX_TREES, Builder, Forest, depth_limit, path_lengths
from eddy.kernel.grid import MAX_FEATURES, Grid
from eddy.kernel.rng import Rng

NEUTRAL = 39322  # 0.6 in Q16: Liu's rule of thumb, until somebody calibrates
MAX_ROWS = 65535
_SPARE = 2  # see `Builder`: another champion, with more features and so more nodes, will want this one's room

try:
    if sys.implementation.name != "micropython":
        raise ImportError
    from eddy.kernel.viper import forest as _viper

    def grow(
        pool: "array[int]", draws: "array[int]", order: "array[int]", shape: "array[int]", lengths: "array[int]", nodes: "array[int]"
    ) -> int:
        """As `eddy.kernel.plain.trainer.grow`, compiled."""
        waiting = array("H", bytes(2 * shape[0] + 8 * (shape[2] + 1)))
        count: int = _viper.grow(pool, draws, order, shape, lengths, nodes, waiting)
        return count

except (ImportError, SyntaxError, ValueError):  # a port without native code, or compiled for another one
    from eddy.kernel.plain.trainer import grow


class Trainer:
    """Trains a forest, one tree a step.

    >>> trainer = Trainer([1, 2, 3, 4, 5, 6, 7, 90], features=1, trees=2, subsample=8, seed=1)
    >>> while trainer.step():
    ...     pass
    >>> trainer.forest().trees
    2

    Args:
        rows: Flat: one row of int32 features after the other; at least two rows.
        features: Values in a row, 1 to 12.
        trees: 1 to 1000.
        subsample: Rows that each tree sees; all of them when there are fewer.
        seed: Any integer.

    Attributes:
        grid, pool, features, trees, subsample: What it works with; `pool` holds the quantised rows.
    """

    def __init__(self, rows: "list[int] | array[int]", features: int, trees: int = 50, subsample: int = 100, seed: int = 0) -> None:
        if not (1 <= features <= MAX_FEATURES and 1 <= trees <= MAX_TREES and 2 <= subsample <= MAX_SUBSAMPLE):
            raise ModelError(
                "cannot train %d trees of %d rows on %d features: at most %d, %d and %d"
                % (trees, subsample, features, MAX_TREES, MAX_SUBSAMPLE, MAX_FEATURES)
            )
        count = len(rows) // features
        if not 2 <= count <= MAX_ROWS or len(rows) % features:
            raise ModelError("training takes 2 to %d whole rows; %d values are none of %d features" % (MAX_ROWS, len(rows), features))
        grid = Grid.around(rows, features)
        pool = array("H", bytes(2 * len(rows)))
        for at in range(0, len(rows), features):
            for f, step in enumerate(grid.quantise(rows, at)):
                pool[at + f] = step
        self._set(grid, pool, trees, min(subsample, count), Rng(seed).state())

    def _set(self, grid: Grid, pool: "array[int]", trees: int, subsample: int, draws: list[int]) -> None:
        self.grid = grid
        self.features = len(grid.bounds)
        self.pool = pool
        self.trees = trees
        self.subsample = subsample
        self._draws = array("i", draws)
        self._builder = Builder(grid, subsample, trees, spare=_SPARE)
        self._order = array("H", bytes(2 * (len(pool) // self.features)))
        self._shape = array("H", [self.features, subsample, depth_limit(subsample), len(self._order)])
        self._lengths = path_lengths(subsample)
        self._nodes = array("H", bytes(4 * (2 * subsample - 1)))

    def step(self) -> bool:
        """Grow one tree; False when all were there already."""
        if self._builder.trees >= self.trees:
            return False
        count = self._grow_tree(self.pool, self._draws, self._order, self._shape, self._lengths, self._nodes)
        self._builder.add(memoryview(self._nodes)[: 2 * count])
        return True

    # What grows a tree; the numpy trainer has its own.
    _grow_tree = staticmethod(grow)

    def forest(self, threshold: int = NEUTRAL) -> Forest:
        """The forest, once every tree has been grown; not yet calibrated.

        Raises:
            ModelError: Trees are missing.
        """
        return self._builder.forest(threshold)

    def state(self) -> "dict[str, list[int] | bytes]":
        """Everything that a trainer elsewhere needs to end with the same bits."""
        bounds = []
        for low, high in self.grid.bounds:
            bounds += [low, high]
        nodes, ends = self._builder.grown()
        return {
            "job": [self.trees, self.subsample],
            "draws": list(self._draws),
            "bounds": bounds,
            "pool": bytes(self.pool),
            "grown": nodes,
            "ends": ends,
        }

    @classmethod
    def restore(cls, state: "dict[str, list[int] | bytes]") -> "Trainer":
        """The trainer that goes on where `state()` was taken."""
        bounds = list(state["bounds"])
        grid = Grid([(bounds[i], bounds[i + 1]) for i in range(0, len(bounds), 2)])
        trees, subsample = state["job"]
        trainer = cls([0, 1], 1, trees, subsample)  # MicroPython has no __new__; the job is set below
        trainer._set(grid, array("H", bytes(state["pool"])), trees, subsample, list(state["draws"]))
        nodes = array("H", bytes(state["grown"]))
        start = 0
        for end in list(state["ends"]):
            trainer._builder.add(nodes[2 * start : 2 * end])
            start = end
        return trainer
