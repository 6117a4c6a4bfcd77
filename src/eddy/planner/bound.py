"""A lower bound for every placement, and what each candidate would cost at best: a Lagrangian relaxation, solved exactly.

Capacities leave the constraints and get a price instead. What is left is a labelling of the graph of flows; on a spanning forest of that
graph dynamic programming solves it exactly and gives, for every unit and node, the best value of any placement that uses it (the
min-marginal). Flows outside the forest cost nothing here, data released by functions that may still move is not followed: both only lower
the bound. On a tree of links a message from one unit to the next over all N nodes takes two sweeps, O(N), since path costs add up along
links (the lower envelope of Felzenszwalb and Huttenlocher, Distance transforms of sampled functions, 2012, on a tree); on other graphs
O(N²) over the candidates.

Source of the relaxation: Geoffrion, Lagrangean relaxation for integer programming (1974).
"""

from dataclasses import dataclass

import numpy as np

from eddy.planner.costs import Costs, Pair
from eddy.planner.topology import Bools, Floats, Indices


@dataclass(frozen=True, slots=True)
class Bound:
    """What no placement can beat.

    Attributes:
        value: Lower bound of the objective.
        at_best: float64[U, N], lower bound of a placement with that unit on that node; infinite where that is not allowed.
        apart: For a pair of the forest, what its two ends cost on each node without it, float64[N] each, with `value` so distributed that
            the sum of both and the pair's own cost is the lower bound of a placement with the ends there.
    """

    value: float
    at_best: Floats
    apart: dict[int, tuple[Floats, Floats]]

    def ways(self, costs: Costs, pair: Pair, rows: Indices, columns: Indices) -> Floats:
        """float64[rows, columns]: lower bound of a placement with the pair's ends there; without its way outside the forest."""
        if id(pair) not in self.apart:
            return np.asarray(np.maximum(self.at_best[pair.u, rows][:, None], self.at_best[pair.v, columns][None, :]))
        producer, consumer = self.apart[id(pair)]
        way = costs.between(pair, rows[:, None], columns[None, :])
        return np.asarray(producer[rows][:, None] + consumer[columns][None, :] + way)


class Relaxation:
    """The relaxed problem; made once, priced many times."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._order, self._parent = self._forest()
        self._pairs = {id(pair): pair for pair in self._parent.values()}
        self._steps = {id(pair): self._links(pair) for pair in self._parent.values()} if costs.topology.is_tree else {}

    def price(self, prices: Floats) -> Bound:
        """The bound for given prices of capacity.

        Args:
            prices: float64[4, N], at least 0, a unit of objective for each unit of resource; 0 where capacity has no end.
        """
        costs = self._costs
        own = np.where(costs.allowed, costs.unary + np.einsum("rn,run->un", prices, costs.demand), np.inf)
        present: Bools = np.asarray(costs.allowed.any(axis=1))
        finite = np.where(prices > 0, costs.capacity, 0.0)
        upward: dict[int, Floats] = {}
        below = own.copy()
        alone: dict[int, tuple[Floats, Floats]] = {}
        for unit in reversed(self._order):
            if unit in self._parent:
                pair = self._parent[unit]
                upward[unit] = self._message(pair, unit, below[unit])
                below[pair.u + pair.v - unit] += upward[unit]
        for unit in self._order:
            if unit in self._parent:
                pair = self._parent[unit]
                above = pair.u + pair.v - unit
                rest = np.where(np.isfinite(below[above]), below[above], 0.0) - np.where(np.isfinite(upward[unit]), upward[unit], 0.0)
                rest[~np.isfinite(below[above])] = np.inf
                alone[id(pair)] = (rest, below[unit].copy()) if above == pair.u else (below[unit].copy(), rest)
                below[unit] += self._message(pair, above, rest)
        roots = [unit for unit in self._order if unit not in self._parent and present[unit]]
        value = float(below[roots].min(axis=1).sum() - (prices * finite).sum())
        at_best = np.full(own.shape, np.inf)
        at_best[present] = value + below[present] - below[present].min(axis=1, keepdims=True)
        apart = {key: (producer + value - below[self._pairs[key].u].min(), consumer) for key, (producer, consumer) in alone.items()}
        return Bound(value, at_best, apart)

    def _forest(self) -> tuple[list[int], dict[int, Pair]]:
        """Units from the roots down, and the pair through which each hangs on the one above."""
        beside: dict[int, list[Pair]] = {unit: [] for unit in range(len(self._costs.units))}
        for pair in self._costs.open:
            beside[pair.u].append(pair)
            beside[pair.v].append(pair)
        order: list[int] = []
        parent: dict[int, Pair] = {}
        seen: set[int] = set()
        for root in beside:
            queue = [] if root in seen else [root]
            seen.add(root)
            while queue:
                unit = queue.pop()
                order.append(unit)
                for pair in sorted(beside[unit], key=lambda pair: -pair.bits):
                    other = pair.u + pair.v - unit
                    if other not in seen:
                        seen.add(other)
                        parent[other] = pair
                        queue.append(other)
        return order, parent

    def _links(self, pair: Pair) -> Floats:
        """float64[N]: cost of the pair on the link towards the root of the tree of links; infinite where its data must not pass."""
        costs, topology = self._costs, self._costs.topology
        parent, upward, _ = topology.rooted
        nodes = np.arange(len(topology.nodes))
        step = np.where(upward >= 0, costs.between(pair, nodes, parent), 0.0)
        births = [int(costs.node[unit]) for unit in pair.births]
        if births and all(birth >= 0 for birth in births):
            shut = topology.closed.copy()
            if len(set(births)) == 1:
                shut[births[0]] = False
            step[shut | shut[parent]] = np.inf
        return step

    def _message(self, pair: Pair, start: int, values: Floats) -> Floats:
        """float64[N]: for each node of the other unit, the best of `values` plus the way there."""
        costs, topology = self._costs, self._costs.topology
        best = np.full(len(values), np.inf)
        if topology.is_tree:
            parent, _, levels = topology.rooted
            step = self._steps[id(pair)]
            best = values.copy()
            for nodes in reversed(levels):
                np.minimum.at(best, parent[nodes], best[nodes] + step[nodes])
            for nodes in levels:
                best[nodes] = np.minimum(best[nodes], best[parent[nodes]] + step[nodes])
            return best
        here: Indices = np.flatnonzero(np.isfinite(values))
        there: Indices = np.flatnonzero(costs.allowed[pair.u + pair.v - start])
        ends = (here[:, None], there[None, :]) if start == pair.u else (there[None, :], here[:, None])
        way = np.where(costs.clear(pair, *ends), costs.between(pair, *ends), np.inf)
        best[there] = (values[here, None] + way).min(axis=0, initial=np.inf)
        return best
