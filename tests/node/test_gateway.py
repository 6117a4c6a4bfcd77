"""The gateway's event loop over serial ports: real pseudo-terminals, one of them unplugged."""

import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig import Gate, Pipe, Rig, Tape, healthy, pipes

from eddy.errors import CodecError, LinkLost
from eddy.kernel.agent import Agent
from eddy.kernel.clock import ManualClock, SystemClock
from eddy.node.gateway import Gateway
from eddy.node.proxy import DeviceProxy


class Terminal:
    """A pseudo-terminal; the device has its one end, the gateway opens the path of the other."""

    def __init__(self, name: Path) -> None:
        self.path = name
        self.plug()

    def plug(self) -> None:
        self.end, other = os.openpty()
        tty.setraw(other)
        os.set_blocking(self.end, False)
        self.path.symlink_to(os.ttyname(other))
        self._other = other

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self._other)
        os.close(self.end)

    def read(self) -> bytes:
        try:
            return os.read(self.end, 512)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        os.write(self.end, data)


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[list[Terminal]]:
    made = [Terminal(tmp_path / "ttyA"), Terminal(tmp_path / "ttyB")]
    yield made
    for terminal in made:
        terminal.unplug()


def device(folder: Path, name: str, terminal: Terminal, windows: int) -> Agent:
    (folder / name).mkdir(exist_ok=True)
    settings = {"device": name, "class": "pump", "key": bytes(32), "window": 256, "train_windows": 40}
    return Agent(str(folder / name), settings, terminal, Tape(healthy(windows)), SystemClock(50))


def test_a_line_that_is_unplugged_comes_back_and_the_others_go_on(
    tmp_path: Path, terminals: list[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eddy.node.gateway._REOPEN_S", 0.0)
    gate, told = Gate(), []
    ports = {"pump-1": str(terminals[0].path), "pump-2": str(terminals[1].path)}
    gateway = Gateway(gate, ports, speed=50, tell=told.append)
    one = device(tmp_path, "pump-1", terminals[0], 12)
    two = device(tmp_path, "pump-2", terminals[1], 12)

    def windows(name: str) -> int:
        return sum(record.origin == name and record.stream == "windows" for record in gate.records)

    while windows("pump-1") < 2 or windows("pump-2") < 2:
        one.step()
        two.step()
        gateway.turn()
    terminals[0].unplug()
    while "pump-1" in gateway.proxies:
        gateway.turn()
    while not two.finished():
        two.step()
        gateway.turn()
    assert windows("pump-2") == 12
    terminals[0].plug()
    while not one.finished():
        one.step()
        gateway.turn()
    assert windows("pump-1") == 12
    assert "trying again" in told[0]
    assert told[-1] == "pump-1: the line is back"
    gateway.close()


def test_a_port_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(LinkLost, match="no serial port"):
        Gateway(Gate(), {"pump-1": str(tmp_path / "nothing")})


class Picky(Gate):
    """Takes no batch while it is full."""

    full = True

    def receive(self, data: bytes, device: str) -> list[bytes]:
        if self.full:
            raise CodecError("no batch that this gateway knows", 3)
        return super().receive(data, device)


def test_what_cannot_be_taken_is_told_and_not_acknowledged_and_comes_again(tmp_path: Path) -> None:
    rig, gate, told = Rig(tmp_path), Picky(), []
    rig.boot(healthy(3))
    here, there = pipes()
    rig.agent = Agent(str(rig.folder), rig.settings, here, Tape(healthy(3)), rig.clock)
    rig.proxy = DeviceProxy("pump-1", there, gate, rig.clock, told.append)
    rig.run(lambda: len(told) >= 2)
    assert "pump-1: a batch was not taken: no batch that this gateway knows at byte 3" in told
    assert not gate.records
    gate.full = False
    rig.run()
    assert len(gate.windows()) == 3


class Lost:
    """A package of which the device never speaks."""

    sequence = 1
    data = b"package"


def test_a_package_is_sent_again_when_the_device_says_nothing_about_it() -> None:
    from eddy.kernel.comm import PACKAGE, DataComm

    here, there = pipes()
    gate, clock = Gate(), ManualClock()
    gate.package = Lost()
    proxy = DeviceProxy("pump-1", there, gate, clock)
    silent = DataComm(here, primary=False)
    came: list[Any] = []
    while clock.now_ms() < 130_000:
        proxy.service()
        silent.listen(clock.now_ms())
        while (item := silent.take()) is not None:
            came.append((clock.now_ms(), item))
        silent.speak(clock.now_ms())
        clock.advance(100)
    assert [item for _, item in came] == [(PACKAGE, b"package")] * len(came)
    assert len(came) == 3
    assert came[1][0] - came[0][0] >= 60_000
    assert isinstance(here, Pipe)
