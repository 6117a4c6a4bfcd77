"""Adapt: a forest that scikit-learn trained becomes one that every node can run.

The trees keep their shape and their path lengths; only thresholds move, to the 12-bit grid. Where two splits fall on the same step, one
side of the second cannot be reached any more: it stays as a leaf.
"""

from array import array
from math import floor
from typing import Any

import numpy as np
import numpy.typing as npt

from eddy.functions.forest import quantise
from eddy.kernel.errors import ModelError
from eddy.kernel.forest import LEAF, MAX_SUBSAMPLE, Forest, depth_limit, path_lengths
from eddy.kernel.grid import MAX_FEATURES, STEPS, Grid

_SAMPLE_LEAF = -1  # scikit-learn's child of a leaf


def from_sklearn(forest: Any, rows: npt.NDArray[np.int64]) -> Forest:
    """The same forest in the kernel's integers.

    Args:
        forest: A fitted `sklearn.ensemble.IsolationForest` without bootstrap.
        rows: [n, features] int32 values as the model will see them. A threshold between two steps of the grid moves to the one that
            leads fewer of these rows astray.

    Returns:
        The forest; its threshold is scikit-learn's own (`-offset_`).

    Raises:
        ModelError: It is outside of what the kernel's format holds.
    """
    features = int(forest.n_features_in_)
    subsample = int(forest.max_samples_)
    if forest.bootstrap:
        raise ModelError("bootstrap=True draws rows twice, which the forest format does not know: train with bootstrap=False")
    if features > MAX_FEATURES or not 2 <= subsample <= MAX_SUBSAMPLE:
        raise ModelError(
            f"{features} features and subsamples of {subsample} rows do not fit the forest format: "
            f"at most {MAX_FEATURES} features, 2 to {MAX_SUBSAMPLE} rows"
        )
    if rows.ndim != 2 or rows.shape[1] != features:
        raise ModelError(f"rows of shape {rows.shape} do not fit a forest of {features} features")
    trees = [(member.tree_, columns) for member, columns in zip(forest.estimators_, forest.estimators_features_, strict=True)]
    thresholds: list[list[float]] = [[] for _ in range(features)]
    for tree, columns in trees:
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            if feature >= 0:
                thresholds[columns[feature]].append(threshold)
    # The grid spans the thresholds, not the rows: what is further out takes the same way, and the steps are finer.
    grid = Grid([(floor(min(some)), floor(max(some)) + 1) if some else (0, 0) for some in thresholds])
    adapter = _Adapter(grid, rows, subsample)
    threshold = min(65536, max(0, round(-65536 * float(forest.offset_))))
    return Forest.assemble(grid, subsample, [adapter.nodes_of(tree, columns) for tree, columns in trees], threshold)


class _Adapter:
    """Walks scikit-learn's trees and lays down the kernel's nodes."""

    def __init__(self, grid: Grid, rows: npt.NDArray[np.int64], subsample: int) -> None:
        self.nodes: list[int] = []
        self._rows = rows
        self._steps = quantise(grid, rows)
        self._grid = grid
        self._limit = depth_limit(subsample)
        self._lengths = path_lengths(subsample).tolist()

    def nodes_of(self, tree: Any, columns: npt.NDArray[np.int64]) -> "array[int]":
        """Two words for each node of a `sklearn.tree._tree.Tree`; `columns` says which feature each of its columns is."""
        self._tree = tree
        self._columns = columns
        self.nodes = []
        self._walk(0, 0, np.arange(len(self._rows)), [(0, STEPS)] * len(self._grid.bounds))
        return array("H", self.nodes)

    def _walk(self, node: int, depth: int, here: npt.NDArray[np.int64], box: list[tuple[int, int]]) -> None:
        """Lay down a node and what is below; `here` are the rows that arrive, `box` the reachable steps of each feature."""
        tree = self._tree
        if tree.children_left[node] == _SAMPLE_LEAF or depth == self._limit:
            self._leaf(int(tree.n_node_samples[node]), depth)
            return
        feature = int(self._columns[tree.feature[node]])
        low, high = box[feature]
        goes_left = self._rows[here, feature] <= tree.threshold[node]
        step = self._step(feature, float(tree.threshold[node]), self._steps[here, feature], goes_left)
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        at = len(self.nodes)
        self.nodes += [feature << 12 | min(max(step, low), high), 0]
        if low <= step < high:
            self._walk(left, depth + 1, here[goes_left], [*box[:feature], (low, step), *box[feature + 1 :]])
        elif step >= high:
            self._walk(left, depth + 1, here, box)
        else:  # everything goes right: the sides change places, since all that can be said is "everything goes left"
            self.nodes[at] = feature << 12 | high
            self._walk(right, depth + 1, here, box)
        self.nodes[at + 1] = len(self.nodes) // 2
        if low <= step < high:
            self._walk(right, depth + 1, here[~goes_left], [*box[:feature], (step + 1, high), *box[feature + 1 :]])
        else:
            self._leaf(int(tree.n_node_samples[right if step >= high else left]), depth + 1)

    def _step(self, feature: int, threshold: float, steps: npt.NDArray[np.int64], goes_left: npt.NDArray[np.bool_]) -> int:
        """The step up to which rows go left."""
        middle = [0] * len(self._grid.bounds)
        middle[feature] = floor(threshold)
        step = self._grid.quantise(middle)[feature]
        doubtful = steps == step  # to the left with `step`, to the right with `step - 1`
        return step - 1 if int((doubtful & goes_left).sum()) < int((doubtful & ~goes_left).sum()) else step

    def _leaf(self, rows: int, depth: int) -> None:
        self.nodes += [LEAF | rows, (depth << 8) + self._lengths[rows]]
