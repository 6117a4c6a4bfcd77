"""A plan in words: why here and why not there, what it costs, and what would change against what runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from eddy.planner.costs import RESOURCES, Costs
from eddy.planner.greedy import FINE, Greedy
from eddy.planner.plan import Plan
from eddy.planner.unfit import reason
from eddy.spec.vocabulary import Criterion

DAY_S = 86400
SHOWN = 2  # nodes that a function is not on
UNITS: dict[Criterion, tuple[float, str]] = {
    "latency": (1.0, "s"),
    "energy": (DAY_S, "J a day"),
    "traffic": (DAY_S, "bytes × links a day"),
    "cost": (DAY_S, "money a day"),
}
SIGNS = {"create": "+", "change": "~", "remove": "-", "move": "→"}


@dataclass(frozen=True, slots=True)
class Running:
    """What runs now: on which node, and with which configuration."""

    node: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the plan and what runs.

    Attributes:
        kind: What would happen.
        function: To what.
        source: Node where it runs; None for `create`.
        target: Node where it would run; None for `remove`.
        why: What changes of it where it is; empty for what does not stay.
    """

    kind: Literal["create", "change", "remove", "move"]
    function: str
    source: str | None
    target: str | None
    why: str = ""

    def __str__(self) -> str:
        way = " → ".join(filter(None, dict.fromkeys((self.source, self.target))))
        return f"{SIGNS[self.kind]} {self.function}  {way}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class Reason:
    """Why a function is where it is.

    Attributes:
        function: Its name.
        node: Where the plan puts it.
        why: What decided.
        why_not: For the best other nodes, what it would cost more there or what stands against it.
    """

    function: str
    node: str
    why: str
    why_not: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        others = "; ".join(f"not {node}: {against}" for node, against in self.why_not.items())
        return f"{self.function}  {self.node}  {self.why}" + (f" ({others})" if others else "")


def reasons(plan: Plan) -> list[Reason]:
    """One for each placed function, in the order of the problem."""
    greedy = Greedy(plan.costs, range(len(plan.costs.topology.links)) if len(plan.costs.topology.links) <= 50 else (), plan.assigned)
    return [_reason(plan, greedy, function.name) for function in plan.costs.problem.functions if function.name in plan.placement]


def _reason(plan: Plan, greedy: Greedy, name: str) -> Reason:
    costs = plan.costs
    unit = costs.unit_of[name]
    here = int(plan.assigned[unit])
    node = plan.placement[name]
    beside = [other for other in costs.units[unit] if other != name]
    together = f", together with {', '.join(beside[:3])}" if beside else ""
    excluded = {position: reason(costs, unit, position) for position in np.flatnonzero(~costs.allowed[unit]).tolist()[:50]}
    if costs.node[unit] >= 0:
        against = [position for position, why in excluded.items() if why is not None]
        why_not = {costs.topology.nodes[position].name: excluded[position] or "" for position in against[:SHOWN]}
        return Reason(name, node, f"nowhere else{together}", why_not)
    prices = greedy.prices(unit)
    order = [int(position) for position in np.argsort(prices, kind="stable") if position != here and np.isfinite(prices[position])]
    why_not = {costs.topology.nodes[position].name: _dearer(plan, unit, position, prices) for position in order[:SHOWN]}
    for position, against_it in list(excluded.items())[: SHOWN - len(why_not)]:
        why_not[costs.topology.nodes[position].name] = against_it or "excluded"
    first = min((prices[position] for position in order), default=float("inf"))
    full = first < prices[here] - 1e-12
    why = "best for all together" if full else "cheapest of those with room"
    return Reason(name, node, f"{why}{together}", why_not)


