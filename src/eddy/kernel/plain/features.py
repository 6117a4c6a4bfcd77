"""Passes over a window; the compiled twin is `eddy.kernel.viper.features`, and `eddy.kernel.features` says what they are for."""

MYPY = False
if MYPY:
    from array import array

_BANDS = 5


def power_sums(window: "array[int] | memoryview[int]") -> list[int]:
    """[S1, S2, S3, S4, sum of |differences|, min, max] of a window."""
    s1 = s2 = s3 = s4 = differences = 0
    before = low = high = window[0]
    for x in window:
        square = x * x
        s1 += x
        s2 += square
        s3 += square * x
        s4 += square * square
        differences += abs(x - before)
        before = x
        if x < low:
            low = x
        elif x > high:
            high = x
    return [s1, s2, s3, s4, differences, low, high]


def details(window: "array[int] | memoryview[int]") -> list[int]:
    """Sums of the squared Haar details of the five levels, not normalised (each level doubles the amplitude)."""
    sums = [0] * _BANDS
    waiting = [0] * _BANDS  # at each level, the sum that has no partner yet
    for i in range(1, len(window), 2):
        before = window[i - 1]
        x = window[i]
        place = i
        for k in range(_BANDS):
            sums[k] += (before - x) * (before - x)
            x += before
            place >>= 1
            if not place & 1:
                waiting[k] = x
                break
            before = waiting[k]
    return sums
