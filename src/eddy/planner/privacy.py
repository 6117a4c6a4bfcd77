"""Where labelled data may be: the labels of streams, state and models, and the path on which a placement would leak them.

A label is a level and a node of birth. `device`: the data stays on the very node where it was born. `gateway`: that node and gateways.
`cloud`: anywhere. What a function puts out carries every label that came in (the strictest therefore decides), unless the function
declares what it releases; then its output is born anew, where the function runs. State, and models trained from data, carry the labels
of what came in, whatever is released.

Assumed about the way: links are encrypted from node to node, so they may carry anything; a node that relays sees what passes. So every
node on the path must be one where the data may be, not only its two ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from eddy.planner.problem import Node, Placement, Problem
from eddy.planner.topology import Topology
from eddy.spec.vocabulary import Level


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """A level below `cloud`, and the source or function where the data was born."""

    level: Level
    born: str


Labels = frozenset[Label]


@dataclass(frozen=True, slots=True)
class Leak:
    """Data that would reach a node where it must not be.

    Attributes:
        label: What it carries.
        birth: Node of its birth.
        flow: Producer and consumer; of a state that moves, twice the function.
        path: From the producer's node to the first node where the data must not be.
    """

    label: Label
    birth: str
    flow: tuple[str, str]
    path: tuple[str, ...]

    def __str__(self) -> str:
        hops = " → ".join(f"[{one}–{two}] → {two}" for one, two in zip(self.path, self.path[1:], strict=False))
        what = "the state of " + self.flow[0] if self.flow[0] == self.flow[1] else f"{self.flow[0]} → {self.flow[1]}"
        way = f"{self.path[0]} → {hops}" if hops else self.path[0]
        return f"{what} carries data of {self.label.born} (private: {self.label.level}, born on {self.birth}); it would leak: {way}"


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels in a problem.

    Attributes:
        into: Of what reaches each function and sink; also those of its state, and of a model trained there.
        out: Of what each source and function puts out.
    """

    into: Mapping[str, Labels]
    out: Mapping[str, Labels]


def labels(problem: Problem) -> Labelled:
    """Follows the labels along the flows to a fixed point, so that loops of streams end too."""
    declared = {source.name: _born(source.label, source.name) for source in problem.sources}
    declared.update({item.name: _born(item.releases, item.name) for item in problem.functions if item.releases is not None})
    names = [function.name for function in problem.functions] + [sink.name for sink in problem.sinks]
    into = dict.fromkeys(names, Labels())
    grown = True
    while grown:
        grown = False
        for flow in problem.flows:
            comes = declared[flow.producer] if flow.producer in declared else into[flow.producer]
            if not comes <= into[flow.consumer]:
                into[flow.consumer] |= comes
                grown = True
    return Labelled(into, {**into, **declared})


def _born(level: Level, name: str) -> Labels:
    return Labels() if level == "cloud" else Labels({Label(level, name)})


def may_be(level: Level, node: Node, birth: str | None) -> bool:
    """Whether data of that level, born on that node, may be on this one."""
    return node.name == birth or level == "cloud" or (level == "gateway" and node.tier == "gateway")


def check(problem: Problem, topology: Topology, placement: Placement) -> list[Leak]:
    """Every leak of a placement; of a flow only the first node that must not see it, for each label.

    Args:
        placement: Functions that are not in it (they wait for a node) are left out.
    """
    node_of = {**problem.pinned(), **placement}
    carried = labels(problem).out
    leaks = []
    for flow in problem.flows:
        start, end = node_of.get(flow.producer), node_of.get(flow.consumer)
        if start is not None and end is not None:
            for label in sorted(carried[flow.producer]):
                leak = _first(problem, topology, label, node_of.get(label.born), (start, end))
                if leak:
                    leaks.append(Leak(label, node_of.get(label.born, "an unknown node"), (flow.producer, flow.consumer), leak))
    return leaks


def check_move(problem: Problem, topology: Topology, running: Placement, function: str, target: str) -> list[Leak]:
    """The leaks of moving a function's state from where it runs to another node."""
    node_of = {**problem.pinned(), **running}
    leaks = []
    for label in sorted(labels(problem).into[function]):
        leak = _first(problem, topology, label, node_of.get(label.born), (running[function], target))
        if leak:
            leaks.append(Leak(label, node_of.get(label.born, "an unknown node"), (function, function), leak))
    return leaks


def _first(problem: Problem, topology: Topology, label: Label, birth: str | None, ends: tuple[str, str]) -> tuple[str, ...]:
    """The path up to the first node that must not see the data; empty when all may. Without a way only the ends are looked at."""
    start, end = ends
    reachable = start in topology.index and end in topology.index
    path = topology.path(start, end) if reachable else [start, end]
    nodes = {node.name: node for node in problem.nodes}
    for position, name in enumerate(path):
        if not may_be(label.level, nodes[name], birth):
            return tuple(path[: position + 1])
    return ()
