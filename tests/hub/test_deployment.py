"""From an app to charters: what runs inside a source, who may hold what, and who gets copies."""

from pathlib import Path
from unittest.mock import ANY

import pytest

from eddy.errors import SettingError
from eddy.hub.deployment import LINE_BYTES, Wanted, deploy
from eddy.spec.load import load, parse

EXAMPLES = Path(__file__).parents[2] / "examples"


def wanted(name: str) -> dict[str, Wanted]:
    return {one.charter.instance: one for one in deploy(load(EXAMPLES / name / "eddy.yaml"), {}, {})[1]}


def test_what_only_sees_raw_samples_runs_inside_their_source_on_the_device() -> None:
    pump = wanted("pump")
    features = pump["features@pump-2"]
    kind, _, stages = features.charter.program
    assert kind == "source"
    assert [stage[1] for stage in stages] == ["Window", "Features"]
    assert features.parts == ["vibration@pump-2", "windows@pump-2"]
    assert (features.owner, features.charter.confined, features.charter.inputs) == ("pump-2", ["pump-2"], [])
    assert "windows@pump-2" not in pump


def test_a_device_that_is_lost_gets_the_same_when_it_is_back() -> None:
    app = load(EXAMPLES / "pump" / "eddy.yaml")
    before = deploy(app, {}, {})[1]
    after = deploy(app, {}, {one.charter.instance: one.owner for one in before}, ["pump-4"])[1]

    def told(wanted: list[Wanted]) -> list[object]:
        return [(one.charter.seal(), one.owner, one.parts) for one in wanted]

    assert told(after) == told(before)


def test_every_charter_is_confined_to_where_its_labels_allow_and_nobody_else_holds_it() -> None:
    for name in ("pump", "air", "activity"):
        for one in wanted(name).values():
            assert one.charter.may_be_on(one.owner), one.charter.instance
            assert all(one.charter.may_be_on(holder) and holder != one.owner for holder in one.holders)
    pump = wanted("pump")
    assert pump["judge"].charter.confined == ["gw"]  # what the pumps released may be at gateways, and on no pump but its own
    assert pump["detect@pump-1"].charter.confined == ["pump-1", "gw"]
    assert pump["operator"].charter.confined == []  # an alarm may go anywhere


def test_inputs_are_the_producers_and_consumers_their_mirror() -> None:
    pump = wanted("pump")
    assert pump["judge"].charter.inputs == [*(f"report@pump-{number}" for number in range(1, 5)), "bearing-health.pool"]
    for one in pump.values():
        for consumer in one.consumers:
            if not consumer.endswith("!"):
                assert one.charter.instance in pump[consumer].charter.inputs
    assert pump["relay@pump-3"].consumers == ["relay@pump-3!"]
    assert pump["alarm"].narrow["relay@pump-3"] == LINE_BYTES  # it is behind a slow line
    assert pump["relay@pump-3"].charter.program[2] == {"safe": False, "silence_ms": 5000}


def test_a_model_trusts_packages_of_this_hub_for_where_it_is_and_no_others() -> None:
    app = load(EXAMPLES / "pump" / "eddy.yaml")
    one = {one.charter.instance: one for one in deploy(app, {}, {}, key=b"public")[1]}["detect@pump-2"]
    arguments = one.charter.program[2]
    assert (arguments["home"], arguments["key"]) == (["bearing-health", "pump-2"], b"public")
    assert one.charter.inputs == ["features@pump-2", "bearing-health.champion@pump-2"]


def test_the_loop_of_a_model_is_at_one_gateway_with_what_it_may_see() -> None:
    pump = wanted("pump")
    names = ["bearing-health.loop", "bearing-health.pool", *(f"bearing-health.champion@pump-{number}" for number in range(1, 5))]
    for name in names:
        assert (pump[name].owner, pump[name].holders, pump[name].charter.confined) == ("gw", [], ["gw"]), name
    assert pump["bearing-health.loop"].charter.program[:2] == ["sink", ["eddy.loop.drivers", "Reports", ANY]]
    assert pump["bearing-health.loop"].consumers == ["bearing-health.loop!"]
    assert pump["bearing-health.pool"].charter.program == ["source", ["eddy.loop.drivers", "Pool", {"model": "bearing-health"}], []]
    assert pump["bearing-health.pool"].consumers == ["judge"]
    champion = pump["bearing-health.champion@pump-3"]
    assert champion.consumers == ["detect@pump-3"]
    assert ("detect@pump-3" in champion.narrow) == (pump["detect@pump-3"].owner == "pump-3")
    assert set(pump["judge"].consumers) == {"alarm", "bearing-health.loop"}


def test_copies_are_on_other_nodes_but_never_on_devices() -> None:
    air = wanted("air")
    assert (air["hourly"].owner, air["hourly"].holders) == ("station", ["cloud"])
    assert air["pm25"].holders == air["record"].holders == []
    assert not air["bad"].charter.stay and air["hourly"].charter.stay
    assert all(not holder.startswith("pump") for one in wanted("pump").values() for holder in one.holders)


def test_a_copy_of_a_source_goes_on_with_the_session_of_the_owner_where_its_samples_may_be() -> None:
    def took(more: str) -> list[Wanted]:
        source = f"{{at: gw, driver: mqtt, to: 'mqtt://broker', topic: a, copies: 1{more}}}"
        nodes = "nodes: {gw: {tier: gateway, count: 2}, cloud: {tier: cloud}}\nlinks: {gw-cloud: {}}"
        text = f"app: x\n{nodes}\nsources:\n  took: {source}\n"
        return deploy(parse(text), {}, {})[1]

    first, second = took("")
    assert (first.owner, first.holders, second.owner, second.holders) == ("gw-1", ["gw-2"], "gw-2", ["gw-1"])
    assert [one.charter.program[1][2]["client"] for one in (first, second)] == ["x.took@gw-1", "x.took@gw-2"]
    assert "copies" not in first.charter.program[1][2]
    assert [one.holders for one in took(", private: gateway")] == [["gw-2"], ["gw-1"]]
    assert [one.holders for one in took(", private: device")] == [[], []]
    assert {one.charter.program[1][2]["client"] for one in took(", client: me")} == {"me@gw-1", "me@gw-2"}


def test_a_file_of_ones_own_is_named_by_its_hash_and_must_come_along(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("class Own:\n    def on(self, sample):\n        return []\n")
    app = "app: a\nnodes: {gw: {tier: gateway}}\nsources: {s: {at: gw, driver: simulated}}\nfunctions: {f: {use: own.py:Own, from: s}}\n"
    with pytest.raises(SettingError, match=r"own\.py"):
        deploy(parse(app, folder=tmp_path), {}, {})
    program = {one.name: one for one in deploy(parse(app, folder=tmp_path), {"own.py": b"x"}, {})[1]}["f"].charter.program
    assert program[:2] == ["own.py", "Own"] and len(program[3]) == 32
