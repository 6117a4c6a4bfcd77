"""Scoring of isolation forests; `eddy.kernel.forest` describes the image, `eddy.kernel.viper.forest` is the compiled twin."""

from eddy.kernel.grid import STEPS

MYPY = False
if MYPY:
    from array import array

_LEAF = 15 << 12
_HEAD = 8  # words


def total(image: "array[int]", row: "list[int] | array[int]", steps: "array[int]") -> int:
    """The sum Q8 of the row's path lengths over all trees. `steps` is room for one word for each feature."""
    features = image[1]
    trees = image[2]
    at = _HEAD
    for f in range(features):
        low = image[at] + (((image[at + 1] ^ 0x8000) - 0x8000) << 16)
        high = image[at + 2] + (((image[at + 3] ^ 0x8000) - 0x8000) << 16)
        x = row[f]
        if x <= low:
            steps[f] = 0
        elif x >= high:
            steps[f] = STEPS
        else:
            shift = image[at + 4]
            steps[f] = (x - low >> shift) * STEPS // (high - low >> shift)
        at += 5
    first = at + trees
    total = 0
    for tree in range(trees):
        base = first + 2 * image[at + tree]
        node = base
        split = image[node]
        while split < _LEAF:
            node = node + 2 if steps[split >> 12] <= split & 0xFFF else base + 2 * image[node + 1]
            split = image[node]
        total += image[node + 1]
    return total


def power(unit: int, paths: int, exp2: "array[int]") -> int:
    """2^(-paths / unit) in Q16; unit < 2^22, `exp2` is `eddy.kernel.forest.EXP2`."""
    # paths / unit to 16 binary places by long division in two bytes, within int32.
    whole = paths // unit
    rest = (paths - whole * unit) << 8
    digit = rest // unit
    rest = (rest - digit * unit) << 8
    fraction = (digit << 8) + rest // unit
    i = fraction >> 11
    high = exp2[i]
    value = high - ((high - exp2[i + 1]) * (fraction & 2047) >> 11)
    return value >> whole if whole < 17 else 0


def checksum(image: "array[int]", count: int, sums: "array[int]") -> None:
    """Two sums of 30 bits over the first `count` words, after Fletcher (1982).

    The second one weighs words by their place. Images are too short for the first to wrap, so whatever happens to one or two words is
    noticed, and anything else with all but 2^-50. A CRC would take ten times as long, in C.
    """
    a = b = 0
    for i in range(count):
        a = a + image[i] & 0x3FFFFFFF
        b = b + a & 0x3FFFFFFF
    sums[0] = a
    sums[1] = b
