"""The numpy twin of the features: batches, the kernel's numbers."""

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.functions.features import compute
from eddy.kernel import features
from eddy.kernel.errors import ModelError, SampleError


@given(st.integers(1, 5), st.integers(1, 100), st.integers(0, 2**32 - 1), st.sampled_from([1, 30, 32768]))
def test_a_batch_gives_the_kernels_features(windows: int, size: int, seed: int, scale: int) -> None:
    batch = np.random.default_rng(seed).integers(-scale, scale, (windows, size)).astype(np.int16)
    assert compute(batch).tolist() == [features.compute(array("h", window.tolist())) for window in batch]


@pytest.mark.parametrize("shape", ["lowest", "square"])
def test_the_longest_full_scale_windows_are_exact(shape: str) -> None:
    window = np.full(16384, -32768, np.int16)
    if shape == "square":
        window[::2] = 32767
    assert compute(window[None]).tolist() == [features.compute(array("h", window.tolist()))]


def test_a_subset_comes_in_the_order_asked_for() -> None:
    batch = np.arange(40, dtype=np.int16).reshape(2, 20)
    columns = [features.NAMES.index(name) for name in ("band_2", "mean")]
    assert compute(batch, ("band_2", "mean")).tolist() == compute(batch)[:, columns].tolist()


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(SampleError, match="16384"):
        compute(np.zeros((1, 16385), np.int16))
    with pytest.raises(SampleError):
        compute(np.zeros((1, 0), np.int16))
    with pytest.raises(ModelError, match="entropy"):
        compute(np.zeros((1, 5), np.int16), ["entropy"])
