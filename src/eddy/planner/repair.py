"""After the loss of a node: a plan that moves only what must move.

What runs where it still may stays. If the rest finds no room beside it, everything may move, each move at its price.
"""

import time
from dataclasses import replace

import numpy as np

from eddy.errors import NoPlan
from eddy.planner.costs import Costs
from eddy.planner.plan import Plan, plan
from eddy.planner.problem import Placement, Problem
from eddy.planner.topology import Topology

REPAIR_S = 0.15  # to solve; functions on the lost node are silent meanwhile


def repair(problem: Problem, running: Placement, topology: Topology | None = None, limit_s: float = REPAIR_S) -> Plan:
    """A plan for what is left.

    Args:
        problem: With the loss in it, see `Problem.without`.
        running: Where functions were before.
        topology: From before the loss, when it is at hand: it saves most of the time.

    Raises:
        NoPlan: As `plan`.
    """
    began = time.perf_counter()
    topology = Topology(problem.nodes, problem.links) if topology is None else topology.kept(problem.nodes, problem.links)
    staying = running.keys() - _wronged(Costs(problem, topology, running), running)
    try:
        found = plan(problem, running, staying, topology, limit_s)
    except NoPlan:
        found = plan(problem, running, (), topology, limit_s)
    return replace(found, build_seconds=time.perf_counter() - began - found.seconds)


def _wronged(costs: Costs, running: Placement) -> set[str]:
    """Functions that cannot stay: their node is gone or may not host them, is now too small, or the way to them leaks or is too narrow."""
    here = costs.positions(running)
    stays = np.array([position >= 0 and bool(costs.allowed[unit, position]) for unit, position in enumerate(here)])
    wrong = set(np.flatnonzero(~stays).tolist())
    settled = np.flatnonzero(stays)
    used = np.zeros(costs.capacity.shape)
    np.add.at(used.T, here[settled], costs.demand[:, settled, here[settled]].T)
    full = np.flatnonzero((used > costs.capacity * (1 + 1e-9)).any(axis=0))
    wrong |= set(settled[np.isin(here[settled], full)].tolist())
    both = [pair for pair in costs.pairs if stays[pair.u] and stays[pair.v]]
    bits = np.zeros(len(costs.topology.links))
    for pair in both:
        bits[costs.topology.links_between(int(here[pair.u]), int(here[pair.v]))] += pair.bits
    narrow = {link for link, there in enumerate(costs.topology.links) if bits[link] > there.bandwidth_bit_s * (1 + 1e-9)}
    for pair in both:
        ends = int(here[pair.u]), int(here[pair.v])
        if narrow.intersection(costs.topology.links_between(*ends)) or not costs.clear(pair, *ends, np.where(stays, here, -1)).all():
            wrong |= {pair.u, pair.v}
    return {name for unit in wrong for name in costs.units[unit]}
