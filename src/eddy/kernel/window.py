"""Windows: runs of samples without a gap, cut to one length.

A window never spans a gap in time, so its features always describe one continuous piece of signal. The partial window in front of a gap
is dropped and counted: nothing disappears silently.
"""

from array import array

from eddy.kernel.errors import SampleError

MYPY = False
if MYPY:
    from collections.abc import Iterator

    from eddy.kernel.features import Sums

_PIECE = 512
LONGEST = 16384  # samples; the features' compiled twin is exact up to here


class Windower:
    """Collects samples into windows of `size`, one buffer for all of them.

    Push until a window is ready, take it, and push the rest:

    >>> windower = Windower(4)
    >>> windower.push(array("h", [1, 2, 3, 4, 5, 6]), 0, 1000)
    4
    >>> windower.take()
    (0, array('h', [1, 2, 3, 4]))
    >>> windower.push(array("h", [5, 6]), 4000, 1000)
    2

    Args:
        size: Samples in a window, 1 to 16384.
        tolerance_ns: How far the time of a push may lie from where the previous one ended before that counts as a gap, in nanoseconds.
            None means half a sample period: then not even one sample can be missing or doubled unnoticed. A source whose time stamps
            jitter needs more.
        sums: Takes the samples; then there is no buffer, and `take` gives an empty one.
    """

    def __init__(self, size: int, tolerance_ns: int | None = None, sums: "Sums | None" = None) -> None:
        if not 1 <= size <= LONGEST:
            raise SampleError("a window holds 1 to %d samples, not %d: change `window` in the configuration" % (LONGEST, size))
        self.size = size
        self.tolerance_ns = tolerance_ns
        self.dropped = 0  # samples that went with partial windows
        self.gaps = 0  # how often that happened
        self._buffer = array("h")
        self._sums = sums
        for at in range(0, size if sums is None else 0, _PIECE):  # from bytes it would take the memory twice
            self._buffer.extend(array("h", bytes(2 * min(_PIECE, size - at))))
        self._filled = 0
        self._start_ns = 0
        self._next_ns = 0
        self._period_ns = 0

    def push(self, samples: "array[int] | memoryview[int]", time_ns: int, period_ns: int) -> int:
        """Take samples up to the end of the window.

        Args:
            samples: int16 counts.
            time_ns: When the first of them was taken.
            period_ns: Between two of them, above 0.

        Returns:
            How many were taken; 0 while a window is ready and not yet taken away.
        """
        if period_ns <= 0:
            raise SampleError("the sample period is %d ns: it must be above 0" % period_ns)
        if self._filled == self.size or not len(samples):
            return 0
        if self._filled and self._is_gap(time_ns, period_ns):
            self.drop()
        if not self._filled:
            self._start_ns = time_ns
            self._period_ns = period_ns
        taken = min(len(samples), self.size - self._filled)
        # Element by element would be the slowest thing on the device; slices of memoryviews are copied natively.
        if self._sums is None:
            memoryview(self._buffer)[self._filled : self._filled + taken] = memoryview(samples)[:taken]
        else:
            self._sums.add(memoryview(samples)[:taken])
        self._filled += taken
        self._next_ns = time_ns + taken * period_ns
        return taken

    def _is_gap(self, time_ns: int, period_ns: int) -> bool:
        if period_ns != self._period_ns:
            return True
        tolerance = period_ns // 2 if self.tolerance_ns is None else self.tolerance_ns
        return abs(time_ns - self._next_ns) > tolerance

    def drop(self) -> None:
        """Forget the partial window, and count it: the source says that what follows does not belong to it."""
        if self._filled:
            self.dropped += self._filled
            self.gaps += 1
            self._filled = 0
            if self._sums is not None:
                self._sums.clear()

    def ready(self) -> bool:
        """Whether a whole window waits to be taken."""
        return self._filled == self.size

    def take(self) -> "tuple[int, array[int]]":
        """The time of the window's first sample in nanoseconds, and its samples.

        The array is the only buffer there is: it is valid until the next push.
        """
        if not self.ready():
            raise SampleError("no whole window yet: %d of %d samples" % (self._filled, self.size))
        self._filled = 0
        return self._start_ns, self._buffer

    def cut(self, samples: "array[int] | memoryview[int]", time_ns: int, period_ns: int) -> "Iterator[tuple[int, array[int]]]":
        """The windows that a chunk of any length completes: push and take in turns.

        Args:
            samples, time_ns, period_ns: As `push`.

        Returns:
            (time of its first sample in nanoseconds, samples) of each; the array is valid until the next one.
        """
        taken = 0
        while taken < len(samples):
            taken += self.push(samples[taken:], time_ns + taken * period_ns, period_ns)
            if self.ready():
                yield self.take()

    def state(self) -> dict[str, int | bytes]:
        """Everything that a windower elsewhere needs to go on, as plain data."""
        return {
            "samples": bytes(memoryview(self._buffer)[: self._filled]),
            "start_ns": self._start_ns,
            "next_ns": self._next_ns,
            "period_ns": self._period_ns,
            "dropped": self.dropped,
            "gaps": self.gaps,
        }

    def restore(self, state: "dict[str, int | bytes]") -> None:
        """Go on where `state()` was taken; the window must be as long as it was there."""
        samples = array("h", bytes(state["samples"]))
        if len(samples) > self.size:
            raise SampleError("the state holds %d samples, a window here %d" % (len(samples), self.size))
        memoryview(self._buffer)[: len(samples)] = memoryview(samples)
        self._filled = len(samples)
        self._start_ns = int(state["start_ns"])
        self._next_ns = int(state["next_ns"])
        self._period_ns = int(state["period_ns"])
        self.dropped = int(state["dropped"])
        self.gaps = int(state["gaps"])
