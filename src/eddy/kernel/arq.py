"""Objects over a half-duplex line that loses, garbles and breaks: each arrives whole, in order, once.

Selective repeat with turns. A station sends a burst of frames; a turn carries the report on what was heard and the station's own data
alike. Nothing is sent when there is nothing to say. When a station may talk is decided in `eddy.kernel.turns`, how large its frames are
in `eddy.kernel.pace`, which parts of an object are missing is known in `eddy.kernel.transfer`.

An object is announced by a *head* with its length and CRC-32, which is its identity: an end that was reset, and resumes with what it
kept, tells or is told what is already there, and the transfer goes on. The CRC also catches what passed the CRC of every frame; the
object is then sent again. It counts as delivered when its owner at the far end has taken it. Within a session of both ends every object
is taken once; one whose delivery was not yet reported when an end was reset may be taken again.

Payloads of frames (`eddy.kernel.frame`); `left`: how many more frames the burst has, 3 for three or more:

    data     0 number(1 bit) left(2) position(12), contents     position in grains
    HEAD     1 000 00 left(2), number, size (7 bits a byte, least first, top bit: more), CRC-32, contents if they are short
    ASK      1 001 00 left, number, tag                         what do you hold of it?
    GOT      1 010 first last left, number, tag, unit, position(16), bits: see `Incoming.reports`
    DONE     1 011 00 left, number, tag                         delivered
    REFUSED  1 100 00 left, number, tag                         larger than what is taken here
    LOST     1 101 00 left                                      I know of no such object: announce it

`tag` is the low byte of the object's CRC-32: a report that was meant for an earlier session does not fit. A data frame costs 6 bytes
beside its contents. With 10 % of the frames lost and 1 % of the bytes garbled, 24 bytes per frame then get 24/30 · 0.9 · 0.99^31 = 52.7 %
of the line rate through, less what turns and reports cost.
"""

from eddy.kernel.errors import TooLarge
from eddy.kernel.frame import OVERHEAD, Decoder, encode
from eddy.kernel.pace import OVERHEAD as DATA_OVERHEAD
from eddy.kernel.pace import Pace
from eddy.kernel.rng import Rng
from eddy.kernel.transfer import Incoming, Outgoing
from eddy.kernel.turns import MANY, UNKNOWN, Turns

LARGEST = 1 << 28  # bytes of an object, exclusive: four bytes of size in its head

_HEAD, _ASK, _GOT, _DONE, _REFUSED, _LOST = range(6)
_FIRST, _LAST = 8, 4  # flags of GOT
_BURST_MS = 5000  # the other end must not wait longer for its turn
_BURST_BYTES = 1280  # nor is there more room to spare, here or in a serial driver
_REPORT_BYTES = 24  # of bits in one GOT
_SHORT = 4  # payloads; so much of an object follows its head at once
_GOOD = 96  # bytes in a frame of the other end that speak for a good line
_REPEATS = 3
_SPARE_BYTES = 160  # for repeating what is short
_SHARES = 3  # parts of a burst's length that remain while the other end has objects of its own
_SHARED = 6  # bursts; so long it is taken to have more after the last one
_ASKING = 2  # misses after which a station only asks


def _control(kind: int, number: int, crc: int) -> bytes:
    return bytes([0x80 | kind << 4, number, crc & 0xFF])


