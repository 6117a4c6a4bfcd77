"""Features of a window of vibration: exact integers, the same on every interpreter.

Input are int16 counts; what a count is worth is the source's affair (usually 0.001 of its unit). With n samples x, power sums
S1..S4 = sum x .. sum x^4 and the scaled central moments

    M2 = n S2 - S1^2,   M3 = n^2 S3 - 3 n S1 S2 + 2 S1^3,   M4 = n^3 S4 - 4 n^2 S1 S3 + 6 n S1^2 S2 - 3 S1^4

every feature is one floored quotient or root of long integers:

    name                 unit         value
    mean                 count / 16   S1 / n
    rms                  count / 16   sqrt(M2) / n, the mean taken out
    kurtosis             1 / 1000     M4 / M2^2 (Pearson's: 3000 for Gaussian noise)
    skewness             1 / 1000     M3 / M2^1.5, towards 0
    crest_factor         1 / 1000     largest distance from the mean / rms
    mean_abs_difference  count / 16   mean of |x[i+1] - x[i]|
    peak_to_peak         count / 16   max - min
    band_1 .. band_5     count / 16   rms of the detail at level k of the Haar wavelet transform, the highest octave first: of a signal at
                                      20 kHz 5..10 kHz, 2.5..5, 1.25..2.5, 0.625..1.25, 0.3125..0.625 (with Haar's gentle slopes)

All fit int32. A constant window has no shape: kurtosis, skewness and crest factor are 0.
"""

import sys
from array import array

from eddy.kernel.errors import ModelError, SampleError
from eddy.kernel.window import LONGEST

BANDS = 5
NAMES = (
    "mean",
    "rms",
    "kurtosis",
    "skewness",
    "crest_factor",
    "mean_abs_difference",
    "peak_to_peak",
    "band_1",
    "band_2",
    "band_3",
    "band_4",
    "band_5",
)

_WHOLE = 1 << BANDS  # samples of one detail at the highest level
_LIMB = 15  # bits: the compiled twin adds 16384 limbs of 15 bits within int32

try:
    if sys.implementation.name != "micropython":
        raise ImportError
    from eddy.kernel.viper import features as _viper

    def power_sums(window: "array[int] | memoryview[int]") -> list[int]:
        """As `eddy.kernel.plain.features.power_sums`, from the limbs that the compiled twin adds up."""
        limbs = array("i", bytes(4 * 15))
        _viper.power_limbs(window, len(window), limbs)
        return join_power_limbs(limbs)

    def details(window: "array[int] | memoryview[int]") -> list[int]:
        """As `eddy.kernel.plain.features.details`, from the limbs that the compiled twin adds up."""
        limbs = array("i", bytes(4 * 4 * BANDS))
        _viper.detail_limbs(window, len(window), limbs)
        return join_detail_limbs(limbs)

except (ImportError, SyntaxError, ValueError):  # a port without native code, or compiled for another one
    from eddy.kernel.plain.features import details, power_sums


def compute(window: "array[int]", names: "tuple[str, ...] | list[str]" = NAMES) -> list[int]:
    """The named features of a window.

    Args:
        window: 1 to 16384 int16 counts.
        names: Which features, in the order wanted.

    Returns:
        One int32 for each name.

    Raises:
        SampleError: The window is empty or too long.
        ModelError: There is no such feature.
    """
    n = len(window)
    if not 1 <= n <= LONGEST:
        raise SampleError("features need 1 to %d samples, not %d" % (LONGEST, n))
    bands = [name for name in names if name.startswith("band_")]
    return finish(n, power_sums(window) if len(bands) < len(names) else [], details(window) if bands else [], names)


class Sums:
    """The features of a window that comes in pieces: of the samples only what no sum of details has room for is kept.

    >>> sums = Sums(["mean", "peak_to_peak"])
    >>> sums.add(array("h", [1, 2, 3]))
    >>> sums.add(array("h", [10]))
    >>> sums.row()
    [64, 144]

    Args:
        names: Which features, in the order wanted.
    """

    def __init__(self, names: "tuple[str, ...] | list[str]") -> None:
        self._names = names
        self._banded = any(name.startswith("band_") for name in names)
        self._rest = array("h", bytes(2 * _WHOLE))
        self.clear()

    def clear(self) -> None:
        """Forget the window."""
        self._count = 0  # samples that are summed up
        self._left = 0  # samples that wait to become a whole piece
        self._last = 0
        self._sums: list[int] = []
        self._squares = [0] * BANDS

    def add(self, samples: "array[int] | memoryview[int]") -> None:
        """The next samples, at most 16384."""
        view, rest = memoryview(samples), memoryview(self._rest)
        taken = min(len(view), (_WHOLE - self._left) % _WHOLE)
        rest[self._left : self._left + taken] = view[:taken]
        self._left += taken
        if self._left == _WHOLE:
            self._join(rest)
            self._left = 0
        whole = (len(view) - taken) // _WHOLE * _WHOLE
        if whole:
            self._join(view[taken : taken + whole])
            taken += whole
        if taken < len(view):
            self._left = len(view) - taken
            rest[: self._left] = view[taken:]

    def row(self) -> list[int]:
        """The features, as `compute` gives them; what is added afterwards belongs to the next window."""
        if self._left:
            self._join(memoryview(self._rest)[: self._left])
        row = finish(self._count, self._sums, self._squares, self._names)
        self.clear()
        return row

    def _join(self, piece: "memoryview[int]") -> None:
        """One more piece, which begins where pairs of pairs of ... samples begin on every level."""
        sums = power_sums(piece)
        if self._sums:
            sums[4] += abs(piece[0] - self._last)
            low, high = min(sums.pop(5), self._sums[5]), max(sums.pop(5), self._sums[6])
            sums = [sums[i] + self._sums[i] for i in range(5)] + [low, high]
        self._sums = sums
        if self._banded:
            squares = details(piece)
            self._squares = [squares[i] + self._squares[i] for i in range(BANDS)]
        self._last = piece[len(piece) - 1]
        self._count += len(piece)


