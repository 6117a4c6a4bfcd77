"""`eddy bench plan`: a fleet on a tree of links, planned, beside greedy placement in the same run; then a gateway is lost.

One cloud, gateways with some 25 devices each, links of unlike latency. The functions are chains (a sensor on a device, features, detection,
a report, a judge for some chains together, an alarm that goes back to a device), of unlike size; about half of them may run on devices,
and memory is so scarce that not everything fits where it would be cheapest.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from eddy.planner.costs import Costs
from eddy.planner.greedy import Greedy
from eddy.planner.plan import LIMIT_S, plan
from eddy.planner.problem import Flow, Function, Link, Node, Problem, Sink, Source
from eddy.planner.repair import repair

SEED = 3
DEVICES_EACH = 25


def fleet(functions: int, nodes: int, seed: int = SEED) -> Problem:
    """A made-up problem of that size."""
    rng = np.random.default_rng(seed)
    gateways = max(1, (nodes - 1) // (DEVICES_EACH + 1))
    devices = max(1, nodes - 1 - gateways)
    cloud = Node("cloud", "cloud", cores=64, speed=8, ram_bytes=64 << 30, price_per_h=3.0, energy_j_per_cpu_s=20)
    hosts, links = [cloud], []
    for number in range(gateways):
        memory = int(rng.integers(600, 1200)) << 10
        hosts.append(Node(f"gw-{number}", "gateway", cores=4, speed=4, ram_bytes=memory, price_per_h=0.02, energy_j_per_cpu_s=5))
        links.append(Link("cloud", f"gw-{number}", 20e6, float(rng.uniform(0.02, 0.08)), 0.1, 2e-7))
    for number in range(devices):
        memory, gateway = int(rng.integers(40, 200)) << 10, number % gateways
        hosts.append(Node(f"device-{number}", "device", ram_bytes=memory, energy_j_per_cpu_s=0.5, battery_j=20_000))
        links.append(Link(f"gw-{gateway}", f"device-{number}", 250e3, float(rng.uniform(0.005, 0.03)), 0.0, 2e-6))
    chain = Chains(rng, devices)
    while len(chain.functions) < functions:
        chain.grow(functions - len(chain.functions))
    return Problem(
        tuple(chain.functions), tuple(chain.sources), tuple(chain.sinks), tuple(chain.flows), tuple(hosts), tuple(links),
        ("latency", "energy", "traffic", "cost"),
    )  # fmt: skip


class Chains:
    """Grows functions and what is around them."""

    def __init__(self, rng: np.random.Generator, devices: int) -> None:
        self._rng, self._devices = rng, devices
        self.functions: list[Function] = []
        self.sources: list[Source] = []
        self.sinks: list[Sink] = []
        self.flows: list[Flow] = []

    def grow(self, room: int) -> None:
        """Up to three chains that meet in a judge; a lone function where there is no room for that."""
        first = int(self._rng.integers(self._devices))
        if room < 5:
            self.sources.append(Source(self._name("sensor", len(self.sources)), f"device-{first}"))
            self._function("features", [self.sources[-1].name], 100.0, True)
            return
        ends: list[tuple[str, float]] = []
        for number in range(min(3, (room - 2) // 3)):
            sensor = self._name("sensor", len(self.sources))
            self.sources.append(Source(sensor, f"device-{(first + number * 7) % self._devices}"))
            last, rate = sensor, float(self._rng.uniform(200, 2000))
            for step, shrink in (("features", 50.0), ("detect", 4.0), ("report", 5.0)):
                last = self._function(step, [last], rate, step != "report" or self._rng.random() < 0.3)
                rate /= shrink
            ends.append((last, rate))
        judge = self._function("judge", [name for name, _ in ends], ends[0][1], False)
        alarm = self._function("alarm", [judge], ends[0][1] / 2, self._rng.random() < 0.5)
        sink = self._name("relay", len(self.sinks))
        self.sinks.append(Sink(sink, f"device-{(first + 3) % self._devices}"))
        self.flows.append(Flow(alarm, sink, ends[0][1] / 4, 0.1))

    def _function(self, step: str, inputs: list[str], bytes_per_s: float, small: bool) -> str:
        name = self._name(step, len(self.functions))
        cost = float(self._rng.uniform(0.002, 0.02))
        ram = int(self._rng.integers(15, 120 if small else 400)) << 10
        tiers = {"gateway": cost, "cloud": cost} | ({"device": cost} if small else {})
        self.functions.append(Function(name, tiers, ram, state_bytes=int(self._rng.integers(100, 20_000))))
        self.flows += [Flow(source, name, bytes_per_s, 2.0) for source in inputs]
        return name

    def _name(self, kind: str, number: int) -> str:
        return f"{kind}-{number}"


def run(functions: int, nodes: int, limit_s: float | None = None, seed: int = SEED) -> dict[str, Any]:
    """Plans a fleet, then loses the gateway or node that hosts most of it.

    Returns:
        Times in s: `build_seconds` to turn the problem into numbers, `seconds` to solve, `replan_seconds` with everything in it. `gap` in
        parts of the objective, `moved` and `must_move` in functions; `baseline` is greedy placement of the same problem.

    Raises:
        NoPlan: The made-up fleet has no room for its functions.
    """
    problem = fleet(functions, nodes, seed)
    best = plan(problem, limit_s=limit_s or LIMIT_S)
    costs = Costs(problem, best.costs.topology)
    began = time.perf_counter()
    greedy = Greedy(costs).run()
    greedy_s = time.perf_counter() - began
    hosts = list(best.placement.values())
    lost = max((node.name for node in problem.nodes if node.tier != "cloud"), key=hosts.count)
    began = time.perf_counter()
    repaired = repair(problem.without([lost]), best.placement, best.costs.topology)
    replan_s = time.perf_counter() - began
    must = {name for name, node in best.placement.items() if node == lost}
    moved = {name for name, node in repaired.placement.items() if node != best.placement[name]}
    return {
        "functions": len(problem.functions),
        "nodes": len(problem.nodes),
        "candidates": int(costs.allowed[costs.node < 0].sum()),
        "seconds": round(best.seconds, 3),
        "build_seconds": round(best.build_seconds, 3),
        "gap": best.gap,
        "objective": best.objective,
        "lost": lost,
        "replan_seconds": round(replan_s, 3),
        "replan_gap": repaired.gap,
        "moved": len(moved),
        "must_move": len(must - repaired.away.keys()),
        "moved_without_need": len(moved - must),
        "baseline": {
            "method": "greedy",
            "seconds": round(greedy_s, 4),
            "objective": None if greedy is None else costs.objective(greedy),
            "worse_by": None if greedy is None else costs.objective(greedy) / best.objective - 1,
        },
    }


def lines(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The result for people, title and figure."""
    baseline = result["baseline"]
    worse = "found no placement" if baseline["worse_by"] is None else f"{baseline['worse_by']:.1%} worse, in {baseline['seconds']:.3f} s"
    return [
        ("problem", f"{result['functions']} functions, {result['nodes']} nodes, {result['candidates']:,} candidates"),
        ("building", f"{result['build_seconds']:.2f} s"),
        ("solving", f"{result['seconds']:.2f} s, " + (f"gap {result['gap']:.2%}" if result["gap"] else "proven optimum")),
        ("greedy", worse),
        (f"loss of {result['lost']}", f"{result['replan_seconds']:.2f} s, {result['moved']} moved, {result['must_move']} had to"),
    ]