class Arq:
    """One end of the line. Pure: bytes and times go in, bytes and deadlines come out.

    Its owner loops: `receive` what the line brings; `take` and `finished`; `send`; write what `poll` returns; wait for the line or the
    `deadline`.

    Args:
        primary: True at exactly one end: it tries again sooner when both seized the line.
        seed: For the numbers of objects and for waiting times; should differ from one start to the next.
        byte_us: Microseconds one byte takes on the line; 4167 at 2,400 baud with 10 bits on the line for each byte.
        turn_ms: Milliseconds the line takes to change its direction.
        max_object: Largest object to accept, in bytes; the sender of a larger one is told "refused".
        resume: What `partial()` gave before a reset, kept by the owner: (id, size, the prefix), or None.
    """

    def __init__(
        self,
        primary: bool,
        seed: int,
        byte_us: int = 4167,
        turn_ms: int = 10,
        max_object: int = 32768,
        resume: tuple[int, int, bytes | bytearray | memoryview] | None = None,
    ) -> None:
        rng = Rng(seed)
        self._turns = Turns(primary, rng, byte_us, turn_ms)
        self._pace = Pace(min(_BURST_BYTES, _BURST_MS * 1000 // byte_us))
        self._decoder = Decoder()
        self._max_object = max_object
        self.stats = {"frames_sent": 0, "frames_resent": 0, "frames_received": 0, "frames_bad": 0, "bytes_sent": 0, "bytes_received": 0}
        self.stats["payload"] = self._pace.payload
        # Outbound.
        self._queue: list[tuple[int, bytes]] = []
        self._outgoing: Outgoing | None = None
        self._outcomes: list[tuple[int, str]] = []
        self._handle = 0
        self._number = rng.below(256)
        self._shared = 0  # own bursts that are kept short
        # Inbound.
        self._incoming: Incoming | None = None
        self._last: tuple[int, int, int] | None = None  # number, size, CRC of the last complete object
        self._ready: bytearray | None = None
        self._answer: bytes | None = None  # what is owed to the other end; a GOT is filled in when it is sent
        if resume is not None and len(resume[2]) <= resume[1] <= max_object:
            self._incoming = Incoming(UNKNOWN, resume[1], resume[0], resume[2])

    # The owner's side.

    def send(self, data: bytes) -> int:
        """Queue an object; returns the handle under which `finished` reports it.

        Raises:
            TooLarge: 256 MiB or more.
        """
        if len(data) >= LARGEST:
            raise TooLarge("an object of %d bytes is more than a line carries (%d): split it" % (len(data), LARGEST - 1))
        self._handle += 1
        self._queue.append((self._handle, data))
        return self._handle

    def idle(self) -> bool:
        """Is nothing queued or in flight outbound?"""
        return self._outgoing is None and not self._queue

    def pushed(self) -> int:
        """Bytes of the outbound objects that are not finished."""
        return sum([len(data) for _, data in self._queue]) + (len(self._outgoing.data) if self._outgoing is not None else 0)

    def finished(self) -> list[tuple[int, str]]:
        """(handle, "delivered" or "refused") of the outbound objects that ended since the last call."""
        outcomes = self._outcomes
        self._outcomes = []
        return outcomes

    def take(self) -> bytearray | None:
        """The object that arrived, or None. Taking it is what acknowledges it; no other one is accepted before."""
        data = self._ready
        self._ready = None
        return data

    def partial(self) -> tuple[int, int, int, memoryview] | None:
        """The inbound object that is not complete: (id, size, length of its part without a hole, that part); None without one."""
        incoming = self._incoming
        if incoming is None:
            return None
        length = incoming.prefix_bytes()
        return incoming.crc, incoming.size, length, memoryview(incoming.data)[:length]

    # The line's side.

    def deadline(self, now_ms: int) -> int | None:
        """When `poll` must be called again even if nothing is heard; None: not before something is heard or sent."""
        if self.idle() and (self._answer is None or self._ready is not None):
            return None
        return self._turns.free_at(now_ms)

    def poll(self, now_ms: int) -> bytes | None:
        """The burst to put on the line now, or None. It is taken to leave at line rate, starting at once."""
        if not self._turns.may_talk(now_ms):
            return None
        if self._turns.misses and self._outgoing is not None and not self._outgoing.expected:
            # What went along with the head is taken for lost: if that was too much for this line, less goes with the next one.
            self._outgoing.report(0, self._outgoing.grains, False)
            self._learn(self._outgoing, 0, self._outgoing.grains)
        frames = self._report() + self._offer()
        if not frames:
            return None
        burst = bytearray()
        for i in range(len(frames)):
            left = min(MANY, len(frames) - 1 - i)
            frames[i][0] |= left if frames[i][0] & 0x80 else left << 4
            burst.extend(encode(frames[i]))
        self._decoder.reset()
        self._turns.talk(len(burst), now_ms, self._outgoing is not None)
        self.stats["frames_sent"] += len(frames)
        self.stats["bytes_sent"] += len(burst)
        return bytes(burst)

    def receive(self, data: bytes | bytearray | memoryview, now_ms: int) -> None:
        """Take in bytes from the line, as they come."""
        if not data:
            return
        if self._turns.hear(len(data), now_ms):
            self._decoder.reset()  # the rest of an earlier burst will not come
        payloads = self._decoder.push(data)
        left = UNKNOWN
        longest = 0
        for payload in payloads:
            left = self._on_frame(payload)
            longest = max(longest, len(payload) + OVERHEAD)
        self._turns.follow(left, longest, now_ms)
        self.stats["bytes_received"] += len(data)
        self.stats["frames_received"] += len(payloads)
        self.stats["frames_bad"] = self._decoder.bad

    # Sending.

    def _offer(self) -> list[bytearray]:
        """The frames of the outbound object that come next; if there are none, the question how it fares."""
        if self._outgoing is None and self._queue:
            handle, data = self._queue.pop(0)
            self._number = (self._number + 1) & 0xFF
            self._outgoing = Outgoing(handle, data, self._number)
        outgoing = self._outgoing
        if outgoing is None:
            return []
        frames = []
        if not outgoing.expected:
            frames.append(self._head(outgoing))
            if len(outgoing.data) <= _SHORT * self._pace.payload and not self._turns.misses:
                frames += self._data(outgoing)
        elif self._turns.misses < _ASKING:
            frames += self._data(outgoing)
        return self._repeated(frames or [bytearray(_control(_ASK, outgoing.number, outgoing.crc))])

    def _repeated(self, frames: list[bytearray]) -> list[bytearray]:
        """The frames, more than once if they are few and the next turn is far: the other end is sending much, on a bad line."""
        incoming = self._incoming
        if incoming is None or incoming.unit * incoming.grain > _GOOD or self._turns.misses:
            return frames
        times = _SPARE_BYTES // sum([len(frame) + OVERHEAD for frame in frames])
        return [bytearray(frame) for _ in range(max(1, min(times, _REPEATS))) for frame in frames]

    def _head(self, outgoing: Outgoing) -> bytearray:
        """The announcement; a short object goes along."""
        frame = bytearray([0x80 | _HEAD << 4, outgoing.number])
        size = len(outgoing.data)
        while size > 127:
            frame.append(size & 127 | 128)
            size >>= 7
        frame.append(size)
        frame.extend(outgoing.crc.to_bytes(4, "big"))
        if len(outgoing.data) <= self._pace.payload:
            frame.extend(outgoing.data)
            outgoing.sent(0, outgoing.grains)
        self.stats["frames_resent"] += min(1, outgoing.announced)
        outgoing.announced += 1
        return frame

    def _data(self, outgoing: Outgoing) -> list[bytearray]:
        """As many frames of what is missing as fit a burst."""
        frames: list[bytearray] = []
        grains = max(1, self._pace.payload // outgoing.grain)
        room = self._pace.room()
        if self._shared:
            self._shared -= 1
            room = min(room, self._pace.longest // _SHARES)
        span = outgoing.next(0, grains)
        while span is not None:
            contents = outgoing.bytes(span[0], span[1])
            room -= len(contents) + DATA_OVERHEAD
            if room < 0 and frames:
                break
            frame = bytearray([(outgoing.number & 1) << 6 | span[0] >> 8, span[0] & 0xFF])
            frame.extend(contents)
            frames.append(frame)
            if outgoing.sent(span[0], span[1]):
                self.stats["frames_resent"] += 1
            span = outgoing.next(span[1], grains)
        return frames

    def _on_report(self, kind: int, payload: bytes, outgoing: Outgoing) -> None:
        """The other end tells what it holds of the outbound object."""
        if kind == _GOT and len(payload) >= 6:
            outgoing.expected = True
            unit = payload[3]
            position = payload[4] << 8 | payload[5]
            start = position
            if payload[0] & _FIRST:
                start = 0
                outgoing.report(0, position, True)
            for i in range(8 * (len(payload) - 6)):
                outgoing.report(position, position + unit, bool(payload[6 + (i >> 3)] >> (i & 7) & 1))
                position += unit
            if payload[0] & _LAST:
                outgoing.report(position, outgoing.grains, False)
                position = outgoing.grains
            self._learn(outgoing, start, position)
        elif kind == _DONE:
            outgoing.report(0, outgoing.grains, True)
            self._learn(outgoing, 0, outgoing.grains)
            self._finish(outgoing, "delivered")
        elif kind == _REFUSED:
            self._finish(outgoing, "refused")

    def _learn(self, outgoing: Outgoing, start: int, stop: int) -> None:
        self._pace.learn(outgoing.judge(start, stop))
        self.stats["payload"] = self._pace.payload

    def _finish(self, outgoing: Outgoing, outcome: str) -> None:
        self._outcomes.append((outgoing.handle, outcome))
        self._outgoing = None

    # Receiving.

    def _on_frame(self, payload: bytes) -> int:
        """Act on one frame; returns how many of its burst are still to come."""
        first = payload[0]
        if not first & 0x80:
            if len(payload) > 2:
                self._on_data(payload)
            return first >> 4 & 3
        kind = first >> 4 & 7
        outgoing = self._outgoing
        if kind == _HEAD:
            self._on_head(payload)
        elif kind == _ASK and len(payload) == 3:
            self._on_ask(payload[1], payload[2])
        elif outgoing is not None and kind == _LOST:
            outgoing.restart()
        elif outgoing is not None and len(payload) >= 3 and payload[1] == outgoing.number and payload[2] == outgoing.crc & 0xFF:
            self._on_report(kind, payload, outgoing)
        return first & 3

    def _on_head(self, payload: bytes) -> None:
        at = 2
        size = 0
        while at < min(len(payload), 6):
            size |= (payload[at] & 127) << 7 * (at - 2)
            at += 1
            if payload[at - 1] < 128:
                break
        if len(payload) < at + 4 or self._ready is not None:
            return
        number = payload[1]
        crc = int.from_bytes(payload[at : at + 4], "big")
        incoming = self._incoming
        self._shared = _SHARED
        if size > self._max_object:
            self._answer = _control(_REFUSED, number, crc)
        elif self._last == (number, size, crc):
            self._answer = _control(_DONE, number, crc)
        else:
            if incoming is None or incoming.size != size or incoming.crc != crc:
                incoming = self._incoming = Incoming(number, size, crc)
            incoming.number = number
            self._add(incoming, 0, memoryview(payload)[at + 4 :])

    def _on_data(self, payload: bytes) -> None:
        incoming = self._incoming
        last = self._last
        bit = payload[0] >> 6
        if self._ready is not None:
            return
        if incoming is not None and incoming.number != UNKNOWN and incoming.number & 1 == bit:
            self._add(incoming, (payload[0] & 15) << 8 | payload[1], memoryview(payload)[2:])
        elif incoming is None and last is not None and last[0] & 1 == bit:
            self._answer = _control(_DONE, last[0], last[2])
        else:
            self._answer = _control(_LOST, 0, 0)

    def _on_ask(self, number: int, tag: int) -> None:
        incoming = self._incoming
        last = self._last
        if self._ready is not None:
            return
        if incoming is not None and incoming.number == number and incoming.crc & 0xFF == tag:
            self._answer = _control(_GOT, number, tag)
        elif last is not None and last[0] == number and last[2] & 0xFF == tag:
            self._answer = _control(_DONE, number, tag)
        else:
            self._answer = _control(_LOST, 0, 0)

    def _add(self, incoming: Incoming, position: int, contents: memoryview) -> None:
        try:
            if not incoming.add(position, contents):
                return
        except MemoryError:  # within `max_object`, and yet no room for it on the heap as it is now
            self._incoming = None
            self._answer = _control(_REFUSED, incoming.number, incoming.crc)
            return
        self._answer = _control(_GOT, incoming.number, incoming.crc)
        if not incoming.complete():
            return
        self._incoming = None
        if incoming.intact():
            self._last = (incoming.number, incoming.size, incoming.crc)
            self._ready = incoming.data
            self._answer = _control(_DONE, incoming.number, incoming.crc)
        else:
            self._answer = _control(_LOST, 0, 0)

    def _report(self) -> list[bytearray]:
        """The answer that is owed. A complete object is not reported before it was taken."""
        answer = self._answer
        if answer is None or self._ready is not None:
            return []
        self._answer = None
        incoming = self._incoming
        if incoming is None or answer[0] != 0x80 | _GOT << 4:
            return [bytearray(answer)]
        frames = []
        for position, bits in incoming.reports(_REPORT_BYTES):
            frame = bytearray(answer)
            frame.extend(bytes([incoming.unit, position >> 8, position & 0xFF]))
            frame.extend(bits)
            frames.append(frame)
        frames[0][0] |= _FIRST
        frames[-1][0] |= _LAST
        return frames
