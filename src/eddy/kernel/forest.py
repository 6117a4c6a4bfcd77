"""Isolation forest in integers: the grid, the runtime image, and scoring.

Liu, Ting and Zhou, Isolation forest (ICDM 2008). A row is isolated after h(x) splits on average over the trees; the score 2^(-E[h] / c(n)),
n the size of the subsample that a tree was grown on, is near 1 for rows that are isolated early and about 0.5 for ordinary ones.
(A widely copied implementation divides by c(number of trees) instead, and alarms at everything.)

All integers: features are quantised to 12 bits on a grid, trees compare 12-bit thresholds, path lengths are Q8 (256 = one split), scores
and thresholds Q16 (65536 = 1.0). So every interpreter computes the same bits.

The image is one array of 16-bit words and is scored where it lies, 4 bytes a node:

    0 format   1 features   2 trees   3 subsample   4-5 threshold Q16   6-7 CRC-32 of everything else   8 nodes   9 c(subsample) Q8
    for each feature:  low (2 words)   high (2 words)   shift
    for each tree:     its first node
    for each node:     feature << 12 | threshold,  index of the right child within the tree     (the left child is the next node)
        or, a leaf:    15 << 12 | rows,            path length Q8

Words are little-endian, as on every machine that MicroPython and CPython meet today. An image is made on the node that uses it and never
travels; `eddy.kernel.forest_wire` is the form that does.
"""

import sys
from array import array
from binascii import crc32

from eddy.kernel.errors import ModelError

FORMAT = 0xED01
MAX_FEATURES = 12
MAX_TREES = 1000  # keeps trees * c(subsample) within 22 bits
MAX_SUBSAMPLE = 4095
MAX_NODES = 65535
STEPS = 4095  # the grid's highest value
LEAF = 15 << 12
HEAD = 10  # words

# 65536 * 2^(-i/32), rounded, for i in 0..32
EXP2 = array(
    "i",
    (
        [65536, 64132, 62757, 61413, 60097, 58809, 57549, 56316, 55109, 53928, 52773]
        + [51642, 50535, 49452, 48393, 47356, 46341, 45348, 44376, 43425, 42495, 41584]
        + [40693, 39821, 38968, 38133, 37316, 36516, 35734, 34968, 34219, 33486, 32768]
    ),
)


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


