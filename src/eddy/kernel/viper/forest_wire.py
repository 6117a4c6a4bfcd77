"""Compiled decoding of a tree; `eddy.kernel.plain.forest_wire` defines it. Codes are 24 bits wide: all fits int32."""

import micropython


@micropython.viper
def choice(data: object, coder: ptr32, choices: int) -> int:
    """One of `choices`, or -1; `choices` 0 asks for the leaf flag."""
    width = int(coder[2])
    code = int(coder[1])
    if choices == 0:
        part = width >> 6
        if code < part:
            value = 1
            width = part
        else:
            value = 0
            code -= part
            width -= part
    else:
        part = width // choices
        value = code // part
        if value >= choices:
            return 0 - 1
        code -= value * part
        width = part
    if width < 0x10000:
        at = int(coder[0])
        end = int(len(data))
        text = ptr8(data)
        while width < 0x10000:
            code <<= 8
            if at < end:
                code |= int(text[at])
            at += 1
            width <<= 8
        coder[0] = at
    coder[1] = code
    coder[2] = width
    return value


@micropython.viper
def decode_tree(data: object, coder: object, shape: ptr16, lengths: ptr16, nodes: ptr16, waiting: ptr16) -> int:
    """As `eddy.kernel.plain.forest_wire.decode_tree`."""
    features = int(shape[0])
    rows = int(shape[1])
    limit = int(shape[2])
    room = int(shape[3])
    entry = 3 + 2 * features
    i = 0
    while i < features:
        waiting[3 + 2 * i] = 0
        waiting[4 + 2 * i] = 4095
        i += 1
    depth = 0
    count = 0
    top = 0
    while True:
        if count == room:
            return 0 - 2
        leaf = 1
        if rows > 1 and depth < limit:
            leaf = int(choice(data, coder, 0))
        if leaf == 1:
            nodes[2 * count] = 0xF000 | rows
            nodes[2 * count + 1] = (depth << 8) + int(lengths[rows])
            count += 1
            if top == 0:
                return count
            top -= entry
            rows = int(waiting[top])
            depth = int(waiting[top + 1])
            nodes[2 * int(waiting[top + 2]) + 1] = count
        else:
            feature = int(choice(data, coder, features))
            if feature < 0:
                return 0 - 1
            at = top + 3 + 2 * feature
            low = int(waiting[at])
            high = int(waiting[at + 1])
            threshold = int(choice(data, coder, high - low + 1))
            if threshold < 0:
                return 0 - 1
            left = int(choice(data, coder, rows - 1)) + 1
            if left < 1:
                return 0 - 1
            threshold += low
            i = 3
            while i < entry:
                waiting[top + entry + i] = waiting[top + i]
                i += 1
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
