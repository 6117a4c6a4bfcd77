"""Better placements from a good one: free some chains, leave the rest where it is, solve that exactly, again.

Large neighbourhood search (Shaw 1998). Chains are the connected parts of the flows between units with a choice; they meet only in the
capacity of nodes and links, so a few of them at a time leave a small program that finds moves of many functions at once.
"""

from collections.abc import Callable, Iterable

import numpy as np

from eddy.planner.bound import Bound
from eddy.planner.costs import Costs, Pair
from eddy.planner.program import Program, sorted_union
from eddy.planner.topology import Bools, Indices

FREE = 0.3  # of the units with a choice
ROUNDS = 60
STALLED = 20  # rounds without improvement after which it stops
ROUND_S = 0.3
GOOD = 5e-4  # gap at which a round ends


def improve(costs: Costs, start: Indices, relaxed: Bound, threshold: float, tight: Iterable[int], left: Callable[[], float]) -> Indices:
    """A placement at least as good.

    Args:
        start: int64[U], a placement that satisfies all constraints.
        threshold: Candidates and ways whose best is above it are not looked at.
        left: Seconds that this may still take.
    """
    best, objective = start, costs.objective(start)
    candidates = [np.flatnonzero(row <= threshold) for row in relaxed.at_best]
    chains = _chains(costs)
    enough = FREE * sum(map(len, chains))
    random = np.random.default_rng(0)
    tight, since = tuple(tight), 0

    def worth(pair: Pair, rows: Indices, columns: Indices) -> Bools:
        here = (rows == best[pair.u])[:, None] & (columns == best[pair.v])[None, :]
        return np.asarray(here | (relaxed.ways(costs, pair, rows, columns) <= threshold))

    for _ in range(ROUNDS):
        if since == STALLED or left() <= 0 or len(chains) < 2:
            break
        free: set[int] = set()
        for chain in random.permutation(len(chains)).tolist():
            free.update(chains[chain] if len(free) < enough else ())
        some = [
            sorted_union(nodes, best[[unit]]) if unit in free else best[[unit]] if best[unit] >= 0 else np.array([], dtype=np.int64)
            for unit, nodes in enumerate(candidates)
        ]
        found = Program(costs, some, tight, worth).solve(min(ROUND_S, left()), GOOD).assigned
        since += 1
        if found is not None and costs.objective(found) < objective * (1 - 1e-9):
            best, objective, since = found, costs.objective(found), 0
    return best


def _chains(costs: Costs) -> list[list[int]]:
    """Units with a choice, by connected part of the flows among them."""
    leader = np.arange(len(costs.units))
    for pair in costs.open:
        leader[leader == leader[pair.u]] = leader[pair.v]
    chains: dict[int, list[int]] = {}
    for unit in np.flatnonzero((costs.node < 0) & costs.allowed.any(axis=1)).tolist():
        chains.setdefault(int(leader[unit]), []).append(unit)
    return list(chains.values())
