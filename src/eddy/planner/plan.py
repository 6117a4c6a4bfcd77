"""From a problem to a plan, or to the reasons why there is none."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from eddy.errors import NoPlan
from eddy.planner.costs import RESOURCES, Costs
from eddy.planner.greedy import Greedy
from eddy.planner.privacy import check, check_move
from eddy.planner.problem import Placement, Problem
from eddy.planner.solve import Solution, solve
from eddy.planner.topology import Indices, Topology
from eddy.planner.unfit import reason
from eddy.spec.vocabulary import Criterion

LIMIT_S = 4.8
SHOWN = 5


@dataclass(frozen=True)
class Plan:
    """Which node hosts which function.

    Attributes:
        placement: The node of each function.
        away: Functions without one for now, with the reason: a node is lost or cut off.
        figures: Latency in s, energy in W, traffic in byte-links/s, cost in money/s.
        objective: What was minimised, in parts of the worst case; moves included.
        gap: How far below the best may be, in parts of the objective; 0 is proven best.
        seconds: To solve.
        build_seconds: To put the problem into numbers.
        costs: Those numbers, for explanations and the next plan.
        assigned: int64[U], the placement as positions.
    """

    placement: Mapping[str, str]
    away: Mapping[str, str]
    figures: Mapping[Criterion, float]
    objective: float
    gap: float
    seconds: float
    build_seconds: float
    costs: Costs
    assigned: Indices


def plan(
    problem: Problem,
    running: Placement | None = None,
    keep: Collection[str] = (),
    topology: Topology | None = None,
    limit_s: float = LIMIT_S,
) -> Plan:
    """The best placement that can be found in time.

    Args:
        running: Where functions are now; leaving there is weighed by `problem.moving`.
        keep: Functions that stay where they are.
        topology: Of the same nodes and links, when it is at hand.

    Raises:
        NoPlan: A label, a capacity or a capability stands against every placement, or none was found in time.
        SettingError: A node has no link to the others.
    """
    began = time.perf_counter()
    topology = topology or Topology(problem.nodes, problem.links)
    costs = Costs(problem, topology, running, keep)
    built = time.perf_counter() - began
    homeless = [unit for unit, names in enumerate(costs.units) if not costs.allowed[unit].any() and names[0] not in costs.away]
    found = Solution(None, float("inf"), float("inf"), 0.0, infeasible=True) if homeless else solve(costs, limit_s)
    if found.assigned is None:
        raise _no_plan(costs, homeless, found.infeasible)
    return Plan(
        placement=costs.names(found.assigned),
        away={name: reason for name, reason in costs.away.items() if name not in problem.pinned()},
        figures=costs.figures(found.assigned),
        objective=found.objective,
        gap=found.gap,
        seconds=found.seconds,
        build_seconds=built,
        costs=costs,
        assigned=found.assigned,
    )


def _no_plan(costs: Costs, homeless: list[int], proven: bool) -> NoPlan:
    """What stands against every placement: labels with the way of the leak, then capabilities, then capacity."""
    problem, topology = costs.problem, costs.topology
    public = Costs(problem, topology, costs.running, private=False)
    able = [unit for unit, names in enumerate(public.units) if public.allowed[unit].any() or names[0] in public.away]
    if len(able) == len(public.units):
        found = solve(public, 1.0, whole=0).assigned
        placed = public.names(found) if found is not None else {}
        leaks = check(problem, topology, placed)
        for name, here in costs.running.items():
            if here in topology.index and placed.get(name, here) != here:
                leaks += check_move(problem, topology, costs.running, name, placed[name])
        if leaks:
            way_out = "declare what a function releases, move its sinks and 'at', or give a node on the way the tier gateway"
            more = f" ({len(leaks) - SHOWN} more)" if len(leaks) > SHOWN else ""
            return NoPlan([(leak.flow[1], str(leak)) for leak in leaks[:SHOWN]], way_out + more)
    if homeless:
        reasons = [(costs.units[unit][0], f"{costs.units[unit][0]} fits no node: {_against(costs, unit)}") for unit in homeless[:SHOWN]]
        return NoPlan(reasons, "give a node what is missing, let it run elsewhere, or ask less of it")
    crowded = [("", reason) for reason in _crowded(costs, proven)]
    return NoPlan(crowded, "give the nodes more room, let functions run elsewhere, or leave some out")


def _against(costs: Costs, unit: int) -> str:
    """The reasons of all nodes, each once."""
    said: dict[str, list[str]] = {}
    for position, node in enumerate(costs.topology.nodes):
        said.setdefault(reason(costs, unit, position) or "it is taken", []).append(node.name)
    texts = (f"{why} ({', '.join(names[:3])}{' ...' if len(names) > 3 else ''})" for why, names in said.items())
    return ", ".join(list(texts)[:SHOWN])


def _crowded(costs: Costs, proven: bool) -> list[str]:
    """What would be too much in the least bad placement that greedy finds."""
    greedy = Greedy(costs, range(len(costs.topology.links)) if len(costs.topology.links) <= 50 else ())
    greedy.run()
    used = np.zeros(costs.capacity.shape)
    for unit in np.flatnonzero(greedy.assigned >= 0):
        used[:, greedy.assigned[unit]] += costs.demand[:, unit, greedy.assigned[unit]]
    over = [
        f"{costs.topology.nodes[node].name} would need {used[resource, node]:,.6g} {RESOURCES[resource]}, "
        f"it has {costs.capacity[resource, node]:,.6g}"
        for resource, node in zip(*np.nonzero(used > costs.capacity * (1 + 1e-9)), strict=True)
    ]
    bits = costs.load(greedy.assigned)
    over += [
        f"link {link.a}–{link.b} would carry {bits[position]:,.6g} bit/s and takes {link.bandwidth_bit_s:,.6g}"
        for position, link in enumerate(costs.topology.links)
        if bits[position] > link.bandwidth_bit_s * (1 + 1e-9)
    ]
    start = "each function has a node, but not all together" if proven else "none was found in time"
    return [start, *over[:SHOWN]]
