"""Who may talk when on a half-duplex line.

A station talks in bursts. It may start one when the other end's burst is over, or when the line has been silent for long enough. Every
frame tells how many more follow in its burst, so the end of a burst is known even if its last frames were garbled or lost without a trace.
A burst that asks for an answer and gets none is a miss; after some misses in a row a station waits longer and longer, up to a few seconds.
If both ends seized the silent line at once, neither hears the other: the secondary end then waits until it would have heard the primary.

All times are in milliseconds and follow from the time a byte takes, and from how soon answers have come lately.
"""

from eddy.kernel.rng import Rng

UNKNOWN = -1  # of a burst, how many frames are still to come
MANY = 3  # or more

_PATIENCE = 4  # misses before a station waits longer
_LONGEST_WAIT = 4000  # milliseconds
_ANSWER_BYTES = 10  # a short answer; one that is lost without a trace takes its time nevertheless
_FRAME_BYTES = 64  # a frame, before any of the burst was heard


class Turns:
    """The line as one station knows it.

    Args:
        primary: True at exactly one end.
        rng: For waiting times.
        byte_us: Microseconds one byte takes on the line.
        turn_ms: Milliseconds the line takes to change its direction.
    """

    def __init__(self, primary: bool, rng: Rng, byte_us: int, turn_ms: int) -> None:
        self._primary = primary
        self._rng = rng
        self._byte_us = byte_us
        self.misses = 0  # own bursts in a row that were not answered
        self._started = False
        self._sending_until = 0  # the own burst is on the line until then
        self._silent_until = 0  # the line is somebody else's until then
        self._awaiting = False  # is an answer due?
        self._in_turn = False  # did the last burst follow one of the other end, so that they could not collide?
        self._invited = False  # has the other end's burst been heard?
        self._listening = False  # is a burst of the other end under way?
        self._left = UNKNOWN
        self._ends = 0  # when the other end's burst ends, going by its frames
        self._longest = _FRAME_BYTES  # bytes of the longest frame in it
        self._heard = 0  # when the last byte came
        self._latency = turn_ms + self.line_ms(24)  # from the end of an own burst to the first byte of the answer, as seen lately

    def line_ms(self, count: int) -> int:
        """Milliseconds that `count` bytes take on the line, rounded up."""
        return (count * self._byte_us + 999) // 1000

    def free_at(self, now_ms: int) -> int:
        """When to ask `may_talk` next, if there is anything to say."""
        return max(now_ms, self._sending_until, self._silent_until)

    def may_talk(self, now_ms: int) -> bool:
        """Is it this station's turn? Asking is what notices that an answer did not come."""
        if not self._started:
            # A burst of the other end may be under way: after a reset, listen first.
            self._started = True
            self._silent_until = now_ms + self._slot()
        if now_ms < self._sending_until or now_ms < self._silent_until:
            return False
        self._listening = False
        if self._awaiting:
            self._awaiting = False
            self.misses += 1
            self._silent_until = now_ms + self._backoff()
        return now_ms >= self._silent_until

    def talk(self, count: int, now_ms: int, awaiting: bool) -> None:
        """A burst of `count` bytes starts; `awaiting` an answer to it, or not."""
        self._in_turn = self._invited
        self._invited = False
        self._awaiting = awaiting
        self._sending_until = now_ms + self.line_ms(count)
        self._silent_until = self._sending_until + self._slot()
        if awaiting:
            self._silent_until += self.line_ms(_ANSWER_BYTES)

    def hear(self, count: int, now_ms: int) -> bool:
        """`count` bytes have come, whatever they are; returns whether a silence was before them."""
        self._started = True
        began = now_ms - self.line_ms(count)
        silence = began - self._heard > self._slot() + self.line_ms(16)
        self._heard = now_ms
        if self._awaiting and not self._listening and now_ms >= self._sending_until:
            sample = min(max(0, began - self._sending_until), self.line_ms(120))
            self._latency = max(sample, self._latency - (self._latency - sample) // 2)
        return silence

    def follow(self, left: int, longest: int, now_ms: int) -> None:
        """What the bytes just heard tell of their burst: frames `left`, `UNKNOWN` if none was completed, and the longest in bytes."""
        if left == UNKNOWN and now_ms < self._sending_until:
            return  # a collision: what comes meanwhile is nobody's burst
        if not self._listening:
            self._listening = True
            self._left = UNKNOWN
            self._ends = now_ms
        self._longest = max(self._longest, longest)
        if left != UNKNOWN:
            self._awaiting = False
            self._invited = True
            self.misses = 0
            self._left = left
            self._ends = now_ms + left * self.line_ms(self._longest)
        if self._left == 0:
            self._listening = False
            self._longest = _FRAME_BYTES
            self._silent_until = now_ms
        elif self._left == UNKNOWN:  # most probably a short answer that was garbled
            self._silent_until = now_ms + self.line_ms(8) + self._margin()
        else:
            self._silent_until = max(self._ends, now_ms) + self._margin()

    def _margin(self) -> int:
        return max(self._latency // 2, self.line_ms(5))

    def _slot(self) -> int:
        """How long after the end of a burst the first byte of an answer must have been heard."""
        return self._latency + self._margin()

    def _backoff(self) -> int:
        """How long to wait after a miss."""
        if self.misses == 1 and self._in_turn:
            return 0
        spread = 1 << min(max(self.misses - _PATIENCE, 0), 8)
        slots = self._rng.below(spread) if self._primary else 1 + self._rng.below(2 * spread)
        return min(slots * (self._latency + self.line_ms(4)), _LONGEST_WAIT - self._rng.below(_LONGEST_WAIT // 2))
