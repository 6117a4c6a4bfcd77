import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import ModelError
from eddy.kernel.features import NAMES
from eddy.models.derived import BUILT_IN, columns, difference, named, on_device, ratio

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


def test_a_registered_formula_may_be_used_by_name() -> None:
    formulas = {**BUILT_IN, "twice": lambda a: 2 * a}
    row = list(range(len(NAMES)))
    assert columns([row], ["twice(rms)"], formulas).tolist() == [[2 * NAMES.index("rms")]]


@pytest.mark.parametrize("name", ["smell", "smell(rms)", "ratio(rms, smell)", "ratio(rms", "rms; x", "ratio(ratio(rms), rms)", ""])
def test_a_feature_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="feature"):
        columns([[0] * len(NAMES)], [name])


def broken(a: object) -> None:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("formula", [broken, lambda: 1, lambda a: a[:1], lambda a: a * 1.5, lambda a: "text"])
def test_a_persons_formula_may_fail_in_any_way_but_only_as_a_model_error(formula: object) -> None:
    with pytest.raises(ModelError, match="mine"):
        columns([[1] * len(NAMES)] * 2, ["mine(rms)"], {"mine": formula})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["rms", "ratio", "Upper", "with space", "", "x" * 33, "a(b)"])
def test_a_formula_cannot_take_a_name_that_is_taken_or_none(name: str) -> None:
    with pytest.raises(ModelError):
        named(name, BUILT_IN)
    assert named("spread_2", BUILT_IN) == "spread_2"


def test_only_reported_features_exist_on_the_device() -> None:
    assert on_device(("rms", "kurtosis"))
    assert not on_device(("rms", "ratio(band_1, rms)"))
    assert (ratio(np.array([3]), np.array([0])).tolist(), difference(np.array([3]), np.array([5])).tolist()) == ([3000], [-2])
