"""Rolling mean in sample time, in memory that does not grow with the rate."""

from eddy.kernel.errors import BadInput, SampleError
from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any

_BUCKETS = 64


class Mean(Function):
    """Integers in (scaled, such as milli-degrees); for each one the mean of those of the last `over_ms` out, rounded down, same scale.

    Values are summed up in 64 buckets of sample time, so the stretch is exact to a 64th of `over_ms`. A value that is older than the
    stretch is left out.

    >>> mean = Mean(over_ms=2000)
    >>> [mean.on(Sample("t", "o", s, s * 10**9, value))[0] for s, value in enumerate([10, 20, 40])]
    [10, 15, 30]

    Args:
        over_ms: Length of the stretch, milliseconds.
    """

    def __init__(self, over_ms: int) -> None:
        if over_ms < 1:
            raise BadInput("a mean over %d ms is none: use 1 or more" % over_ms)
        self._over_ns = over_ms * 1000000
        self._buckets: list[list[int]] = []  # [number of the bucket, sum, count], oldest first

    def on(self, sample: Sample) -> "list[Any]":
        """One more value, and the mean with it."""
        if not isinstance(sample.value, int):
            raise SampleError("the mean of %r cannot be taken: it must be an integer" % (sample.value,))
        number = sample.time_ns * _BUCKETS // self._over_ns
        at = len(self._buckets)
        while at and self._buckets[at - 1][0] > number:
            at -= 1
        if at and self._buckets[at - 1][0] == number:
            self._buckets[at - 1][1] += sample.value
            self._buckets[at - 1][2] += 1
        else:
            self._buckets.insert(at, [number, sample.value, 1])
        while self._buckets[0][0] <= self._buckets[-1][0] - _BUCKETS:
            self._buckets.pop(0)
        return [sum([bucket[1] for bucket in self._buckets]) // sum([bucket[2] for bucket in self._buckets])]

    def state(self) -> "Any":
        """The buckets."""
        return [list(bucket) for bucket in self._buckets]

    def restore(self, state: "Any") -> None:
        """Go on in the middle of the stretch."""
        self._buckets = state
