"""Compiled passes over a window; `eddy.kernel.features` says what they compute.

On a 32-bit microcontroller viper wraps silently, and x^4 of a real window sums to 2^50. So products are cut into limbs of 15 bits before
they are added: with |x| <= 2^15 and at most 2^14 samples every sum stays within 2^30. Results are stored without sign (see
`join_power_limbs`). Literals stay below 2^30: mpy-cross makes objects of larger ones, and viper cannot compute with those.
"""

import micropython


@micropython.viper
def power_limbs(samples: ptr16, n: int, out: ptr32):
    """Sums over n samples: 0 x; 1..2 x^2; 3..5 x^3; 6..11 x^4; 12 |difference|; 13 min; 14 max."""
    s1 = 0
    a0 = a1 = 0
    b0 = b1 = b2 = 0
    c0 = c1 = c2 = c3 = c4 = c5 = 0
    differences = 0
    before = (int(samples[0]) ^ 0x8000) - 0x8000
    low = high = before
    i = 0
    while i < n:
        x = (int(samples[i]) ^ 0x8000) - 0x8000
        i += 1
        s1 += x
        square = x * x
        g = square >> 15  # <= 2^15
        f = square & 0x7FFF
        a0 += f
        a1 += g
        p = x * f  # x^3 = x f + x g 2^15
        b0 += p & 0x7FFF
        b1 += p >> 15
        p = x * g
        b1 += p & 0x7FFF
        b2 += p >> 15
        p = f * f  # x^4 = f^2 + 2 f g 2^15 + g^2 2^30
        c0 += p & 0x7FFF
        c1 += p >> 15
        p = f * g
        c2 += p & 0x7FFF
        c3 += p >> 15
        p = g * g
        c4 += p & 0x7FFF
        c5 += p >> 15
        p = x - before
        before = x
        if p < 0:
            differences -= p
        else:
            differences += p
        if x < low:
            low = x
        elif x > high:
            high = x
    out[0] = s1 + 0x20000000
    out[1] = a0
    out[2] = a1
    out[3] = b0
    out[4] = b1 + 0x20000000
    out[5] = b2 + 0x20000000
    out[6] = c0
    out[7] = c1
    out[8] = c2
    out[9] = c3
    out[10] = c4
    out[11] = c5
    out[12] = differences
    out[13] = low + 32768
    out[14] = high + 32768


@micropython.viper
def detail_limbs(samples: ptr16, n: int, out: ptr32):
    """Sums of squared Haar details: for level k, at 4 k - 4, the low, middle and high limbs; the fourth word holds a waiting sum.

    Level k has at most 2^(14-k) details of at most 2^(15+k); cut at 8 + k//2 bits, the sums of all three limb products stay within 2^30.
    """
    i = 1
    while i < n:
        a = (int(samples[i - 1]) ^ 0x8000) - 0x8000
        x = (int(samples[i]) ^ 0x8000) - 0x8000
        d = a - x
        a += x
        k = 1
        place = i >> 1
        at = 0
        while True:
            if d < 0:
                d = 0 - d
            split = 8 + (k >> 1)
            h = d >> split
            d -= h << split
            out[at] = int(out[at]) + d * d
            out[at + 1] = int(out[at + 1]) + d * h
            out[at + 2] = int(out[at + 2]) + h * h
            if k == 5:
                break
            if not place & 1:
                out[at + 3] = a + 0x400000
                break
            x = int(out[at + 3]) - 0x400000
            d = x - a
            a += x
            place >>= 1
            at += 4
            k += 1
        i += 2
