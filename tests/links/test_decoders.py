"""Messages become samples in a declared form, or say what is wrong with them."""

import base64
import json
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eddy.errors import SettingError, Undecodable
from eddy.kernel.codec import decode, encode
from eddy.links.decoders import SHOWN_BYTES, Form, quarantined
from eddy.links.intake import Opened
from eddy.links.plain import SAMPLE_BYTES

SECOND = 10**9
NOON = 1_700_000_000 * SECOND
FORMS: list[dict[str, Any]] = [
    {},
    {"items": "a", "value": ["b", "c.0"], "time": "t", "origin": "o", "unique": "n", "scale": 1000},
    {"unique": "."},
    {"format": "senml", "scale": 10, "unique": "."},
    {"format": "senml-cbor"},
    {"format": "cbor", "time": "t", "unique": "n"},
    {"format": "cbor"},
    {"format": "csv", "columns": ["t", "v"], "time": "t", "time_unit": "ms", "decimal": ","},
    {"format": "raw", "struct": "<hd4s?", "columns": ["h", "d", "s", "b"]},
]


def plain(payload: bytes, **form: Any) -> list[Any]:
    return [tuple(reading[:3]) for reading in Form(**form).decode(payload, NOON)]


# JSON


def test_a_value_a_list_and_lines_are_samples() -> None:
    assert plain(b"21.5", scale=10) == [(None, None, 215)]
    assert plain(b"[1, 2, 3]") == [(None, None, 1), (None, None, 2), (None, None, 3)]
    assert plain(b'{"a": true}\n\n{"a": "x"}\n') == [(None, None, {"a": True}), (None, None, {"a": "x"})]


