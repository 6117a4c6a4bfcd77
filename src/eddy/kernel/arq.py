"""Objects over a half-duplex line that loses, garbles and breaks: each arrives whole, in order, once.

Selective repeat with turns. A station sends a *burst* of frames; each frame says how many follow, so the other end knows when its turn
comes even if the last ones were lost. A turn carries the report on what was heard and the station's own data alike. Nothing is sent when
there is nothing to say; either end may seize the silent line, and if both do, the secondary end waits longer before it tries again.

An object is announced by a *head* with its length and CRC-32, which is its identity: an end that was reset, or that resumes with what it
kept, is told or tells what is already there, and the transfer goes on. Then come data frames (position and bytes). The CRC also catches
what passed the CRC of every frame; the object is then sent again. It counts as delivered when its owner at the far end has taken it.

Frames, inside `eddy.kernel.frame`, first byte first (`left`: how many more frames the burst has, 3 for three or more):

    data     0 number(1 bit) left(2) position(12), data          position in grains, see `eddy.kernel.transfer`
    HEAD     1 000 00 left(2), number, size (7 bits a byte, least first, top bit: more), CRC-32, data from position 0
    ASK      1 001 00 left, number, tag                          what do you hold of it?
    GOT      1 010 first last left, number, tag, unit, position(16), bits
    DONE     1 011 00 left, number, tag                          delivered
    REFUSED  1 100 00 left, number, tag                          larger than what is taken here
    LOST     1 101 00 left                                       I know of no such object: announce it

`tag` is the low byte of the object's CRC-32: a report that was meant for an earlier session does not fit. The data frame's two bytes and
the frame's four make 6 bytes of overhead; with 10 % of the frames lost and 1 % of the bytes garbled, payloads of 24 bytes then get
24/30 · 0.9 · 0.99^31 = 0.527 of the line rate through, less what turns and reports cost.
"""

from eddy.kernel.errors import TooLarge
from eddy.kernel.frame import OVERHEAD, Decoder, encode
from eddy.kernel.rng import Rng
from eddy.kernel.transfer import GRAIN, Incoming, Outgoing

HEAD, ASK, GOT, DONE, REFUSED, LOST = range(6)

LARGEST = 1 << 28  # bytes of an object: four bytes of size in its head
MAX_PAYLOAD = 240  # bytes of an object in one frame
FIRST_PAYLOAD = 64  # before anything is known of the line
DATA_OVERHEAD = 2 + OVERHEAD
BURST_MS = 4000  # the other end must not wait longer for its turn
BURST_BYTES = 1024  # nor do serial drivers buffer much more
REPORT_BITS = 16  # bytes of bits in one GOT
WIN = 1024
PATIENT = 4  # unanswered bursts before a station waits longer and longer
PLAINTIVE = 2  # unanswered bursts after which a station only asks


