"""Features of many windows at once: the kernel's integers, in numpy."""

import numpy as np
import numpy.typing as npt

from eddy.kernel.errors import SampleError
from eddy.kernel.features import BANDS, NAMES, finish
from eddy.kernel.window import LONGEST


def compute(windows: npt.NDArray[np.int16], names: tuple[str, ...] | list[str] = NAMES) -> npt.NDArray[np.int64]:
    """The named features of each window, identical to `eddy.kernel.features.compute`.

    Args:
        windows: [m, n] int16 counts, n in 1..16384.
        names: Which features.

    Returns:
        [m, len(names)] int32 values.
    """
    m, n = windows.shape
    if not 1 <= n <= LONGEST:
        raise SampleError(f"features need 1 to {LONGEST} samples, not {n}")
    rows = np.empty((m, len(names)), np.int64)
    for i in range(m):
        x = windows[i].astype(np.int64)
        rows[i] = finish(n, _power_sums(x), _details(x), names)
    return rows


def _power_sums(x: npt.NDArray[np.int64]) -> list[int]:
    square = x * x
    low, high = square & 0x7FFF, square >> 15  # x^4 of 16384 samples sums to 2^74: in three parts it fits int64
    fourth = (int(low @ low)) + (int(low @ high) << 16) + (int(high @ high) << 30)
    sums = [int(x.sum()), int(square.sum()), int(square @ x), fourth]
    return [*sums, int(np.abs(np.diff(x)).sum()), int(x.min()), int(x.max())]


def _details(x: npt.NDArray[np.int64]) -> list[int]:
    squares = []
    for _ in range(BANDS):
        even, odd = x[: len(x) // 2 * 2 : 2], x[1::2]
        detail = even - odd
        squares.append(int(detail @ detail))
        x = even + odd
    return squares
