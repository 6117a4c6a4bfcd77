"""Devices behind a gateway's lines: to the mesh each is a node like any other, over the line it is spared what it need not hear.

What is said is said once (`kernel.courier`), and the gateway says for the device that it lives, as long as the line is not silent.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from eddy.errors import EddyError, LinkError
from eddy.kernel.assignment import HUB, OWNER, REPORT, Held, read
from eddy.kernel.clock import SystemClock
from eddy.kernel.codec import decode
from eddy.kernel.comm import FABRIC, DataComm
from eddy.kernel.courier import Courier
from eddy.links.serial import SerialLink

BEAT_S = 0.5
SILENT_MS = 90_000
"""Line time after which a device that has said nothing counts as silent: three of its own beats."""

LARGE = 500
"""Bytes of a message whose arrival is worth telling."""

_REOPEN_S = 2.0


@dataclass
class Line:
    """One device at one port.

    Args:
        name: The device.
        port: Its port.
        speed: How many times faster than real an emulated line runs.
    """

    name: str
    port: str
    speed: int = 1
    owned: list[str] = field(default_factory=list)
    tell: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        self._clock = SystemClock(self.speed)
        self._courier: Courier | None = None
        self._report: bytes | None = None
        self._heard_ms = 0
        self._beat_s = 0.0
        self._comm: DataComm | None = None
        self._link: SerialLink | None = None

    def addresses(self) -> list[str]:
        """What the device is called on the mesh."""
        return ["@" + self.name, *self.owned]

    def receive(self, address: str, data: bytes) -> None:
        """A message for the device."""
        with suppress(EddyError, IndexError, TypeError):  # no message: nobody would understand it
            if self._courier is not None:
                self._courier.put(address, data)

    def turn(self) -> list[tuple[str, bytes]]:
        """What the device says, (to, message); raises LinkLost when the port is gone."""
        comm, courier = self._open()
        now_ms = self._clock.now_ms()
        comm.listen(now_ms)
        out: list[tuple[str, bytes]] = []
        while (came := comm.take()) is not None:
            self._heard_ms = now_ms
            if came[0] == FABRIC:
                out += self._say(bytes(came[1]))
        courier.turn(now_ms)
        comm.speak(self._clock.now_ms())
        if self._report is not None and time.monotonic() - self._beat_s >= BEAT_S and now_ms - self._heard_ms < SILENT_MS:
            self._beat_s = time.monotonic()
            out.append((HUB, self._report))
        return out

    def close(self) -> None:
        """Let go of the port."""
        if self._link is not None:
            self._link.close()
        self._link = self._comm = self._courier = None

    def _open(self) -> tuple[DataComm, Courier]:
        if self._comm is None or self._courier is None:
            self._link = SerialLink(self.port)
            self._comm = DataComm(self._link, primary=True, max_object=1 << 16)
            self._courier = Courier(self._comm, self._arrived)
        return self._comm, self._courier

    def _arrived(self, to: str, size: int, took_ms: int) -> None:
        """Tell of what takes the line for long: another champion, or a function that moves here."""
        if size >= LARGE:
            self.tell(f"{size} bytes for {to} in {took_ms / 1000:.2f} s of line")

    def _say(self, data: bytes) -> list[tuple[str, bytes]]:
        try:
            whole: Any = decode(data)
            to, said = whole
            parts = read(said)
            if parts[0] == REPORT and parts[1] == self.name:
                self._report, self._beat_s = said, time.monotonic()
                self.owned = [held.instance for held in (Held(*fields) for fields in parts[2]) if held.flags & OWNER]
            return [(to, said)]
        except (EddyError, TypeError, ValueError):
            return []


class Lines:
    """All devices of a gateway; a line that is lost is tried again, the others go on.

    Args:
        devices: {name: (port, speed)}.
        tell: Called with a sentence when a line is lost or found again.
    """

    def __init__(self, devices: dict[str, tuple[str, int]], tell: Callable[[str], None]) -> None:
        self._lines = [Line(name, *at, tell=tell) for name, at in devices.items()]
        self._lost: dict[str, float] = {}
        self._tell = tell

    def addresses(self) -> list[str]:
        """What the devices are called on the mesh."""
        return [address for line in self._lines for address in line.addresses()]

    def receive(self, address: str, data: bytes) -> bool:
        """A message; whether it is for one of the devices."""
        for line in self._lines:
            if address in line.addresses():
                line.receive(address, data)
                return True
        return False

    def turn(self) -> list[tuple[str, bytes]]:
        """Serve every line; what the devices say."""
        out: list[tuple[str, bytes]] = []
        for line in self._lines:
            if line.name in self._lost and time.monotonic() - self._lost[line.name] < _REOPEN_S:
                continue
            try:
                out += line.turn()
            except LinkError as error:
                if line.name not in self._lost:
                    self._tell(f"{line.name}: {error}; trying again every {_REOPEN_S:.0f} s")
                self._lost[line.name] = time.monotonic()
                line.close()
            else:
                if self._lost.pop(line.name, None) is not None:
                    self._tell(f"{line.name}: the line is back")
        return out

    def close(self) -> None:
        """Let go of every port."""
        for line in self._lines:
            line.close()
