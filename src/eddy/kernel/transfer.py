"""The two ends of one object's way over a line: what is still to be sent, what has arrived.

An object is divided into grains of a few bytes. Frames carry whole grains from any position, so the size of frames may change between
one transmission and the next, and both ends keep one bit per grain. A report of what arrived is the start of what is known and one bit
for every `unit` grains.
"""

import binascii

GRAIN = 8  # bytes; twice as much for every doubling of the object beyond the largest that 12 bits of position can address
POSITIONS = 4096


def grain_of(size: int) -> int:
    """Bytes per grain of an object of `size` bytes, so that a position fits 12 bits."""
    grain = GRAIN
    while size > grain * POSITIONS:
        grain *= 2
    return grain


class Bits:
    """A row of bits, all clear at first.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._bytes = bytearray((size + 7) // 8)

    def fill(self, start: int, stop: int, value: bool) -> None:
        """Set bits [start, stop) to `value`; what lies beyond the row is left out."""
        row = self._bytes
        i = start
        stop = min(stop, self.size)
        while i < stop:
            if i & 7 == 0 and stop - i >= 8:
                row[i >> 3] = 255 if value else 0
                i += 8
                continue
            if value:
                row[i >> 3] |= 1 << (i & 7)
            else:
                row[i >> 3] &= 255 ^ (1 << (i & 7))
            i += 1

    def find(self, value: bool, start: int, stop: int) -> int:
        """Position of the first bit in [start, stop) that equals `value`; `stop` when there is none."""
        row = self._bytes
        passed = 0 if value else 255
        i = start
        while i < stop:
            if row[i >> 3] == passed:
                i = (i | 7) + 1
            elif bool(row[i >> 3] >> (i & 7) & 1) == value:
                return i
            else:
                i += 1
        return stop


class Outgoing:
    """The sender's side of one object.

    Args:
        handle: The name its owner knows it by.
        data: The object.
        number: Its number on the line, 0 to 255.
    """

    def __init__(self, handle: int, data: bytes, number: int) -> None:
        self.handle = handle
        self.data = memoryview(data)
        self.number = number
        self.crc = binascii.crc32(data) & 0xFFFFFFFF
        self.grain = grain_of(len(data))
        self.grains = (len(data) + self.grain - 1) // self.grain
        self.announced = 0  # how often
        self.expected = False  # does the other end know of it?
        self._top = 0  # behind the highest grain that was ever sent
        self.restart()

    def restart(self) -> None:
        """The other end knows nothing of it."""
        self.expected = False
        self._todo = Bits(self.grains)
        self._todo.fill(0, self.grains, True)
        self._flight: list[tuple[int, int]] = []

    def bytes(self, start: int, stop: int) -> memoryview:
        """The contents of grains [start, stop)."""
        return self.data[start * self.grain : stop * self.grain]

    def next(self, start: int, grains: int) -> tuple[int, int] | None:
        """The next span of grains to send, from `start` on; it ends where a multiple of `grains` does, so that reports need few bits."""
        first = self._todo.find(True, start, self.grains)
        if first == self.grains:
            return None
        limit = min((first // grains + 1) * grains, self.grains)
        return first, self._todo.find(False, first, limit)

    def sent(self, start: int, stop: int) -> bool:
        """Grains [start, stop) are on their way; returns whether they had been before."""
        self._todo.fill(start, stop, False)
        self._flight.append((start, stop))
        again = start < self._top
        self._top = max(self._top, stop)
        return again

    def report(self, start: int, stop: int, arrived: bool) -> None:
        """The other end holds all of grains [start, stop), or lacks some of them."""
        self._todo.fill(start, stop, not arrived)

    def judge(self, start: int, stop: int) -> list[tuple[int, bool]]:
        """How the spans in [start, stop), just reported, fared: (bytes, arrived) of each; they are not in flight any more."""
        verdicts = []
        flight = []
        for span in self._flight:
            if span[0] < start or span[1] > stop:
                flight.append(span)
            else:
                arrived = self._todo.find(True, span[0], span[1]) == span[1]
                verdicts.append((len(self.bytes(span[0], span[1])), arrived))
        self._flight = flight
        return verdicts


class Incoming:
    """The receiver's side of one object. Memory grows with the highest byte that has arrived.

    Args:
        number: The object's number on the line.
        size: Its length in bytes.
        crc: CRC-32 of the whole.
        prefix: What was kept of it before a reset.
    """

    def __init__(self, number: int, size: int, crc: int, prefix: bytes | bytearray | memoryview = b"") -> None:
        self.number = number
        self.size = size
        self.crc = crc
        self.grain = grain_of(size)
        self.grains = (size + self.grain - 1) // self.grain
        self.unit = 1  # grains that one bit of a report stands for: the sender's frames, as seen lately
        self._widest = 0  # grains in the largest frame since the last report
        self.data = bytearray(prefix)
        self._have = Bits(self.grains)
        kept = self.grains if len(prefix) == size else len(prefix) // self.grain
        self._have.fill(0, kept, True)
        self._prefix = kept  # grains at the start without a hole
        self._top = kept  # behind the highest grain that arrived

    def add(self, start: int, payload: bytes | memoryview) -> bool:
        """Take in the contents of grains from `start` on; False when they cannot be a part of this object."""
        offset = start * self.grain
        stop = start + (len(payload) + self.grain - 1) // self.grain
        whole = len(payload) % self.grain == 0 or offset + len(payload) == self.size
        if offset + len(payload) > self.size or not whole:
            return False
        self._grow(offset + len(payload))
        self.data[offset : offset + len(payload)] = payload
        self._have.fill(start, stop, True)
        self._prefix = self._have.find(False, self._prefix, self.grains)
        self._top = max(self._top, stop)
        self._widest = max(self._widest, stop - start)
        return True

    def _grow(self, length: int) -> None:
        if length > len(self.data):
            # Another buffer instead of a longer one: its owner may still look into the old one through a memoryview.
            longer = bytearray(min(self.size, length + length // 8 + 256))
            longer[: len(self.data)] = self.data
            self.data = longer

    def complete(self) -> bool:
        """Is every byte there?"""
        return self._prefix == self.grains

    def intact(self) -> bool:
        """Does the whole have the announced CRC?"""
        return binascii.crc32(self.data) & 0xFFFFFFFF == self.crc

    def prefix_bytes(self) -> int:
        """Length of the part at the start that has no hole, in bytes."""
        return min(self._prefix * self.grain, self.size)

    def reports(self, longest: int) -> list[tuple[int, bytes]]:
        """What is there: (first grain, bits) per report, a bit for every `unit` grains, least significant first, set where all of them are.

        Everything below the first report's grain is there, and nothing beyond the last report's bits.

        Args:
            longest: Bytes of bits in one report at most.
        """
        if self._widest:
            self.unit = min(self._widest, 255)
            self._widest = 0
        base = self._prefix // self.unit * self.unit
        reports = []
        while True:
            units = min((self._top - base + self.unit - 1) // self.unit, 8 * longest)
            if self._prefix == self._top:
                units = 0  # no hole: the position alone says it all
                base = self._prefix
            bits = bytearray((units + 7) // 8)
            for i in range(units):
                start = base + i * self.unit
                stop = min(start + self.unit, self.grains)
                if self._have.find(False, start, stop) == stop:
                    bits[i >> 3] |= 1 << (i & 7)
            reports.append((base, bytes(bits)))
            base += units * self.unit
            if base >= self._top:
                return reports