class Arq:
    """One end of the line. Pure: bytes and times go in, bytes and deadlines come out.

    Args:
        primary: True at exactly one end: it tries again sooner when both seized the line.
        seed: For the numbering of objects and for waiting times; should differ from one start to the next.
        byte_us: Microseconds one byte takes on the line; 4167 at 2,400 baud with 10 bits on the line for each byte.
        turn_ms: Milliseconds the line needs to change its direction.
        max_object: Largest object to accept, in bytes; the sender of a larger one is told "refused".
        resume: What `partial()` gave before a reset, the prefix as bytes: (id, size, prefix) or None.
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
        self._primary = primary
        self._rng = Rng(seed)
        self._byte_us = byte_us
        self._max_object = max_object
        self._decoder = Decoder()
        self.stats = {
            "frames_sent": 0,
            "frames_resent": 0,
            "frames_received": 0,
            "frames_bad": 0,
            "bytes_sent": 0,
            "bytes_received": 0,
            "payload": FIRST_PAYLOAD,
        }
        # Outbound objects.
        self._queue: list[tuple[int, bytes]] = []
        self._outgoing: Outgoing | None = None
        self._outcomes: list[tuple[int, str]] = []
        self._handle = 0
        self._number = self._rng.below(256)
        # Inbound objects.
        self._incoming: Incoming | None = None
        self._last: tuple[int, int, int] | None = None  # number, size, CRC of the last complete object
        self._ready: bytes | None = None
        self._answer: bytes | None = None  # the report that is owed, without GOT's contents
        if resume is not None and len(resume[2]) <= resume[1] <= max_object:
            self._incoming = Incoming(-1, resume[1], resume[0], resume[2])
        # Turns; all times in milliseconds.
        self._started = False
        self._sending_until = 0  # the own burst is on the line until then
        self._silent_until = 0  # the line belongs to somebody else until then
        self._awaiting = False  # is that an answer to the own burst?
        self._listening = False  # is that a burst of the other end?
        self._turn = False
        self._in_turn = False
        self._misses = 0  # own bursts in a row that were not answered
        self._heard = 0  # when the last byte came
        self._longest = 64  # bytes of the longest frame in the other end's burst
        self._latency = self._line_ms(24) + turn_ms  # from the end of a burst to the first byte of the answer
        # The line's quality: 20 × frames lost − frames, bytes that frames survived.
        self._losses = 4
        self._survived = 130
        self._judged = 0

    # --- objects ---

    def send(self, data: bytes) -> int:
        """Queue an object; returns the handle under which `finished()` reports it.

        Raises:
            TooLarge: No line is that patient.
        """
        if len(data) >= LARGEST:
            raise TooLarge("an object of %d bytes is more than the line carries (%d): split it" % (len(data), LARGEST - 1))
        self._handle += 1
        self._queue.append((self._handle, data))
        return self._handle

    def idle(self) -> bool:
        """Is nothing queued or in flight outbound?"""
        return self._outgoing is None and not self._queue

    def pushed(self) -> int:
        """Bytes of outbound objects that are not finished."""
        total = 0 if self._outgoing is None else len(self._outgoing.data)
        for _, data in self._queue:
            total += len(data)
        return total

    def take(self) -> bytes | None:
        """The next object that arrived, or None. Taking it is what acknowledges it, so take it before the next `poll`."""
        data = self._ready
        self._ready = None
        return data

    def finished(self) -> list[tuple[int, str]]:
        """(handle, "delivered" or "refused") of the outbound objects that ended since the last call."""
        outcomes = self._outcomes
        self._outcomes = []
        return outcomes

    def partial(self) -> tuple[int, int, int, memoryview] | None:
        """The inbound object that is not complete: (id, size, length of the prefix without a hole, that prefix); None without one."""
        incoming = self._incoming
        if incoming is None:
            return None
        length = incoming.prefix_bytes()
        return incoming.crc, incoming.size, length, memoryview(incoming.data)[:length]

    # --- turns ---

    def deadline(self, now_ms: int) -> int | None:
        """When `poll` must be called again even if nothing is heard; None: not before something is heard or sent."""
        if (self._answer is None or self._ready is not None) and self.idle():
            return None
        return max(now_ms, self._sending_until, self._silent_until)

    def poll(self, now_ms: int) -> bytes | None:
        """The burst to put on the line now, or None. It is taken to leave at line rate, starting at once."""
        if not self._started:
            self._started = True
            self._silent_until = max(self._silent_until, now_ms + self._slot())
        if now_ms < self._sending_until or now_ms < self._silent_until:
            return None
        self._listening = False
        if self._awaiting:
            self._awaiting = False
            self._misses += 1
            if self._outgoing is not None and not self._outgoing.expected:
                self._outgoing.report(0, self._outgoing.grains, False)
                self._learn(self._outgoing.judge(0, self._outgoing.grains))
            self._silent_until = now_ms + self._backoff()
            if now_ms < self._silent_until:
                return None
        frames = self._compose()
        if not frames:
            return None
        return self._transmit(frames, now_ms)

    def receive(self, data: bytes | bytearray | memoryview, now_ms: int) -> None:
        """Take in bytes from the line, as they come."""
        if not data:
            return
        self._started = True
        duration = self._line_ms(len(data))
        if now_ms - duration - self._heard > self._slot() + self._line_ms(16):
            self._decoder.reset()  # the rest of an earlier burst's last frame will not come
        self._heard = now_ms
        if self._awaiting and not self._listening and now_ms >= self._sending_until:
            sample = min(max(0, now_ms - duration - self._sending_until), self._line_ms(120))
            self._latency = max(sample, self._latency - (self._latency - sample) // 2)
        payloads = self._decoder.push(data)
        self.stats["frames_received"] += len(payloads)
        self.stats["frames_bad"] = self._decoder.bad
        self.stats["bytes_received"] += len(data)
        left = -1
        for payload in payloads:
            left = self._frame(payload)
            self._longest = max(len(payload) + OVERHEAD, self._longest)
        if left >= 0 or now_ms >= self._sending_until:
            self._listen(left, now_ms)

    def _listen(self, left: int, now_ms: int) -> None:
        """The other end is sending, with `left` frames to come after what was heard; -1: nothing new is known about that."""
        if not self._listening:
            self._listening = True
            self._left = -1
            self._ends = now_ms
        frame_ms = self._line_ms(self._longest)
        if left >= 0:
            self._awaiting = False
            self._misses = 0
            self._turn = True
            self._left = left
            self._ends = now_ms + left * frame_ms
        if self._left == 0:
            self._silent_until = now_ms
            self._listening = False
            self._longest = 64
        elif self._left == 3:  # a few frames in a row may be lost without a trace
            self._silent_until = now_ms + frame_ms * 7 // 2 + self._margin()
        elif self._left == -1:
            self._silent_until = now_ms + self._line_ms(8) + self._margin()
        else:
            self._silent_until = max(self._ends, now_ms) + self._margin()

    def _transmit(self, frames: list[bytearray], now_ms: int) -> bytes:
        burst = bytearray()
        for i in range(len(frames)):
            left = min(3, len(frames) - 1 - i)
            frames[i][0] |= left if frames[i][0] & 0x80 else left << 4
            burst.extend(encode(frames[i]))
        self._decoder.reset()
        self.stats["frames_sent"] += len(frames)
        self.stats["bytes_sent"] += len(burst)
        self._sending_until = now_ms + self._line_ms(len(burst))
        self._silent_until = self._sending_until + self._slot()
        self._awaiting = self._outgoing is not None
        self._in_turn = self._turn
        self._turn = False
        if self._awaiting:
            self._silent_until += self._line_ms(10)  # an answer that is lost takes its time nevertheless
        return bytes(burst)

    def _line_ms(self, count: int) -> int:
        """Milliseconds that `count` bytes take on the line, rounded up."""
        return (count * self._byte_us + 999) // 1000

    def _margin(self) -> int:
        return max(self._latency // 2, self._line_ms(5))

    def _slot(self) -> int:
        """How long after the end of a burst the first byte of an answer must have been heard."""
        return self._latency + self._margin()

    def _backoff(self) -> int:
        """How long to wait after an unanswered burst: at first not at all, or at the secondary end long enough to hear the primary."""
        spread = 1 << min(max(self._misses - PATIENT, 0), 6)
        slots = self._rng.below(spread) if self._primary else 1 + self._rng.below(2 * spread)
        if self._misses == 1 and self._in_turn:
            slots = 0
        return slots * (self._latency + self._line_ms(4))

    # --- sending ---

    def _compose(self) -> list[bytearray]:
        frames = self._report()
        if self._outgoing is None and self._queue:
            handle, data = self._queue.pop(0)
            self._number = (self._number + 1) & 255
            self._outgoing = Outgoing(handle, data, self._number)
        outgoing = self._outgoing
        if outgoing is None:
            return frames
        before = len(frames)
        room = self._room(outgoing) - sum([len(frame) + OVERHEAD for frame in frames])
        if not outgoing.expected:
            room -= self._head(outgoing, frames)
        elif self._misses < PLAINTIVE:
            self._data(outgoing, frames, room)
        if len(frames) == before:
            frames.append(bytearray([0x80 | ASK << 4, outgoing.number, outgoing.crc & 0xFF]))
        return frames

    def _room(self, outgoing: Outgoing) -> int:
        """Bytes for one burst; a little more when that spares another turn."""
        room = min(BURST_BYTES, BURST_MS * 1000 // self._byte_us) * 5 // 4
        if self._judged < 1024 and self.stats["payload"] < 200:
            room = min(room, max(224, 2 * self._judged))
        return room

    def _head(self, outgoing: Outgoing, frames: list[bytearray]) -> int:
        """Announce the object; a short one goes along."""
        payload = self.stats["payload"]
        frame = bytearray([0x80 | HEAD << 4, outgoing.number])
        size = len(outgoing.data)
        while size > 127:
            frame.append(size & 127 | 128)
            size >>= 7
        frame.append(size)
        frame.extend(outgoing.crc.to_bytes(4, "big"))
        frames.append(frame)
        if len(outgoing.data) <= payload:
            frame.extend(outgoing.data)
            outgoing.sent(0, outgoing.grains)
        return len(frame) + OVERHEAD

    def _data(self, outgoing: Outgoing, frames: list[bytearray], room: int) -> None:
        grains = max(1, self.stats["payload"] // outgoing.grain)
        start = 0
        while True:
            span = outgoing.next(start, grains)
            if span is None:
                return
            start = span[1]
            contents = outgoing.bytes(span[0], span[1])
            room -= len(contents) + DATA_OVERHEAD
            if room < 0:
                return
            frame = bytearray([(outgoing.number & 1) << 6 | span[0] >> 8, span[0] & 0xFF])
            frame.extend(contents)
            frames.append(frame)
            outgoing.sent(span[0], span[1])

    # --- receiving ---

    def _frame(self, payload: bytes) -> int:
        """Act on one frame; returns how many frames of the burst are still to come."""
        first = payload[0]
        if not first & 0x80:
            if len(payload) > 2:
                self._on_data(payload)
            return first >> 4 & 3
        kind = first >> 4 & 7
        if kind == HEAD:
            self._on_head(payload)
        elif kind == ASK and len(payload) == 3:
            self._on_ask(payload[1], payload[2])
        elif kind == LOST:
            if self._outgoing is not None:
                self._outgoing.restart()
        elif self._outgoing is not None and len(payload) >= 3:
            if payload[1] == self._outgoing.number and payload[2] == self._outgoing.crc & 0xFF:
                self._on_report(kind, payload, self._outgoing)
        return first & 3

    def _on_head(self, payload: bytes) -> None:
        size = 0
        at = 2
        while at < min(len(payload), 6):
            size |= (payload[at] & 127) << 7 * (at - 2)
            at += 1
            if payload[at - 1] < 128:
                break
        if len(payload) < at + 4 or self._ready is not None:
            return
        crc = int.from_bytes(payload[at : at + 4], "big")
        number = payload[1]
        if size > self._max_object:
            self._answer = bytes([0x80 | REFUSED << 4, number, crc & 0xFF])
            return
        if self._last == (number, size, crc):
            self._answer = bytes([0x80 | DONE << 4, number, crc & 0xFF])
            return
        incoming = self._incoming
        if incoming is None or incoming.size != size or incoming.crc != crc:
            incoming = Incoming(number, size, crc)
            self._incoming = incoming
        incoming.number = number
        self._add(incoming, 0, memoryview(payload)[at + 4 :])

    def _on_data(self, payload: bytes) -> None:
        incoming = self._incoming
        if self._ready is not None:
            return
        if incoming is None or incoming.number < 0 or incoming.number & 1 != payload[0] >> 6:
            self._answer = bytes([0x80 | LOST << 4])
            return
        self._add(incoming, (payload[0] & 15) << 8 | payload[1], memoryview(payload)[2:])

    def _on_ask(self, number: int, tag: int) -> None:
        incoming = self._incoming
        last = self._last
        if self._ready is not None:
            return
        if incoming is not None and incoming.number == number and incoming.crc & 0xFF == tag:
            self._answer = bytes([0x80 | GOT << 4])
        elif last is not None and last[0] == number and last[2] & 0xFF == tag:
            self._answer = bytes([0x80 | DONE << 4, number, tag])
        else:
            self._answer = bytes([0x80 | LOST << 4])

    def _add(self, incoming: Incoming, position: int, contents: memoryview) -> None:
        if not incoming.add(position, contents):
            return
        self._answer = bytes([0x80 | GOT << 4])
        if not incoming.complete():
            return
        self._incoming = None
        if incoming.intact():
            self._last = (incoming.number, incoming.size, incoming.crc)
            self._ready = bytes(incoming.data)
            self._answer = bytes([0x80 | DONE << 4, incoming.number, incoming.crc & 0xFF])
        else:
            self._answer = bytes([0x80 | LOST << 4])

    def _report(self) -> list[bytearray]:
        """The frames that answer what was heard."""
        answer = self._answer
        if answer is None or self._ready is not None:
            return []
        self._answer = None
        incoming = self._incoming
        if answer[0] >> 4 & 7 != GOT or incoming is None:
            return [bytearray(answer)]
        frames = []
        for base, bits in incoming.reports(REPORT_BITS):
            frame = bytearray([answer[0], incoming.number, incoming.crc & 0xFF, incoming.unit, base >> 8, base & 0xFF])
            frame.extend(bits)
            frames.append(frame)
        frames[0][0] |= 8
        frames[-1][0] |= 4
        return frames

    def _on_report(self, kind: int, payload: bytes, outgoing: Outgoing) -> None:
        """The other end tells about the object that is being sent to it."""
        if kind == GOT and len(payload) >= 6:
            outgoing.expected = True
            unit = payload[3]
            position = payload[4] << 8 | payload[5]
            start = position
            if payload[0] & 8:
                start = 0
                outgoing.report(0, position, True)
            for i in range(8 * (len(payload) - 6)):
                outgoing.report(position, position + unit, bool(payload[6 + (i >> 3)] >> (i & 7) & 1))
                position += unit
            if payload[0] & 4:
                outgoing.report(position, outgoing.grains, False)
                position = outgoing.grains
            self._learn(outgoing.judge(start, position))
        elif kind in (DONE, REFUSED):
            if kind == DONE:
                outgoing.report(0, outgoing.grains, True)
                self._learn(outgoing.judge(0, outgoing.grains))
            self._outcomes.append((outgoing.handle, "delivered" if kind == DONE else "refused"))
            self._outgoing = None

    def _learn(self, verdicts: list[tuple[int, bool]]) -> None:
        """Choose the payload by how frames fared.

        If a byte is garbled with probability c, a frame of n bytes with h of overhead gets (n - h)/n · (1 - c)^n through, which is most at
        (n - h) · n = h/c. The estimate of c is losses over bytes survived, a lost frame having survived half of itself on the average;
        one frame in twenty is taken to be lost whatever its size.
        """
        for size, arrived in verdicts:
            self._judged += size
            self._survived += size + DATA_OVERHEAD if arrived else (size + DATA_OVERHEAD) // 2
            self._losses = max(self._losses - 1 if arrived else self._losses + 11, 1)
        while self._survived > WIN:
            self._survived //= 2
            self._losses = (self._losses + 1) // 2
        square = 7 * 12 * self._survived // self._losses
        payload = GRAIN
        while payload < MAX_PAYLOAD and (payload + GRAIN // 2) * (payload + GRAIN // 2 + 7) <= square:
            payload += GRAIN
        self.stats["payload"] = max(payload, 2 * GRAIN)
