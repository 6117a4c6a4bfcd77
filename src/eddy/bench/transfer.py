"""How long a deployment takes on the line: Eddy's packages, and files in acknowledged frames."""

import select
import time
from dataclasses import dataclass

from eddy.errors import LinkTimeout
from eddy.kernel.arq import Arq
from eddy.kernel.assignment import BATCH, message
from eddy.kernel.codec import encode
from eddy.kernel.comm import FABRIC
from eddy.kernel.hop import Outbox
from eddy.kernel.station import MESSAGE
from eddy.kernel.store import RamStore
from eddy.links.serial import SerialLink
from eddy.sim.line import Line, VirtualLine, start_line

BAUD = 2400
TURN_MS = 10
PAYLOAD = 64  # bytes of a file in one frame of the baseline
FRAMING = 6  # start, packet number, overhead byte, length, CRC-8, stop: pySerialTransfer's, which the paper uses
_TIME_NS = 1_700_000_000_123_456_789  # of a sample: its nine bytes are those of any time of these years
_PATIENCE_S = 7200  # on the line's clock


@dataclass(frozen=True)
class Transfer:
    """One transfer, by the line's own accounting.

    Attributes:
        seconds: From the start of the first byte to the end of the last, on the line's clock.
        channel_use: Part of it in which the line was in use.
    """

    seconds: float
    channel_use: float


def delivery(package: bytes) -> bytes:
    """What goes over the line for a package: a message of the fabric with it as the one sample of a batch, as a courier sends it."""
    box = Outbox("champion@pump-1", "champion@pump-1", RamStore(), term=1)
    box.keep(_TIME_NS, package)
    batch = box.batch(MESSAGE)
    assert batch, "what is kept is to be sent"
    return bytes([FABRIC]) + encode(["detect@pump-1", message(BATCH, "detect@pump-1", batch)])


def send_object(data: bytes, speed: float | None = None) -> Transfer:
    """Send bytes from the gateway to the device by `eddy.kernel.arq`, until the gateway knows that they arrived.

    Args:
        data: One object of the line; see `delivery`.
        speed: None is virtual time; a number is the emulator process, that many seconds on its clock per second on the wall.
    """
    device, gateway = Arq(primary=False, seed=1, turn_ms=TURN_MS), Arq(primary=True, seed=2, turn_ms=TURN_MS)
    gateway.send(data)
    received = _emulated(device, gateway, speed) if speed else _virtual(device, gateway)
    if bytes(received[0] or b"") != data:
        raise LinkTimeout("what was sent did not arrive over the emulated line")
    return received[1]


def _virtual(device: Arq, gateway: Arq) -> tuple[bytearray | None, Transfer]:
    line = Line(baud=BAUD, turn_ms=TURN_MS)
    driver = VirtualLine(line, device, gateway)
    arrived = None
    while not gateway.idle() and driver.step(_PATIENCE_S * 1e6):
        arrived = device.take() or arrived
    return arrived, _transfer(line.mark())


def _emulated(device: Arq, gateway: Arq, speed: float) -> tuple[bytearray | None, Transfer]:
    with start_line(baud=BAUD, speed=speed, turn_ms=TURN_MS) as line:
        with SerialLink(line.device_port, BAUD) as at_device, SerialLink(line.gateway_port, BAUD) as at_gateway:
            ends = ((at_device, device), (at_gateway, gateway))
            arrived = None
            started = time.monotonic()
            while not gateway.idle():
                now_ms = round((time.monotonic() - started) * speed * 1000)
                if now_ms > _PATIENCE_S * 1000:
                    break
                deadlines = []
                for link, arq in ends:
                    heard = link.read()
                    if heard:
                        arq.receive(heard, now_ms)
                    burst = arq.poll(now_ms)
                    if burst:
                        link.write(burst)
                    deadline = arq.deadline(now_ms)
                    if deadline is not None:
                        deadlines.append(deadline)
                arrived = device.take() or arrived
                wait_ms = min(deadlines, default=now_ms + 1000) - now_ms
                select.select([at_device, at_gateway], [], [], max(0.0, wait_ms / speed / 1000))
        return arrived, _transfer(line.mark())


def _transfer(stats: dict[str, int | float]) -> Transfer:
    return Transfer(float(stats["elapsed_s"]), float(stats["channel_use"]))


@dataclass
class _Sender:
    """Sends a frame, waits for its acknowledgement, sends the next: the paper's way, on a clean line."""

    sizes: list[int]
    _free: bool = True

    def poll(self, now_ms: int) -> bytes | None:
        """The next frame, once the previous one is acknowledged. Only its length and its end matter."""
        if not self._free or not self.sizes:
            return None
        self._free = False
        return _frame(self.sizes.pop(0))

    def receive(self, data: bytes, now_ms: int) -> None:
        """Bytes of an acknowledgement; its last one frees the line."""
        self._free = self._free or data.endswith(b"\0")

    def deadline(self, now_ms: int) -> int | None:
        """Nothing to wait for but the other end: no loss on a clean line."""
        return None


@dataclass
class _Acknowledger:
    """Answers every frame with one of a single byte."""

    _waiting: int = 0
    frames: int = 0

    def poll(self, now_ms: int) -> bytes | None:
        """An acknowledgement for each frame heard."""
        if not self._waiting:
            return None
        self._waiting -= 1
        return _frame(1)

    def receive(self, data: bytes, now_ms: int) -> None:
        """Counts frames by their last byte."""
        self._waiting += data.count(0)
        self.frames += data.count(0)

    def deadline(self, now_ms: int) -> int | None:
        """Acknowledgements go at once."""
        return None


def _frame(size: int) -> bytes:
    """A frame as far as the line's model cares: some bytes that end with a zero."""
    return b"\1" * (size + FRAMING - 1) + b"\0"


def send_frames(size: int) -> Transfer:
    """Send a file of that many bytes in frames of 64, one acknowledgement for each before the next; virtual time, same line."""
    line = Line(baud=BAUD, turn_ms=TURN_MS)
    sizes = [min(PAYLOAD, size - at) for at in range(0, size, PAYLOAD)]
    expected = len(sizes)
    sender, receiver = _Sender(sizes), _Acknowledger()
    driver = VirtualLine(line, device=receiver, gateway=sender)
    while driver.step(_PATIENCE_S * 1e6):
        continue
    if receiver.frames != expected:
        raise LinkTimeout("the frames did not arrive over the emulated line")
    return _transfer(line.mark())
