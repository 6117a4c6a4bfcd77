"""The register of devices at the hub: who waits, who was approved or refused, by whom; on SQLite and on PostgreSQL."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from eddy.errors import Refused, SettingError, UnknownName
from eddy.hub import devices as register
from eddy.hub.devices import Devices, Seen
from eddy.hub.house import House
from eddy.hub.view import DeviceView
from eddy.kernel.codec import decode, encode
from eddy.links.driver import Home
from eddy.links.senders import WAITING, Approval

APP = """
app: house
nodes: {gw: {tier: gateway, count: 2}, cloud: {tier: cloud}}
links: {gw-cloud: {latency: 1ms}}
sources:
  room: {at: gw, driver: http, listen: 127.0.0.1:0, origin: room, unknown: wait}
  hall: {at: gw, driver: http, listen: 127.0.0.1:0, origin: room, allow: hall}
sinks:
  log: {from: [room, hall], driver: log, file: log.jsonl, at: gw}
"""


def states(devices: Devices | House, source: str = "room") -> dict[str, str]:
    found = devices.devices() if isinstance(devices, House) else devices.all()
    return {one.origin: one.state for one in found if one.source == source}


def test_a_device_is_seen_waits_and_is_decided_about(engine: sql.Engine) -> None:
    devices = Devices(engine, lambda: 1000)
    devices.saw("house", "room", [Seen("kitchen", 5, 7, 2), Seen("cellar", 6, 6, 1)])
    devices.saw("house", "room", [Seen("kitchen", 4, 9, 3)])
    devices.saw("house", "other", [Seen("kitchen", 1, 1, 1)])
    devices.saw("house", "room", [])
    assert devices.all()[1:] == [
        DeviceView("house", "room", "cellar", "waiting", 6, 6, 1, "", None),
        DeviceView("house", "room", "kitchen", "waiting", 4, 9, 5, "", None),
    ]
    assert (devices.version("house", "room"), devices.rules("house", "room")) == (0, (0, []))
    devices.decide("house", "room", "kitchen", True, "ada")
    devices.decide("house", "room", "attic", False, "bob")
    assert Devices(engine).rules("house", "room") == (1001, [("kitchen", True), ("attic", False)])
    assert devices.version("house", "room") == 1001 and devices.version("house", "other") == 0
    assert devices.all()[1:] == [
        DeviceView("house", "room", "attic", "refused", None, None, 0, "bob", 1001),
        DeviceView("house", "room", "cellar", "waiting", 6, 6, 1, "", None),
        DeviceView("house", "room", "kitchen", "approved", 4, 9, 5, "ada", 1000),
    ]
    devices.remove_app("house")
    assert devices.all() == [] and devices.version("house", "room") == 0


def test_the_last_word_counts_and_takes_the_place_of_those_it_covers(engine: sql.Engine) -> None:
    devices = Devices(engine)
    devices.saw("house", "room", [Seen(name, 1, 1, 1) for name in ("a-1", "a-2", "b-1")])
    devices.decide("house", "room", "a-1", False, "ada")
    devices.decide("house", "room", "b-1", False, "ada")
    devices.decide("house", "room", "a-*", True, "bob")
    assert states(devices) == {"a-*": "approved", "a-1": "approved", "a-2": "approved", "b-1": "refused"}
    devices.decide("house", "room", "a-2", False, "eve")
    assert states(devices)["a-2"] == "refused" and states(devices)["a-1"] == "approved"
    assert [origin for origin, _ in devices.rules("house", "room")[1]] == ["b-1", "a-*", "a-2"]
    assert {one.origin: one.by for one in devices.all()} == {"a-*": "bob", "a-1": "bob", "a-2": "eve", "b-1": "ada"}


def test_however_many_send_a_bounded_number_is_known_by_name(engine: sql.Engine) -> None:
    devices = Devices(engine)
    devices.saw("house", "hall", [Seen("door", 0, 0, 1)])
    devices.saw("house", "room", [Seen("attic", 0, 0, 7), Seen("cellar", 0, 0, 1)])
    devices.decide("house", "room", "cellar", False, "ada")
    for part in range(1, 11):
        devices.saw("house", "room", [Seen("kitchen", part, part, 1), *(Seen(f"{part}-{n}", part, part, 1) for n in range(WAITING - 1))])
    found = [one for one in devices.all() if one.source == "room"]
    assert sum(one.waits for one in found) == WAITING and len(found) == WAITING + 2
    others, known = found[0], {one.origin: one for one in found[1:]}
    assert (others.origin, others.waited, others.first_ms, others.last_ms) == ("", 7 + 9 * (WAITING - 1), 0, 9)
    assert (known["kitchen"].first_ms, known["kitchen"].waited) == (1, 10)  # who goes on sending stays
    assert known["cellar"].state == "refused" and states(devices, "hall") == {"door": "waiting"}
    assert sum(one.waited for one in found) == 8 + 10 * WAITING
    devices.saw("house", "room", [Seen("attic", 11, 11, 1)])  # who comes is let in, and who came back is known again
    assert states(devices)["attic"] == "waiting" and sum(one.waits for one in devices.all()) == WAITING + 1


def test_decisions_are_bounded_and_a_pattern_makes_room(engine: sql.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "DECIDED", 3)
    devices = Devices(engine)
    for name in ("a-1", "a-2", "b"):
        devices.decide("house", "room", name, True, "ada")
    with pytest.raises(Refused, match="decide about a pattern"):
        devices.decide("house", "room", "c", True, "ada")
    devices.decide("house", "room", "b", False, "ada")
    devices.decide("house", "room", "a-?", True, "ada")
    devices.decide("house", "room", "c", True, "ada")
    for wrong in ("", "a\nb", "x" * 257):
        with pytest.raises(SettingError, match="is no origin"):
            devices.decide("house", "room", wrong, True, "ada")


# A hub and its nodes


def ask(house: House, question: Any) -> Any:
    said = house._answer(encode(question))
    return None if said is None else decode(said)


def node(house: House, folder: Path, instance: str) -> Approval:
    folder.mkdir(exist_ok=True)
    return Approval(Home(folder, lambda question: ask(house, question), instance))


@pytest.fixture
def running(house: House) -> House:
    house.apply(APP, {}, dry=False)
    return house


def test_what_is_decided_at_the_hub_holds_at_every_node_of_the_source(running: House, tmp_path: Path) -> None:
    one, other = (node(running, tmp_path / name, f"room@{name}") for name in ("gw-1", "gw-2"))
    assert "waits" in one.refusal("kitchen") and "waits" in other.refusal("kitchen") and "waits" in other.refusal("hall")
    one.tell()
    other.tell()
    assert {(view.origin, view.waited) for view in running.devices()} == {("kitchen", 2), ("hall", 1)}
    running.admit("house", "room", "kitchen", True, "ada")
    one.tell()
    other.tell()
    assert (one.refusal("kitchen"), other.refusal("kitchen")) == ("", "") and "waits" in other.refusal("hall")
    lines = [(line.instance, line.what, line.why) for line in running.decisions(None, None, 100) if "device" in line.what]
    assert lines == [(f"room@{name}", "approve the device kitchen", "ada says so") for name in ("gw-1", "gw-2")]
    assert [line.what for line in running.search("kitchen ada", 10).decisions] == ["approve the device kitchen"] * 2
    running.remove("house")
    assert running.devices() == []


def test_a_report_that_comes_again_counts_once(running: House) -> None:
    for number in (7, 7, 8):
        assert ask(running, ["devices", ["room@gw-1", number, 0, [["kitchen", 1, 2, 5]]]]) == [0, None]
    assert [one.waited for one in running.devices()] == [10]


@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        ["room@gw-1", 1, 0],
        ["nobody", 1, 0, [["a", 1, 1, 1]]],
        ["log@gw-1", 1, 0, [["a", 1, 1, 1]]],
        [["room@gw-1"], 1, 0, []],
        ["room@gw-1", 1, 0, 5],
        ["room@gw-1", 1, 0, [["a", 1, 1]]],
        ["room@gw-1", 1, 0, [[5, 1, 1, 1]]],
        ["room@gw-1", 1, 0, [["a\nb", 1, 1, 1]]],
        ["room@gw-1", 1, 0, [["x" * 257, 1, 1, 1]]],
        ["room@gw-1", 1, 0, [["a", -1, 1, 1]]],
        ["room@gw-1", 1, 0, [["a", 1, 2**60, 1]]],
        ["room@gw-1", 1, 0, [["a", 1, 1, "1"]]],
        ["room@gw-1", 1, 0, [["a", 1, 1, 1]] * (WAITING + 2)],
    ],
    ids=lambda about: repr(about)[:40],
)
def test_what_is_no_report_is_not_noted(running: House, about: Any) -> None:
    assert ask(running, ["devices", about]) is None
    assert running.devices() == []


def test_only_sources_where_devices_wait_are_decided_about(running: House) -> None:
    for app, source in (("hous", "room"), ("house", "romo"), ("house", "log")):
        with pytest.raises(UnknownName, match="there is no"):
            running.admit(app, source, "kitchen", True, "ada")
    with pytest.raises(SettingError, match="write `unknown: wait`"):
        running.admit("house", "hall", "kitchen", True, "ada")
    assert running.devices() == []
