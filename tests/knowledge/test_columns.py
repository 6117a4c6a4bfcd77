"""What fits into a table, and what becomes of it."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.knowledge.columns import MOST, OWN, Columns, Unfit
from eddy.knowledge.tables import arrow_type


def of(*values: Any, known: dict[str, str] | None = None) -> Columns:
    columns = Columns(known or {})
    for value in values:
        columns.add(value)
    return columns


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "bool"),
        (7, "int"),
        (7.5, "float"),
        ("on", "text"),
        (b"\x00", "bytes"),
        ([1, 2], "ints"),
        ([1, 2.5], "floats"),
        (["a"], "texts"),
        ([1, [2]], "text"),
        ([1 << 70], "text"),
    ],
)
def test_a_plain_value_is_the_column_value(value: Any, kind: str) -> None:
    assert of(value).kinds == {"value": kind}


def test_a_map_has_a_column_for_each_field_and_what_is_deeper_is_json() -> None:
    columns = of({"temp": 21.5, "at": {"lat": 1, "raw": b"\xff"}, "none": None})
    assert columns.padded() == {"temp": [21.5], "at": ['{"lat":1,"raw":"ff"}']}


def test_an_empty_list_is_one_among_lists_and_else_nothing() -> None:
    assert of([], [1], []).padded() == {"value": [None, [1], []]}
    assert of([], 1, []).padded() == {"value": [None, 1, None]}


def test_rows_without_a_field_have_nothing_there() -> None:
    assert of({"a": 1}, {"b": 2}, 3).padded() == {"a": [1, None, None], "b": [None, 2, None], "value": [None, None, 3]}


def test_a_new_column_of_integers_becomes_one_of_floats_and_an_old_one_does_not() -> None:
    assert of(1, 2.5).padded() == {"value": [1.0, 2.5]}
    with pytest.raises(Unfit, match="value is int here and not float"):
        of(2.5, known={"value": "int"})


def test_an_integer_fits_among_floats_only_as_long_as_it_is_exact() -> None:
    assert of(1 << 53, known={"value": "float"}).padded() == {"value": [float(1 << 53)]}
    with pytest.raises(Unfit, match="not exact"):
        of((1 << 53) + 1, known={"value": "float"})
    with pytest.raises(Unfit):
        of((1 << 53) + 1, 0.5)


@pytest.mark.parametrize("name", OWN)
def test_a_field_with_the_name_of_an_own_column_gets_a_line(name: str) -> None:
    assert set(of({name.upper(): 1}).kinds) == {name.upper() + "_"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([{"a": 1, "A": 2}], "upper and lower case"),
        ([{"a": 1}, {"A": 2}], "upper and lower case"),
        ([{"a b": 1, "a_b": 2}], "same name"),
        ([{"a b": None, "x": 1}, {"a b": 1, "a;b": 2}], "same name"),
        ([{f"f{i}": i for i in range(MOST + 1)}], "at most"),
        ([1 << 63], "64 bits"),
        (["\ud800"], "Unicode"),
        ([object()], "no place"),
        ([True, 1], "value is bool here and not int"),
    ],
)
def test_what_does_not_fit_is_told_why(values: list[Any], why: str) -> None:
    columns = of(*values[:-1])
    before = (columns.rows, dict(columns.kinds), {name: list(one) for name, one in columns.values.items()})
    with pytest.raises(Unfit, match=why):
        columns.add(values[-1])
    assert before == (columns.rows, columns.kinds, columns.values)


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 64), 1 << 64),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.text(st.characters(categories=["Cs"]), max_size=2),
    st.binary(max_size=5),
)
deep = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
)


@given(st.lists(deep, max_size=12), st.integers(0, 12))
def test_any_value_fits_or_is_told_and_what_fits_is_in_arrow_as_it_was(values: list[Any], committed: int) -> None:
    known: dict[str, str] = {}
    kept: list[Any] = []
    batches = []
    for part in (values[:committed], values[committed:]):
        columns = Columns(known)
        for value in part:
            try:
                columns.add(value)
            except Unfit:
                continue
            kept.append(value)
        arrays = {name: pa.array(cells, arrow_type(columns.kinds[name])) for name, cells in columns.padded().items()}
        batches += [{name: array[i].as_py() for name, array in arrays.items()} for i in range(columns.rows)]
        known = columns.kinds
    assert len(batches) == len(kept)
    for row, value in zip(batches, kept, strict=True):
        told = {name: one for name, one in row.items() if one is not None}
        if value == []:
            assert told in ({}, {"value": []})
        elif isinstance(value, bool | int | float | str | bytes):
            assert told == {"value": value}
        elif isinstance(value, dict):
            assert len(told) <= len(value)
        elif isinstance(value, list) and isinstance(told.get("value"), str):
            json.loads(told["value"])
        elif isinstance(value, list):
            assert told == {"value": value}


@given(st.lists(deep, max_size=10))
def test_what_was_taken_once_is_taken_again_with_what_the_table_knows_by_then(values: list[Any]) -> None:
    columns, taken = Columns({}), []
    for value in values:
        try:
            columns.add(value)
            taken.append(True)
        except Unfit:
            taken.append(False)
    again = []
    for value in values:
        try:
            Columns(columns.kinds).add(value)
            again.append(True)
        except Unfit:
            again.append(False)
    assert again == taken