def _dearer(plan: Plan, unit: int, position: int, prices: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> str:
    """What one node would cost more than the one chosen, all others staying."""
    costs = plan.costs
    if prices[position] >= prices[plan.assigned[unit]] + FINE / 2:
        used = np.zeros(costs.capacity.shape[0])
        for other in np.flatnonzero(plan.assigned == position):
            used += costs.demand[:, other, position]
        lacks = used + costs.demand[:, unit, position] > costs.capacity[:, position]
        short = [resource for resource, lack in zip(RESOURCES, lacks, strict=True) if lack]
        return f"no {' and no '.join(short)} left" if short else "a link on the way is full, or a node on it must not see the data"
    moved = plan.assigned.copy()
    moved[unit] = position
    there = costs.figures(moved)
    parts = [_difference(criterion, there[criterion] - plan.figures[criterion]) for criterion in costs.problem.minimise]
    move = costs.running and prices[position] > prices[plan.assigned[unit]] and not any(parts)
    return ", ".join(filter(None, parts)) or ("a move for nothing" if move else "the same")


def _difference(criterion: Criterion, value: float) -> str:
    factor, unit = UNITS[criterion]
    return "" if abs(value * factor) < 1e-9 else f"{criterion} {value * factor:+,.3g} {unit}"


def figures(plan: Plan) -> list[str]:
    """What the placement costs: the criteria, then each node in use."""
    shown = []
    for criterion, value in plan.figures.items():
        factor, unit = UNITS[criterion]
        shown.append(f"{criterion} {value * factor:,.4g} {unit}")
    return [", ".join(shown), *(_load(plan.costs, plan, position) for position in sorted(set(plan.assigned.tolist()) - {-1}))]


def _load(costs: Costs, plan: Plan, position: int) -> str:
    units = np.flatnonzero(plan.assigned == position)
    used = costs.demand[:, units, position].sum(axis=1)
    parts = []
    for resource, need, there in zip(RESOURCES, used.tolist(), costs.capacity[:, position].tolist(), strict=True):
        if need and (np.isfinite(there) or resource != "battery power"):
            parts.append(f"{resource} {_amount(resource, need)}" + (f" of {_amount(resource, there)}" if np.isfinite(there) else ""))
    return f"{costs.topology.nodes[position].name}: " + (", ".join(parts) or "nothing measurable")


def _amount(resource: str, value: float) -> str:
    """Memory in KiB from 10 KiB on, CPU in cores, power in W."""
    if resource in ("RAM", "flash"):
        return f"{value / 1024:,.0f} KiB" if value >= 10 * 1024 else f"{value:,.0f} B"
    return f"{value:,.3g}" + (" W" if resource == "battery power" else "")


def changes(plan: Plan, running: Mapping[str, Running]) -> list[Change]:
    """What would be created, changed, moved and removed; what is cut off or waits is left alone."""
    found = []
    problem = plan.costs.problem
    digests, drivers = problem.digests(), problem.drivers()
    for name, node in {**plan.placement, **problem.pinned()}.items():
        now = running.get(name)
        if now is None:
            found.append(Change("create", name, None, node))
        elif now.node != node:
            found.append(Change("move", name, now.node, node))
        elif now.digest != digests[name]:
            found.append(Change("change", name, node, node, _changed(now.digest, digests[name], name in drivers)))
    found += [Change("remove", name, now.node, None) for name, now in running.items() if name not in digests]
    return found


def _changed(before: str, after: str, driver: bool) -> str:
    """What of it, in words."""
    if before.partition(".")[0] == after.partition(".")[0]:
        return "what else is said of it changes"
    return "driver options change, it is started again" if driver else "its settings change"


def lines(plan: Plan, differences: list[Change]) -> list[str]:
    """All of it, for people."""
    proof = f"at most {plan.gap:.2%} from the best" if plan.gap else "proven best"
    return [
        f"Placement ({proof}; {', '.join(plan.costs.problem.minimise)} count in this order)",
        *(f"  {reason}" for reason in reasons(plan)),
        *(f"  {name}  {reason}" for name, reason in plan.away.items()),
        "Costs",
        *(f"  {line}" for line in figures(plan)),
        "Changes" if differences else "Nothing to change",
        *(f"  {change}" for change in differences),
    ]


def result(plan: Plan, differences: list[Change]) -> dict[str, Any]:
    """All of it, for programs."""
    digests = plan.costs.problem.digests()
    return {
        "placement": {name: {"node": node, "digest": digests[name]} for name, node in plan.placement.items()},
        "pinned": {name: {"node": node, "digest": digests[name]} for name, node in plan.costs.problem.pinned().items()},
        "away": dict(plan.away),
        "reasons": [asdict(reason) for reason in reasons(plan)],
        "figures": {"latency_s": plan.figures["latency"], "energy_w": plan.figures["energy"]}
        | {"traffic_byte_links_per_s": plan.figures["traffic"], "cost_per_s": plan.figures["cost"]},
        "gap": plan.gap,
        "seconds": plan.seconds,
        "build_seconds": plan.build_seconds,
        "changes": [asdict(change) for change in differences],
        "text": lines(plan, differences),
    }
