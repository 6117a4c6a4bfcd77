"""The kernel's random numbers: the same on every interpreter and word size.

L'Ecuyer's combined multiplicative congruential generator (Efficient and portable combined random number generators, CACM 31:6, 1988,
figure 3): period about 2.3e18, and by Schrage's division every intermediate of a step fits a signed 32-bit word, so that compiled twins
on a microcontroller compute it without overflow. Not for secrets.
"""

import os
import random

M1 = 2147483563
M2 = 2147483399
TOP = M1 - 1  # the largest number that `next` returns; the smallest is 1

_MASK64 = (1 << 64) - 1


class Rng:
    """A stream of random integers that its seed determines.

    >>> Rng.from_state([12345, 67890]).next()
    2026359911

    Args:
        seed: Any integer. Seeds that differ modulo 2**64 give streams that have nothing to do with each other.
    """

    def __init__(self, seed: int) -> None:
        # The generator is linear: without this scrambling (the finaliser of splitmix64) streams of neighbouring seeds would differ by the
        # same sequence. Not in the hot path, so it may use long integers.
        z = (seed + 0x9E3779B97F4A7C15) & _MASK64
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
        z ^= z >> 31
        self._s1 = 1 + (z >> 32) % (M1 - 1)
        self._s2 = 1 + (z & 0xFFFFFFFF) % (M2 - 1)

    @classmethod
    def from_state(cls, state: list[int]) -> "Rng":
        """The generator that goes on where `state()` was taken."""
        s1, s2 = state
        if not (1 <= s1 < M1 and 1 <= s2 < M2):
            raise ValueError("no state of this generator: %r" % (state,))
        rng = cls(0)
        rng._s1 = s1
        rng._s2 = s2
        return rng

    def state(self) -> list[int]:
        """The two integers that determine everything that follows: [1, 2147483562] and [1, 2147483398]."""
        return [self._s1, self._s2]

    def next(self) -> int:
        """The next integer in [1, 2147483562]."""
        k = self._s1 // 53668
        s1 = 40014 * (self._s1 - k * 53668) - k * 12211
        if s1 < 0:
            s1 += M1
        self._s1 = s1
        k = self._s2 // 52774
        s2 = 40692 * (self._s2 - k * 52774) - k * 3791
        if s2 < 0:
            s2 += M2
        self._s2 = s2
        z = s1 - s2
        return z if z >= 1 else z + TOP

    def below(self, n: int) -> int:
        """An integer in [0, n), each equally likely; `n` in [1, 2147483562].

        The numbers above the largest multiple of `n` are drawn again, which is what makes it exact.
        """
        if not 1 <= n <= TOP:
            raise ValueError("below() takes 1 to 2147483562, not %d" % n)
        limit = TOP - TOP % n
        while True:
            z = self.next() - 1
            if z < limit:
                return z % n


def fresh(count: int) -> bytes:
    """Bytes that differ from one start to the next, from the system. For marks and seeds, not for keys."""
    if hasattr(os, "urandom"):
        return os.urandom(count)
    return bytes([random.getrandbits(8) for _ in range(count)])  # MicroPython in a browser, which seeds it from its own source
