"""The smallest heap in which a device does its whole work, by bisection.

MicroPython's own `mem_peak` ignores collection, so the limit itself is lowered until the interpreter gives up.
"""

from collections.abc import Callable

STEP = 4096
FLOOR = 96 * 1024


def smallest(limit: int, completes: Callable[[int], bool]) -> int | None:
    """The smallest heap with which the work completes.

    Args:
        limit: Bytes to start from, a multiple of 4,096.
        completes: Whether it does with so many bytes.

    Returns:
        Bytes, a multiple of 4,096; None when even `limit` does not do.
    """
    if not completes(limit):
        return None
    low, high = FLOOR // STEP, limit // STEP
    while low < high:
        middle = (low + high) // 2
        if completes(middle * STEP):
            high = middle
        else:
            low = middle + 1
    return high * STEP
