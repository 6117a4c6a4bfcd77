"""Page-Hinkley: has the mean of a stream changed? Integers only, so that every interpreter raises the alarm at the same sample.

Two-sided cumulative sums of what deviates from the running mean by more than `delta` (E. S. Page, Continuous inspection schemes,
Biometrika 41, 1954). Without forgetting (river's `alpha=1`). A step costs one division; the state is four integers.
"""

_Q = 16  # fractional bits of the mean and the sums


class PageHinkley:
    """Watches one stream of integers.

    >>> test = PageHinkley(delta=1, threshold=100, minimum=10)
    >>> [i for i in range(40) if test.update(0 if i < 20 else 50)]
    [22]

    Args:
        delta: Deviation from the mean that is tolerated, in units of the samples.
        threshold: Accumulated deviation, in the same units, above which the mean has changed.
        minimum: Samples after the start, or after an alarm, before which none is raised.
    """

    def __init__(self, delta: int, threshold: int, minimum: int = 30) -> None:
        if delta < 0 or threshold < 0 or minimum < 1:
            raise ValueError("delta and threshold must not be negative, minimum must be at least 1")
        self._delta = delta << _Q
        self._threshold = threshold << _Q
        self._minimum = minimum
        self._count = 0
        self._sum = 0
        self._rise = 0
        self._fall = 0

    def update(self, x: int) -> bool:
        """Take one sample; True when the mean has changed, after which the test starts anew."""
        self._count += 1
        self._sum += x
        # The mean is rounded to the nearest step: rounding down would add up to a drift of its own.
        mean = ((self._sum << (_Q + 1)) + self._count) // (2 * self._count)
        deviation = (x << _Q) - mean
        # A cumulative sum minus its lowest value so far, and the mirror image of it.
        self._rise = max(0, self._rise + deviation - self._delta)
        self._fall = max(0, self._fall - deviation - self._delta)
        if self._count < self._minimum or max(self._rise, self._fall) <= self._threshold:
            return False
        self.restore([0, 0, 0, 0])
        return True

    def state(self) -> list[int]:
        """Four integers from which `restore` goes on."""
        return [self._count, self._sum, self._rise, self._fall]

    def restore(self, state: list[int]) -> None:
        """Go on where `state()` of a test with the same parameters was taken."""
        self._count, self._sum, self._rise, self._fall = state
