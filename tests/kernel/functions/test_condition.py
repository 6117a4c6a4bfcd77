"""Conditions mean the same as the sentence that a person wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import BadInput, SampleError
from eddy.kernel.functions.condition import Condition

SECOND = 10**9


def run(tree: Any, samples: list[Any], step_ns: int = SECOND) -> list[bool]:
    condition = Condition(tree)
    return [condition.holds(value, i * step_ns) for i, value in enumerate(samples)]


@given(st.integers(-10, 10), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.integers(-10_000, 10_000))
def test_a_comparison_is_pythons_in_thousandths(value: int, op: str, milli: int) -> None:
    assert Condition(["compare", "", op, milli]).holds(value, 0) is eval(f"{value} {op} {milli} / 1000")


def test_a_field_is_a_key_or_an_index() -> None:
    assert Condition(["compare", "co2", ">", 999_500]).holds({"co2": 1000}, 0)
    assert Condition(["compare", "2", "<", 500]).holds([9, 9, 0.25], 0)


def test_for_holds_once_the_time_has_passed_without_a_break() -> None:
    hot = ["for", ["compare", "", ">", 50_000], 3000]
    assert run(hot, [60, 60, 60, 60, 60, 10, 60, 60, 60, 60]) == [False] * 3 + [True] * 2 + [False] * 4 + [True]


def test_a_clock_that_is_set_back_makes_the_time_count_afresh() -> None:
    hot = Condition(["for", ["compare", "", ">", 0], 1000])
    assert [hot.holds(1, t * SECOND) for t in (100, 5, 6)] == [False, False, True]


def test_k_of_n_windows_count_label_1_only() -> None:
    labels = [1, 1, 2, 0, 0, 1, 1, 1]
    assert run(["anomalies", 3, 4], [[0, label, []] for label in labels]) == [False] * 7 + [True]


def test_windows_that_were_held_back_count_and_each_origin_counts_apart() -> None:
    assert run(["anomalies", 2, 3], [[0, 1, []], [0, 1, [], 2], [0, 1, [], 1], [0, 1, [], 0]]) == [False, False, True, True]
    merged = [[0, 1, [], 0, origin] for origin in ("a", "b", "a")]
    assert run(["anomalies", 2, 3], merged) == [False, False, True]


def test_windows_that_are_missing_count_as_not_anomalous() -> None:
    condition = Condition(["anomalies", 2, 3])
    condition.holds([0, 1], 0)
    condition.missed(2)
    assert not condition.holds([0, 1], 1)
    assert condition.holds([0, 1], 2)
    condition.missed(10**12)
    assert not condition.holds([0, 1], 3)


def test_both_sides_remember_even_when_one_decides() -> None:
    either = ["or", ["compare", "1", "==", 0], ["anomalies", 2, 2]]
    assert run(either, [[0, 1], [0, 1], [0, 0], [0, 1]]) == [False, True, True, False]


TREES = st.recursive(
    st.builds(lambda op, milli: ["compare", "1", op, milli], st.sampled_from(["<", "=="]), st.integers(0, 2000))
    | st.builds(lambda k, more: ["anomalies", k, k + more], st.integers(1, 3), st.integers(0, 3)),
    lambda part: (
        st.builds(lambda kind, a, b: [kind, a, b], st.sampled_from(["and", "or"]), part, part)
        | st.builds(lambda a: ["not", a], part)
        | st.builds(lambda a, s: ["for", a, s * 1000], part, st.integers(0, 4))
    ),
    max_leaves=6,
)


@given(TREES, st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(0, 30))
def test_one_that_moves_in_the_middle_decides_as_if_it_had_stayed(tree: Any, labels: list[int], cut: int) -> None:
    samples = [[0, label] for label in labels]
    expected = run(tree, samples)
    moved = Condition(tree)
    for i, value in enumerate(samples):
        if i == cut:
            state = decode(encode(moved.state()))
            moved = Condition(tree)
            moved.restore(state)  # type: ignore[arg-type]
        assert moved.holds(value, i * SECOND) == expected[i]


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        (["xor", 1, 2], "no condition"),
        ([], "no condition"),
        (["not"], "no condition"),
        (["compare", "", "=<", 1], "compares nothing"),
        (["compare", "", "<", 0.5], "compares nothing"),
        (["anomalies", 5, 4], "1 <= k <= n"),
        (["for", ["anomalies", 1, 1], -1], "milliseconds"),
        (["call", "drift"], "no condition here: `adapt`"),
        (["and", ["call", "drift", "x"], ["anomalies", 1, 1]], "no condition here: `adapt`"),
    ],
)
def test_what_is_no_condition_is_told(tree: Any, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        Condition(tree)


@pytest.mark.parametrize(
    ("tree", "value"), [(["compare", "co2", ">", 1], {"t": 1}), (["compare", "", ">", 1], [1]), (["anomalies", 1, 1], 5)]
)
def test_a_sample_without_what_is_asked_for_is_told(tree: Any, value: Any) -> None:
    with pytest.raises(SampleError):
        Condition(tree).holds(value, 0)


def test_a_state_of_another_condition_is_refused() -> None:
    with pytest.raises(SampleError, match="of another condition"):
        Condition(["anomalies", 1, 2]).restore([])
