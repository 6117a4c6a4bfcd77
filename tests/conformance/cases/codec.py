from binascii import hexlify, unhexlify

from vectors import load

from eddy.kernel import codec
from eddy.kernel.errors import CodecError

# RFC 8949 appendix A: what is in the subset, and some of what is not.
PUBLISHED = (
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("3bffffffffffffffff", -18446744073709551616),
    ("20", -1),
    ("3903e7", -1000),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("62225c", '"\\'),
    ("62c3bc", "\u00fc"),
    ("63e6b0b4", "\u6c34"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", list(range(1, 26))),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("826161a161626163", ["a", {"b": "c"}]),
)
NOT_HERE = (
    "f90000",  # 0.0
    "fb3ff199999999999a",  # 1.1
    "f7",  # undefined
    "f0",  # simple(16)
    "f8ff",  # simple(255)
    "c074323031332d30332d32315432303a30343a30305a",  # a tag
    "5f42010243030405ff",  # indefinite lengths
    "9fff",
    "1cffffffffffffffffffffffffffffffff",  # reserved heads
    "1f",
    "ff",
    "bf61610161629f0203ffff",
    "1800",  # not the shortest
    "190017",
    "1b00000000ffffffff",
    "5801ff",
    "a2020001ff",  # order
    "a201000100",  # twice
    "a1f400",  # keys of other types
    "a18000",
    "62c080",  # UTF-8: overlong, surrogate, beyond, truncated
    "63eda080",
    "64f4908080",
    "61c3",
    "9bffffffffffffffff",  # lengths that are not there
    "5affffffff",
    "ba7fffffff00",
    "81",
    "19ff",
    "",
    "0000",  # bytes after the value
    "81818181818181818100",  # nine deep
)


def check_published_values():
    for text, value in PUBLISHED:
        assert codec.encode(value) == unhexlify(text), text
        decoded = codec.decode(unhexlify(text))
        assert decoded == value and type(decoded) is type(value), text


def check_what_is_not_deterministic_or_not_used_is_refused():
    for text in NOT_HERE:
        try:
            codec.decode(unhexlify(text))
        except CodecError as error:
            assert error.code == 101
            continue
        raise AssertionError(text)


def check_vectors_decode_and_encode_to_the_same_bytes():
    for text in load("codec")["encoded"]:
        data = unhexlify(text)
        assert codec.encode(codec.decode(data)) == data, text


def check_damage_is_noticed_at_the_same_byte():
    for text, offset in load("codec")["damaged"]:
        data = unhexlify(text)
        try:
            assert codec.encode(codec.decode(data)) == data
            stopped = None
        except CodecError as error:
            stopped = error.offset
        assert stopped == offset, text


def check_keys_are_sorted_by_their_bytes():
    keys = {"b": 0, "aa": 1, -1: 2, 10: 3, 100: 4}
    assert hexlify(codec.encode(keys)) == b"a50a03186404200261620062616101"


def check_what_has_no_form_is_refused():
    nested = []
    for _ in range(8):
        nested = [nested]
    for value in (1 << 64, -(1 << 64) - 1, 1.5, {1.5: 1}, {None: 1}, {True: 1}, nested, object()):
        try:
            codec.encode(value)
        except CodecError:
            continue
        raise AssertionError(value)
    assert codec.decode(codec.encode(nested[0])) == nested[0]
