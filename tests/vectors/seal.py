"""Vectors for `eddy.kernel.seal`: SHA-512 from hashlib, signatures from cryptography (OpenSSL), and forgeries that must fail."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19


def vectors() -> dict[str, object]:
    lengths = [0, 1, 55, 56, 111, 112, 127, 128, 129, 239, 240, 300]
    signed = []
    for number in range(6):
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"vector %d" % number).digest())
        message = hashlib.shake_128(b"message %d" % number).digest(number * 30)
        signed.append([key.public_key().public_bytes_raw(), message, key.sign(message)])
    return {
        "sha512": [[length, hashlib.sha512(b"\xa5" * length).hexdigest()] for length in lengths],
        "signed": [[part.hex() for part in parts] for parts in signed],
        "forged": {name: [part.hex() for part in parts] for name, parts in forged(signed[3], signed[4]).items()},
    }


def forged(good: list[bytes], other: list[bytes]) -> dict[str, list[bytes]]:
    """Inputs by what is wrong with them; some satisfy the equation and must fail for their form alone."""
    public, message, signature = good
    s = int.from_bytes(signature[32:], "little")
    # For the neutral element as the key, R = [a]B and S = a solve the equation for every message.
    scalar = int.from_bytes(hashlib.sha512(hashlib.sha256(b"vector 3").digest()).digest()[:32], "little")
    scalar = (scalar & (2**254 - 8) | 2**254) % L
    neutral = public + scalar.to_bytes(32, "little")
    return {
        "S + L, the same equation": [public, message, signature[:32] + (s + L).to_bytes(32, "little")],
        "neutral key, y not reduced": [(P + 1).to_bytes(32, "little"), message, neutral],
        "neutral key, x is 0 with sign 1": [(1 | 1 << 255).to_bytes(32, "little"), message, neutral],
        "key that is no point": [(2).to_bytes(32, "little"), message, signature],
        "S of another": [public, message, signature[:32] + (s + 1).to_bytes(32, "little")],
        "R of another": [public, message, other[2][:32] + signature[32:]],
        "another message": [public, message + b"\0", signature],
        "another key": [other[0], message, signature],
        "short key": [public[:31], message, signature],
        "long signature": [public, message, signature + b"\0"],
        "empty signature": [public, message, b""],
    }
