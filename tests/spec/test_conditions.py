"""Conditions are parsed to plain data, and what is wrong with one is told at its column."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.spec.conditions import as_written, called, parse
from eddy.spec.diagnostics import Invalid

OPERATORS = ["<", "<=", ">", ">=", "==", "!="]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("anomaly in 5 of 6 windows", ["anomalies", 5, 6]),
        ("anomaly in 1 of 1 samples", ["anomalies", 1, 1]),
        ("value > 50 for 3h", ["for", ["compare", "", ">", 50_000], 10_800_000]),
        ("value[3]!=-1.5", ["compare", "3", "!=", -1500]),
        ("co2 >= 1000 and not (window == 1)", ["and", ["compare", "co2", ">=", 10**6], ["not", ["compare", "window", "==", 1000]]]),
        ("battery < 20%", ["compare", "battery", "<", 200]),
        (
            "a < 1 or b < 2 and c < 3",
            ["or", ["compare", "a", "<", 1000], ["and", ["compare", "b", "<", 2000], ["compare", "c", "<", 3000]]],
        ),
        ("not a < 1 for 5s", ["not", ["for", ["compare", "a", "<", 1000], 5000]]),
    ],
)
def test_a_condition_is_plain_data(text: str, plain: list[Any]) -> None:
    assert parse(text) == plain


def test_calls_are_for_adaptations_only() -> None:
    assert parse("drift(features) for 10m", calls=True) == ["for", ["call", "drift", "features"], 600_000]
    low = parse("battery(pump) < 20% or drift(x)", calls=True)
    assert low == ["or", ["compare", ["call", "battery", "pump"], "<", 200], ["call", "drift", "x"]]
    assert called(low) == [("battery", "pump"), ("drift", "x")]
    with pytest.raises(Invalid, match="drift\\(\\) is not known here"):
        parse("drift(features)")


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 0, "a condition is missing, at the end"),
        ("value >", 7, "a number is missing, at the end"),
        ("value = 3", 6, "a comparison is missing, before '='"),
        ("value > 1 value < 2", 10, "the condition ends here, before 'value'"),
        ("value > 1 for 3x", 15, "'x' is no unit of a duration"),
        ("value > 1 for 0s", 14, "'0s' is no whole number of milliseconds"),
        ("value > 1.2345", 8, "finer than 0.001, before '1.2345'"),
        ("anomly in 5 of 6 windows", 0, "'anomly' is not counted"),
        ("anomaly in 7 of 6 windows", 16, "7 of 6 cannot be met"),
        ("anomaly in 5 of 6 widows", 18, "'windows' or 'samples' is missing, before 'widows'"),
        ("(value > 1", 10, "')' is missing, at the end"),
        ("value > 1 and or", 14, "a condition is missing, before 'or'"),
        ("value > 1 ; rm", 10, "the condition ends here, before ';'"),
        (" and ".join(["value > 1"] * 40), 448, "the condition is too long, before 'value'"),
    ],
)
def test_what_is_wrong_is_told_at_its_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(Invalid) as told:
        parse(text, known=as_written)
    assert (told.value.column, told.value.reason, told.value.code) == (column, reason, "E123")
    assert told.value.way_out


@given(st.text(alphabet="()<>=!%[]. -0123456789andorfivlueymwhs", max_size=60) | st.text(max_size=40))
def test_any_text_is_a_condition_or_invalid_within_the_text(text: str) -> None:
    try:
        plain = parse(text, calls=True)
    except Invalid as error:
        assert 0 <= error.column <= len(text)
    else:
        assert plain[0] in ("and", "or", "not", "for", "compare", "anomalies", "call")


def written(plain: list[Any]) -> str:
    """The text of a condition, in brackets wherever they may stand."""
    match plain:
        case ["and" | "or" as word, a, b]:
            return f"({written(a)}) {word} ({written(b)})"
        case ["not", a]:
            return f"not ({written(a)})"
        case ["for", a, duration]:
            return f"({written(a)}) for {duration}ms"
        case ["anomalies", k, n]:
            return f"anomaly in {k} of {n} windows"
        case [_, field, operator, milli]:
            sign, whole, part = "-" * (milli < 0), *divmod(abs(milli), 1000)
            return f"{field or 'value'} {operator} {sign}{whole}.{part:03d}"
    raise AssertionError(plain)


BASIC = st.builds(
    lambda f, o, m: ["compare", f, o, m], st.sampled_from(["", "co2", "x_1"]), st.sampled_from(OPERATORS), st.integers(-9999, 9999)
)
BASIC |= st.builds(lambda k, more: ["anomalies", k, k + more], st.integers(1, 9), st.integers(0, 9))
CONDITIONS = st.recursive(
    BASIC,
    lambda part: (
        st.builds(lambda word, a, b: [word, a, b], st.sampled_from(["and", "or"]), part, part)
        | st.builds(lambda a: ["not", a], part)
        | st.builds(lambda a, duration: ["for", a, duration], part, st.integers(1, 10**9))
    ),
    max_leaves=5,
)


@given(CONDITIONS)
def test_every_condition_has_a_text_that_parses_to_it(plain: list[Any]) -> None:
    assert parse(written(plain)) == plain
