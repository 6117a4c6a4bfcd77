"""Driver `serial`: takes in what a device sends on a serial port, a line or record each."""

from threading import Thread
from typing import Any

from eddy.errors import SettingError
from eddy.links.cutting import Lines, Records
from eddy.links.decoders import Form, quarantined
from eddy.links.intake import SAMPLES, Intake, Opened, Samples
from eddy.links.serial import SerialLink

LARGEST = 65_536
_PATIENCE_S = 0.2
_SILENT = 5  # times in a row that nothing came within that, after which a line begins


class Serial:
    """Each line of text is a message; of `raw` each record is.

    Nobody can be told that it is kept, nor asked to send it again: what comes while nobody reads is lost, but for the few KiB that the
    operating system holds. When the queue is full the port is not read until there is room. The message that was under way when the port
    was opened is not used; of lines it is the first one, unless it begins a second or more after that: nobody pauses for so long within a
    line. What is no message is kept in quarantine.

    Args:
        port: Its path, such as /dev/ttyUSB0.
        baud: Bits a second.
        framing: Data bits, parity (N, E, O), stop bits.
        start: Of `raw`: the bytes that each record begins with, in hex, such as `aa55`; they are no part of `struct`.
        largest: Bytes of a line; what is longer goes to quarantine, and the next line is a line again.
        queue: Samples that wait to be kept, at most.
        remember: How many keys are remembered, with `unique`.
        resume: Ignored: nothing can be read again.
        form: How a message is written; see `eddy.links.decoders.Form`.

    Attributes:
        counts: Of `Intake`; `refused` is how many messages had to wait for room.

    Raises:
        SettingError: Such messages have no ends on a serial line.
        LinkLost: The port cannot be opened.
    """

    def __init__(
        self,
        *,
        port: str,
        baud: int = 9600,
        framing: str = "8N1",
        start: str = "",
        largest: int = LARGEST,
        queue: int = SAMPLES,
        remember: int = 0,
        resume: int = 0,
        **form: Any,
    ) -> None:
        decoder = Form(**form)
        self._cut = _cutter(form.get("format", "json"), decoder.record_bytes, start, largest)
        self._opened = Opened(decoder)
        self._intake = Intake(lambda receipts: None, queue)
        self.counts = self._intake.counts
        self._port = port
        self._lost: Exception | None = None
        self._closed = False
        self._link = SerialLink(port, baud, framing)
        self._thread = Thread(target=self._listen, name="serial", daemon=True)
        self._thread.start()

    def read(self) -> Samples | None:
        """See `eddy.links.driver.Source`; raises LinkLost when the port has gone, and all that came before was read."""
        lost = self._lost
        samples = self._intake.read()
        if samples is None and lost:
            raise lost
        return samples

    def kept(self, count: int) -> None:
        """See `eddy.links.driver.Source`."""
        self._intake.kept(count)

    def close(self) -> None:
        """Let go of the port: what was not read from it is lost."""
        self._closed = True
        self._intake.close()
        self._thread.join()
        self._link.close()

    def _listen(self) -> None:
        try:
            data, silent = b"", 0
            while not (data or self._closed) and silent < _SILENT:
                data, silent = self._link.read(_PATIENCE_S), silent + 1
            if not data and isinstance(self._cut, Lines):
                self._cut.begin()
            while not self._closed:
                for message, fault in self._cut.feed(data):
                    self._take(message, fault)
                data = self._link.read(_PATIENCE_S)
        except Exception as error:  # whoever reads raises it
            self._lost = error

    def _take(self, message: bytes, fault: str) -> None:
        if fault:
            samples: Samples = [(self._opened.now_ns(), quarantined(message, fault, self._port))]
        else:
            samples, _ = self._opened.open(message, sender=self._port)
        taken = self._intake.offer(samples, len(message), None)
        while not (taken or self._closed):
            taken = self._intake.offer(samples, len(message), None, _PATIENCE_S)


def _cutter(format: str, record_bytes: int, start: str, largest: int) -> Lines | Records:
    if format not in ("json", "senml", "csv", "raw"):
        raise SettingError(f"nothing tells where a message of format {format} ends on a serial line: use json, senml, csv or raw")
    try:
        begins = bytes.fromhex(start)
    except ValueError:
        raise SettingError(f"start {start!r} is not hex: write two digits for each byte, as in aa55") from None
    if format != "raw":
        if begins:
            raise SettingError(f"`start` is for records of format raw; messages of format {format} are lines")
        return Lines(largest)
    if not begins and record_bytes > 1:
        raise SettingError(
            f"nothing tells where a record of {record_bytes} bytes begins: name with `start` the bytes that each begins with"
        )
    return Records(record_bytes, begins, largest)
