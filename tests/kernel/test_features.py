"""Features: exact, within 32 bits, and what their names say."""

import math
from array import array
from collections.abc import Callable
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wrapping import VIPER, load

from eddy.kernel import features
from eddy.kernel.errors import ModelError, SampleError
from eddy.kernel.features import NAMES, compute, isqrt
from eddy.kernel.plain import features as plain

samples = st.lists(st.integers(-32768, 32767), min_size=1, max_size=200)
TWIN = load("features")
LONGEST = 16384
ADVERSARIAL: dict[str, Callable[[int], int]] = {
    "lowest": lambda i: -32768,
    "highest": lambda i: 32767,
    "square wave": lambda i: 32767 if i % 2 else -32768,
    "slow square wave": lambda i: 32767 if i // 16 % 2 else -32768,
    "half and half": lambda i: 32767 if i < LONGEST // 2 else -32768,
    "square wave of each level": lambda i: 32767 if i >> (i // 4096 + 1) & 1 else -32768,
    "low halves full": lambda i: 181 * (1 if i % 2 else -1),  # 181^2 = 32761 just fits a limb
    "one spike": lambda i: -32768 if i == 77 else 0,
    "saw": lambda i: (i * 257 + 32768) % 65536 - 32768,
}


@given(samples)
def test_features_are_the_floored_exact_values(values: list[int]) -> None:
    n = len(values)
    mean = Fraction(sum(values), n)
    moments = [sum((Fraction(x) - mean) ** k for x in values) / n for k in range(5)]
    named = dict(zip(NAMES, compute(array("h", values)), strict=True))
    assert named["mean"] == math.floor(16 * mean)
    assert named["rms"] == math.isqrt(math.floor(256 * moments[2]))
    assert named["peak_to_peak"] == 16 * (max(values) - min(values))
    if n > 1:
        assert named["mean_abs_difference"] == 16 * sum(abs(a - b) for a, b in pairwise(values)) // (n - 1)
    if moments[2]:
        assert named["kurtosis"] == math.floor(1000 * moments[4] / moments[2] ** 2)
        skewness = math.isqrt(math.floor(10**6 * moments[3] ** 2 / moments[2] ** 3))
        assert named["skewness"] == (skewness if moments[3] >= 0 else -skewness)
        assert named["crest_factor"] == math.isqrt(math.floor(10**6 * max((x - mean) ** 2 for x in values) / moments[2]))


@given(st.lists(st.lists(st.integers(-32768, 32767), min_size=32, max_size=32), min_size=1, max_size=4))
def test_bands_and_what_is_below_them_hold_the_whole_energy(runs: list[list[int]]) -> None:
    values = list(chain(*runs))
    squares = plain.details(array("h", values))
    below = [sum(values[i : i + 32]) for i in range(0, len(values), 32)]
    energy = sum(Fraction(square, 1 << k) for k, square in enumerate(squares, 1)) + sum(Fraction(x * x, 32) for x in below)
    assert energy == sum(x * x for x in values)


@pytest.mark.parametrize("band", range(1, 6))
def test_a_tone_is_loudest_in_its_own_band(band: int) -> None:
    frequency = 0.75 / 2**band  # the middle of that octave, in cycles a sample
    window = array("h", [round(10000 * math.sin(2 * math.pi * frequency * i + 0.3)) for i in range(4096)])
    bands = compute(window, [f"band_{k}" for k in range(1, 6)])
    assert bands.index(max(bands)) == band - 1


def test_gaussian_noise_has_the_moments_of_gaussian_noise() -> None:
    noise = np.random.default_rng(1).normal(50, 300, 16384).round().astype(int)
    mean, rms, kurtosis, skewness = compute(array("h", noise.tolist()), ("mean", "rms", "kurtosis", "skewness"))
    assert abs(mean / 16 - 50) < 10
    assert abs(rms / 16 - 300) < 5
    assert abs(kurtosis - 3000) < 150
    assert abs(skewness) < 60


@pytest.mark.parametrize("value", [-32768, -1, 0, 32767])
@pytest.mark.parametrize("n", [1, 2, 33, 16384])
def test_a_constant_window_has_a_mean_and_nothing_else(value: int, n: int) -> None:
    assert compute(array("h", [value] * n)) == [16 * value] + [0] * (len(NAMES) - 1)


@settings(max_examples=20)
@given(st.lists(st.sampled_from([-32768, -1, 0, 1, 32767]), min_size=1, max_size=100))
def test_extreme_windows_fit_32_bits(values: list[int]) -> None:
    assert all(-(2**31) <= value < 2**31 for value in compute(array("h", values)))


def test_the_greatest_kurtosis_fits_32_bits() -> None:
    window = array("h", [0] * LONGEST)
    window[5] = 32767
    assert max(compute(window)) < 2**31
    assert compute(window, ("kurtosis",))[0] > 16_000_000


def test_a_subset_comes_in_the_order_asked_for() -> None:
    window = array("h", [3, -5, 8, 1, 0, 2])
    named = dict(zip(NAMES, compute(window), strict=True))
    assert compute(window, ("band_2", "rms", "mean")) == [named["band_2"], named["rms"], named["mean"]]


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(SampleError):
        compute(array("h"))
    with pytest.raises(SampleError, match="16384"):
        compute(array("h", [0] * 16385))
    with pytest.raises(ModelError, match=r"'entropy'.*kurtosis"):
        compute(array("h", [1, 2]), ("rms", "entropy"))


@given(st.integers(0, 2**200))
def test_isqrt_is_the_floored_root(value: int) -> None:
    assert isqrt(value) == math.isqrt(value)


def compare_with_the_twin(window: "array[int]") -> None:
    limbs = array("i", bytes(4 * 15))
    TWIN.power_limbs(window, len(window), limbs)
    assert features.join_power_limbs(limbs) == plain.power_sums(window)
    limbs = array("i", bytes(4 * 20))
    TWIN.detail_limbs(window, len(window), limbs)
    assert features.join_detail_limbs(limbs) == plain.details(window)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ADVERSARIAL)
