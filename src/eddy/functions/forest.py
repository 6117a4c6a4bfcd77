"""Isolation forests in numpy: batches of rows scored, and trees grown, with the kernel's bits."""

from array import array

import numpy as np
import numpy.typing as npt

from eddy.kernel.forest import EXP2, HEAD, LEAF, Forest
from eddy.kernel.grid import STEPS, Grid, range_shift
from eddy.kernel.rng import Rng
from eddy.kernel.trainer import Trainer


def quantise(grid: Grid, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows in steps of a grid, as `Grid.quantise` gives them.

    Args:
        grid: One range for each feature.
        rows: [n, features] int32 values.

    Returns:
        [n, features] in 0..4095.
    """
    steps = np.empty(rows.shape, np.int64)
    for f, (low, high) in enumerate(grid.bounds):
        shift = range_shift(high - low)
        inside = (np.clip(rows[:, f], low, high) - low >> shift) * STEPS // max(1, high - low >> shift)
        steps[:, f] = np.where(rows[:, f] <= low, 0, np.where(rows[:, f] >= high, STEPS, inside))
    return steps


def paths(forest: Forest, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[n] sums Q8 of the rows' path lengths over all trees; as `Forest.paths`."""
    steps = quantise(forest.grid(), np.asarray(rows, np.int64))
    words = np.frombuffer(forest.image, np.uint16).astype(np.int64)
    roots = HEAD + 5 * forest.features
    first = roots + forest.trees
    bases = first + 2 * words[roots:first]
    everyone = np.arange(len(steps))[:, None]
    at = np.broadcast_to(bases, (len(steps), forest.trees)).copy()  # [n, trees] words
    split = words[at]
    while True:
        inner = split < LEAF
        if not inner.any():
            break
        left = steps[everyone, np.where(inner, split >> 12, 0)] <= (split & STEPS)
        at = np.where(inner, np.where(left, at + 2, bases + 2 * words[at + 1]), at)
        split = words[at]
    total: npt.NDArray[np.int64] = words[at + 1].sum(axis=1)
    return total


def score(forest: Forest, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Scores of a batch, identical to `Forest.score` of each row.

    Args:
        forest: The forest.
        rows: [n, features] int32 values.

    Returns:
        [n] scores Q16, 65536 = 1.0.
    """
    unit = forest.image[2] * forest.image[7]
    # 16 binary places of total / unit: what the kernel finds by long division.
    exponent = (paths(forest, rows) << 16) // unit
    whole = np.minimum(exponent >> 16, 17)
    fraction = exponent & 0xFFFF
    table = np.array(EXP2, np.int64)
    high = table[fraction >> 11]
    power: npt.NDArray[np.int64] = (high - ((high - table[(fraction >> 11) + 1]) * (fraction & 2047) >> 11)) >> whole
    return power


def grow(
    pool: "array[int]", draws: "array[int]", order: "array[int]", shape: "array[int]", lengths: "array[int]", nodes: "array[int]"
) -> int:
    """One tree, as `eddy.kernel.plain.trainer.grow` grows it."""
    features, subsample, limit, rows = shape
    rng = Rng.from_state(list(draws))
    numbers = list(range(rows))
    for i in range(subsample):
        j = i + rng.below(rows - i)
        numbers[i], numbers[j] = numbers[j], numbers[i]
    sample = np.frombuffer(pool, np.uint16).reshape(rows, features)[numbers[:subsample]]
    waiting: list[tuple[npt.NDArray[np.uint16], int, int]] = []  # right children: rows, depth, parent
    depth = count = 0
    while True:
        inner = False
        if depth < limit and len(sample) > 1:
            lows = sample.min(axis=0).tolist()
            highs = sample.max(axis=0).tolist()
            untried = list(range(features))
            while untried and not inner:
                k = rng.below(len(untried))
                feature = untried[k]
                untried[k] = untried[-1]
                untried.pop()
                inner = lows[feature] < highs[feature]
        if inner:
            threshold = lows[feature] + rng.below(highs[feature] - lows[feature])
            left = sample[:, feature] <= threshold
            nodes[2 * count] = feature << 12 | threshold
            depth += 1
            waiting.append((sample[~left], depth, count))
            sample = sample[left]
            count += 1
            continue
        nodes[2 * count] = LEAF | len(sample)
        nodes[2 * count + 1] = (depth << 8) + lengths[len(sample)]
        count += 1
        if not waiting:
            break
        sample, depth, parent = waiting.pop()
        nodes[2 * parent + 1] = count
    draws[0], draws[1] = rng.state()
    return count


class NumpyTrainer(Trainer):
    """The kernel's trainer with numpy in the inner loops: the same bytes, sooner when subsamples are large."""

    _grow_tree = staticmethod(grow)
