"""The key that signs packages, kept in a file that only its owner can read."""

import os
import stat
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from eddy.errors import KeyFileError


class SigningKey:
    """A private Ed25519 key (RFC 8032); its public half is what devices trust."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def load_or_create(cls, path: str | os.PathLike[str]) -> "SigningKey":
        """The key in the file `path`, which is made when it does not exist yet.

        The file is PKCS#8 PEM with mode 0600. It appears complete or not at all, and when two processes create it at once both use the
        one that was first.

        Raises:
            KeyFileError: The file is no such key, others can read it, or it cannot be read or written.
        """
        file = Path(path)
        try:
            if not file.exists():
                _create(file)
            return cls.load(file)
        except OSError as error:
            raise KeyFileError(f"{file}: {error.strerror}; check the folder and its permissions") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SigningKey":
        """The key in the file `path`.

        Raises:
            KeyFileError: The file is missing, is no such key, or others can read it.
        """
        file = Path(path)
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            pem = file.read_bytes()
        except OSError as error:
            raise KeyFileError(f"{file}: {error.strerror}; name the file that holds the signing key") from error
        if mode & 0o077:
            raise KeyFileError(
                f"{file}: others can read this private key (mode {mode:04o}); replace the key, or chmod 600 if it was never exposed"
            )
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise KeyFileError(f"{file}: not an unencrypted PEM private key; give another file or move this one away") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileError(f"{file}: a private key of another kind; packages are signed with Ed25519")
        return cls(private)

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes; what `eddy.kernel.package.build` calls."""
        return self._private.sign(data)

    def public_bytes(self) -> bytes:
        """The public key, 32 bytes; what `eddy.kernel.package.open_package` is given."""
        return self._private.public_key().public_bytes_raw()


def _create(file: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as temporary:
            temporary.write(pem)
            temporary.flush()
            os.fsync(temporary.fileno())
        # A link fails when the name exists, where a rename would replace a key that another process has begun to use.
        try:
            os.link(name, file)
        except FileExistsError:
            return
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        Path(name).unlink()
