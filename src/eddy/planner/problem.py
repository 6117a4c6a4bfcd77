"""What a plan is made from: functions, the data between them, and the nodes and links they may use.

All plain frozen values; units are in the names. `eddy.planner.from_app` builds one from an app.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from eddy.errors import SettingError
from eddy.spec.vocabulary import CRITERIA, LEVELS, Criterion, Level

Placement = Mapping[str, str]  # function: node

PREFERENCE = 4.0  # how much more a criterion counts than the one named after it


@dataclass(frozen=True, slots=True)
class Function:
    """Something to place.

    Attributes:
        name: Unique among functions, sources and sinks.
        cpu_s: CPU seconds for one sample that comes in, by node or by tier, on a core of speed 1; where neither is named it cannot run.
        ram_bytes: Reserved in RAM.
        flash_bytes: Reserved in flash or on disk.
        operators: What a node has to support.
        at: Nodes or tiers that may host it; empty: any.
        near: A function, source or sink to be close to: the latency to it counts as if a flow went there.
        beside: A function that must run on the same node (`with` in the language).
        releases: Declares the label of the output; None: it inherits what comes in.
        state_bytes: What a move has to carry.
        digest: Tells one configuration from another: of what runs and, behind a dot, of what else is said of it.
        driver: It is a sink: what runs is a driver.
    """

    name: str
    cpu_s: Mapping[str, float]
    ram_bytes: int = 0
    flash_bytes: int = 0
    operators: frozenset[str] = frozenset()
    at: tuple[str, ...] = ()
    near: str | None = None
    beside: str | None = None
    releases: Level | None = None
    state_bytes: int = 0
    digest: str = ""
    driver: bool = False

    def cpu_s_on(self, node: "Node") -> float | None:
        """CPU seconds for one sample on that node; None when it does not run there."""
        seconds = self.cpu_s.get(node.name, self.cpu_s.get(node.tier))
        return None if seconds is None else seconds / node.speed


@dataclass(frozen=True, slots=True)
class Source:
    """Where data is born: on that node, with that label; `digest` as of `Function`."""

    name: str
    node: str
    label: Level = "cloud"
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Sink:
    """Where data leaves the system: on that node; `digest` as of `Function`."""

    name: str
    node: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """Data from a source or function to a function or sink."""

    producer: str
    consumer: str
    bytes_per_s: float
    samples_per_s: float


@dataclass(frozen=True, slots=True)
class Node:
    """A place that hosts functions.

    Attributes:
        cores: CPU seconds a second that functions may use.
        speed: Of a core, against the one for which `cpu_s` was measured.
        operators: What it supports; None: everything.
        price_per_h: For all its cores; a function pays for the share it uses.
        energy_j_per_cpu_s: What computing draws.
        battery_j: None: mains.
        life_s: How long the battery must last: computing may draw `battery_j / life_s` watts.
        reach: `cut` goes on without us behind a lost node, `lost` is gone; neither takes anything new.
    """

    name: str
    tier: Level
    cores: float = 1.0
    speed: float = 1.0
    ram_bytes: float = float("inf")
    flash_bytes: float = float("inf")
    operators: frozenset[str] | None = None
    price_per_h: float = 0.0
    energy_j_per_cpu_s: float = 0.0
    battery_j: float | None = None
    life_s: float = 30 * 86400.0
    reach: Literal["up", "cut", "lost"] = "up"

    @property
    def power_w(self) -> float:
        """What computing may draw on average."""
        return float("inf") if self.battery_j is None else self.battery_j / self.life_s


@dataclass(frozen=True, slots=True)
class Link:
    """Carries bytes between two nodes, both ways together no more than its bandwidth."""

    a: str
    b: str
    bandwidth_bit_s: float = float("inf")
    latency_s: float = 0.0
    price_per_gb: float = 0.0
    energy_j_per_byte: float = 0.0


@dataclass(frozen=True, slots=True)
class Moving:
    """What a move is worth avoiding, in units of what one function costs on average when everything is placed at its worst.

    Attributes:
        fixed: For any move.
        per_byte: For each byte of state.
    """

    fixed: float = 0.1
    per_byte: float = 1e-7


@dataclass(frozen=True)
class Problem:
    """Everything a plan depends on.

    Attributes:
        minimise: What counts, the most important first; what is not named does not count.

    Raises:
        SettingError: A name is there twice, or a name, label or criterion is not known.
    """

    functions: tuple[Function, ...]
    sources: tuple[Source, ...]
    sinks: tuple[Sink, ...]
    flows: tuple[Flow, ...]
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    minimise: tuple[Criterion, ...] = ("latency", "energy", "traffic")
    moving: Moving = field(default_factory=Moving)

    def __post_init__(self) -> None:
        sources, sinks = [source.name for source in self.sources], [sink.name for sink in self.sinks]
        ends = _unique("function, source or sink", [function.name for function in self.functions] + sources + sinks)
        nodes = _unique("node", [node.name for node in self.nodes])
        functions = {function.name for function in self.functions}
        for flow in self.flows:
            _known(ends - set(sinks), "a flow", flow.producer)
            _known(ends - set(sources), "a flow", flow.consumer)
        for name, node in self.pinned().items():
            _known(nodes, name, node)
        for link in self.links:
            _known(nodes, "a link", link.a, link.b)
        for function in self.functions:
            _known(nodes | set(LEVELS), f"'at' of {function.name}", *function.at)
            _known(ends, f"'near' of {function.name}", *filter(None, [function.near]))
            _known(functions, f"'with' of {function.name}", *filter(None, [function.beside]))
            _known(set(LEVELS), f"'releases' of {function.name}", *filter(None, [function.releases]))
        for source in self.sources:  # a label that nobody knows must not pass for none
            _known(set(LEVELS), f"'private' of {source.name}", source.label)
        _known(set(CRITERIA), "'minimise'", *self.minimise)

    def weights(self) -> dict[Criterion, float]:
        """Weights that sum to 1: each criterion counts four times as much as the one named after it."""
        raw = {criterion: PREFERENCE**-rank for rank, criterion in enumerate(self.minimise)}
        return {criterion: value / sum(raw.values()) for criterion, value in raw.items()}

    def pinned(self) -> dict[str, str]:
        """The node of each source and sink."""
        return {source.name: source.node for source in self.sources} | {sink.name: sink.node for sink in self.sinks}

    def digests(self) -> dict[str, str]:
        """That of each function, source and sink."""
        things: tuple[Source | Function | Sink, ...] = (*self.sources, *self.functions, *self.sinks)
        return {one.name: one.digest for one in things}

    def drivers(self) -> set[str]:
        """Sources and sinks, placed or not."""
        return {*self.pinned(), *(function.name for function in self.functions if function.driver)}

    def without(self, lost: Iterable[str]) -> "Problem":
        """The same with nodes lost, and what is behind them cut off.

        The side that stays is the one with a cloud node, else the one with most nodes. Sources keep their place and label: what was born
        on a lost node does not become public by the loss.

        Raises:
            SettingError: No such node.
        """
        gone = set(lost)
        _known({node.name for node in self.nodes}, "the loss", *gone)
        reach = {node.name: "lost" if node.name in gone else node.reach for node in self.nodes}
        sides = self._sides({name for name, state in reach.items() if state == "up"})
        clouds = {node.name for node in self.nodes if node.tier == "cloud"}
        stays = max(sides, key=lambda side: (bool(side & clouds), len(side)), default=set())
        for side in sides:
            if side is not stays:
                reach.update(dict.fromkeys(side, "cut"))
        return replace(self, nodes=tuple(replace(node, reach=reach[node.name]) for node in self.nodes))

    def _sides(self, up: set[str]) -> list[set[str]]:
        """The connected parts of these nodes."""
        beside: dict[str, list[str]] = {name: [] for name in up}
        for link in self.links:
            if link.a in up and link.b in up:
                beside[link.a].append(link.b)
                beside[link.b].append(link.a)
        sides: list[set[str]] = []
        left = set(up)
        while left:
            side, edge = set[str](), [min(left)]
            while edge:
                name = edge.pop()
                if name not in side:
                    side.add(name)
                    edge.extend(beside[name])
            sides.append(side)
            left -= side
        return sides


def _unique(kind: str, names: list[str]) -> set[str]:
    known = set(names)
    if len(known) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise SettingError(f"the plan has more than one {kind} named {', '.join(twice)}: give each its own name")
    return known


def _known(known: set[str], where: str, *names: str) -> None:
    for name in names:
        if name not in known:
            raise SettingError(f"{where} names {name}, which is not there: name one of {', '.join(sorted(known)[:8]) or 'none'}")
