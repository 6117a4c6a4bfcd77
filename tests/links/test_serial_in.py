"""What a device sends on a serial port is taken in, bounded, and told when it is no message; a port that goes may come back."""

import os
import select
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eddy.errors import LinkLost, SettingError
from eddy.links.serial import SerialLink
from eddy.links.serial_in import Serial
from eddy.node.sources import SourceThread
from eddy.spec.load import parse
from eddy.spec.programs import program

APP = """
app: house
nodes: {gw: {tier: gateway}}
sources:
  meter: {at: gw, driver: serial, port: /dev/ttyUSB0, baud: 9600, format: csv, columns: [voltage, current], scale: 100, units: {voltage: V}}
sinks:
  log: {from: meter, at: gw, driver: log, file: log.jsonl}
"""


class Device:
    """A pseudo-terminal with a path that stays the same when it is unplugged and plugged in again, as udev makes one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug()

    def plug(self) -> None:
        self.master, self.other = os.openpty()
        tty.setraw(self.other)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.other))

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self.other)
        os.close(self.master)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data[:1024]) :]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path / "ttyUSB0")
    yield made
    if made.path.exists():
        made.unplug()


def take(source: Serial, count: int) -> list[Any]:
    """So many values, or more."""
    out: list[Any] = []
    while len(out) < count:
        out += [value for _, value in source.read() or []]
    source.kept(len(out))
    return out


def opened(device: Device, **options: Any) -> Serial:
    return Serial(port=str(device.path), **options)


def test_lines_are_samples_and_the_first_which_may_be_the_end_of_one_is_not(device: Device) -> None:
    source = opened(device, format="csv", columns=["voltage", "current"], scale=100)
    device.send(b"9.9,1\r\n230.5,0.25\r\n\r\n231,\n")
    assert take(source, 2) == [{"voltage": 23050, "current": 25}, {"voltage": 23100, "current": None}]
    source.close()


def test_the_first_line_is_one_when_the_port_was_silent_before_it(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eddy.links.serial_in._PATIENCE_S", 0.001)
    source = opened(device, format="csv", columns=["voltage", "current"], scale=100)
    for _ in range(1000):
        if source._cut._skips:
            select.select([], [], [], 0.01)
    device.send(b"9.9,1\r\n3\r\n230.5,0.25\r\n231,0.5\r\n")
    whole, short, *_ = take(source, 3)
    assert whole == {"voltage": 990, "current": 100} and "the line has 1 fields" in short["quarantine"]
    source.close()


def test_the_program_of_an_app_starts_it(device: Device) -> None:
    module, name, arguments = program(parse(APP), "source", "meter")
    assert (module, name) == ("eddy.links.serial_in", "Serial")
    source = Serial(**{**arguments, "port": str(device.path)})
    device.send(b"\n1,2\n")
    assert take(source, 1) == [{"voltage": 100, "current": 200}]
    source.close()


@pytest.mark.parametrize(
    ("wrong", "instead", "message"),
    [
        ("format: csv", "format: cbor", "'cbor' is not known as 'format'"),
        ("baud: 9600", "framing: 9N1", "'9N1' is not known as 'framing'"),
        ("baud: 9600", "start: aa5", "'aa5' is not hex"),
        ("port: /dev/ttyUSB0", "port: ''", "'port' is empty"),
    ],
)
def test_what_is_wrong_in_an_app_is_told_where_it_is(wrong: str, instead: str, message: str) -> None:
    with pytest.raises(Exception, match=f"eddy.yaml:5:.*{message}"):
        parse(APP.replace(wrong, instead))


@pytest.mark.slow
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=40), st.lists(st.integers(1, 9), max_size=60))
def test_pieces_of_any_size_give_the_same_samples(device: Device, numbers: list[int], sizes: list[int]) -> None:
    source = opened(device)
    stream = b"cut off\n" + b"".join(b'{"n": %d}\n' % number for number in numbers)
    for size in sizes:
        device.send(stream[:size])
        stream = stream[size:]
    device.send(stream)
    assert take(source, len(numbers)) == [{"n": number} for number in numbers]
    source.close()


def test_what_is_no_message_is_in_quarantine_with_the_port_and_the_next_line_is_one(device: Device) -> None:
    source = opened(device, largest=100)
    device.send(b"\n\xff\x00{\n" + b"x" * 5000 + b"\n[1, 2]\n")
    garbage, overlong, *values = take(source, 4)
    assert (garbage["payload"], garbage["from"]) == (b"\xff\x00{", str(device.path)) and "no UTF-8" in garbage["quarantine"]
    assert (overlong["payload"], overlong["size"]) == (b"x" * 100, 100) and "a line may have 100 bytes" in overlong["quarantine"]
    assert values == [1, 2] and source._opened.quarantined == 1
    source.close()


def test_records_are_found_by_the_bytes_they_begin_with(device: Device) -> None:
    source = opened(device, format="raw", struct=">hB", columns=["temp", "state"], start="aa55")
    device.send(bytes.fromhex("0102 aa55 ff3801 aa55 00c802 dead aa55 000103 aa55 000204"))
    first, second, stray, *rest = take(source, 5)
    assert [first, second, *rest] == [{"temp": t, "state": s} for t, s in ((-200, 1), (200, 2), (1, 3), (2, 4))]
    assert (stray["payload"], stray["from"]) == (b"\xde\xad", str(device.path)) and "no record begins with aa55" in stray["quarantine"]
    source.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "cbor"}, "nothing tells where a message of format cbor ends"),
        ({"format": "senml-cbor"}, "nothing tells where a message of format senml-cbor ends"),
        ({"format": "raw", "struct": "<hh", "columns": ["a", "b"]}, "nothing tells where a record of 4 bytes begins"),
        ({"format": "raw", "struct": "<h", "columns": "a", "start": "zz"}, "'zz' is not hex"),
        ({"start": "aa"}, "`start` is for records"),
    ],
)
def test_a_stream_without_ends_is_refused(device: Device, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        opened(device, **options)


@pytest.mark.slow
def test_what_came_before_the_port_vanished_is_read_and_the_driver_goes_on_when_it_is_back(device: Device) -> None:
    thread = SourceThread(lambda resume: opened(device))
    taken: list[Any] = []

    def until(count: int) -> None:
        while len(taken) < count:
            thread.turn()
            taken.extend(value for _, value in thread.take())

    assert thread.turn() is not None and thread.up
    device.send(b"\n1\n2\n3\n")
    listening = thread._driver
    while listening.counts["samples"] < 3:
        select.select([], [], [], 0.01)
    device.unplug()
    listening._thread.join(10)  # it knows by now, and nothing was read yet
    until(3)
    assert taken == [1, 2, 3]
    while thread.up:
        thread.turn()
    assert "LinkLost" in thread.fault and "has gone" in thread.fault
    thread.turn()
    assert not thread.up and "there is no serial port" in thread.fault
    device.plug()
    while not thread.up:
        thread.turn()
    device.send(b"half of 4\n5\n")
    until(4)
    assert taken[3:] == [5] and not thread.fault
    thread.close()
    thread._end_driver()


@pytest.mark.slow
def test_a_full_queue_stops_reading_the_port_and_nothing_is_lost_while_it_has_room(device: Device) -> None:
    source = opened(device, queue=256)
    count = 20_000  # more than a terminal holds
    sender = threading.Thread(target=device.send, args=(b"\n" + b"".join(b"%d\n" % n for n in range(count)),))
    sender.start()
    while not source.counts["refused"]:
        select.select([], [], [], 0.01)
    assert source.counts["samples"] == 256 and sender.is_alive()
    out: list[Any] = []
    while len(out) < count:
        out += [value for _, value in source.read() or []]
        source.kept(len(out))
    assert out == list(range(count))
    sender.join()
    source.close()


def test_a_closed_port_can_be_opened_again_at_once_even_when_the_queue_was_full(device: Device) -> None:
    source = opened(device, queue=1)
    device.send(b"\n1\n2\n3\n")
    while not source.counts["refused"]:
        select.select([], [], [], 0.01)
    source.close()
    again = opened(device)
    device.send(b"\n7\n")
    assert take(again, 1) == [7]
    again.close()


def test_a_port_that_another_program_has_is_told(device: Device) -> None:
    with SerialLink(str(device.path)), pytest.raises(LinkLost, match="in use by another program"):
        opened(device)


def test_framing_is_that_of_the_port(device: Device) -> None:
    with SerialLink(str(device.path), framing="8E2") as link:
        assert (link._serial.bytesize, link._serial.parity, link._serial.stopbits) == (8, "E", 2)
    for wrong in ("9N1", "8X1", "8N", ""):
        with pytest.raises(LinkLost, match=f"does not do 9600 baud, {wrong}: choose another rate or framing"):
            SerialLink(str(device.path), 9600, wrong)
