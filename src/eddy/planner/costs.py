"""A problem in numbers: units (functions that share a node; each source and sink), candidate nodes, costs, demands.

Criteria, per second unless said otherwise: latency (s: CPU time of a sample in each function plus the way of a sample on each flow, with
the time its bytes need on each link), energy (J: computing and sending), traffic (bytes times links crossed), cost (share of the node's
price that the function's CPU load uses, plus the price of bytes on links). Each is divided by what it would be if everything were at its
worst, so that the weights compare parts of 1; the objective therefore lies between 0 and 1, moves apart.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from eddy.planner.privacy import labels
from eddy.planner.problem import Placement, Problem
from eddy.planner.topology import ENERGY, HOPS, LATENCY, PER_BYTE_S, PRICE, Bools, Floats, Indices, Topology
from eddy.spec.vocabulary import CRITERIA, LEVELS, Criterion

RESOURCES = ("RAM", "flash", "CPU", "battery power")


@dataclass(frozen=True, slots=True)
class Pair:
    """A flow, or the wish to be near, between two units.

    Attributes:
        u: Unit that produces.
        v: Unit that consumes.
        by: float64[4, 5], each criterion as a sum over the first five rows of `Topology.along`.
        bits: Bit/s.
        births: Units where data was born that only gateways and that unit's node may see.
    """

    u: int
    v: int
    by: Floats
    bits: float
    births: tuple[int, ...]


class Costs:
    """The numbers of one problem.

    Args:
        running: Where functions are now: leaving there costs a move.
        keep: Functions that are to stay where they are.
        private: Whether labels count; without them one sees what they prevent.

    Attributes:
        units: Names in each of the U units.
        allowed: bool[U, N], by capability, `at`, size and labels.
        narrowed: For people: what excluded nodes of a unit that could host it by itself.
        node: int64[U], the node of a unit that has no choice; -1 where there is one.
        unary: float64[U, N], weighted cost of a unit on a node, flows to settled units included.
        pairs: All flows between units that are here; `open` lists those between two units with a choice.
        demand: float64[4, U, N] and capacity float64[4, N], in the order of `RESOURCES`.
        away: Functions that are not placed: those that go on behind the cut, and those that wait for a node that is lost.
    """

    def __init__(
        self,
        problem: Problem,
        topology: Topology,
        running: Placement | None = None,
        keep: Collection[str] = (),
        private: bool = True,
    ) -> None:
        self.problem, self.topology, self.running, self.private = problem, topology, running or {}, private
        self.labels = labels(problem)
        self.units = self._units()
        self.unit_of = {name: unit for unit, names in enumerate(self.units) for name in names}
        self._functions = {function.name: function for function in problem.functions}
        self._rates = dict.fromkeys(self.unit_of, 0.0)
        for flow in problem.flows:
            self._rates[flow.consumer] += flow.samples_per_s
        shape = (len(self.units), len(topology.nodes))
        self.narrowed: list[tuple[int, Bools, str]] = []
        self.allowed = np.ones(shape, dtype=np.bool_)
        self.demand = np.zeros((4, *shape))
        self.by = np.zeros((4, *shape))
        fields = ("ram_bytes", "flash_bytes", "cores", "power_w")
        self.capacity = np.array([[getattr(node, name) for node in topology.nodes] for name in fields], dtype=np.float64)
        self._fill()
        self.births = [self._births(names) for names in self.units]
        self.away = self._set_aside()
        self._keep(keep)
        self.pairs = self._pairs()
        self.node = np.full(len(self.units), -1, dtype=np.int64)
        self._settle()
        self.scale = self._scale()
        self.weight = np.array([problem.weights().get(criterion, 0.0) for criterion in CRITERIA]) * self.scale
        self.unary = np.tensordot(self.weight, self.by, 1) + self._moves()
        self.open: list[Pair] = []
        for pair in self.pairs:
            if self.node[pair.u] >= 0:
                self.unary[pair.v] += self.between(pair, int(self.node[pair.u]), self._every())
            elif self.node[pair.v] >= 0:
                self.unary[pair.u] += self.between(pair, self._every(), int(self.node[pair.v]))
            else:
                self.open.append(pair)

    def _every(self) -> Indices:
        return np.arange(len(self.topology.nodes))

    def _units(self) -> list[tuple[str, ...]]:
        """Functions that must share a node: `with`, and data that may not leave the node of the function that released it."""
        leader = {name: name for name in (*(f.name for f in self.problem.functions), *self.problem.pinned())}

        def find(name: str) -> str:
            while leader[name] != name:
                name = leader[name]
            return name

        released = {function.name for function in self.problem.functions}
        for function in self.problem.functions:
            if function.beside is not None:
                leader[find(function.name)] = find(function.beside)
        lost = {name for name, node in self.problem.pinned().items() if node not in self.topology.index}
        for name, into in self.labels.into.items():
            for label in into if self.private and name not in lost else ():
                if label.level == "device" and label.born in released:
                    leader[find(name)] = find(label.born)
        groups: dict[str, list[str]] = {}
        for name in leader:
            groups.setdefault(find(name), []).append(name)
        return [tuple(names) for names in groups.values()]

    def _fill(self) -> None:
        """Candidates, demands and costs from what each function needs and each node has."""
        nodes = self.topology.nodes
        cores, speed, draw, price = (
            np.array([getattr(node, name) for node in nodes])
            for name in ("cores", "speed", "energy_j_per_cpu_s", "price_per_h")
        )  # fmt: skip
        tiers = {level: np.array([node.tier == level for node in nodes]) for level in LEVELS}
        for name, function in self._functions.items():
            unit = self.unit_of[name]
            seconds = np.full(len(nodes), np.nan)
            for place, value in sorted(function.cpu_s.items(), key=lambda item: item[0] not in tiers):
                seconds[tiers[place] if place in tiers else self.topology.index.get(place, slice(0))] = value
            self.allowed[unit] &= ~np.isnan(seconds)
            seconds = np.nan_to_num(seconds) / speed
            load = seconds * self._rates[name]
            fixed = np.ones(len(nodes))
            self.demand[:, unit] += (function.ram_bytes * fixed, function.flash_bytes * fixed, load, load * draw)
            self.by[:, unit] += (seconds, load * draw, 0 * fixed, load / cores * price / 3600)
            if function.at:
                self.allowed[unit] &= np.array([node.name in function.at or node.tier in function.at for node in nodes])
            if function.operators:
                self.allowed[unit] &= np.array([node.operators is None or function.operators <= node.operators for node in nodes])
        self.allowed &= (self.demand <= self.capacity[:, None, :]).all(axis=0)
        for name, pin in self.problem.pinned().items():
            self.allowed[self.unit_of[name]] &= np.array([node.name == pin for node in nodes])
        for name, into in self.labels.into.items():
            for label in into if self.private else ():
                birth = self.problem.pinned().get(label.born)
                if birth is not None:
                    there = np.array([node.name == birth for node in nodes])
                    self.allowed[self.unit_of[name]] &= there | (~self.topology.closed if label.level == "gateway" else False)

    def _births(self, names: tuple[str, ...]) -> frozenset[int]:
        """Units whose node a unit may share although it is no gateway."""
        every = (self.labels.into.get(name, frozenset()) for name in names)
        return frozenset(self.unit_of[label.born] for into in every for label in into if label.level == "gateway" and self.private)

    def _set_aside(self) -> dict[str, str]:
        """Takes out what is not on a node that is up, with the reason for people."""
        away: dict[str, str] = {}
        reach = {node.name: node.reach for node in self.problem.nodes}
        down = [name for name, state in reach.items() if state != "up"]
        pinned = self.problem.pinned()
        for unit, names in enumerate(self.units):
            on = next((node for name in names if (node := pinned.get(name, self.running.get(name)))), None)
            if on is not None and reach.get(on) == "cut":
                away.update(dict.fromkeys(names, f"goes on at {on}, which is cut off"))
            elif down and not self.allowed[unit].any():
                away.update(dict.fromkeys(names, f"waits: it can only be on {on or ' or '.join(down)}"))
            if names[0] in away:
                self.allowed[unit] = False
        return away

    def _keep(self, keep: Collection[str]) -> None:
        """Leaves functions no choice but where they run."""
        for unit, here in enumerate(self.positions(self.running)):
            if here >= 0 and self.allowed[unit, here] and keep and set(self.units[unit]) <= set(keep):
                self.allowed[unit] = False
                self.allowed[unit, here] = True

    def _pairs(self) -> list[Pair]:
        pairs = []
        for flow in self.problem.flows:
            u, v = self.unit_of[flow.producer], self.unit_of[flow.consumer]
            if u != v and not {flow.producer, flow.consumer} & self.away.keys():
                by = np.zeros((4, 5))
                size = flow.bytes_per_s / flow.samples_per_s if flow.samples_per_s else 0.0
                by[0, LATENCY], by[0, PER_BYTE_S] = 1.0, size
                by[1, ENERGY], by[2, HOPS], by[3, PRICE] = [flow.bytes_per_s] * 3
                out = self.labels.out[flow.producer] if self.private else ()
                births = tuple(sorted({self.unit_of[label.born] for label in out if label.level == "gateway"}))
                pairs.append(Pair(u, v, by, 8 * flow.bytes_per_s, births))
        for function in self.problem.functions:
            if function.near is not None and not {function.name, function.near} & self.away.keys():
                u, v = self.unit_of[function.near], self.unit_of[function.name]
                if u != v:
                    by = np.zeros((4, 5))
                    by[0, LATENCY] = 1.0
                    pairs.append(Pair(u, v, by, 0.0, ()))
        return pairs

    def _settle(self) -> None:
        """Follows what units without a choice exclude for their neighbours, until nothing changes."""
        closed = self.topology.closed
        self._keep_moves_private()
        changed = True
        while changed:
            before = self.allowed.sum()
            single = self.allowed.sum(axis=1) == 1
            self.node = np.where(single, self.allowed.argmax(axis=1), -1)
            for unit, births in enumerate(self.births):
                for birth in births - {unit}:
                    there = self.allowed[birth] if self.units[birth][0] not in self.away else np.zeros_like(closed)
                    self._narrow(unit, ~closed | there, f"private: data released by {self.units[birth][0]} stays on its node and gateways")
            for pair in filter(lambda pair: pair.births, self.pairs):
                relay = "private: a node on the way must not see the data"
                if self.node[pair.u] >= 0:
                    self._narrow(pair.v, self.clear(pair, int(self.node[pair.u]), self._every()), relay)
                elif self.node[pair.v] >= 0:
                    self._narrow(pair.u, self.clear(pair, self._every(), int(self.node[pair.v])), relay)
            changed = bool(self.allowed.sum() < before)

    def _narrow(self, unit: int, mask: Bools, reason: str) -> None:
        if (self.allowed[unit] & ~mask).any():
            self.narrowed.append((unit, ~mask, reason))
        self.allowed[unit] &= mask

    def _keep_moves_private(self) -> None:
        """State carries the label of what came in: it may only move where every node on the way may see it."""
        index = self.topology.index
        pinned = self.problem.pinned()
        for name, function in self._functions.items():
            here, unit = index.get(self.running.get(name, "")), self.unit_of[name]
            if here is not None and function.state_bytes and self.allowed[unit, here] and self.private:
                for label in self.labels.into[name]:
                    birth = index.get(pinned.get(label.born, self.running.get(label.born, "")))
                    if label.level == "gateway":
                        clear = self.topology.clear(birth, here, self._every())
                        self._narrow(unit, clear, f"private: a node on the way must not see {name}'s state")

    def _scale(self) -> Floats:
        """One over each criterion at its worst; 0 where it is always nothing."""
        worst = np.where(self.allowed, self.by, 0.0).max(axis=2, initial=0.0).sum(axis=1)
        farthest = self.topology.along[:5].max(axis=(1, 2), initial=0.0)
        for pair in self.pairs:
            worst += pair.by @ farthest
        return np.asarray(np.divide(1.0, worst, out=np.zeros(4), where=worst > 0))

    def _moves(self) -> Floats:
        """float64[U, N]: what leaving its node costs each unit."""
        moves = np.zeros(self.allowed.shape)
        moving = self.problem.moving
        for name, function in self._functions.items():
            if name in self.running:
                price = (moving.fixed + moving.per_byte * function.state_bytes) / len(self._functions)
                moves[self.unit_of[name]] += price
                if self.running[name] in self.topology.index:
                    moves[self.unit_of[name], self.topology.index[self.running[name]]] -= price
        return moves

    def between(self, pair: Pair, rows: Indices | int, columns: Indices | int) -> Floats:
        """Weighted cost of the flow with the producer on `rows` and the consumer on `columns`; the two broadcast."""
        coefficients = np.asarray(self.weight @ pair.by)
        total: Floats = np.zeros(np.broadcast(rows, columns).shape)
        for metric in np.flatnonzero(coefficients):
            total = total + coefficients[metric] * self.topology.along[metric][rows, columns]
        return total

    def clear(self, pair: Pair, rows: Indices | int, columns: Indices | int, assigned: Indices | None = None) -> Bools:
        """Whether every node on the way may see the data; a unit of birth that is not placed yet gets the benefit of the doubt."""
        clear: Bools = np.ones(np.broadcast(rows, columns).shape, dtype=np.bool_)
        for unit in pair.births:
            settled = int(self.node[unit] if assigned is None else assigned[unit])
            if unit in (pair.u, pair.v):
                clear &= self.topology.clear(rows if unit == pair.u else columns, rows, columns)
            elif settled >= 0 or self.units[unit][0] in self.away:
                clear &= self.topology.clear(settled if settled >= 0 else None, rows, columns)
        return clear

    def figures(self, assigned: Indices) -> dict[Criterion, float]:
        """The criteria of a placement, in their own units (per second, latency apart)."""
        here = np.flatnonzero(assigned >= 0)
        total = self.by[:, here, assigned[here]].sum(axis=1)
        for pair in self.pairs:
            total += pair.by @ self.topology.along[:5, assigned[pair.u], assigned[pair.v]]
        return dict(zip(CRITERIA, total.tolist(), strict=True))

    def objective(self, assigned: Indices) -> float:
        """What is minimised."""
        here = np.flatnonzero(assigned >= 0)
        total = float(self.unary[here, assigned[here]].sum())
        for pair in self.open:
            total += float(self.between(pair, int(assigned[pair.u]), int(assigned[pair.v])))
        return total

    def load(self, assigned: Indices) -> Floats:
        """Bit/s on each link."""
        bits = np.zeros(len(self.topology.links))
        for pair in self.pairs:
            if pair.bits:
                bits[self.topology.links_between(int(assigned[pair.u]), int(assigned[pair.v]))] += pair.bits
        return bits

    def names(self, assigned: Indices) -> dict[str, str]:
        """The node of each function that is placed."""
        return {
            name: self.topology.nodes[assigned[unit]].name
            for unit, names in enumerate(self.units)
            for name in names
            if name in self._functions and assigned[unit] >= 0
        }

    def positions(self, placement: Mapping[str, str]) -> Indices:
        """int64[U]: the node of each unit in a placement; -1 where it has none that is up."""
        known = {**self.problem.pinned(), **placement}
        return np.array([self.topology.index.get(known.get(names[0], ""), -1) for names in self.units], dtype=np.int64)
