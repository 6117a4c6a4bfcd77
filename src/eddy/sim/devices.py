"""A microcontroller on this machine: a real MicroPython on a flash image, its line, and what its sensor hears."""

import selectors
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from eddy.errors import DeviceFailed, LinkLost, SettingError
from eddy.links import driver, micropython
from eddy.sim.line import LineProcess, start_line
from eddy.spec.instances import nodes
from eddy.spec.model import App
from eddy.spec.programs import for_node, program

BAUD = 2400


class Device:
    """One device with its line; what its sensor hears comes from the driver that the app names, on this side of the sensor's cable.

    Args:
        name: Of the node.
        folder: Of the device: its flash image.
        app: The app.
        key: Public key with which the hub signs.
        line: Of `start_line`: `speed`, and what disturbs it.
        tell: Called with a sentence when the device fails.

    Attributes:
        port: Of its line, for the gateway.
        running: The interpreter.
        figures: What it said at its end; empty before.
        accounts: Of the line, one after the other.
    """

    def __init__(self, name: str, folder: Path, app: App, key: bytes, line: dict[str, Any], tell: Callable[[str], None]) -> None:
        self.name = name
        self.port = ""
        self.figures: dict[str, Any] = {}
        self.accounts: list[dict[str, Any]] = []
        self.running: micropython.Device | None = None
        self._folder = folder
        self._key = key
        self._options = line
        self._tell = tell
        self._line: LineProcess | None = None
        self._sensor: Any = None
        self._heard: list[tuple[int, Any]] = []
        self._asked = False
        self._program = _sensor(app, name)
        self._selector = selectors.DefaultSelector()

    def start(self) -> None:
        """Lay its line and switch it on; it goes on from what its flash holds."""
        if self._line is None:
            self._line = start_line(baud=BAUD, **self._options)
            self.port = self._line.gateway_port
        image = micropython.provision(self._folder, {"device": self.name, "key": self._key})
        self.running = micropython.start(image, self._line.device_port, self._options["speed"])
        self._selector.register(self.running.fileno(), selectors.EVENT_READ)

    def turn(self) -> None:
        """Answer the device when it asks for samples; start it again when it has failed."""
        assert self.running
        try:
            while self.running.figures is None and self._selector.select(0):
                self._asked = self.running.asks() or self._asked
        except DeviceFailed as error:
            self._tell(f"{self.name}: {error}; it is switched on again")
            self.switch_off()
            self.start()
            return
        if self._asked and self._program:
            with suppress(BrokenPipeError):  # it has failed since it asked: the next turn hears of that
                self._answer()

    def account(self) -> None:
        """Close an account of the line."""
        if self._line is not None:
            self.accounts.append(dict(self._line.mark()))

    def switch_off(self) -> None:
        """Take its power away."""
        if self.running is not None:
            self.figures = {**(self.running.figures or {}), "interpreter": self.running.interpreter}
            self._selector.unregister(self.running.fileno())
            self.running.kill()
            self.running, self._asked = None, False

    def close(self) -> None:
        """Take power and line away."""
        self.switch_off()
        if self._line is not None:
            with suppress(LinkLost):  # it was ended from outside
                self.account()
            self._line.close()

    def _answer(self) -> None:
        assert self.running and self._program
        if self._sensor is None:
            self._sensor = driver.start(self._program, resume=0)
        try:
            if not self._heard:
                said = self._sensor.read()
                self._heard = said if isinstance(said, list) else [said] if said else []
        except EOFError:
            self.running.play(b"", 0, 0)
            self._asked = False
            return
        if self._heard:
            time_ns, (samples, period_ns) = self._heard.pop(0)
            self.running.play(bytes(samples), time_ns, period_ns)
            self._asked = False


def _sensor(app: App, name: str) -> list[Any] | None:
    """Program of the driver of the source at a device; None when it has none."""
    groups = nodes(app)
    there = [one for one, source in app.sources.items() if name in groups.get(source.at, [])]
    if len(there) > 1:
        raise SettingError(f"{name} has {len(there)} sources ({', '.join(there)}): a simulated device has one sensor")
    return for_node(program(app, "source", there[0]), groups[app.sources[there[0]].at].index(name)) if there else None