def finish(n: int, sums: list[int], squares: list[int], names: "tuple[str, ...] | list[str]") -> list[int]:
    """Features from what the passes over the samples gave.

    Args:
        n: Samples in the window.
        sums: As `power_sums` returns them; may be empty when only bands are wanted.
        squares: As `details` returns them; may be empty when no band is wanted.
        names: Which features.

    Raises:
        ModelError: There is no such feature.
    """
    for name in names:
        if name not in NAMES:
            raise ModelError("no feature is called %r; there are: %s" % (name, ", ".join(NAMES)))
    m2 = n * sums[1] - sums[0] * sums[0] if sums else 0
    return [_band(n, squares, int(name[5:])) if name.startswith("band_") else _moment(name, n, sums, m2) for name in names]


def _band(n: int, squares: list[int], k: int) -> int:
    pairs = n >> k
    # Orthonormal details are 2^(k/2) smaller, and one of them stands for 2^k samples.
    return isqrt(256 * squares[k - 1] // (pairs << 2 * k)) if pairs else 0


def _moment(name: str, n: int, sums: list[int], m2: int) -> int:
    s1, s2, s3, s4, differences, low, high = sums
    value = 0
    if name == "mean":
        value = 16 * s1 // n
    elif name == "mean_abs_difference":
        value = 16 * differences // (n - 1) if n > 1 else 0
    elif name == "peak_to_peak":
        value = 16 * (high - low)
    elif name == "rms":
        value = isqrt(256 * m2 // (n * n))
    elif m2 == 0:
        value = 0
    elif name == "kurtosis":
        m4 = n * n * (n * s4 - 4 * s1 * s3) + 6 * n * s1 * s1 * s2 - 3 * s1 * s1 * s1 * s1
        value = 1000 * m4 // (m2 * m2)
    elif name == "skewness":
        m3 = n * (n * s3 - 3 * s1 * s2) + 2 * s1 * s1 * s1
        root = isqrt(1000000 * m3 * m3 // (m2 * m2 * m2))
        value = root if m3 >= 0 else -root
    else:  # crest_factor
        peak = max(n * high - s1, s1 - n * low)
        value = isqrt(1000000 * peak * peak // m2)
    return value


def isqrt(value: int) -> int:
    """The largest integer whose square is at most `value` (not negative); Newton's method from above."""
    if value < 2:
        return value
    bits = 0
    while value >> bits:
        bits += 2
    root = 1 << (bits >> 1)
    while True:
        better = (root + value // root) >> 1
        if better >= root:
            return root
        root = better


def join_power_limbs(limbs: "array[int]") -> list[int]:
    """Power sums from the compiled twin's limbs; where they stand is written there.

    Every limb is stored without sign, because a compiled load of 32 bits extends with zeros on 64-bit hosts; signed ones carry an offset.
    """
    half = 1 << 29
    square = limbs[1] + (limbs[2] << _LIMB)
    cube = limbs[3] + ((limbs[4] - half) << _LIMB) + ((limbs[5] - half) << 2 * _LIMB)
    fourth = (
        limbs[6]
        + (limbs[7] << _LIMB)
        + (limbs[8] << _LIMB + 1)
        + (limbs[9] << 2 * _LIMB + 1)
        + (limbs[10] << 2 * _LIMB)
        + (limbs[11] << 3 * _LIMB)
    )
    return [limbs[0] - half, square, cube, fourth, limbs[12], limbs[13] - 32768, limbs[14] - 32768]


def join_detail_limbs(limbs: "array[int]") -> list[int]:
    """Squared details from the compiled twin's limbs: low, middle and high for each level, split at `8 + level // 2` bits."""
    sums = []
    for level in range(1, BANDS + 1):
        low, middle, high = limbs[4 * level - 4 : 4 * level - 1]
        split = 8 + level // 2
        sums.append(low + (middle << split + 1) + (high << 2 * split))
    return sums
