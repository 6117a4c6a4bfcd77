import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import ModelError
from eddy.kernel.features import NAMES
from eddy.models.derived import columns, difference, on_device, ratio, sources

int32 = st.integers(-(1 << 31), (1 << 31) - 1)
rows = st.lists(st.lists(int32, min_size=len(NAMES), max_size=len(NAMES)), max_size=5)


@given(rows)
def test_reported_features_come_as_they_are(some: list[list[int]]) -> None:
    assert columns(some, NAMES).tolist() == some


@given(rows)
def test_derived_features_are_exact_and_fit_int32(some: list[list[int]]) -> None:
    a, b = NAMES.index("band_1"), NAMES.index("rms")
    low, high = -(1 << 31), (1 << 31) - 1
    expected = [[min(high, max(low, r[a] * 1000 // (r[b] or 1))), min(high, max(low, r[a] - r[b]))] for r in some]
    assert columns(some, ["ratio(band_1, rms)", "difference(band_1,rms)"]).tolist() == expected


@pytest.mark.parametrize("name", ["smell", "smell(rms)", "ratio(rms, smell)", "ratio(rms", "rms; x", "ratio(ratio(rms), rms)", ""])
def test_a_feature_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="feature"):
        columns([[0] * len(NAMES)], [name])


@pytest.mark.parametrize("name", ["ratio(rms)", "ratio(rms, mean, kurtosis)", "difference(rms)"])
def test_a_formula_with_other_arguments_is_a_model_error(name: str) -> None:
    with pytest.raises(ModelError, match=r"write \w+\(a, b\)"):
        columns([[1] * len(NAMES)] * 2, [name])


def test_it_is_known_what_a_feature_is_computed_from() -> None:
    assert sources(["ratio(band_1, rms)", "mean", "difference(band_1,kurtosis)"]) == {"band_1", "rms", "mean", "kurtosis"}


def test_only_reported_features_exist_on_the_device() -> None:
    assert on_device(("rms", "kurtosis"))
    assert not on_device(("rms", "ratio(band_1, rms)"))
    assert (ratio(np.array([3]), np.array([0])).tolist(), difference(np.array([3]), np.array([5])).tolist()) == ([3000], [-2])
