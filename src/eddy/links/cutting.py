"""From a stream of bytes without messages to messages: lines, or records behind the bytes that each begins with.

Both begin in the middle, take the stream in pieces of any size, hold a bounded part of it, and find their way again after what is no
message. Of that they give the first bytes, with the reason, once until the next message.
"""

from collections.abc import Iterator

Cut = tuple[bytes, str]
"""A message and ""; or bytes that are none, and why."""


class Lines:
    """A message for each line that ends with a line feed, with or without a carriage return before it; empty ones are none.

    What comes before the first line feed may be the end of a line, and a part of a number is a number: it is no message, unless
    `begin` was called before it came.

    Args:
        largest: Bytes of a line.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._begun = bytearray()
        self._skips = True  # until the line ends

    def begin(self) -> None:
        """What comes next is the beginning of a line."""
        self._skips = False

    def feed(self, data: bytes) -> Iterator[Cut]:
        """What some more bytes bring to an end."""
        while data:
            part, end, data = data.partition(b"\n")
            if not self._skips:
                self._begun += part
                if len(self._begun) > self._largest:
                    yield bytes(self._begun[: self._largest]), f"a line may have {self._largest} bytes, and this one has more"
                    self._begun.clear()
                    self._skips = True
            if end:
                line = bytes(self._begun).removesuffix(b"\r")
                self._begun.clear()
                self._skips = False
                if line.strip():
                    yield line, ""


class Records:
    """A message for each record of a fixed size behind the bytes that it begins with.

    Where a record ends, the next one begins. At first, and where it does not, a record counts only when another one follows it: the bytes
    that it begins with may be in the middle of one, too.

    Args:
        size: Bytes of a record, without those that it begins with.
        start: These; none when a record is one byte.
        largest: Bytes that are no record, of which one is told.
    """

    def __init__(self, size: int, start: bytes, largest: int) -> None:
        self._size, self._start, self._largest = size, start, largest
        self._held = bytearray()
        self._in_step = not start
        self._stray = bytearray()
        self._told = True  # that there are stray bytes; those before the first record are nothing to tell

    def feed(self, data: bytes) -> Iterator[Cut]:
        """What some more bytes bring to an end."""
        self._held += data
        start, whole = len(self._start), len(self._start) + self._size
        while True:
            if self._in_step:
                if len(self._held) < max(1, start):
                    return
                if self._held.startswith(self._start):
                    if len(self._held) < whole:
                        return
                    yield bytes(self._held[start:whole]), ""
                    del self._held[:whole]
                    continue
                self._in_step = self._told = False
            at = self._held.find(self._start)
            if at < 0:
                yield from self._drop(max(0, len(self._held) - start + 1))
                return
            yield from self._drop(at)
            if len(self._held) < whole + start:
                return
            if self._held.startswith(self._start, whole):
                yield from self._tell()
                self._in_step = True
            else:
                yield from self._drop(1)

    def _drop(self, count: int) -> Iterator[Cut]:
        if not self._told:
            self._stray += self._held[:count]
            if len(self._stray) >= self._largest:
                yield from self._tell()
        del self._held[:count]

    def _tell(self) -> Iterator[Cut]:
        if not self._told:
            yield bytes(self._stray[: self._largest]), f"no record begins with {self._start.hex()} here, or none follows it"
        self._stray.clear()
        self._told = True
