"""What a hub does when a person says that a node is gone for good."""

from pathlib import Path

import pytest

from eddy.errors import NoPlan
from eddy.hub.house import House

EXAMPLE = (Path(__file__).parents[2] / "examples" / "pump" / "eddy.yaml").read_text()
MILL = """
app: mill
nodes:
  gw: {tier: gateway}
  aside: {tier: gateway}
links:
  gw-aside: {latency: 1ms}
sources:
  speed: {at: gw, driver: simulated}
functions:
  mean: {use: mean, from: speed, over: 1s, copies: 0}
sinks:
  log: {from: mean, driver: log, file: means.jsonl}
"""


PLANT = """
app: plant
nodes:
  pump: {tier: device}
  gw: {tier: gateway}
links:
  pump-gw: {kind: serial, rate: 9600baud}
sources:
  room: {at: gw, driver: http, listen: "127.0.0.1:8090", scale: 100, unit: Cel}
  sound: {at: pump, driver: simulated, rate: 1Hz, chunk: 100, private: device}
functions:
  windows: {use: window, from: sound, size: 5s}
  features: {use: features, from: windows, compute: [rms], releases: gateway}
  hot: {use: alarm, from: room, raise: value > 30}
  own: {use: "own.py:Own", from: room}
sinks:
  log: {from: hot, at: gw, driver: log, file: hot.jsonl}
  lake: {from: room, at: gw, driver: lake}
  told: {from: [hot, features], driver: webhook, to: "https://example.org/hook"}
"""
OWN = b"class Own:\n    def on(self, sample):\n        return []\n"


def owners(house: House) -> dict[str, str]:
    return {one.instance: one.node for one in house.functions()}


def test_what_hangs_on_a_device_that_is_gone_waits_for_it_and_the_rest_goes_on(house: House) -> None:
    house.apply(EXAMPLE, {}, dry=False)
    before = [(one.instance, one.node, one.term) for one in house.functions()]
    house.declare_gone("pump-4", "burnt")
    assert {one.name: one.state for one in house.nodes()}["pump-4"] == "gone"
    assert [(one.instance, one.node, one.term) for one in house.functions()] == before


def test_an_app_that_has_no_place_without_a_node_does_not_keep_another_from_its_new_one(house: House) -> None:
    house.apply(EXAMPLE, {}, dry=False)
    house.apply(MILL, {}, dry=False)
    assert owners(house)["mean"] == "gw"
    with pytest.raises(NoPlan):
        house.declare_gone("gw", "burnt")
    assert owners(house)["mean"] == "aside"


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("8090", "8091", OWN),
        ("scale: 100", "scale: 10", OWN),  # what is compared, kept and told is another count then
        ("unit: Cel", "unit: K", OWN),
        ("rate: 1Hz", "rate: 2Hz", OWN),  # it runs inside its last function
        ("hot.jsonl", "cold.jsonl", OWN),
        ("/hook", "/other", OWN),
        ("value > 30", "value > 31", OWN),
        ("scale", "scale", OWN + b"\n"),
        ("scale", "scale", OWN),
        ("  log: {from: hot, at: gw, driver: log, file: hot.jsonl}\n", "", OWN),
    ],
)
def test_a_plan_names_what_the_hub_then_changes_and_nothing_else(house: House, before: str, after: str, code: bytes) -> None:
    house.apply(PLANT, {"own.py": OWN}, dry=False)
    changed = PLANT.replace(before, after)
    said = house.apply(changed, {"own.py": code}, dry=True)["changes"]
    last = house.decisions(None, None, 1)[0].number
    house.apply(changed, {"own.py": code}, dry=False)
    done = {line.instance for line in house.decisions(None, last, 1000) if not line.what.startswith("revision 1,")}
    inside = {"sound": "features", "windows": "features"}
    assert {inside.get(one["function"], one["function"]) for one in said} == done
    assert house.apply(changed, {"own.py": code}, dry=True)["changes"] == []
