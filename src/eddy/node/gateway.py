"""The event loop of a gateway: serves the lines of its devices and waits in between."""

import selectors
import time
from collections.abc import Callable, Mapping

from eddy.errors import LinkError
from eddy.kernel.clock import SystemClock
from eddy.links.serial import SerialLink
from eddy.node.proxy import Control, DeviceProxy

_REOPEN_S = 2.0
"""Between two tries to open a port that is gone."""


class Gateway:
    """Devices behind serial ports, each on a line of its own. A port that is gone is tried again; the others go on.

    Args:
        control: Decides, see `loop.Loop`.
        ports: Port of each device by name.
        speed: How many times faster than real the lines run; above 1 with emulated ones only.
        tell: Called with a sentence when a line is lost or found again.
    """

    def __init__(self, control: Control, ports: Mapping[str, str], speed: int = 1, tell: Callable[[str], None] = print) -> None:
        self._control = control
        self._ports = dict(ports)
        self._speed = speed
        self._tell = tell
        self._clock = SystemClock(speed)
        self._selector = selectors.DefaultSelector()
        self._links: dict[str, SerialLink] = {}
        self.proxies: dict[str, DeviceProxy] = {}
        self._lost: dict[str, float] = {}
        for name in self._ports:
            self._open(name)

    def _open(self, name: str) -> None:
        link = SerialLink(self._ports[name])
        self._links[name] = link
        self.proxies[name] = DeviceProxy(name, link, self._control, self._clock, self._tell)
        self._selector.register(link, selectors.EVENT_READ)

    def watch(self, file: int, came: Callable[[], None]) -> None:
        """Also wait for another file, and call `came` when it is readable."""
        self._selector.register(file, selectors.EVENT_READ, came)

    def forget(self, file: int) -> None:
        """Stop watching a file."""
        self._selector.unregister(file)

    def turn(self) -> None:
        """Serve every line once, then wait until something is due or comes, at most a second."""
        wait_ms = 1000 * self._speed
        for name, proxy in list(self.proxies.items()):
            try:
                wait_ms = min(wait_ms, proxy.service())
            except Exception as error:  # whatever goes wrong on one line must not stop the others
                self._lose(name, error)
        for name, since in list(self._lost.items()):
            if time.monotonic() - since >= _REOPEN_S:
                self._find(name)
        for key, _ in self._selector.select(wait_ms / 1000 / self._speed):
            if key.data is not None:
                key.data()

    def _lose(self, name: str, error: Exception) -> None:
        self._tell(f"{name}: {error}; trying again every {_REOPEN_S:.0f} s")
        link = self._links.pop(name)
        self._selector.unregister(link)
        link.close()
        del self.proxies[name]
        self._lost[name] = time.monotonic()

    def _find(self, name: str) -> None:
        try:
            self._open(name)
        except LinkError:
            self._lost[name] = time.monotonic()
            return
        del self._lost[name]
        self._tell(f"{name}: the line is back")

    def close(self) -> None:
        """Close every port."""
        for link in self._links.values():
            link.close()
        self._selector.close()
