"""Data Comm manager: typed objects over a line, the same at both ends.

The line's own receipts (`arq`) only say that bytes crossed the wire. That a sample is safe is said by the hop's acknowledgement, a
message of its own that leaves after the receiver has stored the sample.
"""

import os
import struct

from eddy.kernel.arq import Arq
from eddy.kernel.rng import fresh

MYPY = False
if MYPY:
    from typing import Protocol

    class Link(Protocol):
        """What carries bytes; real ones are in `links` and `targets`."""

        def read(self) -> bytes:
            """Bytes that have come; never waits."""

        def write(self, data: bytes) -> None:
            """Put bytes on the line."""

    class Clock(Protocol):
        """What tells line time; see `clock`."""

        def now_ms(self) -> int:
            """Milliseconds."""


FABRIC = 70  # "F": [address, message] of the fabric, either way

_STEP = 512  # bytes of an unfinished object between two writes to flash: about 2 s of line, and few writes
_HEAD = "<II"  # in front of the kept part: identity and size of the object
_IDLE_MS = 1000


class DataComm:
    """Sends and receives objects over a link; goes on after a reset in the middle of a large one.

    Args:
        link: A Link, or anything with its two methods.
        primary: True at exactly one end of the line.
        partial: File for the received part of an unfinished object; None keeps it in RAM only.
        max_object: Largest object taken, bytes; the sender of a larger one is told.
    """

    def __init__(self, link: "Link", primary: bool, partial: str | None = None, max_object: int = 32768) -> None:
        self._link = link
        self._partial = partial
        self._kept: tuple[tuple[int, int] | None, int] = (None, 0)  # which object is in the file, bytes of it that are there
        seed = int.from_bytes(fresh(4), "big")  # another one after every start, so that an old receipt fits nothing
        self.arq = Arq(primary, seed, max_object=max_object, resume=self._load())

    def send(self, kind: int, data: bytes) -> int:
        """Queue an object; returns the handle that `arq.finished` names."""
        return self.arq.send(bytes([kind]) + data)

    def quiet(self) -> bool:
        """Nothing on its way in either direction."""
        return self.arq.idle() and self.arq.partial() is None

    def listen(self, now_ms: int) -> None:
        """Read what has come; never waits. Then `take` all there is before `speak`: taking an object is what acknowledges it.

        Args:
            now_ms: Line time.
        """
        data = self._link.read()
        if data:
            self.arq.receive(data, now_ms)
            if self._partial:
                self._keep(self._partial)

    def take(self) -> "tuple[int, memoryview] | None":
        """The next object that has come whole: (kind, data)."""
        data = self.arq.take()
        return (data[0], memoryview(data)[1:]) if data else None

    def speak(self, now_ms: int) -> int:
        """Write what is due; never waits.

        Returns:
            Milliseconds of line time until the next turn, unless bytes come earlier.
        """
        burst = self.arq.poll(now_ms)
        if burst:
            self._link.write(burst)
        due = self.arq.deadline(now_ms)
        return _IDLE_MS if due is None else max(0, min(_IDLE_MS, due - now_ms))

    def _keep(self, path: str) -> None:
        """Append to the file what has come of the unfinished object, now and then."""
        partial = self.arq.partial()
        if partial is None:
            if self._kept[0] is not None:
                self._kept = (None, 0)
                _remove(path)
            return
        key, size, length, data = partial
        try:
            if self._kept[0] != (key, size):
                self._kept = ((key, size), 0)
                with open(path, "wb") as file:
                    file.write(struct.pack(_HEAD, key, size))
            if length - self._kept[1] >= _STEP:
                with open(path, "ab") as file:
                    file.write(data[self._kept[1] : length])
                self._kept = ((key, size), length)
        except OSError:  # flash is full: what is there is a good prefix, no more is added, and after a reset more has to be sent again
            self._kept = ((key, size), size)

    def _load(self) -> tuple[int, int, bytes] | None:
        if not self._partial:
            return None
        try:
            with open(self._partial, "rb") as file:
                data = file.read()
        except OSError:
            return None
        if len(data) < 8:  # the power went before the head was there
            _remove(self._partial)
            return None
        key, size = struct.unpack(_HEAD, data[:8])
        self._kept = ((key, size), len(data) - 8)
        return key, size, data[8:]


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:  # it could not even be made
        pass
