"""Checks Ed25519 signatures (RFC 8032) with nothing but integers: the firmware of microcontrollers has neither the curve nor SHA-512.

Signing lives in `eddy.security.signing`; a device only verifies. Nothing here is secret, so nothing has to take constant time.

[S]B - [k]A is one pass of doublings that both scalars share (Straus and Shamir), with signed windows of 4 bits: 253 doublings and
about 100 additions, in the extended coordinates of Hisil, Wong, Carter and Dawson (Twisted Edwards curves revisited, 2008).
"""

P = (1 << 255) - 19
L = (1 << 252) + 27742317777372353535851937790883648493  # order of the base point
D = 37095705934669439343138083508754565189542113879843219016388785533085940283555  # -121665 / 121666
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960  # 4 / 5
_SQRT_MINUS_1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752

_MASK64 = (1 << 64) - 1
# Fractional parts of the cube roots of the first 80 primes, 64 bits each (FIPS 180-4, 4.2.3); the tests derive them.
_ROUNDS = (
    b"\x42\x8a\x2f\x98\xd7\x28\xae\x22\x71\x37\x44\x91\x23\xef\x65\xcd\xb5\xc0\xfb\xcf\xec\x4d\x3b\x2f\xe9\xb5\xdb\xa5\x81\x89\xdb\xbc"
    b"\x39\x56\xc2\x5b\xf3\x48\xb5\x38\x59\xf1\x11\xf1\xb6\x05\xd0\x19\x92\x3f\x82\xa4\xaf\x19\x4f\x9b\xab\x1c\x5e\xd5\xda\x6d\x81\x18"
    b"\xd8\x07\xaa\x98\xa3\x03\x02\x42\x12\x83\x5b\x01\x45\x70\x6f\xbe\x24\x31\x85\xbe\x4e\xe4\xb2\x8c\x55\x0c\x7d\xc3\xd5\xff\xb4\xe2"
    b"\x72\xbe\x5d\x74\xf2\x7b\x89\x6f\x80\xde\xb1\xfe\x3b\x16\x96\xb1\x9b\xdc\x06\xa7\x25\xc7\x12\x35\xc1\x9b\xf1\x74\xcf\x69\x26\x94"
    b"\xe4\x9b\x69\xc1\x9e\xf1\x4a\xd2\xef\xbe\x47\x86\x38\x4f\x25\xe3\x0f\xc1\x9d\xc6\x8b\x8c\xd5\xb5\x24\x0c\xa1\xcc\x77\xac\x9c\x65"
    b"\x2d\xe9\x2c\x6f\x59\x2b\x02\x75\x4a\x74\x84\xaa\x6e\xa6\xe4\x83\x5c\xb0\xa9\xdc\xbd\x41\xfb\xd4\x76\xf9\x88\xda\x83\x11\x53\xb5"
    b"\x98\x3e\x51\x52\xee\x66\xdf\xab\xa8\x31\xc6\x6d\x2d\xb4\x32\x10\xb0\x03\x27\xc8\x98\xfb\x21\x3f\xbf\x59\x7f\xc7\xbe\xef\x0e\xe4"
    b"\xc6\xe0\x0b\xf3\x3d\xa8\x8f\xc2\xd5\xa7\x91\x47\x93\x0a\xa7\x25\x06\xca\x63\x51\xe0\x03\x82\x6f\x14\x29\x29\x67\x0a\x0e\x6e\x70"
    b"\x27\xb7\x0a\x85\x46\xd2\x2f\xfc\x2e\x1b\x21\x38\x5c\x26\xc9\x26\x4d\x2c\x6d\xfc\x5a\xc4\x2a\xed\x53\x38\x0d\x13\x9d\x95\xb3\xdf"
    b"\x65\x0a\x73\x54\x8b\xaf\x63\xde\x76\x6a\x0a\xbb\x3c\x77\xb2\xa8\x81\xc2\xc9\x2e\x47\xed\xae\xe6\x92\x72\x2c\x85\x14\x82\x35\x3b"
    b"\xa2\xbf\xe8\xa1\x4c\xf1\x03\x64\xa8\x1a\x66\x4b\xbc\x42\x30\x01\xc2\x4b\x8b\x70\xd0\xf8\x97\x91\xc7\x6c\x51\xa3\x06\x54\xbe\x30"
    b"\xd1\x92\xe8\x19\xd6\xef\x52\x18\xd6\x99\x06\x24\x55\x65\xa9\x10\xf4\x0e\x35\x85\x57\x71\x20\x2a\x10\x6a\xa0\x70\x32\xbb\xd1\xb8"
    b"\x19\xa4\xc1\x16\xb8\xd2\xd0\xc8\x1e\x37\x6c\x08\x51\x41\xab\x53\x27\x48\x77\x4c\xdf\x8e\xeb\x99\x34\xb0\xbc\xb5\xe1\x9b\x48\xa8"
    b"\x39\x1c\x0c\xb3\xc5\xc9\x5a\x63\x4e\xd8\xaa\x4a\xe3\x41\x8a\xcb\x5b\x9c\xca\x4f\x77\x63\xe3\x73\x68\x2e\x6f\xf3\xd6\xb2\xb8\xa3"
    b"\x74\x8f\x82\xee\x5d\xef\xb2\xfc\x78\xa5\x63\x6f\x43\x17\x2f\x60\x84\xc8\x78\x14\xa1\xf0\xab\x72\x8c\xc7\x02\x08\x1a\x64\x39\xec"
    b"\x90\xbe\xff\xfa\x23\x63\x1e\x28\xa4\x50\x6c\xeb\xde\x82\xbd\xe9\xbe\xf9\xa3\xf7\xb2\xc6\x79\x15\xc6\x71\x78\xf2\xe3\x72\x53\x2b"
    b"\xca\x27\x3e\xce\xea\x26\x61\x9c\xd1\x86\xb8\xc7\x21\xc0\xc2\x07\xea\xda\x7d\xd6\xcd\xe0\xeb\x1e\xf5\x7d\x4f\x7f\xee\x6e\xd1\x78"
    b"\x06\xf0\x67\xaa\x72\x17\x6f\xba\x0a\x63\x7d\xc5\xa2\xc8\x98\xa6\x11\x3f\x98\x04\xbe\xf9\x0d\xae\x1b\x71\x0b\x35\x13\x1c\x47\x1b"
    b"\x28\xdb\x77\xf5\x23\x04\x7d\x84\x32\xca\xab\x7b\x40\xc7\x24\x93\x3c\x9e\xbe\x0a\x15\xc9\xbe\xbc\x43\x1d\x67\xc4\x9c\x10\x0d\x4c"
    b"\x4c\xc5\xd4\xbe\xcb\x3e\x42\xb6\x59\x7f\x29\x9c\xfc\x65\x7e\x2a\x5f\xcb\x6f\xab\x3a\xd6\xfa\xec\x6c\x44\x19\x8c\x4a\x47\x58\x17"
)
# Likewise of the square roots of the first 8 primes (FIPS 180-4, 5.3.5).
_START = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)


