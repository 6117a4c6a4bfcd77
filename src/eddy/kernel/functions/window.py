"""Windows of a fixed duration, cut from chunks of a fast signal or from single values."""

from array import array

from eddy.kernel.errors import BadInput, SampleError
from eddy.kernel.function import Function, Sample
from eddy.kernel.window import LONGEST, Windower

MYPY = False
if MYPY:
    from collections.abc import Iterator
    from typing import Any

    from eddy.kernel.features import Sums

_MS = 1000000


class Window(Function):
    """Chunks `[int16 samples, period_ns]` (an array, or its bytes, little-endian) or int16 values in; windows out, in the form of chunks.

    Windows follow one another without overlap and never span a gap. Of chunks a window holds exactly `size_ms / period` samples; what is
    left in front of a gap is dropped. Of single values, which may come irregularly, it holds those of `size_ms` of sample time, is emitted
    with the first value after that, and its period is the mean one.

    Args:
        size_ms: Duration of a window, milliseconds.
    """

    def __init__(self, size_ms: int) -> None:
        if size_ms < 1:
            raise BadInput("a window of %d ms holds nothing: change `size`" % size_ms)
        self._size_ns = size_ms * _MS
        self._period_ns = 0
        self._windower: Windower | None = None  # of chunks
        self._start_ns = 0
        self._values = array("h")  # single ones
        self._sums: Sums | None = None
        self.dropped = 0

    def into(self, sums: "Sums") -> None:
        """Sum the windows of chunks up instead of keeping them: one takes a tenth of a small heap. `views` gives the rows."""
        self._sums = sums

    def on(self, sample: Sample) -> "list[Any]":
        """The windows that this chunk or value completes."""
        if isinstance(sample.value, int):
            return self._value(sample.time_ns, sample.value)
        return [[window[:], period_ns] for window, period_ns in self.views(sample)]

    def views(self, sample: Sample) -> "Iterator[list[Any]]":
        """The windows that this chunk completes, each good until the next: there is one buffer, and a small heap has no room for more.

        Once they are summed up, their rows.
        """
        samples, period_ns = sample.value
        if isinstance(samples, bytes):
            samples = array("h", samples)
        for _, window in self._for(period_ns).cut(samples, sample.time_ns, period_ns):
            yield self._sums.row() if self._sums else [window, period_ns]

    def gap(self, sample: Sample) -> "list[Any]":
        """The window in front of it stays incomplete."""
        self.dropped += len(self._values)
        self._values = array("h")
        if self._windower is not None:
            self._windower.drop()
        return []

    def _for(self, period_ns: int) -> Windower:
        """The windower for this rate."""
        if self._windower is None or period_ns != self._period_ns:
            if period_ns <= 0:
                raise SampleError("the sample period is %d ns: it must be above 0" % period_ns)
            fresh = Windower(self._size_ns // period_ns, sums=self._sums)
            if self._windower is not None:
                self._windower.drop()
                self.dropped += self._windower.dropped
            self._windower = fresh
            self._period_ns = period_ns
        return self._windower

    def _value(self, time_ns: int, value: int) -> "list[Any]":
        if not -32768 <= value <= 32767:
            raise SampleError("%d does not fit 16 bits: lower the scale of the source in front of the window" % value)
        out: list[Any] = []
        count = len(self._values)
        if count and time_ns - self._start_ns >= self._size_ns:
            out.append([self._values, self._size_ns // count])
            self._values = array("h")
        elif count and (time_ns < self._start_ns or count == LONGEST):  # a clock that was set back, or more than a window may hold
            self.dropped += count
            self._values = array("h")
        if not self._values:
            self._start_ns = time_ns
        self._values.append(value)
        return out

    def state(self) -> "Any":
        """The window that is being filled."""
        windower = self._windower.state() if self._windower is not None else None
        return [self._period_ns, windower, self._start_ns, bytes(self._values), self.dropped]

    def restore(self, state: "Any") -> None:
        """Go on in the middle of a window."""
        self._period_ns, windower, self._start_ns, values, self.dropped = state
        self._values = array("h", values)
        self._windower = None
        if windower is not None:
            self._windower = Windower(self._size_ns // self._period_ns)
            self._windower.restore(windower)
