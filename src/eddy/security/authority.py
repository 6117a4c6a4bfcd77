"""The hub's certificate authority: issues join tokens, and signs the certificates of those who prove that they have one.

It knows nothing of how requests come and answers go; see `eddy.security.identity` for the other end. What it has issued is in an SQLite
file beside its key, so that two requests for one name, or two uses of one token, cannot both succeed.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eddy.errors import CertificateError, KeyFileError, NameTaken, SettingError, TokenExpired, TokenRefused, TokenRevoked, WrongHub
from eddy.kernel.assignment import HUB
from eddy.security import keyfile
from eddy.security.identity import MAX_NAME, Identity, common_name, fingerprint, new_key, read_certificate
from eddy.security.token import Token, read_proof

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 90
RENEW_DAYS = 30  # before the end, at which a node should ask again
_SKEW = timedelta(hours=1)  # a node's clock may be behind by so much

_TABLES = """
CREATE TABLE IF NOT EXISTS tokens (
    number BLOB PRIMARY KEY, secret BLOB NOT NULL, node TEXT, expires REAL NOT NULL, reusable INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0, used_by BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (name TEXT PRIMARY KEY, key BLOB NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
"""


class Authority:
    """The certificate authority in a folder; made at first run.

    Args:
        folder: Holds `ca.key` and `enrolment.db` (mode 0600), and `ca.pem`.
        clock: Seconds since 1970.

    Raises:
        KeyFileError: Key or certificate cannot be read, do not belong together, or others can read the key.
    """

    def __init__(self, folder: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> None:
        self.folder = Path(folder)
        self._clock = clock
        key = keyfile.load_or_create(self.folder / "ca.key", new_key)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyFileError(f"{self.folder / 'ca.key'}: a private key of another kind; the authority uses ECDSA on P-256")
        self._key = key
        file = self.folder / "ca.pem"
        if not file.exists():
            keyfile.write(file, self._own_certificate().public_bytes(Encoding.PEM), replace=False)
        certificate = read_certificate(file)
        if certificate is None or certificate.public_key() != key.public_key():
            raise KeyFileError(f"{file}: not the certificate of {self.folder / 'ca.key'}; bring back the one that was made with it")
        self._certificate = certificate
        database = self.folder / "enrolment.db"
        keyfile.write(database, b"", replace=False)  # an empty file is an empty database, and has the right mode from the start
        self._lock = Lock()  # a connection has one transaction at a time
        self._database = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_TABLES)

    def issue_token(self, node: str | None = None, expires_s: float = 3600, reusable: bool = False) -> str:
        """A token with which a node can join.

        Args:
            node: The only name that it is good for; None for any.
            expires_s: How long it is good, seconds.
            reusable: Good for any number of nodes until it expires or is revoked, not for one.

        Raises:
            SettingError: The name is none that a node can have, or the time is not positive.
        """
        if node is not None:
            _check_name(node)
        if expires_s <= 0:
            raise SettingError(f"a token that expires in {expires_s} s is good for nothing: give a time above 0")
        return self._issue(node, expires_s, reusable)

    def revoke_token(self, token: str) -> None:
        """Nobody can join with this token any more; those who have stay.

        Raises:
            TokenRefused: It is none of this hub's.
        """
        number = Token.parse(token).number
        with self._transaction():
            if not self._database.execute("UPDATE tokens SET revoked = 1 WHERE number = ?", (number,)).rowcount:
                raise TokenRefused("this token was not issued by this hub")

    def sign(self, csr_pem: bytes, proof: str) -> bytes:
        """The certificate of a node that joins, and that of the authority, PEM. The same request may be repeated.

        Raises:
            CertificateError: The request is malformed or names no possible node.
            TokenRefused: The token is not known here, was used for another node, or is for another name.
            TokenExpired, TokenRevoked: As it says.
            WrongHub: The token is of another hub.
            NameTaken: A node with another key has the name.
        """
        request, name, public = _read(csr_pem)
        issuer, number, mac = read_proof(proof)
        if issuer != fingerprint(self._certificate):
            raise WrongHub(f"{name} has a token of another hub; give it one of this hub")
        key = _digest(public)
        with self._transaction():
            row = self._database.execute(
                "SELECT secret, node, expires, reusable, revoked, used_by FROM tokens WHERE number = ?", (number,)
            ).fetchone()
            der = request.public_bytes(Encoding.DER)
            if row is None or not Token(number, row[0], issuer).proves(mac, der):
                raise TokenRefused(f"the token of {name} is not known at this hub; issue a new one")
            _, node, expires, reusable, revoked, used_by = row
            if revoked:
                raise TokenRevoked(f"the token of {name} was revoked; issue a new one")
            if self._clock() > expires:
                raise TokenExpired(f"the token of {name} has expired; issue a new one")
            if node != name and (node is not None or name == HUB):
                raise TokenRefused(f"{name} has a token that is for {node or 'a node'}; issue one for {name}")
            if not reusable and used_by not in (None, key):
                raise TokenRefused(f"the token of {name} was used by another node; issue a new one")
            known = self._database.execute("SELECT key FROM nodes WHERE name = ?", (name,)).fetchone()
            if known and known[0] != key:
                raise NameTaken(f"a node with another key is called {name}; give this one another name, or remove that one first")
            self._database.execute("UPDATE tokens SET used_by = ? WHERE number = ?", (key, number))
            return self._certify(name, public)

    def renew(self, csr_pem: bytes) -> bytes:
        """A new certificate for a node that has joined and asks with the same key; that it has the key, the request itself proves.

        Raises:
            CertificateError: The request is malformed.
            NameTaken: No node of this name has this key.
        """
        _, name, public = _read(csr_pem)
        with self._transaction():
            known = self._database.execute("SELECT key FROM nodes WHERE name = ?", (name,)).fetchone()
            if known is None or known[0] != _digest(public):
                raise NameTaken(f"no node {name} with this key has joined here; join with a token")
            return self._certify(name, public)

    def remove(self, node: str) -> bool:
        """Forget a node, so that it gets no further certificate and its name is free; the one it has is good until it expires."""
        with self._transaction():
            return self._database.execute("DELETE FROM nodes WHERE name = ?", (node,)).rowcount > 0

    def nodes(self) -> dict[str, float]:
        """Who has joined: {name: when its certificate ends, seconds since 1970}."""
        with self._lock:
            return dict(self._database.execute("SELECT name, expires FROM nodes WHERE name != ? ORDER BY name", (HUB,)))

    def own_identity(self) -> Identity:
        """The hub's own identity, renewed when it comes to its end; its name is `@`, which no node can have."""
        identity = Identity.load_or_create(self.folder / "identity", HUB)
        expires = identity.expires()
        if expires is None or expires - self._now() < timedelta(days=RENEW_DAYS):
            self.remove(HUB)  # should the folder have been lost, its new key is the hub's all the same
            identity.accept(self.sign(*identity.request(self._issue(HUB, 60, False))))
        return identity

    def close(self) -> None:
        """Close the files."""
        self._database.close()

    def _issue(self, node: str | None, expires_s: float, reusable: bool) -> str:
        token = Token.fresh(fingerprint(self._certificate))
        row = (token.number, token.secret, node, self._clock() + expires_s, reusable)
        with self._transaction():
            self._database.execute("INSERT INTO tokens (number, secret, node, expires, reusable) VALUES (?, ?, ?, ?, ?)", row)
        return str(token)

    def _certify(self, name: str, public: ec.EllipticCurvePublicKey) -> bytes:
        end = self._now() + timedelta(days=CERTIFICATE_DAYS)
        builder = self._builder(name, public, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]  # a peer is both
        certificate = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False).sign(self._key, hashes.SHA256())
        self._database.execute("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?)", (name, _digest(public), end.timestamp()))
        return certificate.public_bytes(Encoding.PEM) + self._certificate.public_bytes(Encoding.PEM)

    def _own_certificate(self) -> x509.Certificate:
        end = self._now() + timedelta(days=AUTHORITY_DAYS)
        builder = self._builder("Eddy authority", self._key.public_key(), end)
        return builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(self._key, hashes.SHA256())

    def _builder(self, name: str, key: ec.EllipticCurvePublicKey, end: datetime) -> x509.CertificateBuilder:
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Eddy authority")])
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now() - _SKEW)
            .not_valid_after(end)
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME or name.startswith(HUB) or not name.isprintable():
        raise SettingError(f"{name!r} is no name for a node: 1 to {MAX_NAME} printable characters, the first not {HUB}")


def _read(csr_pem: bytes) -> tuple[x509.CertificateSigningRequest, str, ec.EllipticCurvePublicKey]:
    """A request, checked, with its name and key."""
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        name, public, good = common_name(request.subject), request.public_key(), request.is_signature_valid
    except Exception as error:  # the parser raises whatever the bytes made it stumble over
        raise CertificateError(f"not a certificate request (PKCS#10, PEM): {type(error).__name__}") from None
    if not good or not isinstance(public, ec.EllipticCurvePublicKey):
        raise CertificateError("a certificate request that is not signed with its own ECDSA key")
    if name != HUB:
        try:
            _check_name(name)
        except SettingError as error:
            raise CertificateError(str(error)) from None
    return request, name, public


def _digest(public: ec.EllipticCurvePublicKey) -> bytes:
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
