"""Who a node is: its own key, and the certificate in which the hub's authority says whose key that is."""

import hashlib
import os
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from eddy.errors import CertificateError, KeyFileError, WrongHub
from eddy.security import keyfile
from eddy.security.token import Token

MAX_NAME = 64  # characters of a common name (RFC 5280, appendix A.1)


class Identity:
    """The key and certificate of one node, or of the hub, in a folder of its own.

    A node that joins::

        identity = Identity.load_or_create(folder, "gw1")
        request, proof = identity.request(token)
        identity.accept(authority.sign(request, proof))    # over whatever carries bytes; it need not be trusted

    Attributes:
        name: Of the node.
        key_file, certificate_file, authority_file: PEM files; the key's has mode 0600.
    """

    def __init__(self, folder: Path, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        self.name = name
        self.key_file, self.certificate_file, self.authority_file = folder / "node.key", folder / "node.pem", folder / "ca.pem"
        self._key = key
        self._hub: bytes | None = None  # fingerprint of the authority that is to be believed

    @classmethod
    def load_or_create(cls, folder: str | os.PathLike[str], name: str) -> "Identity":
        """The identity in `folder`; its key is made when there is none.

        Raises:
            KeyFileError: The key cannot be read, others can read it, or the folder belongs to a node of another name.
        """
        path = Path(folder)
        key = keyfile.load_or_create(path / "node.key", new_key)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise KeyFileError(f"{path / 'node.key'}: a private key of another kind; nodes use ECDSA on P-256")
        identity = cls(path, name, key)
        certificate = identity._certificate()
        if certificate and common_name(certificate.subject) != name:
            raise KeyFileError(f"{path}: holds the identity of {common_name(certificate.subject)}, not of {name}; give another folder")
        return identity

    def request(self, token: str | None = None) -> tuple[bytes, str]:
        """What to send to the hub.

        Args:
            token: As the hub issued it; None to renew a certificate with the key that the hub knows.

        Returns:
            The certificate request (PKCS#10, PEM), and the proof that this node has the token ("" without one).

        Raises:
            TokenRefused: The text is no token.
        """
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
        request = builder.sign(self._key, hashes.SHA256())
        if token is None:
            return request.public_bytes(Encoding.PEM), ""
        parsed = Token.parse(token)
        self._hub = parsed.fingerprint
        return request.public_bytes(Encoding.PEM), parsed.proof(request.public_bytes(Encoding.DER))

    def accept(self, chain: bytes) -> None:
        """Keep the hub's answer: this node's certificate, then that of the authority (PEM).

        Raises:
            CertificateError: The answer is not for this node and its key.
            WrongHub: It is not from the hub that issued the token, or signed the certificate before.
        """
        certificate, authority = _read_chain(chain)
        known = self._authority()
        expected = self._hub or (fingerprint(known) if known else b"")
        if fingerprint(authority) != expected:
            raise WrongHub(f"the answer to {self.name} is not from the hub that issued the token; check the address, or get a new token")
        if not issued(certificate, authority):
            raise WrongHub(f"the certificate of {self.name} is not signed by the hub that sent it")
        if certificate.public_key() != self._key.public_key() or common_name(certificate.subject) != self.name:
            raise CertificateError(f"the hub's answer is a certificate of another node or key than {self.name}'s; request it again")
        keyfile.write(self.authority_file, authority.public_bytes(Encoding.PEM), replace=True)
        keyfile.write(self.certificate_file, certificate.public_bytes(Encoding.PEM), replace=True)

    def expires(self) -> datetime | None:
        """When the certificate ends, with time zone; None as long as this node has not joined."""
        certificate, authority = self._certificate(), self._authority()
        if certificate is None or authority is None or certificate.public_key() != self._key.public_key():
            return None
        return certificate.not_valid_after_utc if issued(certificate, authority) else None

    def _certificate(self) -> x509.Certificate | None:
        return read_certificate(self.certificate_file)

    def _authority(self) -> x509.Certificate | None:
        return read_certificate(self.authority_file)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key for TLS: ECDSA on P-256, which every TLS stack and secure element has."""
    return ec.generate_private_key(ec.SECP256R1())


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of a certificate, 32 bytes."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def common_name(subject: x509.Name) -> str:
    """The name in a certificate or request; "" when it has none, or several."""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority signed the certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def read_certificate(file: Path) -> x509.Certificate | None:
    """The certificate in a file, None when there is no file; raises KeyFileError."""
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{file}: not a readable PEM certificate ({error}); bring back the file, or remove it and join again") from error


def _read_chain(chain: bytes) -> tuple[x509.Certificate, x509.Certificate]:
    try:
        certificate, authority = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise CertificateError("the hub's answer is not two PEM certificates; is the address that of an Eddy hub?") from None
    return certificate, authority
