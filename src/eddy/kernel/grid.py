"""The grid of a forest: every feature in 12 bits."""

from array import array

from eddy.kernel.errors import ModelError

MAX_FEATURES = 12
STEPS = 4095  # the grid's highest value


class Grid:
    """Where each feature lies: the range that 12 bits divide.

    Rows outside are clamped, which loses nothing: thresholds lie inside, so what is further out takes the same way.

    Args:
        bounds: (low, high) for each feature; int32, `low <= high`, less than 2^31 apart.
    """

    def __init__(self, bounds: "list[tuple[int, int]]") -> None:
        if not 1 <= len(bounds) <= MAX_FEATURES:
            raise ModelError("a forest takes 1 to %d features, not %d" % (MAX_FEATURES, len(bounds)))
        self.bounds = []
        for low, high in bounds:
            if not (-(1 << 31) <= low <= high < 1 << 31 and high - low < 1 << 31):
                raise ModelError("a feature's range must be ordered and fit 31 bits, not %d..%d" % (low, high))
            self.bounds.append((low, high))

    @classmethod
    def around(cls, rows: "list[int] | array[int]", features: int) -> "Grid":
        """The grid that just holds the rows (flat: one row after the other)."""
        if features < 1 or not len(rows) or len(rows) % features:
            raise ModelError("%d values are no whole rows of %d features" % (len(rows), features))
        bounds = []
        for f in range(features):
            low = high = rows[f]
            for i in range(f, len(rows), features):
                x = rows[i]
                low = min(low, x)
                high = max(high, x)
            bounds.append((low, high))
        return cls(bounds)

    def quantise(self, row: "list[int] | array[int]", at: int = 0) -> list[int]:
        """The row that starts at `at`, in steps of 0..4095.

        A step is a little uneven where the range exceeds 2^18: both sides are shifted, so that the product fits int32.
        """
        steps = []
        for low, high in self.bounds:
            x = row[at]
            at += 1
            if x <= low:
                steps.append(0)
            elif x >= high:
                steps.append(STEPS)
            else:
                shift = range_shift(high - low)
                steps.append((x - low >> shift) * STEPS // (high - low >> shift))
        return steps


def range_shift(span: int) -> int:
    """How far a range must be shifted to be below 2^19, where it can be multiplied by 4095 within int32."""
    shift = 0
    while span >> shift >= 1 << 19:
        shift += 1
    return shift
