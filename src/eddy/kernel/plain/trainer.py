"""Growing of trees; the compiled twin is in `eddy.kernel.viper.forest`."""

from eddy.kernel.rng import Rng

MYPY = False
if MYPY:
    from array import array

_LEAF = 15 << 12


def grow(
    pool: "array[int]", draws: "array[int]", order: "array[int]", shape: "array[int]", lengths: "array[int]", nodes: "array[int]"
) -> int:
    """Grow one tree.

    Args:
        pool: Quantised rows, flat.
        draws: The state of the random numbers, which goes on: first the subsample, then feature and threshold of each node in preorder.
        order: Room for one word for each row of the pool.
        shape: Features, subsample, depth limit, rows.
        lengths: c(n) in Q8 up to the subsample.
        nodes: Receives the nodes, two words each; room for 2 * subsample - 1 of them.

    Returns:
        The number of nodes.
    """
    features, subsample, limit, rows = shape
    rng = Rng.from_state(list(draws))
    for i in range(rows):
        order[i] = i
    for i in range(subsample):
        j = i + rng.below(rows - i)
        order[i], order[j] = order[j], order[i]
    waiting = []  # right children: (start, end, depth, parent)
    start, end, depth, count = 0, subsample, 0, 0
    while True:
        feature, low, high = _choose(pool, rng, order, start, end, features) if depth < limit and end - start > 1 else (-1, 0, 0)
        if feature >= 0:
            threshold = low + rng.below(high - low)
            middle = _partition(pool, order, start, end, features, feature, threshold)
            nodes[2 * count] = feature << 12 | threshold
            depth += 1
            waiting.append((middle, end, depth, count))
            end = middle
            count += 1
            continue
        nodes[2 * count] = _LEAF | end - start
        nodes[2 * count + 1] = (depth << 8) + lengths[end - start]
        count += 1
        if not waiting:
            break
        start, end, depth, parent = waiting.pop()
        nodes[2 * parent + 1] = count
    draws[0], draws[1] = rng.state()
    return count


def _choose(pool: "array[int]", rng: Rng, order: "array[int]", start: int, end: int, features: int) -> "tuple[int, int, int]":
    """A feature at random among the non-constant ones, with its range; (-1, 0, 0) when all are constant."""
    untried = list(range(features))
    while untried:
        k = rng.below(len(untried))
        feature = untried[k]
        untried[k] = untried[-1]
        untried.pop()
        values = [pool[order[i] * features + feature] for i in range(start, end)]
        low = min(values)
        high = max(values)
        if low < high:
            return feature, low, high
    return -1, 0, 0


def _partition(pool: "array[int]", order: "array[int]", start: int, end: int, features: int, feature: int, threshold: int) -> int:
    """Bring the rows that go left to the front; returns where the others begin. The order within a side decides nothing."""
    while start < end:
        row = order[start]
        if pool[row * features + feature] <= threshold:
            start += 1
        else:
            end -= 1
            order[start] = order[end]
            order[end] = row
    return start
