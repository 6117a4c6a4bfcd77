"""The key that signs packages, kept in a file that only its owner can read."""

import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from eddy.errors import KeyFileError
from eddy.security import keyfile


class SigningKey:
    """A private Ed25519 key (RFC 8032); its public half is what devices trust."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def load_or_create(cls, path: str | os.PathLike[str]) -> "SigningKey":
        """The key in the file `path`, which is made when it does not exist yet; see `keyfile.load_or_create`.

        Raises:
            KeyFileError: The file is no such key, others can read it, or it cannot be read or written.
        """
        return cls._checked(path, keyfile.load_or_create(path, Ed25519PrivateKey.generate))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SigningKey":
        """The key in the file `path`.

        Raises:
            KeyFileError: The file is missing, is no such key, or others can read it.
        """
        return cls._checked(path, keyfile.load(path))

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes; what `eddy.kernel.package.build` calls."""
        return self._private.sign(data)

    def public_bytes(self) -> bytes:
        """The public key, 32 bytes; what `eddy.kernel.package.open_package` is given."""
        return self._private.public_key().public_bytes_raw()

    @classmethod
    def _checked(cls, path: str | os.PathLike[str], private: PrivateKeyTypes) -> "SigningKey":
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: a private key of another kind; packages are signed with Ed25519")
        return cls(private)
