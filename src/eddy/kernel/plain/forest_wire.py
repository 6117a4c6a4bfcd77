"""Decoding of trees; `eddy.kernel.forest_wire` describes the bytes, `eddy.kernel.viper.forest_wire` is the compiled twin."""

MYPY = False
if MYPY:
    from array import array

_LEAF = 15 << 12
_BOTTOM = 1 << 16
_MALFORMED = -1
_NO_ROOM = -2


def _byte(data: bytes | memoryview, coder: "array[int]") -> int:
    at = coder[0]
    coder[0] = at + 1
    return data[at] if at < len(data) else 0


def _shift(data: bytes | memoryview, coder: "array[int]", code: int, width: int) -> None:
    while width < _BOTTOM:
        code = code << 8 | _byte(data, coder)
        width <<= 8
    coder[1] = code
    coder[2] = width


def choice(data: bytes | memoryview, coder: "array[int]", choices: int) -> int:
    """What `Encoder.choose` said; -1 where no encoder can have been."""
    part = coder[2] // choices
    value = coder[1] // part
    if value >= choices:
        return _MALFORMED
    _shift(data, coder, coder[1] - value * part, part)
    return value


def flagged(data: bytes | memoryview, coder: "array[int]") -> bool:
    """What `Encoder.flag` said."""
    part = coder[2] >> 6
    if coder[1] < part:
        _shift(data, coder, coder[1], part)
        return True
    _shift(data, coder, coder[1] - part, coder[2] - part)
    return False


def decode_tree(
    data: bytes | memoryview, coder: "array[int]", shape: "array[int]", lengths: "array[int]", nodes: "array[int]", waiting: "array[int]"
) -> int:
    """Decode one tree.

    Args:
        data: The wire form.
        coder: Position, code, range; goes on.
        shape: Features, subsample, depth limit, room for nodes.
        lengths: c(n) in Q8 up to the subsample.
        nodes: Receives two words for each node.
        waiting: Room for 3 + 2 * features words for each level, and as many more.

    Returns:
        The number of nodes; -1 malformed, -2 no room.
    """
    features, rows, limit, room = shape
    entry = 3 + 2 * features
    for f in range(features):
        waiting[3 + 2 * f] = 0
        waiting[4 + 2 * f] = 4095
    depth = count = top = 0  # the box of the present node stands behind `top`
    while True:
        if count == room:
            return _NO_ROOM
        if rows == 1 or depth == limit or flagged(data, coder):
            nodes[2 * count] = _LEAF | rows
            nodes[2 * count + 1] = (depth << 8) + lengths[rows]
            count += 1
            if top == 0:
                return count
            top -= entry
            rows = waiting[top]
            depth = waiting[top + 1]
            nodes[2 * waiting[top + 2] + 1] = count
            continue
        feature = choice(data, coder, features)
        if feature < 0:
            return _MALFORMED
        at = top + 3 + 2 * feature
        low = waiting[at]
        high = waiting[at + 1]
        threshold = choice(data, coder, high - low + 1)
        if threshold < 0:
            return _MALFORMED
        threshold += low
        left = choice(data, coder, rows - 1) + 1
        if left < 1:
            return _MALFORMED
        # The box of the left child goes on top, the one that is there becomes the right child's.
        for i in range(3, entry):
            waiting[top + entry + i] = waiting[top + i]
        waiting[at + entry + 1] = threshold
        if threshold < high:
            waiting[at] = threshold + 1
        nodes[2 * count] = feature << 12 | threshold
        depth += 1
        waiting[top] = rows - left
        waiting[top + 1] = depth
        waiting[top + 2] = count
        top += entry
        rows = left
        count += 1
