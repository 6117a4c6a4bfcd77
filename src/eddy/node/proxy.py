"""A device behind a gateway: the gateway's end of its line."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from eddy.errors import EddyError
from eddy.kernel.comm import ACK, HOP, PACKAGE, DataComm

if TYPE_CHECKING:
    from eddy.kernel.comm import Clock, Link

_RETRY_MS = 60000
"""Line time after which a delivered package that the device has not spoken about is sent again: it may have lost its power."""


class Package(Protocol):
    """Something that should run on a device."""

    @property
    def sequence(self) -> int:
        """Its number for that device."""

    @property
    def data(self) -> bytes:
        """What goes over the line."""


class Control(Protocol):
    """What decides: stores what comes, and says what should run. See `loop.Loop`."""

    def receive(self, data: bytes, device: str) -> list[bytes]:
        """Store one batch of the hop from a device's line; returns the acknowledgements, once it is durable."""

    def deployment(self, device: str) -> Package | None:
        """The package that should go to the device now."""

    def undeliverable(self, device: str, sequence: int) -> None:
        """The device's line does not take an object of that size."""


class DeviceProxy:
    """Carries batches from a device to the control, and acknowledgements and packages back.

    Args:
        name: The device at the other end of the line.
        link: The line.
        control: The loop that is responsible for the device.
        clock: Line time.
        tell: Called with a sentence when a batch cannot be taken; the device keeps it and sends it again.
    """

    def __init__(self, name: str, link: "Link", control: Control, clock: "Clock", tell: Callable[[str], None] = print) -> None:
        self.name = name
        self.comm = DataComm(link, primary=True)
        self._control = control
        self._clock = clock
        self._tell = tell
        self._package: tuple[int, int | None] | None = None  # sequence and handle of what was sent
        self._delivered_ms = 0

    @property
    def deploying(self) -> bool:
        """A package is on the line."""
        return self._package is not None and self._package[1] is not None

    def service(self) -> int:
        """One turn; never waits.

        Returns:
            Milliseconds of line time until the next, unless bytes come earlier.
        """
        now = self._clock.now_ms()
        self.comm.listen(now)
        while (came := self.comm.take()) is not None:
            kind, data = came
            if kind == HOP:
                self._receive(bytes(data))
        self._outcomes(now)
        if not self.deploying and self.comm.arq.idle():
            self._deploy(now)
        return self.comm.speak(self._clock.now_ms())

    def _receive(self, data: bytes) -> None:
        try:
            receipts = self._control.receive(data, self.name)
        except EddyError as error:
            self._tell(f"{self.name}: a batch was not taken: {error}")
            return
        for receipt in receipts:
            self.comm.send(ACK, receipt)

    def _outcomes(self, now: int) -> None:
        for handle, outcome in self.comm.arq.finished():
            if self._package is not None and handle == self._package[1]:
                self._delivered_ms = now
                if outcome != "delivered":
                    self._control.undeliverable(self.name, self._package[0])
                self._package = (self._package[0], None)

    def _deploy(self, now: int) -> None:
        wanted = self._control.deployment(self.name)
        if wanted is None:
            self._package = None
        elif self._package is None or self._package[0] != wanted.sequence or now - self._delivered_ms >= _RETRY_MS:
            self._package = (wanted.sequence, self.comm.send(PACKAGE, wanted.data))
