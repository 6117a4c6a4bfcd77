"""Compiled scoring and growing of isolation forests; `eddy.kernel.plain.forest` and `eddy.kernel.plain.trainer` define them.

Words wrap silently at 32 bits on a microcontroller: every intermediate here fits int32. Nothing negative is stored through a ptr32,
because a compiled load of 32 bits extends with zeros on 64-bit hosts. Literals stay below 2^30: mpy-cross makes objects of larger ones, and
viper cannot compute with those.
"""

import micropython


@micropython.viper
def total(image: ptr16, row: object, steps: ptr16) -> int:
    """The sum Q8 of the path lengths of `row`; `steps` receives the quantised row."""
    features = int(image[1])
    at = 8
    f = 0
    while f < features:
        low = int(image[at]) + (((int(image[at + 1]) ^ 0x8000) - 0x8000) << 16)
        high = int(image[at + 2]) + (((int(image[at + 3]) ^ 0x8000) - 0x8000) << 16)
        x = int(row[f])
        if x <= low:
            steps[f] = 0
        elif x >= high:
            steps[f] = 4095
        else:
            shift = int(image[at + 4])
            steps[f] = ((x - low) >> shift) * 4095 // ((high - low) >> shift)
        at += 5
        f += 1
    root = at
    first = at + int(image[2])
    paths = 0
    while root < first:
        nodes = ptr16(int(image) + 2 * (first + 2 * int(image[root])))
        node = 0
        while True:
            split = int(nodes[node])
            if split >= 0xF000:
                break
            if int(steps[split >> 12]) <= split & 0xFFF:
                node += 2
            else:
                node = int(nodes[node + 1]) << 1
        paths += int(nodes[node + 1])
        root += 1
    return paths


@micropython.viper
def power(unit: int, paths: int, exp2: ptr32) -> int:
    """2^(-paths / unit) in Q16; unit < 2^22."""
    whole = paths // unit
    rest = (paths - whole * unit) << 8
    digit = rest // unit
    rest = (rest - digit * unit) << 8
    fraction = (digit << 8) + rest // unit
    i = fraction >> 11
    high = int(exp2[i])
    value = high - ((high - int(exp2[i + 1])) * (fraction & 2047) >> 11)
    if whole < 17:
        return value >> whole
    return 0


@micropython.viper
def draw(draws: ptr32, n: int) -> int:
    """`Rng.below(n)` on a state of two words."""
    most = 1073741781
    most += most  # 2147483562; see above
    limit = most - most % n
    s1 = int(draws[0])
    s2 = int(draws[1])
    while True:
        k = s1 // 53668
        s1 = 40014 * (s1 - k * 53668) - k * 12211
        if s1 < 0:
            s1 += most + 1
        k = s2 // 52774
        s2 = 40692 * (s2 - k * 52774) - k * 3791
        if s2 < 0:
            s2 += most - 163
        z = s1 - s2
        if z < 1:
            z += most
        z -= 1
        if z < limit:
            break
    draws[0] = s1
    draws[1] = s2
    return z % n


@micropython.viper
def grow(pool: ptr16, draws: object, order: ptr16, shape: ptr16, lengths: ptr16, nodes: ptr16, waiting: ptr16) -> int:
    """`eddy.kernel.plain.trainer.grow`; `waiting` is room for one word for each feature and 4 for each level."""
    features = int(shape[0])
    end = int(shape[1])
    limit = int(shape[2])
    rows = int(shape[3])
    i = 0
    while i < rows:
        order[i] = i
        i += 1
    i = 0
    while i < end:
        j = i + int(draw(draws, rows - i))
        k = int(order[i])
        order[i] = order[j]
        order[j] = k
        i += 1
    start = 0
    depth = 0
    count = 0
    top = features
    while True:
        feature = 0 - 1
        low = 0
        high = 0
        if depth < limit and end - start > 1:
            left = 0
            while left < features:
                waiting[left] = left
                left += 1
            while left > 0:
                k = int(draw(draws, left))
                left -= 1
                f = int(waiting[k])
                waiting[k] = waiting[left]
                low = high = int(pool[int(order[start]) * features + f])
                i = start + 1
                while i < end:
                    x = int(pool[int(order[i]) * features + f])
                    if x < low:
                        low = x
                    elif x > high:
                        high = x
                    i += 1
                if low < high:
                    feature = f
                    break
        if feature >= 0:
            low += int(draw(draws, high - low))
            i = start
            j = end
            while i < j:
                k = int(order[i])
                if int(pool[k * features + feature]) <= low:
                    i += 1
                else:
                    j -= 1
                    order[i] = order[j]
                    order[j] = k
            nodes[2 * count] = feature << 12 | low
            depth += 1
            waiting[top] = i
            waiting[top + 1] = end
            waiting[top + 2] = depth
            waiting[top + 3] = count
            top += 4
            end = i
            count += 1
        else:
            nodes[2 * count] = 0xF000 | end - start
            nodes[2 * count + 1] = (depth << 8) + int(lengths[end - start])
            count += 1
            if top == features:
                break
            top -= 4
            start = int(waiting[top])
            end = int(waiting[top + 1])
            depth = int(waiting[top + 2])
            nodes[2 * int(waiting[top + 3]) + 1] = count
    return count


@micropython.viper
def checksum(image: ptr16, count: int, sums: ptr32):
    """The two sums of `eddy.kernel.plain.forest.checksum`."""
    a = 0
    b = 0
    i = 0
    while i < count:
        a = (a + int(image[i])) & 0x3FFFFFFF
        b = (b + a) & 0x3FFFFFFF
        i += 1
    sums[0] = a
    sums[1] = b
