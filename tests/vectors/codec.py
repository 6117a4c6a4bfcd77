"""Vectors for `eddy.kernel.codec`: what CPython's run of it encodes, for the other interpreters to reproduce, and damage to it."""

import random

from eddy.kernel import codec
from eddy.kernel.errors import CodecError

EDGES = [0, 23, 24, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 2**64 - 1]


def value(rng: random.Random, depth: int) -> object:
    """A random value of the kind that the codec carries."""
    kind = rng.randrange(5 if depth == 0 else 8)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        number = rng.choice(EDGES) if kind == 1 else rng.getrandbits(rng.randrange(1, 65))
        return rng.choice([number, -1 - number])
    if kind == 3:
        return rng.randbytes(rng.choice([0, 3, 23, 24, 30]))
    if kind == 4:
        return "".join(rng.choice("az09é€\U0001f600\0") for _ in range(rng.randrange(12)))
    if kind in (5, 6):
        return [value(rng, depth - 1) for _ in range(rng.randrange(5))]
    keys = [rng.choice([rng.randrange(-300, 300), f"k{rng.randrange(300)}", rng.randbytes(rng.randrange(3))]) for _ in range(4)]
    return {key: value(rng, depth - 1) for key in keys}


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The encoding with one byte changed, cut off, or added."""
    at = rng.randrange(len(data))
    return rng.choice([data[:at], data + rng.randbytes(1), data[:at] + rng.randbytes(1) + data[at + 1 :]])


def refusal(data: bytes) -> object:
    """Where decoding stops; None when the damage has made another valid encoding."""
    try:
        codec.decode(data)
    except CodecError as error:
        return error.offset
    return None


def vectors() -> dict[str, object]:
    rng = random.Random(1)
    encoded = [codec.encode(value(rng, 3)) for _ in range(80)]
    broken = [damaged(rng, data) for data in encoded for _ in range(2)]
    return {"encoded": [data.hex() for data in encoded], "damaged": [[data.hex(), refusal(data)] for data in broken]}
