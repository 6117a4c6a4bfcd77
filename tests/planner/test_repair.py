"""What runs stays where it is unless moving pays or a loss forces it."""

from dataclasses import replace

import pytest

from eddy.bench.plan import fleet
from eddy.errors import NoPlan, SettingError
from eddy.planner.explain import Running, changes, figures, reasons
from eddy.planner.plan import plan
from eddy.planner.problem import Flow, Function, Link, Moving, Node, Problem, Sink, Source
from eddy.planner.repair import repair

SMALL = {"gateway": 0.001, "cloud": 0.001}


def pair(moving: Moving | None = None, ram: float = 100) -> Problem:
    """A sensor behind gw-a, with gw-b and a cloud beside: `near` is best on gw-a."""
    return Problem(
        (Function("near", SMALL, 60, state_bytes=1000, digest="1"), Function("far", SMALL, 60)),
        (Source("sensor", "device"),),
        (Sink("table", "cloud"),),
        (Flow("sensor", "near", 1000, 10), Flow("near", "far", 10, 1), Flow("far", "table", 1, 1)),
        (Node("device", "device"), Node("gw-a", "gateway", ram_bytes=ram), Node("gw-b", "gateway", ram_bytes=ram), Node("cloud", "cloud")),
        (Link("device", "gw-a", latency_s=0.01), Link("gw-a", "cloud", latency_s=0.05), Link("gw-b", "cloud", latency_s=0.05)),
        moving=moving or Moving(),
    )


def test_moves_when_moving_pays_and_stays_when_it_costs_more() -> None:
    running = {"near": "gw-b", "far": "cloud"}
    assert plan(pair(Moving(0.01)), running).placement["near"] == "gw-a"
    assert plan(pair(Moving(0.0, 1e-2)), running).placement["near"] == "gw-b"


def test_what_runs_as_planned_has_nothing_to_change() -> None:
    first = plan(pair())
    there = {**first.placement, **pair().pinned()}
    running = {name: Running(node, "1" if name == "near" else "") for name, node in there.items()}
    again = plan(pair(), first.placement)
    assert changes(again, running) == []
    assert again.objective == pytest.approx(first.objective)


def test_differences_are_create_change_remove_and_move() -> None:
    found = plan(pair(Moving(0)))
    running = {"near": Running("gw-b", "1"), "old": Running("gw-a")}
    told = [str(change) for change in changes(found, running)]
    assert told == ["→ near  gw-b → gw-a", "+ far  cloud", "+ sensor  device", "+ table  cloud", "- old  gw-a"]
    running = {"near": Running("gw-a", "0"), "far": Running("cloud"), "sensor": Running("device"), "table": Running("cloud")}
    assert [str(change) for change in changes(found, running)] == ["~ near  gw-a: its settings change"]


def test_says_why_here_and_what_it_would_cost_elsewhere() -> None:
    found = plan(pair())
    near = next(reason for reason in reasons(found) if reason.function == "near")
    assert near.node == "gw-a" and near.why_not["cloud"].startswith("traffic +")
    far = next(reason for reason in reasons(plan(replace(pair(), sinks=(Sink("table", "device"),)))) if reason.function == "far")
    assert far.node == "cloud" and far.why_not["gw-a"] == "no RAM left"
    assert any("latency" in line for line in figures(found)) and any("RAM 60 B of 100 B" in line for line in figures(found))


def test_a_loss_moves_what_was_there_and_nothing_else() -> None:
    problem = fleet(40, 120)
    before = plan(problem, limit_s=0.3)
    hosts = list(before.placement.values())
    lost = max((node.name for node in problem.nodes if node.tier == "gateway"), key=hosts.count)
    after = repair(problem.without([lost]), before.placement, before.costs.topology)
    assert {name for name, node in after.placement.items() if node != before.placement[name]} == {
        name for name, node in before.placement.items() if node == lost and name in after.placement
    }
    assert lost in hosts and lost not in after.placement.values()


def test_when_there_is_no_room_beside_what_stays_others_make_room() -> None:
    problem = Problem(
        (Function("big", {"gateway": 0.001}, 90), Function("small", SMALL, 20)),
        (Source("sensor", "cloud"),),
        (),
        (Flow("sensor", "big", 1, 1), Flow("sensor", "small", 1, 1)),
        (Node("gw-a", "gateway", ram_bytes=100), Node("gw-b", "gateway", ram_bytes=100), Node("cloud", "cloud")),
        (Link("gw-a", "cloud", latency_s=0.05), Link("gw-b", "cloud", latency_s=0.05)),
    )
    after = repair(problem.without(["gw-a"]), {"big": "gw-a", "small": "gw-b"})
    assert after.placement == {"big": "gw-b", "small": "cloud"}


def test_what_is_cut_off_goes_on_where_it_is() -> None:
    problem = replace(pair(), functions=(Function("near", {"device": 0.001, **SMALL}), Function("far", SMALL)))
    after = repair(problem.without(["gw-a"]), {"near": "device", "far": "gw-a"})
    assert after.placement == {"far": "cloud"} and after.away == {"near": "goes on at device, which is cut off"}


def test_without_room_anywhere_there_is_no_plan_and_the_message_says_what_lacks() -> None:
    problem = replace(pair(ram=50), functions=(Function("near", {"gateway": 0.001}, 60), Function("far", SMALL, 1)))
    with pytest.raises(NoPlan, match=r"near fits no node: .*needs 60 RAM, gw-a has 50"):
        plan(problem)
    problem = replace(pair(ram=100), functions=(Function("near", {"gateway": 0.001}, 60, beside="far"), Function("far", SMALL, 60)))
    with pytest.raises(NoPlan, match=r"RAM|room"):
        plan(problem)


def test_unknown_names_and_missing_links_are_told() -> None:
    with pytest.raises(SettingError, match="names nowhere"):
        replace(pair(), sinks=(Sink("table", "nowhere"),))
    with pytest.raises(SettingError, match="more than one node named cloud"):
        replace(pair(), nodes=(*pair().nodes, Node("cloud", "cloud")))
    with pytest.raises(SettingError, match="no link leads from device to gw-b"):
        plan(replace(pair(), links=pair().links[:2]))
