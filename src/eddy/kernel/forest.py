"""Isolation forest in integers: the grid, the runtime image, and scoring.

Liu, Ting and Zhou, Isolation forest (ICDM 2008). A row is isolated after h(x) splits on average over the trees; the score 2^(-E[h] / c(n)),
n the size of the subsample that a tree was grown on, is near 1 for rows that are isolated early and about 0.5 for ordinary ones.
(A widely copied implementation divides by c(number of trees) instead, and alarms at everything.)

All integers: features are quantised to 12 bits on a grid, trees compare 12-bit thresholds, path lengths are Q8 (256 = one split), scores
and thresholds Q16 (65536 = 1.0). So every interpreter computes the same bits.

The image is one array of 16-bit words and is scored where it lies, 4 bytes a node:

    0 format   1 features   2 trees   3 subsample   4-5 threshold Q16   6 nodes   7 c(subsample) Q8
    for each feature:  low (2 words)   high (2 words)   shift
    for each tree:     its first node
    for each node:     feature << 12 | threshold,  index of the right child within the tree     (the left child is the next node)
        or, a leaf:    15 << 12 | rows,            path length Q8
    checksum (4 words)

Words are little-endian, as on every machine that MicroPython and CPython meet today. An image is made on the node that uses it and never
travels; `eddy.kernel.forest_wire` is the form that does.
"""

import sys
from array import array

from eddy.kernel.errors import ModelError
from eddy.kernel.grid import Grid, range_shift

try:
    if sys.implementation.name != "micropython":
        raise ImportError
    from eddy.kernel.viper.forest import checksum as _sums
    from eddy.kernel.viper.forest import power, total
except (ImportError, SyntaxError, ValueError):  # a port without native code, or compiled for another one
    from eddy.kernel.plain.forest import checksum as _sums
    from eddy.kernel.plain.forest import power, total


FORMAT = 0xED01
MAX_TREES = 1000  # keeps trees * c(subsample) within 22 bits
MAX_SUBSAMPLE = 4095
MAX_NODES = 65535
LEAF = 15 << 12
HEAD = 8  # words
TAIL = 4
_FEW = 8  # trees, after which the size of the others is known well enough

# 65536 * 2^(-i/32), rounded, for i in 0..32
EXP2 = array(
    "i",
    (
        [65536, 64132, 62757, 61413, 60097, 58809, 57549, 56316, 55109, 53928, 52773]
        + [51642, 50535, 49452, 48393, 47356, 46341, 45348, 44376, 43425, 42495, 41584]
        + [40693, 39821, 38968, 38133, 37316, 36516, 35734, 34968, 34219, 33486, 32768]
    ),
)


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


def score_image(image: "array[int]", row: "list[int] | array[int]", steps: "array[int]") -> int:
    """The score Q16 of a row. `steps` is room for one word for each feature."""
    score: int = power(image[2] * image[7], total(image, row, steps), EXP2)
    return score