def test_the_compiled_passes_stay_within_32_bits_on_the_worst_windows(shape: str) -> None:
    compare_with_the_twin(array("h", [ADVERSARIAL[shape](i) for i in range(LONGEST)]))


@given(samples)
def test_the_compiled_passes_are_the_plain_ones(values: list[int]) -> None:
    compare_with_the_twin(array("h", values))


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        ("p & 0x7FFF", "p"),  # a limb that is not cut
        ("8 + (k >> 1)", "0"),  # details that are not split
    ],
)
def test_the_wrapping_twin_notices_what_does_not_fit(limit: str, kept: str, tmp_path: Path) -> None:
    source = (VIPER / "features.py").read_text()
    assert limit in source
    (tmp_path / "features.py").write_text(source.replace(limit, kept))
    broken = load("features", tmp_path)
    window = array("h", [ADVERSARIAL["square wave"](i) for i in range(LONGEST)])
    with pytest.raises(OverflowError):
        broken.power_limbs(window, LONGEST, array("i", bytes(4 * 15)))
        broken.detail_limbs(window, LONGEST, array("i", bytes(4 * 20)))


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=300), st.lists(st.integers(1, 100), max_size=12))
def test_a_window_in_pieces_has_the_features_of_the_whole(values: list[int], sizes: list[int]) -> None:
    sums = features.Sums(NAMES)
    for _ in range(2):  # a window leaves nothing behind
        at = 0
        for size in [*sizes, len(values)]:
            sums.add(array("h", values[at : at + size]))
            at += size
        assert sums.row() == compute(array("h", values))


def test_a_window_that_was_given_up_leaves_nothing_behind() -> None:
    sums = features.Sums(NAMES)
    sums.add(array("h", range(100)))
    sums.clear()
    sums.add(array("h", [5, 7, 9]))
    assert sums.row() == compute(array("h", [5, 7, 9]))
