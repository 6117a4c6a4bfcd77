"""What travels over a hop: batches of records one way, acknowledgements the other.

A batch is one deterministic CBOR array
    [stream, origin, term, first, replayed, birth, unit, time, value, step, value, ...]
of the numbers from `first` on without a break. `step` is the time since the record before in `unit` nanoseconds, `unit` being the greatest
common divisor of the batch's steps. A null instead of a time or step announces a gap, [count, reason], instead of a value. The first
`replayed` records and gaps are repeats. `birth` marks the store that numbered them; while that takes over from an earlier store of the
same origin, the mark of the earlier one follows it in the same string. An acknowledgement is [stream, origin, birth, term, upto].
"""

import struct

from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import SampleError

OVERFLOW = "overflow"  # the bounded buffer was full
REBOOT = "reboot"  # reserved before a reboot: not used, or kept where the reboot forgot it
LOST = "lost"  # damaged in the store, or never stored because there was no room
TRIMMED = "trimmed"  # acknowledged before, to a receiver that is gone or has forgotten
REASONS = (OVERFLOW, REBOOT, LOST, TRIMMED)

BIRTH_BYTES = 3  # two stores of one origin are taken for one in 1 of 2^24 cases
MIN_TIME, MAX_TIME = -(1 << 63), (1 << 63) - 1  # ns

_HEADER = 7  # items of a batch before the first record
_MAX_ITEMS = 512  # records and gaps in a batch: while a consumer takes them in, all others of its node wait


class Gap:
    """Says that the samples `first` to `last` are missing, and why (one of `REASONS`)."""

    def __init__(self, first: int, last: int, reason: str) -> None:
        self.first = first
        self.last = last
        self.reason = reason

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gap) and (self.first, self.last, self.reason) == (other.first, other.last, other.reason)

    def __hash__(self) -> int:
        return hash((self.first, self.last, self.reason))

    def __repr__(self) -> str:
        return "Gap(%d, %d, %r)" % (self.first, self.last, self.reason)


class Record:
    """A sample as it arrives.

    Attributes:
        stream, origin, seq: its identity; seq counts from 0. Of a gap: its first number.
        term: of the owner that sent it.
        time_ns: when it was taken, nanoseconds, unchanged by repeats. 0 for a gap.
        replayed: it was sent before, or kept before a reboot of its origin: not live.
        value: plain data, or a `Gap`.
    """

    def __init__(self, stream: str, origin: str, seq: int, term: int, time_ns: int, replayed: bool, value: object) -> None:
        self.stream = stream
        self.origin = origin
        self.seq = seq
        self.term = term
        self.time_ns = time_ns
        self.replayed = replayed
        self.value = value

    def __repr__(self) -> str:
        return "Record(%s/%s/%d, term %d, %d ns, replayed %s: %r)" % (
            (self.stream, self.origin, self.seq, self.term, self.time_ns, self.replayed, self.value)
        )