def checksum(image: "array[int]") -> list[int]:
    """Two sums of 30 bits over all words but the last four, as four words."""
    sums = array("i", (0, 0))
    _sums(image, len(image) - TAIL, sums)
    a, b = sums
    return [a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16]


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
        self.nodes = image[6]
        self._steps = array("H", bytes(2 * self.features))

    @classmethod
    def assemble(cls, grid: Grid, subsample: int, trees: "list[array[int]]", threshold: int) -> "Forest":
        """A forest from the nodes of its trees, two words each as they lie in the image; see `Builder`."""
        builder = Builder(grid, subsample, len(trees))
        for nodes in trees:
            builder.add(nodes)
        return builder.forest(threshold)

    def score(self, row: "list[int] | array[int]") -> int:
        """How anomalous a row is: Q16, 65536 = 1.0.

        Args:
            row: One int32 for each feature.
        """
        return score_image(self.image, row, self._steps)

    def paths(self, row: "list[int] | array[int]") -> int:
        """The sum Q8 of the row's path lengths over all trees."""
        paths: int = total(self.image, row, self._steps)
        return paths

    def calibrate(self, rows: "list[int] | array[int]", quantile: int = 980, margin: int = 0) -> int:
        """Set the threshold so that about `quantile` per mille of the rows lie at or below it.

        A fixed threshold suits no forest: scores depend on the number of rows and on the shape of the data. A forest scores nothing higher
        than the outermost leaves of its training range, and with few rows the quantile may lie just there; so the threshold stays below
        the score of a row that has the largest value of every feature, else the forest would be blind to anything louder.

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
        loudest = self.score([high for _, high in self.grid().bounds])
        self.threshold = max(0, min(65536, scores[max(0, (len(scores) * quantile + 999) // 1000 - 1)] + margin, loudest - 1))
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
        self.image[4] = self.threshold & 0xFFFF
        self.image[5] = self.threshold >> 16
        self.image[-TAIL:] = array("H", checksum(self.image))
        return bytes(self.image)

    @classmethod
    def from_image(cls, data: "bytes | bytearray | memoryview | array[int]") -> "Forest":
        """The forest of an image: a checksum, nothing is built.

        Args:
            data: What `to_image` gave, as bytes (copied) or as 16-bit words (used in place).

        Raises:
            ModelError: It is no image, or damaged.
        """
        if isinstance(data, array):
            image = data
        elif len(data) % 2:
            raise ModelError("damaged forest image: an odd number of bytes; deploy the model again")
        else:
            # CPython takes the items of a memoryview for words, not its bytes.
            image = array("H", bytes(data) if isinstance(data, memoryview) else data)
        if len(image) < HEAD or image[0] != FORMAT:
            raise ModelError("no forest image of this format")
        length = HEAD + 5 * image[1] + image[2] + 2 * image[6] + TAIL
        if len(image) != length or list(image[-TAIL:]) != checksum(image):
            raise ModelError("damaged forest image: length or checksum is wrong; deploy the model again")
        return cls(image)

    def to_wire(self) -> bytes:
        """The compact form for the line."""
        from eddy.kernel.forest_wire import encode

        return encode(self)

    @classmethod
    def from_wire(cls, data: bytes | memoryview, max_nodes: int = 16384, image: "array[int] | None" = None, features: int = 0) -> "Forest":
        """The forest of `to_wire`'s bytes; nothing is trusted.

        Args:
            data: The bytes.
            max_nodes: What there is room for, at 4 bytes each.
            image: See `Builder`. It is as it was when an error is raised: all is decoded twice, since a small heap has no room for both.
            features: That it must have; 0 for any number.

        Raises:
            ModelError: Malformed.
            TooLarge: More nodes than `max_nodes`.
        """
        from eddy.kernel.forest_wire import decode

        return decode(data, max_nodes, image, features)


def make_room(image: "array[int]", words: int) -> None:
    """Make an array one that can grow to so many words without moving: MicroPython keeps for it what it loses in length.

    Elsewhere nothing is gained or lost. When there is no room (MemoryError) the array is as it was.
    """
    length = len(image)
    piece = array("H", bytes(256))
    try:
        for _ in range(length, words, len(piece)):
            image.extend(piece)
    finally:
        image[length:] = array("H")


class Builder:
    """A forest's image while its trees come one after another: they are written where they stay, so that no second copy needs room.

    Args:
        grid: One range for each feature.
        subsample: Rows that each tree was grown on, 2 to 4095.
        trees: How many will come, 1 to 1000.
        image: Of a forest that is needed no more: this one takes its room, which must suffice.
        spare: Sixteenths of the room that is reserved beyond what is needed.
    """

    def __init__(self, grid: Grid, subsample: int, trees: int, image: "array[int] | None" = None, spare: int = 1) -> None:
        if not (2 <= subsample <= MAX_SUBSAMPLE and 1 <= trees <= MAX_TREES):
            raise ModelError(
                "a forest of %d trees on %d rows is beyond the format: at most %d and %d" % (trees, subsample, MAX_TREES, MAX_SUBSAMPLE)
            )
        features = len(grid.bounds)
        self._roots = HEAD + 5 * features
        self._first = self._roots + trees
        self._room = 0  # words behind the image that are reserved
        if image is None:
            image = array("H")
        else:
            self._room = 2 * MAX_NODES  # whoever gives it has seen to that
        image[:] = array("H", bytes(2 * self._first))
        self.image = image
        self._spare = 16 + spare
        self.trees = 0  # that have come
        self.nodes = 0  # of these
        image[0] = FORMAT
        image[1] = features
        image[2] = trees
        image[3] = subsample
        image[7] = path_lengths(subsample)[subsample]
        at = HEAD
        for low, high in grid.bounds:
            image[at] = low & 0xFFFF
            image[at + 1] = low >> 16 & 0xFFFF
            image[at + 2] = high & 0xFFFF
            image[at + 3] = high >> 16 & 0xFFFF
            image[at + 4] = range_shift(high - low)
            at += 5

    def add(self, nodes: "array[int] | memoryview[int]") -> None:
        """The next tree: two words a node.

        Raises:
            ModelError: More nodes than the format holds.
        """
        if self.nodes + len(nodes) // 2 > MAX_NODES:
            raise ModelError("a forest of more than %d nodes is beyond the format: use fewer trees" % MAX_NODES)
        if self._room < len(nodes):
            self._reserve(len(nodes))
        self.image[self._roots + self.trees] = self.nodes
        self.image.extend(nodes)
        self._room -= len(nodes)
        self.trees += 1
        self.nodes += len(nodes) // 2

    def _reserve(self, words: int) -> None:
        """Find room for the trees to come, in one piece: a small heap has none for an image and its longer copy.

        What is needed is guessed from the trees that are there, once they are a few.

        Args:
            words: Of the next tree.
        """
        left = self.image[2] - self.trees
        mean = (2 * self.nodes + words) // (self.trees + 1) + 1
        self._room = max(words, mean * (left if self.trees >= _FEW else min(left, _FEW)) * self._spare // 16)
        try:
            make_room(self.image, len(self.image) + self._room + TAIL)
        except MemoryError:  # what there is may still suffice for what comes
            self._room = 2 * MAX_NODES

    def grown(self) -> "tuple[bytes, list[int]]":
        """The nodes that have come, as bytes, and for each tree the number of nodes up to its end."""
        ends = list(self.image[self._roots + 1 : self._roots + self.trees]) + [self.nodes]
        return bytes(memoryview(self.image)[self._first :]), ends if self.trees else []

    def forest(self, threshold: int) -> Forest:
        """The forest, once every tree has come. It takes the image over: nothing can be added afterwards.

        Args:
            threshold: Q16.

        Raises:
            ModelError: Trees are missing, or the threshold is none.
        """
        if self.trees != self.image[2] or not 0 <= threshold <= 65536:
            raise ModelError("%d of %d trees are there (take more steps), threshold %d" % (self.trees, self.image[2], threshold))
        self.image[6] = self.nodes
        if len(self.image) == self._first + 2 * self.nodes:
            self.image.extend(array("H", bytes(2 * TAIL)))
        forest = Forest(self.image)
        forest.threshold = threshold
        return forest
