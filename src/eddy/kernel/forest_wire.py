"""The form of an isolation forest that travels: about 66 bytes for a tree of 100 rows and 3 features, close to its entropy.

Everything goes through a range coder (Martin, Range encoding, 1979) with whole-number odds, so a choice among n costs log2(n) bits rather
than whole ones. And only what the receiver cannot know is said. Trees go in preorder; at each node the receiver knows how many rows
arrive and which interval of the grid every feature can still have there, so a node is

    split or leaf   1 : 63, asked only where it is open (neither a single row nor the depth limit)
    feature         1 of the features
    threshold       1 of the values in the feature's reachable interval
    rows going left 1 of 1 .. rows - 1, which makes the sizes of leaves, and where single rows end, known

After the format byte come features, trees, subsample, threshold and grid the same way. The coder's state is 24 bits wide: no intermediate
leaves a small integer of a 32-bit MicroPython, and the compiled twin may follow it.
"""

import sys
from array import array

from eddy.kernel.errors import ModelError, TooLarge
from eddy.kernel.forest import HEAD, LEAF, MAX_SUBSAMPLE, MAX_TREES, TAIL, Builder, Forest, depth_limit, make_room, path_lengths
from eddy.kernel.grid import MAX_FEATURES, Grid

try:
    if sys.implementation.name != "micropython":
        raise ImportError
    from eddy.kernel.viper.forest_wire import choice, decode_tree
except (ImportError, SyntaxError, ValueError):  # a port without native code, or compiled for another one
    from eddy.kernel.plain.forest_wire import choice, decode_tree

FORMAT = 0xE1
_TOP = 1 << 24
_BOTTOM = 1 << 16
_PADDING = 2  # zero bytes that the encoder leaves out and the decoder imagines
_MALFORMED = -1
_TOO_LARGE = -2


class Encoder:
    """Narrows an interval by one choice after the other; the bytes name a number in it."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._low = 0
        self._range = _TOP

    def choose(self, value: int, choices: int) -> None:
        """Say which of `choices` (at most 65536) equally likely values it is."""
        if not 0 <= value < choices:
            raise ModelError("the forest cannot be sent: %d where 0 to %d may stand" % (value, choices - 1))
        part = self._range // choices
        self._low += part * value
        self._range = part
        self._shift()

    def flag(self, rare: bool) -> None:
        """Say yes (6 bits) or no (0.02 bits)."""
        part = self._range >> 6
        if rare:
            self._range = part
        else:
            self._low += part
            self._range -= part
        self._shift()

    def number(self, value: int) -> None:
        """Say a number from 0 to 2^32 - 1: its length, then its bits without the first."""
        bits = 0
        while value >> bits:
            bits += 1
        self.choose(bits, 33)
        while bits > 1:
            take = min(8, bits - 1)
            bits -= take
            self.choose(value >> bits - 1 & (1 << take) - 1, 1 << take)

    def _shift(self) -> None:
        while self._range < _BOTTOM:
            self._emit()
            self._range <<= 8

    def _emit(self) -> None:
        if self._low >= _TOP:
            self._low -= _TOP
            at = len(self.out) - 1
            while self.out[at] == 255:
                self.out[at] = 0
                at -= 1
            self.out[at] += 1
        self.out.append(self._low >> 16)
        self._low = (self._low & 0xFFFF) << 8

    def finish(self) -> bytes:
        """The bytes, ended with the number in the interval that needs the fewest."""
        self._low += 0xFFFF
        self._emit()
        return bytes(self.out)


def start(data: bytes | memoryview, at: int) -> "array[int]":
    """The decoder's state: position, code, range."""
    code = int.from_bytes((bytes(data[at : at + 3]) + bytes(3))[:3], "big")
    return array("i", [at + 3, code, _TOP])


def checked(data: bytes | memoryview, coder: "array[int]", choices: int) -> int:
    """`choice`, or an error."""
    value: int = choice(data, coder, choices)
    if value < 0:
        raise ModelError("malformed forest: impossible code near byte %d" % coder[0])
    return value


def number(data: bytes | memoryview, coder: "array[int]") -> int:
    """What `Encoder.number` said."""
    bits = checked(data, coder, 33)
    value = 1 if bits else 0
    while bits > 1:
        take = min(8, bits - 1)
        bits -= take
        value = value << take | checked(data, coder, 1 << take)
    return value


def encode(forest: Forest) -> bytes:
    """The wire form.

    Raises:
        ModelError: It has trees that the trainer cannot have grown (another root than `subsample` rows, deeper than the limit).
    """
    encoder = Encoder()
    encoder.out.append(FORMAT)  # no carry comes so far: what is coded is below 1
    bounds = forest.grid().bounds
    encoder.choose(len(bounds) - 1, MAX_FEATURES)
    encoder.choose(forest.trees - 1, MAX_TREES)
    encoder.choose(forest.subsample - 2, MAX_SUBSAMPLE - 1)
    encoder.choose(forest.threshold >> 8, 257)
    encoder.choose(forest.threshold & 255, 256)
    for low, high in bounds:
        encoder.number(2 * low if low >= 0 else -2 * low - 1)
        encoder.number(high - low)
    for tree in range(forest.trees):
        _encode_tree(encoder, forest.tree(tree), len(bounds), forest.subsample)
    return encoder.finish()


