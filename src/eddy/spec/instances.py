"""From what an app declares to its instances and their wiring.

A node with `count: 4` is four, `pump-1` to `pump-4`. What hangs on a source of such a node exists once for each, `features@pump-1`, until a
function says `merge: pump`. A sink at such a node exists there on each; a sink without `at` exists once for each instance that it takes in.
Plan, deployment and checks all use this one expansion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from eddy.spec.catalog import Function, Sink
from eddy.spec.diagnostics import Finding, listed
from eddy.spec.model import App
from eddy.spec.vocabulary import LEVELS

Kind = Literal["source", "function", "sink"]


@dataclass(frozen=True, slots=True)
class Instance:
    """One running source, function or sink.

    Attributes:
        name: `features@pump-1`, or `judge` where there is only one.
        of: Its name in the app.
        inputs: Instances that it takes in.
        on: The node that it hangs on by its sources; "" after a merge, or where nothing is counted.
        at: Nodes and tiers that may host it; of a source, and a sink with `at`, that node; empty: any.
        near: An instance to be close to.
        beside: An instance to share a node with.
    """

    kind: Kind
    name: str
    of: str
    inputs: tuple[str, ...] = ()
    on: str = ""
    at: tuple[str, ...] = ()
    near: str | None = None
    beside: str | None = None

    @property
    def node(self) -> str | None:
        """The node that it is pinned to; functions are where the plan puts them, unless `at` names one node and no tier."""
        free = len(self.at) != 1 or (self.kind == "function" and self.at[0] in LEVELS)
        return None if free else self.at[0]


def nodes(app: App) -> dict[str, list[str]]:
    """The nodes that each declared one stands for."""
    return {
        name: [f"{name}-{number + 1}" for number in range(node.count)] if node.count > 1 else [name] for name, node in app.nodes.items()
    }


def ends(link: str, known: Mapping[str, object]) -> tuple[str, str] | None:
    """The two nodes that a link is named after; None when it joins no two."""
    parts = link.split("-")
    splits = (("-".join(parts[:cut]), "-".join(parts[cut:])) for cut in range(1, len(parts)))
    return next(((a, b) for a, b in splits if a in known and b in known), None)


def pairs(app: App, link: str) -> list[tuple[str, str]]:
    """The nodes that a link joins, two and two: equal numbers, going round when the counts differ."""
    hosts = nodes(app)
    found = ends(link, hosts)
    if found is None:
        return []
    a, b = hosts[found[0]], hosts[found[1]]
    return [(a[number % len(a)], b[number % len(b)]) for number in range(max(len(a), len(b)))]


def expand(app: App) -> tuple[list[Instance], list[Finding]]:
    """All instances, producers before consumers, and what could not be wired.

    What takes in a name that is not there, or waits for itself, is left out; `eddy.spec.check` says so.
    """
    growing = _Growing(app)
    growing.grow()
    return [growing.placed(instance) for instance in growing.instances], growing.findings


class _Growing:
    """Instances, grown from the sources on."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._nodes = nodes(app)
        self._by_name: dict[str, dict[str, str]] = {}  # name in the app: {node it hangs on, or "": instance}
        self.instances: list[Instance] = []
        self.findings: list[Finding] = []

    def grow(self) -> None:
        for name, source in self._app.sources.items():
            hosts = self._nodes.get(source.at, [])
            for node in hosts:
                on = node if len(hosts) > 1 else ""
                self._add(Instance("source", _name(name, on), name, on=on, at=(node,)))
        waiting: dict[str, Function] = dict(self._app.functions)
        ready = True
        while ready:
            ready = False
            for name in [name for name, function in waiting.items() if all(one in self._by_name for one in function.inputs)]:
                function, ready = waiting.pop(name), True
                for on, inputs in self._inputs("functions", name, function).items():
                    at = dict.fromkeys(node for place in function.at for node in self._hosts(place, on))
                    self._add(Instance("function", _name(name, on), name, inputs, on, tuple(at)))
        for name, sink in self._app.sinks.items():
            if all(one in self._by_name for one in sink.inputs):
                self._sink(name, sink)

    def _add(self, instance: Instance) -> None:
        self.instances.append(instance)
        self._by_name.setdefault(instance.of, {})[instance.on] = instance.name

    def _hosts(self, place: str, on: str) -> list[str]:
        """The nodes that a name in `at` stands for, seen from an instance that hangs on one; a tier stands for itself."""
        hosts = self._nodes.get(place, [place])
        return [on] if on in hosts else hosts

    def _inputs(self, section: str, name: str, item: Function | Sink) -> dict[str, tuple[str, ...]]:
        """For each node on which an instance is needed, what it takes in; `merge` makes one of all that are on that node."""
        hang = {on for one in item.inputs for on in self._by_name[one]} - {""}
        merged = set(self._nodes.get(item.merge, [])) if item.merge else set()
        if hang <= merged or not hang:
            return {"": tuple(instance for one in item.inputs for instance in self._by_name[one].values())}
        if merged:
            there = listed(name for name, group in self._nodes.items() if hang & set(group))
            reason = f"'{name}' takes in what exists on {there}, and merges {item.merge}"
            self.findings.append(Finding((section, name, "merge"), "E135", reason, f"write 'merge: {there}'"))
        wired = {}
        for on in (node for group in self._nodes.values() for node in group if node in hang):
            missing = [one for one in item.inputs if on not in self._by_name[one] and "" not in self._by_name[one]]
            if missing:
                reason = f"'{missing[0]}' exists on other nodes than the rest that '{name}' takes in"
                self.findings.append(Finding((section, name, "from"), "E135", reason, "bring them together with 'merge' first"))
                return {}
            wired[on] = tuple(self._by_name[one].get(on) or self._by_name[one][""] for one in item.inputs)
        return wired

    def _sink(self, name: str, sink: Sink) -> None:
        hosts = self._nodes.get(sink.at, []) if sink.at else []
        for on, inputs in self._inputs("sinks", name, sink).items():
            if not hosts:
                self._add(Instance("sink", _name(name, on), name, inputs, on))
            for node in [on] if on in hosts else hosts:
                parts = dict.fromkeys(filter(None, (name, on, node if len(hosts) > 1 else "")))
                self._add(Instance("sink", "@".join(parts), name, inputs, on or node, (node,)))

    def placed(self, instance: Instance) -> Instance:
        """The same with the instances that it is to be close to; known only when all have grown."""
        function = self._app.functions.get(instance.of)
        if function is None or instance.kind != "function":
            return instance
        return replace(instance, near=self._close(function.near, instance.on), beside=self._close(function.beside, instance.on))

    def _close(self, name: str | None, on: str) -> str | None:
        """The instance of that name that belongs to the same node, else the first one."""
        found = self._by_name.get(name, {}) if name else {}
        return found.get(on) or next(iter(found.values()), None)


def _name(name: str, on: str) -> str:
    return f"{name}@{on}" if on else name
