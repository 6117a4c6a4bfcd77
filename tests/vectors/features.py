"""Vectors for `eddy.kernel.features`: the definitions in exact fractions, over windows that the case makes for itself."""

import math
from fractions import Fraction
from itertools import pairwise

from eddy.kernel.rng import Rng

WINDOWS = [
    ("bell", 10240, 1),
    ("bell", 1000, 2),
    ("bell", 33, 3),
    ("uniform", 10240, 4),
    ("uniform", 16384, 5),
    ("uniform", 31, 6),
    ("uniform", 2, 7),
    ("uniform", 1, 8),
    ("square", 16384, 1),
    ("square", 16384, 16),
    ("square", 16384, 8192),
    ("lowest", 16384, 1),
]


def make(kind: str, size: int, seed: int) -> list[int]:
    rng = Rng(seed)
    if kind == "uniform":
        return [rng.below(65536) - 32768 for _ in range(size)]
    if kind == "square":
        return [32767 if i // seed % 2 else -32768 for i in range(size)]
    if kind == "lowest":
        return [-32768] * size
    return [rng.below(400) + rng.below(400) + rng.below(400) - 600 for _ in range(size)]


def root(value: Fraction) -> int:
    return math.isqrt(math.floor(value))


def compute(x: list[int]) -> list[int]:
    n, total = len(x), sum(x)
    mean = Fraction(total, n)
    # Integers n times as large keep the sums exact and quick.
    central = [n * value - total for value in x]
    m2, m3, m4 = (Fraction(sum(value**k for value in central), n ** (k + 1)) for k in (2, 3, 4))
    values = [math.floor(16 * mean), root(256 * m2)]
    if m2:
        skewness = root(10**6 * m3**2 / m2**3)
        values += [math.floor(1000 * m4 / m2**2), skewness if m3 >= 0 else -skewness]
        values += [root(10**6 * Fraction(max(abs(value) for value in central), n) ** 2 / m2)]
    else:
        values += [0, 0, 0]
    values += [16 * sum(abs(b - a) for a, b in pairwise(x)) // (n - 1) if n > 1 else 0, 16 * (max(x) - min(x))]
    for level in range(1, 6):
        half, whole = 1 << level - 1, 1 << level
        pairs = n // whole
        details = [sum(x[i * whole : i * whole + half]) - sum(x[i * whole + half : (i + 1) * whole]) for i in range(pairs)]
        values.append(root(Fraction(256 * sum(d * d for d in details), whole * whole * pairs)) if pairs else 0)
    return values


def vectors() -> dict[str, object]:
    return {"windows": [[kind, size, seed, compute(make(kind, size, seed))] for kind, size, seed in WINDOWS]}