def _encode_tree(encoder: Encoder, nodes: "array[int]", features: int, subsample: int) -> None:
    sizes = array("H", bytes(len(nodes)))
    for node in range(len(sizes) - 1, -1, -1):
        split = nodes[2 * node]
        sizes[node] = split & 0xFFF if split >= LEAF else sizes[node + 1] + sizes[nodes[2 * node + 1]]
    limit = depth_limit(subsample)
    if sizes[0] != subsample:
        raise ModelError("the forest cannot be sent: a tree holds %d rows, the others %d" % (sizes[0], subsample))
    waiting = [(0, 0, [0, 4095] * features)]
    while waiting:
        node, depth, box = waiting.pop()
        split = nodes[2 * node]
        is_leaf = split >= LEAF
        if depth < limit and sizes[node] > 1:
            encoder.flag(is_leaf)
        elif not is_leaf:
            raise ModelError("the forest cannot be sent: a tree goes deeper than %d splits" % limit)
        if is_leaf:
            continue
        feature = split >> 12
        threshold = split & 0xFFF
        low, high = box[2 * feature : 2 * feature + 2]
        encoder.choose(feature, features)
        encoder.choose(threshold - low, high - low + 1)
        encoder.choose(sizes[node + 1] - 1, sizes[node] - 1)
        right = list(box)
        if threshold < high:  # otherwise nothing reaches the right side, and its interval may be anything that both ends agree on
            right[2 * feature] = threshold + 1
        box[2 * feature + 1] = threshold
        waiting.append((nodes[2 * node + 1], depth + 1, right))
        waiting.append((node + 1, depth + 1, box))


def decode(data: bytes | memoryview, max_nodes: int, image: "array[int] | None" = None, features: int = 0) -> Forest:
    """The forest of `encode`'s bytes; see `Forest.from_wire`."""
    if not data or data[0] != FORMAT:
        raise ModelError("no forest of this wire format: the first byte must be %d" % FORMAT)
    coder = start(data, 1)
    count = 1 + checked(data, coder, MAX_FEATURES)
    if features and count != features:
        raise ModelError("the model takes %d features, its pipeline names %d" % (count, features))
    trees = 1 + checked(data, coder, MAX_TREES)
    subsample = 2 + checked(data, coder, MAX_SUBSAMPLE - 1)
    threshold = checked(data, coder, 257) << 8 | checked(data, coder, 256)
    bounds = []
    for _ in range(count):
        low = number(data, coder)
        low = low >> 1 if low & 1 == 0 else -(low >> 1) - 1
        bounds.append((low, low + number(data, coder)))
    grid = Grid(bounds)
    if image is not None:
        make_room(image, HEAD + 5 * count + trees + 2 * _trees(data, array("i", coder), grid, subsample, trees, max_nodes, None) + TAIL)
    builder = Builder(grid, subsample, trees, image)
    _trees(data, coder, grid, subsample, trees, max_nodes, builder)
    return builder.forest(threshold)


def _trees(
    data: bytes | memoryview, coder: "array[int]", grid: Grid, subsample: int, trees: int, max_nodes: int, builder: Builder | None
) -> int:
    """Decode all trees into the builder, or only see whether that is possible; the number of their nodes."""
    features = len(grid.bounds)
    limit = depth_limit(subsample)
    widest = min(2 * subsample - 1, max_nodes)
    lengths = path_lengths(subsample)
    nodes = array("H", bytes(4 * widest))
    waiting = array("H", bytes(2 * (3 + 2 * features) * (limit + 2)))
    total = 0
    for tree in range(trees):
        shape = array("H", [features, subsample, limit, min(widest, max_nodes - total)])
        count = decode_tree(data, coder, shape, lengths, nodes, waiting)
        if count == _TOO_LARGE:
            raise TooLarge("the forest has more than %d nodes, more than there is room for here: send fewer trees" % max_nodes)
        # Reading behind the end goes on with zeros for ever, so it must be noticed here, not after a thousand trees.
        if count == _MALFORMED or coder[0] > len(data) + _PADDING:
            raise ModelError("malformed forest: tree %d ends before its data, or behind it" % tree)
        total += count
        if builder is not None:
            builder.add(memoryview(nodes)[: 2 * count])
    if coder[0] != len(data) + _PADDING:
        raise ModelError("malformed forest: %d bytes follow the last tree" % (len(data) + _PADDING - coder[0]))
    return total
