"""Small random problems, and what is true of them by looking at every placement: plain Python that shares nothing with the planner."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator

from eddy.planner.problem import Flow, Function, Link, Node, Problem, Sink, Source

TIERS = ("device", "gateway", "cloud")


def make(seed: int, private: bool = False, tree: bool = False) -> Problem:
    """Up to 5 functions on up to 6 nodes; labels too when `private`."""
    rng = random.Random(seed)
    count = rng.randint(3, 6)
    tiers = ["device", "gateway", *(rng.choice(("device", "gateway", "gateway", "cloud")) for _ in range(count - 2))]
    nodes = tuple(
        Node(f"n{i}", tier, cores=rng.choice((0.1, 1, 4)), speed=rng.choice((1, 2)), ram_bytes=rng.randint(3, 9), price_per_h=rng.random(),
             energy_j_per_cpu_s=rng.random(), battery_j=rng.choice((None, 200000.0)),
             operators=rng.choice((None, frozenset("a"), None, frozenset())))
        for i, tier in enumerate(tiers)
    )  # fmt: skip
    ways = {(rng.randrange(i), i) for i in range(1, count)}
    for _ in range(0 if tree else rng.randint(0, 3)):
        ways.add(tuple(sorted(rng.sample(range(count), 2))))  # type: ignore[arg-type]
    links = tuple(Link(f"n{a}", f"n{b}", rng.choice((300.0, 3000.0, 1e6)), rng.randint(1, 99) / 997, rng.random(), rng.random() / 1e3)
                  for a, b in sorted(ways))  # fmt: skip
    labels = ("device", "gateway", "gateway", "cloud") if private else ("cloud",)
    functions = tuple(
        Function(f"f{i}", {tier: rng.random() / 20 for tier in TIERS if rng.random() < 0.96}, ram_bytes=rng.randint(1, 4),
                 operators=frozenset(rng.choice(("", "", "a"))), at=rng.choice(((),) * 6 + (("gateway", "cloud"), ("n0", "n1", "n2"))),
                 near=rng.choice((None, None, "s0")), beside="f0" if i and rng.random() < 0.1 else None,
                 releases=rng.choice((None, None, None, *labels)) if private else None)
        for i in range(rng.randint(1, 5))
    )  # fmt: skip
    sources = tuple(Source(f"s{i}", f"n{rng.randrange(count)}", rng.choice(labels)) for i in range(rng.randint(1, 2)))
    sinks = (Sink("k0", f"n{rng.randrange(count)}"),)
    flows = [Flow(rng.choice(sources).name, functions[0].name, rng.randint(1, 60), 2.0)]
    for i in range(1, len(functions)):
        earlier = [f"f{j}" for j in range(i)] + [source.name for source in sources]
        for producer in rng.sample(earlier, min(len(earlier), rng.choice((1, 1, 2)))):
            flows.append(Flow(producer, f"f{i}", rng.randint(1, 60), 2.0))
    flows.append(Flow(functions[-1].name, "k0", rng.randint(1, 9), 1.0))
    order = rng.sample(("latency", "energy", "traffic", "cost"), rng.randint(1, 4))
    return Problem(functions, sources, sinks, tuple(flows), nodes, links, tuple(order))


def paths(problem: Problem) -> dict[tuple[str, str], list[str]]:
    """The quickest path between every two nodes that are up."""
    up = [node.name for node in problem.nodes if node.reach == "up"]
    found = {}
    for start in up:
        heap: list[tuple[float, list[str]]] = [(0.0, [start])]
        done: set[str] = set()
        while heap:
            length, path = heapq.heappop(heap)
            if path[-1] in done:
                continue
            done.add(path[-1])
            found[start, path[-1]] = path
            for link in problem.links:
                for here, there in ((link.a, link.b), (link.b, link.a)):
                    if here == path[-1] and there in up and there not in done:
                        heapq.heappush(heap, (length + link.latency_s, [*path, there]))
    return found


def births(problem: Problem) -> dict[str, set[tuple[str, str]]]:
    """For each name, (level, where born) of all it gets, by walking back every way on which data can come."""
    label = {source.name: source.label for source in problem.sources}
    label.update({function.name: function.releases for function in problem.functions if function.releases})

    def back(name: str, seen: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for flow in problem.flows:
            if flow.consumer == name and flow.producer not in seen:
                if flow.producer in label:
                    yield label[flow.producer], flow.producer
                else:
                    yield from back(flow.producer, (*seen, flow.producer))

    return {name: set(back(name, (name,))) for name in [f.name for f in problem.functions] + [k.name for k in problem.sinks]}


def leaks(problem: Problem, placement: dict[str, str], ways: dict[tuple[str, str], list[str]]) -> bool:
    """Whether labelled data touches a node where it must not be, followed hop by hop from where it is born."""
    tier = {node.name: node.tier for node in problem.nodes}
    on = {**{source.name: source.node for source in problem.sources}, **{sink.name: sink.node for sink in problem.sinks}, **placement}
    born = [(source.name, source.label) for source in problem.sources] + [(f.name, f.releases) for f in problem.functions if f.releases]
    for origin, level in born:
        carriers, queue = {origin}, [origin]
        while queue:
            name = queue.pop()
            for flow in problem.flows:
                if flow.producer != name:
                    continue
                # Without a way nothing flows, but what a function got before is still in its state.
                still = [placement[flow.consumer]] if flow.consumer in placement else []
                touched = ways.get((on.get(name, ""), on.get(flow.consumer, "")), still)
                for node in touched:
                    here = node == on.get(origin)
                    if not (level == "cloud" or here or (level == "gateway" and tier[node] == "gateway")):
                        return True
                function = next((f for f in problem.functions if f.name == flow.consumer), None)
                if function is not None and function.releases is None and flow.consumer not in carriers:
                    carriers.add(flow.consumer)
                    queue.append(flow.consumer)
    return False


def fits(problem: Problem, placement: dict[str, str], ways: dict[tuple[str, str], list[str]]) -> bool:
    """Capabilities, `at`, `with`, capacity of nodes and links."""
    nodes = {node.name: node for node in problem.nodes}
    on = {**{source.name: source.node for source in problem.sources}, **{sink.name: sink.node for sink in problem.sinks}, **placement}
    rate = {f.name: sum(flow.samples_per_s for flow in problem.flows if flow.consumer == f.name) for f in problem.functions}
    for function in problem.functions:
        if function.name not in placement:
            continue
        node = nodes[placement[function.name]]
        if node.tier not in function.cpu_s or (function.at and node.name not in function.at and node.tier not in function.at):
            return False
        if node.operators is not None and function.operators - node.operators:
            return False
        if function.beside and placement.get(function.beside, node.name) != node.name:
            return False
    for node in problem.nodes:
        here = [f for f in problem.functions if placement.get(f.name) == node.name]
        load = sum(f.cpu_s[node.tier] / node.speed * rate[f.name] for f in here)
        power = float("inf") if node.battery_j is None else node.battery_j / node.life_s
        if sum(f.ram_bytes for f in here) > node.ram_bytes or load > node.cores or load * node.energy_j_per_cpu_s > power:
            return False
    for link in problem.links:
        bits = 0.0
        for flow in problem.flows:
            path = ways.get((on.get(flow.producer, ""), on.get(flow.consumer, "")), [])
            bits += 8 * flow.bytes_per_s * sum({a, b} == {link.a, link.b} for a, b in itertools.pairwise(path))
        if bits > link.bandwidth_bit_s:
            return False
    return True


def criteria(problem: Problem, placement: dict[str, str], ways: dict[tuple[str, str], list[str]]) -> dict[str, float]:
    """Latency (s), energy (W), traffic (byte-links/s) and cost (money/s), `near` included, straight from their definitions."""
    nodes = {node.name: node for node in problem.nodes}
    on = {**{source.name: source.node for source in problem.sources}, **{sink.name: sink.node for sink in problem.sinks}, **placement}
    total = dict.fromkeys(("latency", "energy", "traffic", "cost"), 0.0)
    for function in problem.functions:
        node = nodes[placement[function.name]]
        seconds = function.cpu_s[node.tier] / node.speed
        load = seconds * sum(flow.samples_per_s for flow in problem.flows if flow.consumer == function.name)
        total["latency"] += seconds
        total["energy"] += load * node.energy_j_per_cpu_s
        total["cost"] += load / node.cores * node.price_per_h / 3600
    wishes = [Flow(f.near, f.name, 0.0, 0.0) for f in problem.functions if f.near]
    for flow in [*problem.flows, *wishes]:
        path = ways[on[flow.producer], on[flow.consumer]]
        size = flow.bytes_per_s / flow.samples_per_s if flow.samples_per_s else 0.0
        for a, b in itertools.pairwise(path):
            link = next(link for link in problem.links if {link.a, link.b} == {a, b})
            total["latency"] += link.latency_s + size * 8 / link.bandwidth_bit_s
            total["energy"] += flow.bytes_per_s * link.energy_j_per_byte
            total["traffic"] += flow.bytes_per_s
            total["cost"] += flow.bytes_per_s * link.price_per_gb / 1e9
    return total


def placements(problem: Problem, names: list[str]) -> Iterator[dict[str, str]]:
    """Every way to put these functions on nodes that are up."""
    up = [node.name for node in problem.nodes if node.reach == "up"]
    for choice in itertools.product(up, repeat=len(names)):
        yield dict(zip(names, choice, strict=True))
