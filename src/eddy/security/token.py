"""Join tokens: what a person carries from the hub to a new node, so that each knows the other.

The secret never travels: a node proves that it has the token with an HMAC (RFC 2104) over its certificate request, which binds the proof to
its key. The token also carries the fingerprint of the hub's authority, so the node knows its hub and need not trust whoever answers first.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from eddy.errors import TokenRefused

FINGERPRINT_BYTES = 32  # SHA-256 of the authority's certificate
_NUMBER_BYTES = 8
_SECRET_BYTES = 32
_PREFIX = "eddy-join-"
_PURPOSE = b"eddy join 1\0"


class Token:
    """A join token.

    Args:
        number: Tells the tokens of a hub apart, 8 bytes; no secret.
        secret: 32 random bytes.
        fingerprint: Of the hub's authority, 32 bytes.
    """

    def __init__(self, number: bytes, secret: bytes, fingerprint: bytes) -> None:
        self.number = number
        self.secret = secret
        self.fingerprint = fingerprint

    @classmethod
    def fresh(cls, fingerprint: bytes) -> "Token":
        """A new one for the hub with this fingerprint."""
        return cls(secrets.token_bytes(_NUMBER_BYTES), secrets.token_bytes(_SECRET_BYTES), fingerprint)

    @classmethod
    def parse(cls, text: str) -> "Token":
        """The token that `str` has written.

        Raises:
            TokenRefused: The text is no token.
        """
        written = text.strip()
        raw = _decoded(written.removeprefix(_PREFIX))
        if not written.startswith(_PREFIX) or len(raw) != _NUMBER_BYTES + _SECRET_BYTES + FINGERPRINT_BYTES:
            raise TokenRefused(f"this is no join token: copy it whole from the hub, beginning with {_PREFIX}")
        at = _NUMBER_BYTES + _SECRET_BYTES
        return cls(raw[:_NUMBER_BYTES], raw[_NUMBER_BYTES:at], raw[at:])

    def __str__(self) -> str:
        return _PREFIX + _encoded(self.number + self.secret + self.fingerprint)

    def __repr__(self) -> str:
        return f"Token({self.number.hex()})"  # without the secret: this ends in logs

    def proof(self, request: bytes) -> str:
        """Proves to the hub that whoever made the certificate request (DER) has this token."""
        return _encoded(self.fingerprint + self.number + self._mac(request))

    def proves(self, mac: bytes, request: bytes) -> bool:
        """Whether the third part of a proof was made with this token over this request."""
        return hmac.compare_digest(mac, self._mac(request))

    def _mac(self, request: bytes) -> bytes:
        return hmac.digest(self.secret, _PURPOSE + request, hashlib.sha256)


def read_proof(text: str) -> tuple[bytes, bytes, bytes]:
    """(fingerprint, number of the token, MAC) of a proof; raises TokenRefused."""
    raw = _decoded(text)
    if len(raw) != FINGERPRINT_BYTES + _NUMBER_BYTES + hashlib.sha256().digest_size:
        raise TokenRefused("this is no proof of a join token: a node makes it together with its request, see Identity.request")
    at = FINGERPRINT_BYTES + _NUMBER_BYTES
    return raw[:FINGERPRINT_BYTES], raw[FINGERPRINT_BYTES:at], raw[at:]


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """The bytes that `_encoded` has written; none when it cannot have."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        return b""
    return raw if _encoded(raw) == text else b""