def test_paths_name_time_origin_and_value() -> None:
    message = {"device": {"id": 7}, "at": "2023-11-14T22:13:20.5Z", "data": [{"co2": 400.25}]}
    form = {"time": "at", "origin": "device.id", "value": "data.0.co2", "scale": 100}
    assert plain(json.dumps(message).encode(), **form) == [(NOON + SECOND // 2, "7", 40025)]


def test_several_values_are_a_map_and_what_no_path_names_is_the_value() -> None:
    line = b'{"t": 1700000000123, "id": "a", "x": 1, "y": 2}'
    assert plain(line, time="t", time_unit="ms", origin="id") == [(NOON + 123_000_000, "a", {"x": 1, "y": 2})]
    assert plain(line, value=["x", "y"]) == [(None, None, {"x": 1, "y": 2})]


def test_numbers_are_exact_at_their_scale_and_rounded_half_to_even() -> None:
    assert [value for _, _, value in plain(b"[0.1, 2.675, -0.5, 1.5, 12345678901.23]", scale=100)] == [10, 268, -50, 150, 1234567890123]
    assert [value for _, _, value in plain(b"[0.5, 1.5, -2.5]", scale=1)] == [0, 2, -2]


def test_without_a_scale_no_decimal_is_lost_in_silence() -> None:
    assert [value for _, _, value in plain(b"[7, 7.0, -7e2, {}]".replace(b"{}", b'{"a": 1.0}'))] == [7, 7, -700, {"a": 1}]
    with pytest.raises(Undecodable, match=r"a is 21\.5: say with `scale` how many decimals are kept"):
        plain(b'{"a": 21.5}')


@pytest.mark.parametrize(
    ("payload", "form", "what"),
    [
        (b"", {}, "no JSON"),
        (b"\xff", {}, "no UTF-8 at byte 0"),
        (b"NaN", {}, "no JSON: NaN is no number"),
        (b"1e400", {}, "no number of 64 bits"),
        (b"1e-999999999999999999999", {}, "no JSON"),
        (b"18446744073709551616", {}, "beyond 64 bits"),
        (b"9" * 5000, {}, "no JSON"),
        (b"[" * 5000, {}, "no JSON"),
        (b"[[[[[[1]]]]]]", {}, "more than 4 containers"),
        (b'{"a": "\\ud800"}', {}, "a is text with half a character"),
        (b'{"a": 1}', {"value": "b.c"}, "there is no b.c"),
        (b'[{"a": 1}, {"b": 1}]', {"value": "a"}, "sample 1: there is no a"),
        (b'{"a": 1}', {"items": "a"}, "a is no list"),
        (b'{"t": "noon"}', {"time": "t"}, "t is 'noon', which is no time"),
        (b'{"t": true}', {"time": "t"}, "t is no time"),
        (b'{"t": 1700000000000000}', {"time": "t"}, "is 's' its unit?"),
        (b'{"o": ""}', {"origin": "o"}, "o is no name"),
        (b'{"n": {}, "v": 1}', {"unique": "n"}, "n is a list or map"),
        (b'1\n{"a"', {}, "nor is its line 2"),
        (b'"' + b"a" * SAMPLE_BYTES + b'"', {}, "larger than 16384 bytes"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(payload: bytes, form: dict[str, Any], what: str) -> None:
    with pytest.raises(Undecodable) as told:
        Form(**form).decode(payload)
    assert what in str(told.value) and len(str(told.value)) < 400


# SenML: the examples of RFC 8428, section 5.1


def test_base_values_are_resolved() -> None:
    pack = b"""[
        {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
        {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3}]"""
    name = "urn:dev:ow:10e2073a0108006:"
    at = 1_276_020_076_001_000_000
    want = [(at, name + "voltage", 1201), (at - 5 * SECOND, name + "current", 12), (at - 4 * SECOND, name + "current", 13)]
    assert plain(pack, format="senml", scale=10) == want


def test_relative_times_text_booleans_data_and_sums_are_understood() -> None:
    pack = [{"bn": "a/", "n": "label", "vs": "x"}, {"n": "open", "vb": False, "t": -10}, {"n": "nfc", "vd": "aGkg"}, {"n": "sum", "s": 3}]
    want = [(None, "a/label", "x"), (NOON - 10 * SECOND, "a/open", False), (None, "a/nfc", b"hi "), (None, "a/sum", 3)]
    assert plain(json.dumps(pack).encode(), format="senml") == want


def test_senml_in_cbor_has_numbers_for_names() -> None:
    pack = [{-2: "urn:dev:", -3: 1_276_020_076, 0: "v", 2: 120.5}, {0: "raw", 8: b"\x01"}]
    at = 1_276_020_076 * SECOND
    assert plain(cbor2.dumps(pack), format="senml-cbor", scale=2) == [(at, "urn:dev:v", 241), (at, "urn:dev:raw", b"\x01")]


@pytest.mark.parametrize(
    ("pack", "what"),
    [
        ({}, "no SenML"),
        ([], "no SenML"),
        ([1], "record 0 is no map"),
        ([{"n": "a"}], "a name and no value"),
        ([{"n": "a", "v": 1, "vs": "b"}], "more than one value: v, vs"),
        ([{"n": "a", "v": "1"}], "is no number"),
        ([{"n": "a b", "v": 1}], "has the name"),
        ([{"v": 1}], "has the name"),
        ([{"n": "a", "v": 1, "must_": 1}], "must be understood"),
        ([{"n": "a", "v": 1, "bver": 11}], "version 11"),
        ([{"n": 1, "v": 1}], "n is of the wrong type"),
        ([{"n": "a", "vd": "*"}], "no base64url"),
    ],
)
def test_what_is_no_senml_is_told(pack: Any, what: str) -> None:
    with pytest.raises(Undecodable, match=what):
        Form(format="senml").decode(json.dumps(pack).encode())


# CBOR, CSV, raw


def test_cbor_holds_bytes_and_dates() -> None:
    message = {"t": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "v": [1.25, b"x", Decimal("0.5")]}
    assert plain(cbor2.dumps(message), format="cbor", time="t", scale=4) == [(NOON, None, {"v": [5, b"x", 2]})]


def test_references_that_unfold_are_bounded() -> None:
    bomb: list[Any] = ["x" * 100] * 50
    for _ in range(3):
        bomb = [bomb] * 50
    with pytest.raises(Undecodable, match=r"larger than|bytes of values"):
        Form(format="cbor").decode(cbor2.dumps([bomb], value_sharing=True))
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Undecodable):
        Form(format="cbor").decode(cbor2.dumps(loop, value_sharing=True))


def test_lines_of_csv_are_samples_with_their_columns() -> None:
    form = {
        "format": "csv",
        "columns": ["at", "room", "temp"],
        "time": "at",
        "origin": "room",
        "delimiter": ";",
        "decimal": ",",
        "scale": 10,
    }
    assert plain(b"1700000000;attic;21,5\r\n1700000001;attic;NA\r\n", **form) == [
        (NOON, "attic", {"temp": 215}),
        (NOON + SECOND, "attic", {"temp": None}),
    ]
    with pytest.raises(Undecodable, match="2 fields, and 3 columns"):
        plain(b"1;2", **form)


def test_records_of_a_struct_are_samples() -> None:
    form = {"format": "raw", "struct": "<Ihf", "columns": ["t", "x", "y"], "time": "t", "scale": 10}
    payload = struct.pack("<Ihf", 1_700_000_000, -5, 0.25) + struct.pack("<Ihf", 1_700_000_001, 6, 1.0)
    assert plain(payload, **form) == [(NOON, None, {"x": -50, "y": 2}), (NOON + SECOND, None, {"x": 60, "y": 10})]
    for bad in (b"", payload[:-1]):
        with pytest.raises(Undecodable, match="no multiple of the 10 of a record"):
            plain(bad, **form)
    with pytest.raises(Undecodable, match="y is nan"):
        plain(struct.pack("<Ihf", 1, 1, float("nan")), **form)


@pytest.mark.parametrize(
    "form",
    [
        {"format": "xml"},
        {"time_unit": "h"},
        {"scale": 0},
        {"format": "csv"},
        {"format": "raw", "columns": ["a"], "struct": "?q?"},
        {"format": "raw", "columns": ["a"], "struct": "<oh"},
        {"format": "raw", "columns": ["a"], "struct": "9999999999s"},
    ],
)
def test_a_form_that_cannot_be_is_told(form: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Form(**form)


# Whatever comes


scalars = st.one_of(st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(), st.text(max_size=8), st.binary(max_size=8))
trees = st.recursive(scalars, lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from("abcotnv"), parts, max_size=4))
json_trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c", "o", "t", "n", "v", "bn", "vs"]), parts),
)
payloads = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode(errors="replace")),
    json_trees.map(lambda tree: json.dumps(tree).encode()),
    trees.map(cbor2.dumps),
    st.lists(st.dictionaries(st.integers(-6, 8), scalars, max_size=4), max_size=3).map(cbor2.dumps),
    st.binary(max_size=60).map(lambda raw: b"".join(bytes([0xC0 + byte % 32, byte]) for byte in raw)),  # tags
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form.values()))[:40] or "json")
@given(payload=payloads)
@example(payload=b'{"a": [{"b": 1, "c": [2], "t": 1, "o": "x", "n": 1.5}]}')
@example(payload=bytes.fromhex("d81c81d81d00"))  # a list that holds itself
@example(payload=bytes.fromhex("c58201") + b"\x00")
@example(payload=bytes.fromhex("c5821b7fffffffffffffff01"))  # 2 to the power of much
@example(payload=bytes.fromhex("c4821b7fffffffffffffff01"))
@settings(max_examples=150)
def test_any_bytes_are_samples_that_a_log_can_hold_or_told_to_be_none(form: dict[str, Any], payload: bytes) -> None:
    try:
        readings = Form(**form).decode(payload, NOON)
    except Undecodable as error:
        assert str(error)
        samples, faults = Opened(Form(**form), lambda: NOON).open(payload, "topic")
        assert faults == [str(error)] and samples[0][1]["payload"] == payload[:SHOWN_BYTES]
    else:
        for reading in readings:
            assert reading.time_ns is None or abs(reading.time_ns) < 1 << 62
            assert reading.origin is None or isinstance(reading.origin, str)
            assert len(encode(reading.value)) <= SAMPLE_BYTES
        samples, faults = Opened(Form(**form), lambda: NOON).open(payload, "topic")
        assert not faults and len(samples) == len(readings)
    entry = [0, [list(sample) for sample in samples], 0]
    assert decode(encode(entry)) == entry


@given(st.integers(-(10**12), 10**12), st.integers(0, 6), st.integers(0, 6))
def test_a_decimal_of_n_digits_is_exact_at_a_scale_of_as_many(digits: int, point: int, more: int) -> None:
    text = str(Decimal(digits).scaleb(-point))
    assert plain(f"[{text}]".encode(), scale=10 ** (point + more)) == [(None, None, digits * 10**more)]


def test_what_is_shown_of_a_bad_message_is_bounded() -> None:
    shown = quarantined(bytes(10**6), "why", "a/b")
    assert (len(shown["payload"]), shown["size"], shown["from"]) == (SHOWN_BYTES, 10**6, "a/b")


def test_base64url_needs_no_padding() -> None:
    for raw in (b"", b"a", b"ab", b"abc", b"\xfb\xff"):
        text = base64.urlsafe_b64encode(raw).decode()
        for data in (text, text.rstrip("=")):
            assert plain(json.dumps([{"n": "a", "vd": data}]).encode(), format="senml") == [(None, "a", raw)]
