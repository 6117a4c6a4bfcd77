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
