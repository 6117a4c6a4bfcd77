"""What deployment needs of each instance comes from the expansion that the plan uses."""

from pathlib import Path

import pytest

from eddy.errors import SettingError
from eddy.kernel.features import NAMES
from eddy.planner.from_app import problem
from eddy.planner.privacy import Label
from eddy.planner.wired import Wired
from eddy.planner.wiring import wiring
from eddy.spec.load import load, parse

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*/eddy.yaml"))


@pytest.fixture
def pump() -> dict[str, Wired]:
    return {one.instance: one for one in wiring(load(EXAMPLES[-1]))}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_plan_and_wiring_speak_of_the_same_instances_and_flows(file: Path) -> None:
    app = load(file)
    wired, planned = [one for one in wiring(app) if "." not in one.instance], problem(app)
    names = [one.name for group in (planned.functions, planned.sources, planned.sinks) for one in group]
    assert sorted(one.instance for one in wired) == sorted(names)
    flows = {(producer, one.instance) for one in wired for producer in one.inputs if "." not in producer}
    assert flows == {(f.producer, f.consumer) for f in planned.flows}
    assert {one.instance: one.node for one in wired if one.kind != "function" and one.node} == planned.pinned()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_producers_come_before_consumers_except_for_what_comes_back_from_a_loop(file: Path) -> None:
    seen: set[str] = set()
    for one in wiring(load(file)):
        assert {name for name in one.inputs if "." not in name} <= seen
        seen.add(one.instance)


def test_an_instance_knows_what_it_runs_and_what_it_takes_in(pump: dict[str, Wired]) -> None:
    detect = pump["detect@pump-3"]
    assert (detect.kind, detect.name, detect.node) == ("function", "detect", "pump-3")
    assert detect.inputs == ("features@pump-3", "bearing-health.champion@pump-3")
    assert detect.program[:2] == ["eddy.kernel.functions.model", "Model"]
    assert set(detect.program[2]["features"]) == set(NAMES)
    assert detect.program[2]["uses"] == ["rms", "mean_abs_difference", "peak_to_peak"]
    assert (detect.copies, detect.on_partition) == (1, "stay")
    assert pump["judge"].inputs == (*(f"report@pump-{number}" for number in range(1, 5)), "bearing-health.pool")
    assert pump["judge"].node == "gw"
    assert pump["alarm"].program == ["eddy.kernel.functions.rule", "Rule", {"when": ["anomalies", 5, 6]}]


DRIVERS = "eddy.loop.drivers"


def test_the_loop_of_a_model_stands_beside_what_the_app_declares(pump: dict[str, Wired]) -> None:
    devices = {f"report@pump-{number}": f"pump-{number}" for number in range(1, 5)}
    made = {name: one for name, one in pump.items() if one.name == "bearing-health"}
    champions = {f"bearing-health.champion@pump-{number}" for number in range(1, 5)}
    assert set(made) == {"bearing-health.loop", "bearing-health.pool", *champions}
    loop, pool, champion = (made[f"bearing-health.{name}"] for name in ("loop", "pool", "champion@pump-2"))
    module, name, arguments = loop.program
    assert (loop.kind, loop.inputs, module, name) == ("sink", ("judge",), DRIVERS, "Reports")
    assert (arguments["model"], arguments["devices"]) == ("bearing-health", devices)
    assert arguments["settings"]["pool_trees"] == [10, 20, 30, 40, 50]
    assert (pool.kind, pool.inputs, pool.program) == ("source", (), [DRIVERS, "Pool", {"model": "bearing-health"}])
    assert champion.program == [DRIVERS, "Champions", {"model": "bearing-health", "device": "pump-2"}]
    assert pump["detect@pump-2"].program[2]["home"] == ["bearing-health", "pump-2"]
    assert pump["judge"].program[2]["devices"] == devices
    assert {one.node for one in made.values()} == {"gw"}
    assert {one.labels for one in made.values()} == {pump["judge"].labels}
    assert all((one.copies, one.on_partition, one.private, one.effect) == (0, "stay", None, None) for one in made.values())


