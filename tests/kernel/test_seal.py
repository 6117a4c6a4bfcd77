"""Signatures: what OpenSSL signs passes, nothing else does, and the constants are those of the standards."""

import hashlib
import math
import tracemalloc
from itertools import islice

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.kernel import seal


def fractional_root(number: int, root: int) -> int:
    """The first 64 fractional bits of a square or cube root, by bisection in integers."""
    low, high = 0, number << 64
    while high - low > 1:
        middle = (low + high) // 2
        if middle**root <= number << (64 * root):
            low = middle
        else:
            high = middle
    return low % 2**64


def primes() -> list[int]:
    return list(islice((n for n in range(2, 1000) if all(n % d for d in range(2, math.isqrt(n) + 1))), 80))


def test_the_round_constants_are_roots_of_primes() -> None:
    assert b"".join(fractional_root(p, 3).to_bytes(8, "big") for p in primes()) == seal._ROUNDS
    assert tuple(fractional_root(p, 2) for p in primes()[:8]) == seal._START


def test_the_curve_constants_follow_from_their_definitions() -> None:
    p = seal.P
    assert 121666 * seal.D % p == -121665 % p
    assert 5 * seal.BASE_Y % p == 4
    assert seal.BASE_X % 2 == 0
    assert (seal.BASE_Y**2 - seal.BASE_X**2 - 1 - seal.D * seal.BASE_X**2 * seal.BASE_Y**2) % p == 0
    assert seal._SQRT_MINUS_1**2 % p == p - 1


def test_a_coordinate_decodes_to_the_points_on_the_curve_and_to_nothing_else() -> None:
    p = seal.P
    found = 0
    for y in range(2, 60):
        x_squared = (y * y - 1) * pow(seal.D * y * y + 1, -1, p) % p
        on_curve = pow(x_squared, (p - 1) // 2, p) == 1
        found += on_curve
        for sign in (0, 1):
            point = seal._decode_point((y | sign << 255).to_bytes(32, "little"))
            assert (point is not None) == on_curve
            if point is not None:
                assert (point[0] ** 2 % p, point[0] % 2, point[1]) == (x_squared, sign, y)
    assert 20 < found < 40


@given(st.binary(max_size=700))
def test_sha512_agrees_with_openssl(data: bytes) -> None:
    assert seal.sha512(data) == hashlib.sha512(data).digest()


@settings(max_examples=30)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_a_signature_of_openssl_passes(seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    assert seal.verify(key.public_key().public_bytes_raw(), message, key.sign(message))


def test_every_single_bit_change_of_signature_key_and_message_fails() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    message = b"the pump"
    parts = [key.public_key().public_bytes_raw(), message, key.sign(message)]
    for number, part in enumerate(parts):
        for bit in range(0, 8 * len(part), 3):
            changed = bytearray(part)
            changed[bit // 8] ^= 1 << bit % 8
            assert not seal.verify(*parts[:number], bytes(changed), *parts[number + 1 :]), (number, bit)


@settings(max_examples=60)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_random_keys_and_signatures_are_judged_as_openssl_does(public: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, b"message")
        expected = True
    except (InvalidSignature, ValueError):
        expected = False
    assert seal.verify(public, b"message", signature) is expected


@pytest.mark.parametrize("scalar", [0, 1, 2, 7, 8, 9, 15, 2**252, seal.L - 1, int("8" * 62, 16), int("9" * 62, 16), int("7" * 62, 16)])
def test_signed_windows_sum_up_to_the_scalar(scalar: int) -> None:
    digits = [digit - 8 for digit in seal._signed_windows(scalar)]
    assert sum(digit << place for place, digit in enumerate(digits)) == scalar
    assert all(digit == 0 or (digit % 2 == 1 and abs(digit) <= 7) for digit in digits)


def test_verification_needs_little_memory() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, message = key.public_key().public_bytes_raw(), bytes(200)
    signature = key.sign(message)
    tracemalloc.start()
    try:
        assert seal.verify(public, message, signature)
        assert tracemalloc.get_traced_memory()[1] < 40_000
    finally:
        tracemalloc.stop()
