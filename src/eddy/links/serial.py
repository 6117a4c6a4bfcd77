"""A serial port: an adapter such as /dev/ttyUSB0, or the pseudo-terminal of a line emulator, by the same code."""

import errno
import select
from types import TracebackType

import serial

from eddy.kernel.errors import LinkLost


class SerialLink:
    """An open serial port, raw; a context manager. Nobody else can open it meanwhile.

    Args:
        port: Path of the port.
        baud: Bits per second.
        framing: Data bits, parity (N, E, O), stop bits.

    Raises:
        LinkLost: The port cannot be opened.
    """

    def __init__(self, port: str, baud: int = 2400, framing: str = "8N1") -> None:
        self.port = port
        try:
            bits, parity, stops = tuple(framing)
            self._serial = serial.Serial(port, baud, int(bits), parity, int(stops), timeout=0, exclusive=True)
        except serial.SerialException as error:
            raise LinkLost(_why(port, error)) from error
        except ValueError as error:
            raise LinkLost(f"{port} does not do {baud} baud, {framing}: choose another rate or framing") from error

    def read(self, timeout_s: float = 0.0) -> bytes:
        """Wait until something arrives, but not longer than the timeout; returns what is there, possibly nothing.

        Raises:
            LinkLost: The port has gone.
        """
        try:
            ready, _, _ = select.select([self._serial.fileno()], [], [], timeout_s)
            return bytes(self._serial.read(max(1, self._serial.in_waiting))) if ready else b""
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def write(self, data: bytes) -> None:
        """Hand bytes to the driver; it sends them at line rate after this has returned.

        Raises:
            LinkLost: The port has gone.
        """
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def fileno(self) -> int:
        """The file descriptor, for `select` over several links."""
        return int(self._serial.fileno())

    def close(self) -> None:
        """Let go of the port."""
        self._serial.close()

    def __enter__(self) -> "SerialLink":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _gone(self, error: Exception) -> LinkLost:
        return LinkLost(f"{self.port} has gone ({error}): plug it in again and reopen it")


def _why(port: str, error: serial.SerialException) -> str:
    """What to tell a person about a port that does not open."""
    number = error.errno
    if number == errno.ENOENT:
        return f"there is no serial port {port}: check the cable and the name (ls /dev/tty*)"
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission to open {port}: add yourself to the group that owns it (ls -l {port}), often dialout"
    if number in (errno.EAGAIN, errno.EWOULDBLOCK) or "lock" in str(error):
        return f"{port} is in use by another program: end that one first"
    return f"{port} cannot be opened as a serial port: {error}"