def path_lengths(largest: int) -> "array[int]":
    """c(n) in Q8 for n in 0..`largest`: how much deeper a full tree would go below a leaf that holds n rows.

    c(n) = 2 H(n-1) - 2 (n-1) / n, with Liu's estimate ln(k) + 0.5772 of the harmonic number H(k) and, as there, c(2) = 1. The logarithm
    comes from the exact harmonic number by the Euler-Maclaurin formula, H(k) - 1/(2k) + 1/(12k^2) - 1/(120k^4), in Q20.
    """
    one = 1 << 20
    lengths = array("H", bytes(2 * (largest + 1)))
    harmonic = one
    for n in range(2, largest + 1):
        k = n - 1
        if k > 1:
            harmonic += one // k
        estimate = harmonic - one // (2 * k) + one // (12 * k * k) - one // (120 * k * k * k * k)
        lengths[n] = (2 * estimate - 2 * one * k // n + (1 << 11)) >> 12 if n > 2 else 256
    return lengths


def depth_limit(subsample: int) -> int:
    """ceil(log2(subsample)): trees stop there."""
    limit = 1
    while 1 << limit < subsample:
        limit += 1
    return limit


def score_plain(image: "array[int]", row: "list[int] | array[int]", steps: "array[int]") -> int:
    """The score Q16 of a row; the definition. `steps` is room for one word for each feature."""
    unit = image[2] * image[9]
    total = total_plain(image, row, steps)
    # total / unit to 16 binary places by long division in two bytes, within int32.
    whole = total // unit
    rest = (total - whole * unit) << 8
    digit = rest // unit
    rest = (rest - digit * unit) << 8
    fraction = (digit << 8) + rest // unit
    i = fraction >> 11
    high = EXP2[i]
    value = high - ((high - EXP2[i + 1]) * (fraction & 2047) >> 11)
    return value >> whole if whole < 17 else 0


def total_plain(image: "array[int]", row: "list[int] | array[int]", steps: "array[int]") -> int:
    """The sum Q8 of the row's path lengths over all trees; the definition."""
    features = image[1]
    trees = image[2]
    at = HEAD
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
        while split < LEAF:
            node = node + 2 if steps[split >> 12] <= split & 0xFFF else base + 2 * image[node + 1]
            split = image[node]
        total += image[node + 1]
    return total


score_image = score_plain
total_image = total_plain

if sys.implementation.name == "micropython":
    try:
        from eddy.kernel.viper import forest as _viper

        def score_image(image: "array[int]", row: "list[int] | array[int]", steps: "array[int]") -> int:
            """As `score_plain`, compiled."""
            score: int = _viper.power(image[2] * image[9], _viper.total(image, row, steps), EXP2)
            return score

        total_image = _viper.total
    except (ImportError, SyntaxError, ValueError):  # a port without native code, or compiled for another one
        pass


class Forest:
    """A trained isolation forest around its image.

    Attributes:
        image: The 16-bit words; do not change them.
        features, trees, subsample, nodes: Its dimensions.
        threshold: Q16; a row that scores higher is anomalous. May be set at any time.
    """

    def __init__(self, image: "array[int]") -> None:
        self.image = image
        self.features = image[1]
        self.trees = image[2]
        self.subsample = image[3]
        self.threshold = image[4] | image[5] << 16
        self.nodes = image[8]
        self._steps = array("H", bytes(2 * self.features))

    @classmethod
    def assemble(cls, grid: Grid, subsample: int, nodes: "bytes | bytearray", ends: list[int], threshold: int) -> "Forest":
        """A forest from the nodes of its trees.

        Args:
            grid: One range for each feature.
            subsample: Rows that each tree was grown on, 2 to 4095.
            nodes: Two words each, tree after tree, as they lie in the image.
            ends: For each tree, the number of nodes up to its end.
            threshold: Q16.
        """
        features = len(grid.bounds)
        trees = len(ends)
        count = len(nodes) // 4
        if not (2 <= subsample <= MAX_SUBSAMPLE and 1 <= trees <= MAX_TREES and count <= MAX_NODES and 0 <= threshold <= 65536):
            raise ModelError(
                "a forest of %d trees on %d rows, %d nodes, threshold %d is beyond the format: at most %d, %d, %d and 65536"
                % (trees, subsample, count, threshold, MAX_TREES, MAX_SUBSAMPLE, MAX_NODES)
            )
        roots = HEAD + 5 * features
        image = array("H", bytes(2 * (roots + trees) + 4 * count))
        image[0] = FORMAT
        image[1] = features
        image[2] = trees
        image[3] = subsample
        image[8] = count
        image[9] = path_lengths(subsample)[subsample]
        at = HEAD
        for low, high in grid.bounds:
            image[at] = low & 0xFFFF
            image[at + 1] = low >> 16 & 0xFFFF
            image[at + 2] = high & 0xFFFF
            image[at + 3] = high >> 16 & 0xFFFF
            image[at + 4] = range_shift(high - low)
            at += 5
        for tree in range(1, trees):
            image[roots + tree] = ends[tree - 1]
        memoryview(image)[roots + trees :] = memoryview(array("H", nodes))
        forest = cls(image)
        forest.threshold = threshold
        return forest

    def score(self, row: "list[int] | array[int]") -> int:
        """How anomalous a row is: Q16, 65536 = 1.0.

        Args:
            row: One int32 for each feature.
        """
        return score_image(self.image, row, self._steps)

    def paths(self, row: "list[int] | array[int]") -> int:
        """The sum Q8 of the row's path lengths over all trees."""
        return total_image(self.image, row, self._steps)

    def calibrate(self, rows: "list[int] | array[int]", quantile: int = 980, margin: int = 0) -> int:
        """Set the threshold so that about `quantile` per mille of the rows lie at or below it.

        A fixed threshold suits no forest: scores depend on the number of rows and on the shape of the data.

        Args:
            rows: Flat, usually those that it was trained on.
            quantile: Per mille.
            margin: Q16, added.

        Returns:
            The threshold, at most 65536.
        """
        f = self.features
        scores = sorted([self.score(rows[i : i + f]) for i in range(0, len(rows), f)])
        if not scores:
            raise ModelError("no rows to calibrate the threshold on")
        self.threshold = max(0, min(65536, scores[max(0, (len(scores) * quantile + 999) // 1000 - 1)] + margin))
        return self.threshold

    def grid(self) -> Grid:
        """The grid, read back from the image."""
        bounds = []
        for f in range(self.features):
            a, b, c, d = self.image[HEAD + 5 * f : HEAD + 5 * f + 4]
            bounds.append((a + (((b ^ 0x8000) - 0x8000) << 16), c + (((d ^ 0x8000) - 0x8000) << 16)))
        return Grid(bounds)

    def tree(self, index: int) -> "array[int]":
        """The words of one tree's nodes (a copy)."""
        roots = HEAD + 5 * self.features
        first = roots + self.trees
        end = self.image[roots + index + 1] if index + 1 < self.trees else self.nodes
        return self.image[first + 2 * self.image[roots + index] : first + 2 * end]

    def to_image(self) -> bytes:
        """The image with threshold and checksum, for flash."""
        return bytes(self.seal())

    def seal(self) -> "array[int]":
        """The image itself, threshold and checksum written into it: `to_image` without a copy."""
        self.image[4] = self.threshold & 0xFFFF
        self.image[5] = self.threshold >> 16
        checksum = _checksum(self.image)
        self.image[6] = checksum & 0xFFFF
        self.image[7] = checksum >> 16
        return self.image

    @classmethod
    def from_image(cls, data: "bytes | memoryview | array[int]") -> "Forest":
        """The forest of an image: a checksum, nothing is built.

        Args:
            data: What `to_image` gave, as bytes (copied) or as 16-bit words (used in place: read the file into them and save the copy).

        Raises:
            ModelError: It is no image, or damaged.
        """
        if isinstance(data, array):
            image = data
        elif len(data) % 2:
            raise ModelError("damaged forest image: an odd number of bytes")
        else:
            image = array("H", data)
        if len(image) < HEAD or image[0] != FORMAT:
            raise ModelError("no forest image of this format")
        if len(image) != HEAD + 5 * image[1] + image[2] + 2 * image[8] or _checksum(image) != image[6] | image[7] << 16:
            raise ModelError("damaged forest image: length or checksum is wrong; load the other slot or deploy again")
        return cls(image)

    def to_wire(self) -> bytes:
        """The compact form for the line."""
        from eddy.kernel.forest_wire import encode

        return encode(self)

    @classmethod
    def from_wire(cls, data: bytes, max_nodes: int = 16384) -> "Forest":
        """The forest of `to_wire`'s bytes; nothing is trusted.

        Args:
            data: The bytes.
            max_nodes: What there is room for, at 4 bytes each.

        Raises:
            ModelError: Malformed.
            TooLarge: More nodes than `max_nodes`.
        """
        from eddy.kernel.forest_wire import decode

        return decode(data, max_nodes)


def _checksum(image: "array[int]") -> int:
    words = memoryview(image)
    return crc32(words[8:], crc32(words[:6]))
