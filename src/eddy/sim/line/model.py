"""The line itself, as a pure model: bytes and times go in, bytes and times come out.

8N1: ten bits on the line for every byte. Half duplex: a byte that is on the line while the other end transmits is garbled, in both
directions. An end that starts after the other one waits for the line to turn around. A frame is what ends with 0x00; a lost one takes its
time on the line but nothing of it arrives. All randomness comes from one seeded generator.
"""

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

DEVICE = 0
GATEWAY = 1
ENDS = (DEVICE, GATEWAY)

NEVER = 1e15  # microseconds: thirty years

Stats = dict[str, int | float]


@dataclass
class _Transmitter:
    """One end's way onto the line; times in microseconds."""

    waiting: deque[int] = field(default_factory=deque)
    since: float = -NEVER  # the first byte of this uninterrupted transmission starts
    next: float = -NEVER  # the next byte starts
    in_frame: bool = False
    losing: bool = False
    arrived: bytearray = field(default_factory=bytearray)


class Line:
    """Two ends, `DEVICE` and `GATEWAY`, and the bytes between them.

    Args:
        baud: Bits per second; ten for every byte.
        loss: Probability that a frame is lost.
        corrupt: Probability that a byte arrives as another one.
        turn_ms: Time the line takes to change its direction, in milliseconds.
        seed: Of the errors.

    Raises:
        ValueError: A rate, time or probability that no line has.
    """

    def __init__(self, baud: int = 2400, loss: float = 0.0, corrupt: float = 0.0, turn_ms: float = 10.0, seed: int = 0) -> None:
        if baud < 1 or turn_ms < 0 or not 0 <= loss <= 1 or not 0 <= corrupt <= 1:
            raise ValueError(f"no line has baud={baud}, loss={loss}, corrupt={corrupt}, turn_ms={turn_ms}")
        self.byte_us = 10_000_000 / baud
        self.turn_us = turn_ms * 1000
        self.loss = loss
        self.corrupt = corrupt
        self._random = random.Random(seed)  # noqa: S311 - a simulation, repeatable on purpose
        self._ends = (_Transmitter(), _Transmitter())
        self._cuts: list[tuple[float, float]] = []
        self._covered = 0.0  # the line's use is accounted for up to here
        self._clear()

    def write(self, end: int, data: Iterable[int], now_us: float) -> None:
        """An end hands bytes to its transmitter, which sends them one after the other. Call `advance(now_us)` first."""
        own = self._ends[end]
        other = self._ends[1 - end]
        if not own.waiting and own.next < now_us:
            own.since = now_us
            if not other.waiting and other.next <= now_us:
                own.since = max(now_us, other.next + self.turn_us)
            # Otherwise the other end is transmitting: this one does not notice and talks into it.
            own.next = own.since
        own.waiting.extend(data)

    def cut(self, now_us: float, seconds: float) -> None:
        """Break the wire for a while: nothing arrives."""
        self._cuts.append((now_us, now_us + seconds * 1e6))

    def busy(self) -> bool:
        """Is anything being transmitted?"""
        return any(end.waiting for end in self._ends)

    def next_us(self, step: int = 1) -> float | None:
        """When there is something to hand over: a transmission's first byte, a frame's last, or `step` bytes; None on a silent line."""
        moments = []
        for end in self._ends:
            if not end.waiting:
                continue
            count = 1
            while end.next > end.since and count < step and count < len(end.waiting) and end.waiting[count - 1]:
                count += 1
            moments.append(end.next + count * self.byte_us)
        return min(moments) if moments else None

    def advance(self, now_us: float) -> tuple[bytes, bytes]:
        """Let time pass until `now_us`; returns what arrived meanwhile (at the device, at the gateway)."""
        while True:
            own, other = sorted(self._ends, key=lambda end: end.next if end.waiting else NEVER)
            if not own.waiting or own.next + self.byte_us > now_us:
                break
            self._transmit(own, other)
        arrived = bytes(self._ends[GATEWAY].arrived), bytes(self._ends[DEVICE].arrived)
        for end in self._ends:
            end.arrived.clear()
        return arrived

    def mark(self) -> Stats:
        """What happened since the previous mark; times in seconds on the line's clock.

        `elapsed_s` runs from the start of the first byte to the end of the last; `channel_use` is the part of it in which the line was
        in use. A frame that is still being sent counts with the next mark.
        """
        first = self._first or 0.0
        elapsed = self._covered - first if self._first is not None else 0.0
        stats: Stats = {
            "bytes": self._bytes,
            "frames": self._frames,
            "busy_s": self._busy / 1e6,
            "first_byte_s": first / 1e6,
            "last_byte_s": (first + elapsed) / 1e6,
            "elapsed_s": elapsed / 1e6,
            "channel_use": self._busy / elapsed if elapsed else 0.0,
            "lost_frames": self._lost,
            "corrupted_bytes": self._corrupted,
            "collisions": self._collisions,
            "cut_bytes": self._cut_bytes,
        }
        self._clear()
        return stats

    def _clear(self) -> None:
        self._bytes = 0
        self._frames = 0
        self._lost = 0
        self._corrupted = 0
        self._collisions = 0  # bytes that met another one
        self._cut_bytes = 0
        self._busy = 0.0
        self._first: float | None = None

    def _transmit(self, own: _Transmitter, other: _Transmitter) -> None:
        """One byte leaves."""
        byte = own.waiting.popleft()
        start = own.next
        stop = start + self.byte_us
        own.next = stop
        self._bytes += 1
        if self._first is None:
            self._first = start
        self._busy += max(0.0, stop - max(start, self._covered))
        self._covered = max(self._covered, stop)
        if not own.in_frame and byte:
            own.in_frame = True
            own.losing = self._random.random() < self.loss
        lost = own.losing
        if not byte and own.in_frame:
            own.in_frame = own.losing = False
            self._frames += 1
            self._lost += lost
        if self._met(own, other, start, stop):
            self._collisions += 1
            byte = self._random.randrange(256)
        elif self._random.random() < self.corrupt:
            self._corrupted += 1
            byte ^= self._random.randrange(1, 256)
        if any(begin < stop <= end for begin, end in self._cuts):
            self._cut_bytes += 1
        elif not lost:
            own.arrived.append(byte)

    def _met(self, own: _Transmitter, other: _Transmitter, start: float, stop: float) -> bool:
        """Was the other end transmitting during [start, stop)?"""
        until = other.next + len(other.waiting) * self.byte_us
        return other.since < stop and until > start and until > other.since