def verify(public_key: bytes | memoryview, message: bytes | memoryview, signature: bytes | memoryview) -> bool:
    """Whether `signature` over `message` was made with the private half of `public_key`.

    Strict: a scalar S that is not below the group order, a coordinate that is not below the prime, or a wrong length is False, so that
    a signature has one form only. The equation is the one without cofactor, as in OpenSSL.

    Args:
        public_key: 32 bytes, a point in RFC 8032's encoding.
        message: What was signed; hashed in one piece.
        signature: 64 bytes, the point R and the scalar S.
    """
    if len(public_key) != 32 or len(signature) != 64:
        return False
    public_key = bytes(public_key)
    r = bytes(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    point = _decode_point(public_key)
    if point is None:
        return False
    k = int.from_bytes(sha512(r + public_key + bytes(message)), "little") % L
    x, y = point
    return _encode_point(_combine(s, k, P - x, y)) == r


def sha512(data: bytes) -> bytes:
    """SHA-512 of `data` (FIPS 180-4): 64 bytes."""
    padded = bytearray(data)
    padded.append(0x80)
    padded.extend(bytes((112 - len(padded)) % 128 + 8))
    padded.extend((8 * len(data)).to_bytes(8, "big"))
    state = list(_START)
    for at in range(0, len(padded), 128):
        _compress(state, padded, at)
    return b"".join([word.to_bytes(8, "big") for word in state])


def _compress(state: list[int], block: bytearray, at: int) -> None:
    # A rotation is a shift of the word written twice; the schedule is a ring of 16 words.
    schedule = [int.from_bytes(block[i : i + 8], "big") for i in range(at, at + 128, 8)]
    a, b, c, d, e, f, g, h = state
    for i in range(80):
        j = i & 15
        w = schedule[j]
        if i >= 16:
            twice = schedule[(j + 1) & 15] * 0x10000000000000001
            w += ((twice >> 1) ^ (twice >> 8) ^ ((twice & _MASK64) >> 7)) & _MASK64
            twice = schedule[(j + 14) & 15] * 0x10000000000000001
            w += ((twice >> 19) ^ (twice >> 61) ^ ((twice & _MASK64) >> 6)) & _MASK64
            w = (w + schedule[(j + 9) & 15]) & _MASK64
            schedule[j] = w
        twice = e * 0x10000000000000001
        t = h + w + (((twice >> 14) ^ (twice >> 18) ^ (twice >> 41)) & _MASK64) + (g ^ (e & (f ^ g)))
        t += int.from_bytes(_ROUNDS[8 * i : 8 * i + 8], "big")
        twice = a * 0x10000000000000001
        h, g, f, e = g, f, e, (d + t) & _MASK64
        t += (((twice >> 28) ^ (twice >> 34) ^ (twice >> 39)) & _MASK64) + ((a & b) ^ (c & (a ^ b)))
        d, c, b, a = c, b, a, t & _MASK64
    for i, word in enumerate((a, b, c, d, e, f, g, h)):
        state[i] = (state[i] + word) & _MASK64


def _decode_point(data: bytes) -> tuple[int, int] | None:
    """The affine point of RFC 8032 5.1.3, or None when there is none."""
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    if y >= P:
        return None
    u = (y * y - 1) % P
    v = (D * y * y + 1) % P
    v3 = v * v * v % P
    x = u * v3 * pow(u * v3 * v3 * v % P, (P - 5) // 8, P) % P
    square = v * x * x % P
    if square != u:
        if square != P - u:
            return None
        x = x * _SQRT_MINUS_1 % P
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y


def _encode_point(point: tuple[int, int, int]) -> bytes:
    x, y, z = point
    inverse = pow(z, P - 2, P)
    x = x * inverse % P
    y = y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _combine(s: int, k: int, x: int, y: int) -> tuple[int, int, int]:
    """[s]B + [k](x, y) in projective coordinates."""
    base_digits = _signed_windows(s)
    digits = _signed_windows(k)
    base_table = _odd_multiples(BASE_X, BASE_Y)
    table = _odd_multiples(x, y)
    x, y, z = 0, 1, 1
    for i in range(255, -1, -1):
        a = x * x % P
        b = y * y % P
        h = a + b
        e = h - (x + y) * (x + y)
        g = a - b
        f = 2 * z * z + g
        x = e * f % P
        y = g * h % P
        z = f * g % P
        # The coordinate T is only needed where a point is added.
        if base_digits[i] == digits[i] == 8:
            continue
        point = (x, y, z, e * h % P)
        if base_digits[i] != 8:
            point = _add(point, base_table, base_digits[i] - 8)
        if digits[i] != 8:
            point = _add(point, table, digits[i] - 8)
        x, y, z, _ = point
    return x, y, z


def _signed_windows(n: int) -> bytearray:
    """Digits d of n = sum(d[i] * 2**i), each zero or odd in [-7, 7], at least 3 zeros between two; stored as d + 8."""
    digits = bytearray(b"\x08" * 256)
    i = 0
    while n:
        if n & 1:
            digit = n & 15
            if digit > 8:
                digit -= 16
            n -= digit
            digits[i] = digit + 8
        n >>= 1
        i += 1
    return digits


def _odd_multiples(x: int, y: int) -> list[tuple[int, int, int, int]]:
    """1, 3, 5 and 7 times an affine point, each as (Y - X, Y + X, 2 Z, 2 D T): what `_add` multiplies with."""
    point = (x, y, 1, x * y % P)
    table = [_cached(point)]
    twice = [_cached(_add(point, table, 1))]
    for _ in range(3):
        point = _add(point, twice, 1)
        table.append(_cached(point))
    return table


def _cached(point: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x, y, z, t = point
    return y - x, y + x, 2 * z, 2 * D * t % P


def _add(point: tuple[int, int, int, int], table: list[tuple[int, int, int, int]], digit: int) -> tuple[int, int, int, int]:
    """`point`, in extended coordinates (X, Y, Z, T), plus the odd number `digit` times the point whose odd multiples `table` holds."""
    x, y, z, t = point
    minus, plus, z2, dt2 = table[abs(digit) >> 1]
    if digit < 0:
        minus, plus, dt2 = plus, minus, -dt2
    a = (y - x) * minus
    b = (y + x) * plus
    c = t * dt2
    d = z * z2
    e = (b - a) % P
    f = (d - c) % P
    g = (d + c) % P
    h = (b + a) % P
    return e * f % P, g * h % P, f * g % P, e * h % P
