"""What deployment needs of each instance comes from the expansion that the plan uses."""

from pathlib import Path

import pytest

from eddy.planner.from_app import problem
from eddy.planner.privacy import Label
from eddy.planner.wiring import Wired, wiring
from eddy.spec.load import load, parse

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*/eddy.yaml"))


@pytest.fixture
def pump() -> dict[str, Wired]:
    return {one.instance: one for one in wiring(load(EXAMPLES[-1]))}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_plan_and_wiring_speak_of_the_same_instances_and_flows(file: Path) -> None:
    app = load(file)
    wired, planned = wiring(app), problem(app)
    names = [one.name for group in (planned.functions, planned.sources, planned.sinks) for one in group]
    assert sorted(one.instance for one in wired) == sorted(names)
    assert {(producer, one.instance) for one in wired for producer in one.inputs} == {(f.producer, f.consumer) for f in planned.flows}
    assert {one.instance: one.node for one in wired if one.kind != "function" and one.node} == planned.pinned()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_producers_come_before_consumers(file: Path) -> None:
    seen: set[str] = set()
    for one in wiring(load(file)):
        assert set(one.inputs) <= seen
        seen.add(one.instance)


def test_an_instance_knows_what_it_runs_and_what_it_takes_in(pump: dict[str, Wired]) -> None:
    detect = pump["detect@pump-3"]
    assert (detect.kind, detect.name, detect.inputs, detect.node) == ("function", "detect", ("features@pump-3",), None)
    assert detect.program[:2] == ["eddy.kernel.functions.model", "Model"]
    assert detect.program[2]["features"] == ["rms", "mean_abs_difference", "peak_to_peak"]
    assert (detect.copies, detect.on_partition) == (1, "stay")
    assert pump["judge"].inputs == tuple(f"report@pump-{number}" for number in range(1, 5))
    assert pump["judge"].node == "gw"
    assert pump["alarm"].program == ["eddy.kernel.functions.rule", "Rule", {"when": ["anomalies", 5, 6]}]


def test_labels_follow_the_data_until_they_are_released(pump: dict[str, Wired]) -> None:
    assert (pump["vibration@pump-1"].private, pump["vibration@pump-1"].labels) == ("device", frozenset())
    assert pump["features@pump-1"].labels == {Label("device", "vibration@pump-1")}
    assert (pump["features@pump-1"].private, pump["report@pump-1"].private) == ("gateway", "gateway")
    assert {label.born for label in pump["alarm"].labels} == {f"features@pump-{number}" for number in range(1, 5)}
    assert (pump["alarm"].private, pump["operator"].labels) == (None, frozenset())


def test_sinks_say_what_a_repeat_does_and_what_is_safe(pump: dict[str, Wired]) -> None:
    relay, operator = pump["relay@pump-2"], pump["operator"]
    assert (relay.effect, relay.safe, relay.node, relay.copies) == ("idempotent", False, "pump-2", 0)
    assert (operator.effect, operator.safe, operator.node) == ("at-least-once", None, None)


def test_places_and_company_are_those_of_the_same_node() -> None:
    text = EXAMPLES[-1].read_text().replace("near: vibration}", "near: relay, with: report, at: [pump, gw]}")
    functions = {one.name: one for one in problem(parse(text)).functions}
    detect = functions["detect@pump-3"]
    assert (detect.at, detect.near, detect.beside) == (("pump-3", "gw"), "relay@pump-3", "report@pump-3")


def test_a_tier_is_no_node_to_be_pinned_to() -> None:
    text = "app: a\nnodes: {gw: {tier: gateway}}\nsources: {s: {at: gw, driver: simulated}}\n"
    app = parse(text + "functions: {f: {use: counter, from: s, at: gateway}, g: {use: counter, from: s, at: gw}}")
    assert {one.instance: one.node for one in wiring(app)} == {"s": "gw", "f": None, "g": "gw"}