class Packer:
    """Collects the items of one batch, as many as fit."""

    def __init__(self, head: list[object], birth: bytes, max_bytes: int) -> None:
        self._head = head
        self._birth = birth
        # Beside them in front of the items, at most: 3 bytes of array, 3 of `replayed`, 9 of `unit`.
        self._room = max_bytes - len(encode(head)) - len(encode(birth)) - 15
        self._values: list[bytes] = []
        self._steps: list[int | None] = []  # ns; of the first sample its time, None for a gap
        self._scaled: list[bytes] = []  # these in units, encoded
        self._start = -1  # index of the first sample
        self._time = 0  # ns, of the last sample
        self._unit = 0  # greatest common divisor of the steps
        self._size = 0  # bytes of the values and steps

    def add_gap(self, count: int, reason: str) -> bool:
        """Take a gap, if it fits."""
        return self._add(None, self._unit, encode([count, REASONS.index(reason)]))

    def add(self, data: bytes) -> bool:
        """Take a stored sample, if it fits."""
        time: int = struct.unpack_from(">q", data)[0]
        step = time
        unit = self._unit
        if self._start < 0:
            self._start = len(self._steps)
        else:
            step -= self._time
            unit = _gcd(unit, abs(step))
        self._time = time
        return self._add(step, unit, data[8:])

    def pack(self, replayed: int) -> bytes:
        """The batch."""
        items = 2 * len(self._steps) + _HEADER
        out = bytearray((0x80 | items,) if items < 24 else (0x98, items) if items < 256 else (0x99, items >> 8, items & 255))
        for field in self._head + [replayed, self._birth, self._unit]:
            out.extend(encode(field))
        for step, value in zip(self._scaled, self._values):
            out.extend(step)
            out.extend(value)
        return bytes(out)

    def _add(self, step: int | None, unit: int, value: bytes) -> bool:
        size, scaled = self._size, self._scaled
        if unit != self._unit:  # happens a few times at most: each new one divides the one before
            scaled = [self._step(index, self._steps[index], unit) for index in range(len(self._steps))]
            size = sum([len(kept) for kept in self._values]) + sum([len(kept) for kept in scaled])
        last = self._step(len(self._steps), step, unit)
        size += len(value) + len(last)
        if self._steps and (size > self._room or len(self._steps) == _MAX_ITEMS):
            return False
        scaled.append(last)
        self._steps.append(step)
        self._values.append(value)
        self._size, self._scaled, self._unit = size, scaled, unit
        return True

    def _step(self, index: int, step: int | None, unit: int) -> bytes:
        """How a step is written."""
        return encode(step if step is None or index == self._start or unit == 0 else step // unit)


class Batch:
    """A batch, checked as a whole before any of it is used.

    Args:
        data: The bytes.
        views: As in `codec.decode`: for those who look at what is around the values, which may be large.
    """

    def __init__(self, data: bytes | memoryview, views: bool = False) -> None:
        items = decode(data, views)
        if not isinstance(items, list) or len(items) < _HEADER or (len(items) - _HEADER) % 2:
            raise SampleError("not a hop batch: %d bytes" % len(data))
        self.stream = _text(items[0], "stream")
        self.origin = _text(items[1], "origin")
        self.term = _count(items[2], "term")
        self.first = _count(items[3], "first number")
        replayed = _count(items[4], "replayed")
        mark = _bytes(items[5], "birth")
        if len(mark) not in (BIRTH_BYTES, 2 * BIRTH_BYTES):
            raise SampleError("a birth of %d bytes" % len(mark))
        self.birth, self.parent = mark[:BIRTH_BYTES], mark[BIRTH_BYTES:]
        unit = _count(items[6], "unit")
        self.records: list[Record] = []
        seq = self.first
        time: int | None = None
        for index in range(_HEADER, len(items), 2):
            step, value = items[index], items[index + 1]
            repeat = len(self.records) < replayed
            if step is None:
                gap = _read_gap(seq, value)
                self.records.append(self.record(seq, 0, repeat, gap))
                seq = gap.last
            else:
                time = _time(step if time is None else time + _time(step) * unit)
                self.records.append(self.record(seq, time, repeat, value))
            seq = _count(seq + 1, "number")

    def record(self, seq: int, time_ns: int, replayed: bool, value: object) -> Record:
        """A record of this batch's stream."""
        return Record(self.stream, self.origin, seq, self.term, time_ns, replayed, value)


def _read_gap(first: int, value: object) -> Gap:
    if not isinstance(value, list) or len(value) != 2:
        raise SampleError("a gap is [count, reason]")
    count = _count(value[0], "length of a gap")
    reason = _count(value[1], "reason of a gap")
    if count == 0 or reason >= len(REASONS):
        raise SampleError("a gap of %d numbers for reason %d" % (count, reason))
    return Gap(first, _count(first + count - 1, "number"), REASONS[reason])


def encode_ack(stream: str, origin: str, birth: bytes, term: int, upto: int) -> bytes:
    """The acknowledgement of everything up to number `upto`, -1 for nothing, by an end that has heard `term`."""
    return encode([stream, origin, birth, term, upto])


def read_ack(data: bytes) -> tuple[str, str, bytes, int, int]:
    """(stream, origin, birth, term, upto); raises CodecError, SampleError."""
    items = decode(data)
    if not isinstance(items, list) or len(items) != 5:
        raise SampleError("not an acknowledgement: %d bytes" % len(data))
    upto = -1 if items[4] == -1 else _count(items[4], "number")
    return _text(items[0], "stream"), _text(items[1], "origin"), _bytes(items[2], "birth"), _count(items[3], "term"), upto


def _count(value: object, what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TIME:
        return value
    raise SampleError("%s is no integer from 0 to 2^63 - 1" % what)


def _time(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and MIN_TIME <= value <= MAX_TIME:
        return value
    raise SampleError("a time is no integer of 64 bits")


def _text(value: object, what: str) -> str:
    if isinstance(value, str):
        return value
    raise SampleError("%s is no text" % what)


def _bytes(value: object, what: str) -> bytes:
    if isinstance(value, (bytes, memoryview)):
        return bytes(value)
    raise SampleError("%s is no byte string" % what)


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a
