"""Deterministic CBOR: one value, one encoding, and nothing else is taken."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel import codec
from eddy.kernel.errors import CodecError

integers = st.integers(-(2**64), 2**64 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
keys = integers | texts | st.binary(max_size=30)
atoms = st.none() | st.booleans() | integers | texts | st.binary(max_size=300)
values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5), max_leaves=20)


def nesting(value: object) -> int:
    """How many containers are inside each other at most."""
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else None
    return 0 if inner is None else 1 + max(map(nesting, inner), default=0)


@given(values.filter(lambda value: nesting(value) <= codec.MAX_DEPTH))
def test_a_value_comes_back(value: object) -> None:
    assert codec.decode(codec.encode(value)) == value


@given(st.dictionaries(keys, integers, max_size=8).flatmap(lambda value: st.tuples(st.just(value), st.permutations(list(value)))))
def test_the_order_of_a_dict_does_not_matter(drawn: tuple[dict[object, int], list[object]]) -> None:
    value, order = drawn
    assert codec.encode({key: value[key] for key in order}) == codec.encode(value)


@given(st.binary(max_size=60))
def test_bytes_are_either_refused_or_the_only_encoding_of_their_value(data: bytes) -> None:
    try:
        value = codec.decode(data)
    except CodecError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
    else:
        assert codec.encode(value) == data


@given(values.filter(lambda value: nesting(value) <= codec.MAX_DEPTH), st.data())
def test_a_truncated_or_longer_encoding_is_refused(value: object, data: st.DataObject) -> None:
    encoded = codec.encode(value)
    end = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CodecError):
        codec.decode(encoded[:end])
    with pytest.raises(CodecError):
        codec.decode(encoded + b"\x00")


def assert_judged_as_python_does(raw: bytes) -> None:
    """Text of at most 23 bytes is taken exactly when CPython takes it as UTF-8."""
    encoded = bytes([0x60 + len(raw)]) + raw
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        with pytest.raises(CodecError, match="UTF-8"):
            codec.decode(encoded)
    else:
        assert codec.decode(encoded) == text


@given(st.binary(min_size=1, max_size=6))
def test_any_bytes_as_text_are_judged_as_python_does(raw: bytes) -> None:
    assert_judged_as_python_does(raw)


@pytest.mark.parametrize("lead", [0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF3, 0xF4, 0xF5])
def test_every_second_byte_of_a_character_is_judged_as_python_does(lead: int) -> None:
    for second in range(256):
        assert_judged_as_python_does(bytes([lead, second, 0x80, 0x80][: 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4]))


def test_views_and_tuples_are_encoded_like_bytes_and_lists() -> None:
    assert codec.encode((bytearray(b"a"), memoryview(b"b"))) == codec.encode([b"a", b"b"])
    assert codec.decode(memoryview(codec.encode([1]))) == [1]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1.0, "float has no form"),
        ({1, 2}, "set has no form"),
        (2**64, "beyond 64 bits"),
        ({1.5: 0}, "float as a map key"),
        ({False: 0}, "bool as a map key"),
        ("\ud800", "surrogate"),
        (memoryview(b"abcd").cast("H"), "wider than a byte"),
        ([[[[[[[[[]]]]]]]]], "more than 8"),
    ],
)
def test_a_value_without_a_form_is_refused(value: object, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        codec.encode(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(CodecError, match="more than 8"):
        codec.encode(loop)


@pytest.mark.parametrize("head", ["5b7fffffffffffffff", "7affffffff", "9affffffff", "9b7fffffffffffffff", "ba7fffffff"])
def test_a_declared_length_allocates_nothing(head: str) -> None:
    data = bytes.fromhex(head) + bytes(100)
    peaks = []
    for _ in range(3):  # other threads of the test run may allocate meanwhile, but not each time
        tracemalloc.start()
        try:
            with pytest.raises(CodecError, match="more than the input holds"):
                codec.decode(data)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < 10_000
