"""The mixed-integer program over chosen candidates, and its linear relaxation, for HiGHS through scipy.

Variables: x[f, n] = 1 if unit f is on node n; w[p, n, m] ≥ 0 for each flow p between two units with a choice, the share of it that goes
from n to m. Rows: each x[f, ·] sums to 1; w[p, n, ·] sums to x[producer, n] and w[p, ·, m] to x[consumer, m] (the transport form of a
product, whose relaxation is exact on trees of flows); no more than capacity on a node and bandwidth on a link; data released by a
function that has a choice goes only where it, or a gateway, is. A flow with one end settled is part of the costs of the other.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, csr_array

from eddy.planner.costs import Costs, Pair
from eddy.planner.topology import Bools, Floats, Indices


@dataclass(frozen=True, slots=True)
class Optimum:
    """What the solver found.

    Attributes:
        assigned: int64[U]; None when nothing was found.
        bound: Lower bound for placements on these candidates; infinite when there is none.
        infeasible: Proven that there is none.
    """

    assigned: Indices | None
    bound: float
    infeasible: bool


class Program:
    """Rows and columns for one choice of candidates.

    Args:
        candidates: Of each unit, positions of nodes; empty for units that are not placed.
        tight: Links whose bandwidth is a constraint; the others are checked afterwards.
        worth: For a pair and candidates of both ends, bool[rows, columns], the ways to take up; all when None.
    """

    def __init__(
        self,
        costs: Costs,
        candidates: Sequence[Indices],
        tight: Iterable[int] = (),
        worth: Callable[[Pair, Indices, Indices], Bools] | None = None,
    ) -> None:
        self._costs, self._candidates, self._worth = costs, candidates, worth
        self._first = np.concatenate([[0], np.cumsum([len(nodes) for nodes in candidates])]).astype(np.int64)
        self.size = int(self._first[-1])
        self._cost = [costs.unary[unit, nodes] for unit, nodes in enumerate(candidates)]
        self._rows: list[tuple[Indices, Indices, Floats, float, float]] = []
        self._ways: dict[int, tuple[Indices, Indices, Indices]] = {}
        for unit, nodes in enumerate(candidates):
            if len(nodes):
                self._row(np.arange(self._first[unit], self._first[unit + 1]), np.ones(len(nodes)), 1.0, 1.0)
        for pair in costs.open:
            self._transport(pair)
        self._capacity_rows: list[tuple[int, int, int]] = []
        self._capacities()
        for link in tight:
            self._bandwidth(link)
        self._released()

    def _row(self, columns: Indices, values: Floats, low: float, high: float) -> None:
        self._rows.append((np.full(len(columns), len(self._rows)), columns, values, low, high))

    def _x(self, unit: int, nodes: Indices) -> Indices:
        """Columns of a unit on nodes that are among its candidates."""
        return np.asarray(self._first[unit] + np.searchsorted(self._candidates[unit], nodes), dtype=np.int64)

    def _transport(self, pair: Pair) -> None:
        rows, columns = self._candidates[pair.u], self._candidates[pair.v]
        able = self._costs.clear(pair, rows[:, None], columns[None, :])
        n, m = np.nonzero(able if self._worth is None else able & self._worth(pair, rows, columns))
        w = np.arange(self.size, self.size + len(n))
        self.size += len(n)
        self._cost.append(self._costs.between(pair, rows[n], columns[m]))
        self._ways[id(pair)] = (rows[n], columns[m], w)
        for unit, nodes, side in ((pair.u, rows, n), (pair.v, columns, m)):
            order = np.argsort(side, kind="stable")
            for position, some in enumerate(np.split(w[order], np.searchsorted(side[order], np.arange(1, len(nodes))))):
                values = np.concatenate([np.ones(len(some)), [-1.0]])
                self._row(np.concatenate([some, [self._first[unit] + position]]), values, 0.0, 0.0)

    def _capacities(self) -> None:
        """Rows for what could be too much if all candidates came at once."""
        costs = self._costs
        unit = np.repeat(np.arange(len(self._candidates)), np.diff(self._first))
        node = np.concatenate(self._candidates)
        order = np.argsort(node, kind="stable")
        at, starts = np.unique(node[order], return_index=True)
        for position, columns in zip(at, np.split(order, starts[1:]), strict=False):  # `split` makes one empty part of nothing
            for resource in range(len(costs.capacity)):
                demand = costs.demand[resource, unit[columns], position]
                limit = float(costs.capacity[resource, position])
                if demand.sum() > limit:
                    self._capacity_rows.append((len(self._rows), resource, int(position)))
                    self._row(columns, demand / limit, -np.inf, 1.0)

    def _ends(self, pair: Pair) -> tuple[Indices, Indices, Indices]:
        """Producer's node, consumer's node and column of each way a flow can take."""
        if id(pair) in self._ways:
            return self._ways[id(pair)]
        other = pair.v if self._costs.node[pair.u] >= 0 else pair.u
        nodes = self._candidates[other]
        settled = np.full(len(nodes), self._costs.node[pair.u + pair.v - other])
        ends = (settled, nodes) if other == pair.v else (nodes, settled)
        return (*ends, self._x(other, nodes))

    def _bandwidth(self, link: int) -> None:
        limit = self._costs.topology.links[link].bandwidth_bit_s
        columns, values = [], []
        for pair in self._costs.pairs:
            u, v, column = self._ends(pair)
            crossing = column[self._costs.topology.crosses(link, u, v)]
            columns.append(crossing)
            values.append(np.full(len(crossing), pair.bits / limit))
        merged, inverse = np.unique(np.concatenate(columns), return_inverse=True)
        self._row(merged, np.bincount(inverse, np.concatenate(values), len(merged)).astype(np.float64), -np.inf, 1.0)

    def _released(self) -> None:
        """Data born in a unit that has a choice may touch a closed node only where that unit is."""
        costs, topology = self._costs, self._costs.topology
        for unit, births in enumerate(costs.births):
            for birth in births - {unit}:
                if costs.node[birth] < 0 and len(self._candidates[birth]):
                    for node in self._candidates[unit][topology.closed[self._candidates[unit]]]:
                        shared = self._candidates[birth][self._candidates[birth] == node]
                        self._only_with(self._x(unit, np.array([node])), birth, shared)
        for pair in costs.pairs:
            for birth in pair.births:
                if costs.node[birth] < 0 and birth not in (pair.u, pair.v) and len(self._candidates[birth]):
                    for n, m, column in zip(*self._ends(pair), strict=True):
                        if not topology.clear(None, int(n), int(m)):
                            able = topology.clear(self._candidates[birth], int(n), int(m))
                            self._only_with(np.array([column]), birth, self._candidates[birth][able])

    def _only_with(self, column: Indices, birth: int, nodes: Indices) -> None:
        self._row(np.concatenate([column, self._x(birth, nodes)]), np.concatenate([[1.0], -np.ones(len(nodes))]), -np.inf, 0.0)

    def _matrix(self) -> tuple[csr_array[Any], Floats, Floats]:
        rows, columns, values, low, high = zip(*self._rows, strict=True)
        shape = (len(self._rows), self.size)
        matrix = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
        return csr_array(matrix), np.array(low), np.array(high)

    def prices(self) -> tuple[float, Floats]:
        """The relaxation's value and its prices of capacity, float64[4, N]; infinite when nothing fits."""
        matrix, low, high = self._matrix()
        equal = low == high
        found: Any = linprog(
            np.concatenate(self._cost), A_ub=matrix[~equal], b_ub=high[~equal], A_eq=matrix[equal], b_eq=high[equal], method="highs"
        )
        prices = np.zeros(self._costs.capacity.shape)
        if found.x is None:
            return float("inf"), prices
        place = np.cumsum(~equal) - 1
        for row, resource, node in self._capacity_rows:
            price = max(0.0, -float(found.ineqlin.marginals[place[row]]))
            prices[resource, node] = price / self._costs.capacity[resource, node]
        return float(found.fun), prices

    def solve(self, seconds: float, gap: float) -> Optimum:
        """The best placement on these candidates.

        Args:
            seconds: Limit.
            gap: Relative difference between placement and bound that is good enough.
        """
        matrix, low, high = self._matrix()
        whole = np.zeros(self.size, dtype=np.int64)
        whole[: self._first[-1]] = 1
        found: Any = milp(
            np.concatenate(self._cost),
            integrality=whole,
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, low, high),
            options={"time_limit": max(seconds, 0.05), "mip_rel_gap": gap},
        )
        infeasible = found.status == 2
        if found.x is None:
            bound = found.mip_dual_bound
            return Optimum(None, float("inf") if infeasible else float(bound) if bound is not None else 0.0, infeasible)
        assigned = np.full(len(self._candidates), -1, dtype=np.int64)
        for unit, nodes in enumerate(self._candidates):
            if len(nodes):
                assigned[unit] = nodes[int(np.argmax(found.x[self._first[unit] : self._first[unit + 1]]))]
        return Optimum(assigned, float(found.mip_dual_bound), False)


def sorted_union(*parts: npt.ArrayLike) -> Indices:
    """Positions of nodes, each once, in order."""
    return np.unique(np.concatenate([np.asarray(part, dtype=np.int64) for part in parts]))
