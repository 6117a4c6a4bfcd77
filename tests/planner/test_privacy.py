"""Labels: the planner's verdict equals that of a checker that follows the data hop by hop, before and after the loss of a node."""

import random
from dataclasses import replace

import pytest
from fleets import births, fits, leaks, make, paths, placements

from eddy.errors import NoPlan
from eddy.planner.plan import plan
from eddy.planner.privacy import check, check_move, labels
from eddy.planner.problem import Flow, Function, Link, Moving, Node, Problem, Sink, Source
from eddy.planner.repair import repair
from eddy.planner.topology import Topology

GRAPHS = 500
EVERYWHERE = {"device": 0.001, "gateway": 0.001, "cloud": 0.001}
SAMPLE = pytest.mark.parametrize("graphs", [GRAPHS // 20, pytest.param(GRAPHS, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])


def pump(features: Function, detect: Function, label: str = "device", middle: str = "gateway", sink: str = "gw") -> Problem:
    """pump – gw – cloud – gw2: vibration on the pump, then features, then detect."""
    return Problem(
        (features, detect),
        (Source("vibration", "pump", label),),  # type: ignore[arg-type]
        (Sink("operator", sink),),
        (Flow("vibration", "features", 100, 2), Flow("features", "detect", 10, 2), Flow("detect", "operator", 1, 1)),
        (Node("pump", "device"), Node("gw", "gateway"), Node("cloud", middle), Node("gw2", "gateway")),  # type: ignore[arg-type]
        (Link("pump", "gw", latency_s=0.01), Link("gw", "cloud", latency_s=0.02), Link("cloud", "gw2", latency_s=0.02)),
    )


@SAMPLE
def test_verdict_equals_the_checkers(graphs: int) -> None:
    with_plan = 0
    for seed in range(graphs):
        problem = make(seed, private=True)
        ways, names = paths(problem), [function.name for function in problem.functions]
        topology = Topology(problem.nodes, problem.links)
        rng = random.Random(seed)
        for _ in range(10):
            some = {name: rng.choice(problem.nodes).name for name in names}
            assert bool(check(problem, topology, some)) == leaks(problem, some, ways), (seed, some)
        possible = any(fits(problem, some, ways) and not leaks(problem, some, ways) for some in placements(problem, names))
        try:
            found = plan(problem, topology=topology)
        except NoPlan:
            assert not possible, seed
        else:
            with_plan += 1
            assert possible and set(found.placement) == set(names), seed
            assert fits(problem, dict(found.placement), ways) and not leaks(problem, dict(found.placement), ways), seed
    assert graphs / 4 < with_plan < graphs


@SAMPLE
def test_verdict_equals_the_checkers_after_a_loss(graphs: int) -> None:
    repaired = moved_nothing_else = 0
    for seed in range(graphs):
        problem = make(seed, private=True, tree=seed % 2 == 0)
        try:
            before = plan(problem)
        except NoPlan:
            continue
        lost = random.Random(seed).choice(problem.nodes).name
        after = problem.without([lost])
        ways, reach = paths(after), {node.name: node.reach for node in after.nodes}
        if "up" not in reach.values():
            continue
        on_cut = {name: node for name, node in before.placement.items() if reach[node] == "cut"}
        must = {name for name, node in before.placement.items() if reach[node] == "lost"}
        try:
            found = repair(after, before.placement, before.costs.topology)
        except NoPlan:
            rest = [name for name in before.placement if name not in on_cut]
            assert not any(fits(after, some, ways) and not leaks(after, {**some, **on_cut}, ways) for some in placements(after, rest)), seed
            continue
        repaired += 1
        placement = dict(found.placement)
        assert fits(after, placement, ways) and not leaks(after, {**placement, **on_cut}, ways), seed
        assert placement.keys() | found.away.keys() == before.placement.keys(), seed
        assert on_cut.keys() <= found.away.keys(), seed
        waiting = sorted(found.away.keys() - on_cut.keys())
        if waiting:
            together = ({**placement, **some} for some in placements(after, waiting))
            assert not any(fits(after, some, ways) and not leaks(after, {**some, **on_cut}, ways) for some in together), seed
        moved = {name for name in placement if placement[name] != before.placement[name]}
        stay = {name: node for name, node in before.placement.items() if name not in must and name not in found.away}
        if moved - must:
            free = [name for name in placement if name in must]
            others = ({**stay, **some} for some in placements(after, free))
            assert not any(fits(after, some, ways) and not leaks(after, {**some, **on_cut}, ways) for some in others), seed
        else:
            moved_nothing_else += 1
    assert moved_nothing_else > graphs / 10


def test_labels_equal_those_found_by_walking_back() -> None:
    for seed in range(100):
        problem = make(seed, private=True)
        found = {name: {(label.level, label.born) for label in into} for name, into in labels(problem).into.items()}
        expected = {name: {(level, born) for level, born in into if level != "cloud"} for name, into in births(problem).items()}
        assert found == expected, seed


def test_raw_samples_stay_on_the_very_node_and_released_features_reach_gateways() -> None:
    features = Function("features", EVERYWHERE, releases="gateway")
    found = plan(pump(features, Function("detect", {"gateway": 0.001, "cloud": 0.001})))
    assert found.placement == {"features": "pump", "detect": "gw"}


def test_a_leak_is_told_hop_by_hop_and_there_is_no_plan() -> None:
    problem = pump(Function("features", {"gateway": 0.001}), Function("detect", EVERYWHERE))
    with pytest.raises(NoPlan, match=r"vibration → features carries data of vibration .*pump → \[pump–gw\] → gw"):
        plan(problem)


def test_a_node_that_relays_must_be_allowed_to_see_the_data() -> None:
    features, detect = Function("features", EVERYWHERE, releases="gateway"), Function("detect", EVERYWHERE, at=("gw2",))
    with pytest.raises(NoPlan, match=r"gw → \[gw–cloud\] → cloud|pump → \[pump–gw\] → gw → \[gw–cloud\] → cloud"):
        plan(pump(features, detect, middle="cloud"))
    assert plan(pump(features, detect, middle="gateway", sink="gw2")).placement["detect"] == "gw2"


def test_a_sink_is_checked_as_well() -> None:
    functions = Function("features", EVERYWHERE), Function("detect", EVERYWHERE)
    with pytest.raises(NoPlan, match="operator"):
        plan(pump(*functions, label="gateway", middle="cloud", sink="cloud"))


def test_state_moves_only_where_all_on_the_way_may_see_what_came_in() -> None:
    features = Function("features", EVERYWHERE, releases="gateway")
    problem = pump(features, Function("detect", EVERYWHERE, releases="cloud", state_bytes=1000), middle="cloud")
    topology = Topology(problem.nodes, problem.links)
    running = {"features": "pump", "detect": "gw"}
    assert check_move(problem, topology, running, "detect", "pump") == []
    leak = check_move(problem, topology, running, "detect", "gw2")[0]
    assert leak.path == ("gw", "cloud") and "state of detect" in str(leak)


def test_a_plan_leaves_state_where_it_could_not_be_carried() -> None:
    features, free = Function("features", {"device": 0.001}, releases="gateway"), Moving(0, 0)
    ways = (("pump", "gw", 0.05), ("pump", "gw2", 0.051), ("gw", "cloud", 0.002), ("cloud", "gw2", 0.002))
    ring = tuple(Link(a, b, latency_s=latency_s) for a, b, latency_s in ways)
    for state_bytes, expected in ((0, "gw"), (1, "gw2")):
        detect = Function("detect", {"gateway": 0.001}, releases="cloud", state_bytes=state_bytes)
        problem = replace(pump(features, detect, middle="cloud"), links=ring, moving=free)
        assert plan(problem, {"features": "pump", "detect": "gw2"}).placement["detect"] == expected


def test_what_was_born_on_a_lost_node_stays_private() -> None:
    features = Function("features", {"device": 0.001}, releases="gateway")
    problem = pump(features, Function("detect", EVERYWHERE), middle="cloud").without(["pump"])
    found = repair(problem, {"features": "pump", "detect": "pump"})
    assert found.placement == {"detect": "gw"}
    assert "waits" in found.away["features"]
