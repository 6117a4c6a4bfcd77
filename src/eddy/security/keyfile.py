"""Private keys in files that only their owner can read, made once and never replaced by accident."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from eddy.errors import KeyFileError


def load_or_create(path: str | os.PathLike[str], generate: Callable[[], PrivateKeyTypes]) -> PrivateKeyTypes:
    """The key in the file `path`, which is made with `generate` when it does not exist yet.

    The file is PKCS#8 PEM with mode 0600. It appears complete or not at all, and when two processes create it at once both use the
    one that was first.

    Raises:
        KeyFileError: The file is no key, others can read it, or it cannot be read or written.
    """
    file = Path(path)
    try:
        if not file.exists():
            write(file, generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), replace=False)
        return load(file)
    except OSError as error:
        raise KeyFileError(f"{file}: {error.strerror}; check the folder and its permissions") from error


def load(path: str | os.PathLike[str]) -> PrivateKeyTypes:
    """The key in the file `path`.

    Raises:
        KeyFileError: The file is missing, is no unencrypted key, or others can read it.
    """
    file = Path(path)
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        pem = file.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{file}: {error.strerror}; name the file that holds the key") from error
    if mode & 0o077:
        raise KeyFileError(
            f"{file}: others can read this private key (mode {mode:04o}); replace the key, or chmod 600 if it was never exposed"
        )
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{file}: not an unencrypted PEM private key; give another file or move this one away") from error


def write(file: Path, data: bytes, replace: bool) -> None:
    """Write a file of mode 0600 that appears complete or not at all; one that is there stays unless it is to be replaced."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as temporary:
            temporary.write(data)
            temporary.flush()
            os.fsync(temporary.fileno())
        if replace:
            Path(name).replace(file)
        else:
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
        Path(name).unlink(missing_ok=True)
