"""Greedy, then improved: a placement in milliseconds, without proof of how good it is.

Each unit takes the cheapest node given those already placed; what is too much for a node or link, or would leak, counts as a large fine.
Then units move one at a time as long as that helps. It is the start of `solve`, what is left when time is out, and the bench's baseline.
"""

from collections.abc import Callable, Iterable

import numpy as np

from eddy.planner.costs import Costs, Pair
from eddy.planner.topology import Bools, Floats, Indices

FINE = 1e3  # for each thing that is too much; the objective without moves is at most 1
SWEEPS = 8


class Greedy:
    """One placement that grows and is then improved.

    Attributes:
        assigned: int64[U], the node of each unit, -1 where it is not placed.
        tight: Links whose bandwidth is watched.
    """

    def __init__(self, costs: Costs, tight: Iterable[int] = (), start: Indices | None = None) -> None:
        self.costs = costs
        self.tight = sorted(tight)
        self.assigned = np.full(len(costs.units), -1, dtype=np.int64)
        self._used = np.zeros(costs.capacity.shape)
        self._of: dict[int, list[Pair]] = {unit: [] for unit in range(len(costs.units))}
        self._priced = {id(pair) for pair in costs.open}
        for pair in costs.pairs:
            for unit in {pair.u, pair.v, *pair.births}:
                self._of[unit].append(pair)
        for unit in np.flatnonzero(costs.allowed.any(axis=1)).tolist():
            if costs.node[unit] >= 0:
                self._put(unit, int(costs.node[unit]))
            elif start is not None and start[unit] >= 0 and costs.allowed[unit, start[unit]]:
                self._put(unit, int(start[unit]))

    def run(self, out_of_time: Callable[[], bool] = lambda: False) -> Indices | None:
        """Places what is not placed, then improves; None when something stays too much or would leak."""
        units = [int(unit) for unit in np.flatnonzero(self.costs.allowed.any(axis=1) & (self.costs.node < 0))]
        for unit in self._from_the_sources(units):
            if self.assigned[unit] < 0:
                self._put(unit, int(self.prices(unit).argmin()))
        for _ in range(SWEEPS):
            moved = [unit for unit in units if not out_of_time() and self._improve(unit)]
            if not moved:
                break
        return self.assigned if self.feasible() else None

    def feasible(self) -> bool:
        """Nothing is too much, nothing leaks."""
        costs = self.costs
        over = self._used > costs.capacity * (1 + 1e-9) + 1e-12
        clear = all(costs.clear(pair, *self._ends(pair), self.assigned).all() for pair in costs.pairs)
        clear = clear and not any(self._strange(unit)[self.assigned[unit]] for unit in np.flatnonzero(self.assigned >= 0).tolist())
        loads = all(self._load(link) <= costs.topology.links[link].bandwidth_bit_s * (1 + 1e-9) for link in self.tight)
        return bool(not over.any() and clear and loads)

    def prices(self, unit: int) -> Floats:
        """float64[N]: the objective's part of a unit on each node given all others, fines included; infinite where not allowed."""
        costs = self.costs
        nodes = np.arange(costs.capacity.shape[1])
        price: Floats = costs.unary[unit].copy()
        free = costs.capacity - self._used
        if self.assigned[unit] >= 0:
            free[:, self.assigned[unit]] += costs.demand[:, unit, self.assigned[unit]]
        lack = np.maximum(costs.demand[:, unit] - free * (1 + 1e-9) - 1e-12, 0.0)
        share = np.divide(lack, costs.demand[:, unit], out=np.zeros_like(lack), where=lack > 0)
        price += FINE * (share + (lack > 0)).sum(axis=0)
        for pair in self._of[unit]:
            ends = (nodes if pair.u == unit else int(self.assigned[pair.u]), nodes if pair.v == unit else int(self.assigned[pair.v]))
            if any(isinstance(end, int) and end < 0 for end in ends):
                continue
            if id(pair) in self._priced and unit in (pair.u, pair.v):
                price += costs.between(pair, *ends)
            if pair.births:
                price += FINE * ~self._clear(pair, unit, *ends)
        for link in self.tight:
            price += self._crowding(link, unit)
        price += FINE * self._strange(unit)
        price[~costs.allowed[unit]] = np.inf
        return price

    def _strange(self, unit: int) -> Bools:
        """bool[N]: nodes that are neither gateways nor where the data of this unit was born."""
        strange = np.zeros(self.costs.capacity.shape[1], dtype=np.bool_)
        for birth in self.costs.births[unit] - {unit}:
            if self.assigned[birth] >= 0:
                strange |= self.costs.topology.closed & (np.arange(len(strange)) != self.assigned[birth])
        return strange

    def _clear(self, pair: Pair, unit: int, rows: Indices | int, columns: Indices | int) -> Bools:
        """As `Costs.clear`, for each node that this unit could take; it may be where the data is born."""
        costs = self.costs
        clear = np.asarray(costs.clear(pair, rows, columns, np.where(np.arange(len(self.assigned)) == unit, -1, self.assigned)))
        if unit in pair.births and unit not in (pair.u, pair.v):
            clear = clear & costs.topology.clear(np.arange(costs.capacity.shape[1]), rows, columns)
        return clear

    def _crowding(self, link: int, unit: int) -> Floats:
        """The fine for what would be too much on a link."""
        topology = self.costs.topology
        nodes = np.arange(self.costs.capacity.shape[1])
        bits = np.zeros(len(nodes))
        for pair in self.costs.pairs:
            u: Indices | int = nodes if pair.u == unit else int(self.assigned[pair.u])
            v: Indices | int = nodes if pair.v == unit else int(self.assigned[pair.v])
            if not any(isinstance(end, int) and end < 0 for end in (u, v)):
                bits += pair.bits * topology.crosses(link, u, v)
        limit = topology.links[link].bandwidth_bit_s
        fine: Floats = FINE * np.where(bits > limit * (1 + 1e-9), bits / limit, 0.0)
        return fine

    def _load(self, link: int) -> float:
        return float(sum(pair.bits * self.costs.topology.crosses(link, *self._ends(pair)).item() for pair in self.costs.pairs))

    def _ends(self, pair: Pair) -> tuple[int, int]:
        return int(self.assigned[pair.u]), int(self.assigned[pair.v])

    def _put(self, unit: int, node: int) -> None:
        if self.assigned[unit] >= 0:
            self._used[:, self.assigned[unit]] -= self.costs.demand[:, unit, self.assigned[unit]]
        self.assigned[unit] = node
        self._used[:, node] += self.costs.demand[:, unit, node]

    def _improve(self, unit: int) -> bool:
        price = self.prices(unit)
        best = int(price.argmin())
        better = bool(price[best] < price[self.assigned[unit]] - 1e-12)
        if better:
            self._put(unit, best)
        return better

    def _from_the_sources(self, units: list[int]) -> list[int]:
        """Units with placed neighbours first, so that each knows where its data comes from; large ones first among equals."""
        size = self.costs.demand[0].max(axis=1)
        waiting, order, placed = set(units), [], {int(unit) for unit in np.flatnonzero(self.assigned >= 0)}
        edge = {unit for unit in waiting if any({pair.u, pair.v} & placed for pair in self._of[unit])}
        while waiting:
            unit = max(edge or waiting, key=lambda unit: (size[unit], -unit))
            order.append(unit)
            waiting.discard(unit)
            edge.discard(unit)
            edge |= {end for pair in self._of[unit] for end in (pair.u, pair.v)} & waiting
        return order
