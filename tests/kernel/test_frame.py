from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.errors import FrameError
from eddy.kernel.frame import MAX_PAYLOAD, OVERHEAD, Decoder, crc16, encode

payloads = st.binary(min_size=1, max_size=MAX_PAYLOAD)
# Bytes as stuffing meets them: long runs with and without zeros.
stuffed = st.lists(st.sampled_from([b"\0", b"\1", b"\xff", b"ab" * 40, b"\0" * 40]), min_size=1, max_size=6).map(b"".join)
GENERATOR = 0x1A2EB  # x^16 + ... + 1


def remainder(data: bytes) -> int:
    """The CRC by its definition: long division of the message, its first 16 bits inverted, by the generator polynomial."""
    value = int.from_bytes(data, "big") << 16
    value ^= 0xFFFF << 8 * len(data)
    for bit in range(8 * len(data) + 15, 15, -1):
        if value >> bit & 1:
            value ^= GENERATOR << bit - 16
    return value


@given(payloads | stuffed.filter(lambda data: len(data) <= MAX_PAYLOAD))
def test_what_was_framed_comes_out_of_the_decoder(payload: bytes) -> None:
    wire = encode(payload)
    assert len(wire) == len(payload) + OVERHEAD
    assert wire.index(0) == len(wire) - 1
    decoder = Decoder()
    assert decoder.push(wire) == [payload]
    assert decoder.bad == 0


@given(payloads)
def test_the_crc_is_the_remainder_of_a_division(payload: bytes) -> None:
    assert crc16(payload) == remainder(payload)


def test_any_three_flipped_bits_of_the_longest_frame_are_detected() -> None:
    # The CRC is linear: a pattern goes unnoticed if and only if the remainders of its bits cancel out.
    bits = 8 * MAX_PAYLOAD + 16
    effects = [1]
    for _ in range(bits - 1):
        effects.append(effects[-1] << 1 if effects[-1] < 0x8000 else effects[-1] << 1 ^ GENERATOR)
    assert len(set(effects)) == bits and 0 not in effects
    # Every remainder has odd parity under x + 1, so no even number of them can equal an odd number: three never cancel.
    assert GENERATOR.bit_count() % 2 == 0
    assert {effect.bit_count() % 2 for effect in effects} == {1}


def test_any_five_flipped_bits_of_a_short_frame_are_detected() -> None:
    bits = 93 + 16
    effects = [1]
    for _ in range(bits - 1):
        effects.append(effects[-1] << 1 if effects[-1] < 0x8000 else effects[-1] << 1 ^ GENERATOR)
    pairs = [left ^ right for left, right in combinations(effects, 2)]
    assert len(set(pairs)) == len(pairs) and not set(pairs) & {0}  # four flips; an odd number is always detected


@pytest.mark.parametrize("payload", [b"\0\0\0", b"speed \0 and load", bytes(range(40))])
def test_one_garbled_byte_never_gives_another_payload(payload: bytes) -> None:
    wire = encode(payload)
    for at in range(len(wire) - 1):
        for change in range(1, 256):
            garbled = bytearray(wire)
            garbled[at] ^= change
            assert payload not in Decoder().push(garbled)
            assert Decoder().push(garbled) == []


@given(st.lists(payloads, max_size=5), st.data())
def test_pieces_of_any_size_give_the_same_frames(expected: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(encode(payload) for payload in expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    decoder = Decoder()
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += decoder.push(wire[start:stop])
    assert found == expected
    assert decoder.bad == 0


@given(st.binary(max_size=600), payloads)
def test_after_noise_the_next_but_one_frame_is_found(noise: bytes, payload: bytes) -> None:
    decoder = Decoder()
    decoder.push(noise)
    assert decoder.push(encode(b"lost with the noise") + encode(payload))[-1] == payload


@given(st.binary(max_size=2000))
def test_any_bytes_are_taken(noise: bytes) -> None:
    for payload in Decoder(max_size=20).push(noise):
        assert 1 <= len(payload) <= 20


def test_a_frame_that_never_ends_takes_no_memory_and_counts_once() -> None:
    decoder = Decoder(max_size=20)
    for _ in range(100):
        assert decoder.push(b"x" * 100) == []
        assert len(decoder._partial) <= 20 + OVERHEAD
    assert decoder.push(b"\0" + encode(b"on")) == [b"on"]
    assert decoder.bad == 1


def test_a_frame_longer_than_allowed_is_damaged_and_the_next_is_not() -> None:
    decoder = Decoder(max_size=4)
    assert decoder.push(encode(b"12345") + encode(b"1234")) == [b"1234"]
    assert decoder.bad == 1


def test_delimiters_alone_are_no_frames() -> None:
    decoder = Decoder()
    assert decoder.push(b"\0\0\0" + encode(b"on") + b"\0") == [b"on"]
    assert decoder.bad == 0


def test_a_partial_frame_can_be_given_up() -> None:
    decoder = Decoder()
    decoder.push(encode(b"cut off")[:5])
    decoder.reset()
    assert decoder.push(encode(b"on")) == [b"on"]
    assert decoder.bad == 1


@pytest.mark.parametrize("payload", [b"", bytes(MAX_PAYLOAD + 1)])
def test_a_payload_that_fits_no_frame_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError, match="1 to 252 bytes"):
        encode(payload)


@pytest.mark.parametrize("size", [0, MAX_PAYLOAD + 1])
def test_a_decoder_for_impossible_frames_is_refused(size: int) -> None:
    with pytest.raises(FrameError):
        Decoder(max_size=size)