def test_judges_that_are_not_merged_share_a_loop_and_a_pool() -> None:
    text = EXAMPLES[-1].read_text().replace("at: gw, merge: pump}", "at: gw}")
    app = {one.instance: one for one in wiring(parse(text))}
    assert app["bearing-health.loop"].inputs == tuple(f"judge@pump-{number}" for number in range(1, 5))
    for number in range(1, 5):
        judge = app[f"judge@pump-{number}"]
        assert judge.inputs == (f"report@pump-{number}", "bearing-health.pool")
        assert judge.program[2]["devices"] == {f"report@pump-{number}": f"pump-{number}"}
        assert app[f"detect@pump-{number}"].inputs[1:] == (f"bearing-health.champion@pump-{number}",)
    assert set(app["bearing-health.loop"].program[2]["devices"].values()) == {f"pump-{number}" for number in range(1, 5)}


HALL = """
app: hall
nodes: {dev: {tier: device, board: esp32}, gw: {tier: gateway}, other: {tier: gateway}, cloud: {tier: cloud}}
links: {dev-gw: {bandwidth: 1Mbit/s}, gw-cloud: {bandwidth: 1Mbit/s}, gw-other: {bandwidth: 1Mbit/s}}
sources:
  a: {at: dev, driver: simulated, rate: 100Hz PRIVATE}
  b: {at: dev, driver: simulated, rate: 100Hz PRIVATE}
functions:
  wa: {use: window, from: a, size: 1s}
  wb: {use: window, from: b, size: 1s}
  fa: {use: features, from: wa, compute: [rms]}
  fb: {use: features, from: wb, compute: [rms]}
  da: {use: model, from: fa, model: m}
  db: {use: model, from: fb, model: m}
  loud: {use: filter, from: da, when: "value[0] > 1"}
  j: {use: pool, from: [loud, db], model: m PINNED}
  k: {use: pool, from: da, model: m}
models: {m: {pool: {trees: [5], train: TIER}}}
"""


def hall(private: str = "", pinned: str = "", tier: str = "gateway") -> dict[str, Wired]:
    return {one.instance: one for one in wiring(parse(HALL.replace(" PRIVATE", private).replace(" PINNED", pinned).replace("TIER", tier)))}


def test_several_models_on_a_node_are_told_apart() -> None:
    app = hall()
    assert app["m.loop"].program[2]["devices"] == {"loud": "da", "db": "db", "da": "da"}
    assert (app["da"].program[2]["home"], app["db"].program[2]["home"]) == (["m", "da"], ["m", "db"])
    assert (app["da"].inputs, app["db"].inputs) == (("fa", "m.champion@da"), ("fb", "m.champion@db"))
    assert {name for name in app if name.startswith("m.champion@")} == {"m.champion@da", "m.champion@db"}


def test_the_loop_hears_the_first_judge_of_a_model_and_tells_all() -> None:
    app = hall()
    assert app["m.loop"].inputs == ("j",)
    assert (app["j"].inputs, app["k"].inputs) == (("loud", "db", "m.pool"), ("da", "m.pool"))
    assert app["k"].program[2]["devices"] == {"da": "da"}


@pytest.mark.parametrize(
    ("private", "pinned", "tier", "node"),
    [
        ("", "", "gateway", "gw"),
        ("", "", "cloud", "cloud"),
        ("", ", at: other", "cloud", "other"),
        (", private: gateway", "", "cloud", "gw"),
    ],
)
def test_the_loop_is_where_its_judge_is_or_where_pools_are_trained_and_may_be_seen(private: str, pinned: str, tier: str, node: str) -> None:
    app = hall(private, pinned, tier)
    assert {one.node for one in app.values() if one.instance.startswith("m.")} == {node}


def test_a_pool_of_what_must_not_leave_the_device_is_told() -> None:
    with pytest.raises(SettingError, match=r"pool of m.*a \(device\)"):
        hall(", private: device")


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
    text = EXAMPLES[-1].read_text().replace("health, at: pump}", "health, near: relay, with: report, at: [pump, gw]}")
    functions = {one.name: one for one in problem(parse(text)).functions}
    detect = functions["detect@pump-3"]
    assert (detect.at, detect.near, detect.beside) == (("pump-3", "gw"), "relay@pump-3", "report@pump-3")


def test_a_tier_is_no_node_to_be_pinned_to() -> None:
    text = "app: a\nnodes: {gw: {tier: gateway}}\nsources: {s: {at: gw, driver: simulated}}\n"
    app = parse(text + "functions: {f: {use: counter, from: s, at: gateway}, g: {use: counter, from: s, at: gw}}")
    assert {one.instance: one.node for one in wiring(app)} == {"s": "gw", "f": None, "g": "gw"}
