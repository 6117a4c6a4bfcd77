"""The signing key: made once, kept private, and never replaced by accident."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from eddy.errors import KeyFileError
from eddy.kernel import seal
from eddy.security.signing import SigningKey


def test_a_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "gateway.pem"
    made = SigningKey.load_or_create(file)
    assert SigningKey.load_or_create(file).public_bytes() == made.public_bytes()
    assert SigningKey.load(file).public_bytes() == made.public_bytes()


def test_two_folders_get_different_keys(tmp_path: Path) -> None:
    assert SigningKey.load_or_create(tmp_path / "a").public_bytes() != SigningKey.load_or_create(tmp_path / "b").public_bytes()


def test_what_it_signs_the_device_verifies(tmp_path: Path) -> None:
    key = SigningKey.load_or_create(tmp_path / "key.pem")
    assert seal.verify(key.public_bytes(), b"manifest", key.sign(b"manifest"))


def test_only_the_owner_can_read_the_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    SigningKey.load_or_create(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_processes_that_create_at_once_agree_on_one_key(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: SigningKey.load_or_create(file).public_bytes(), range(32)))
    assert len(set(keys)) == 1
    assert list(tmp_path.iterdir()) == [file]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    SigningKey.load_or_create(file)
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match="mode 0640"):
        SigningKey.load_or_create(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())[:60],
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
    ids=["empty", "text", "encrypted", "truncated", "another kind"],
)
def test_a_file_that_is_no_signing_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"key\.pem: "):
        SigningKey.load_or_create(file)
    assert file.read_bytes() == content


def test_a_missing_key_is_not_made_by_loading(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        SigningKey.load(tmp_path / "key.pem")
    assert not list(tmp_path.iterdir())


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KeyFileError, match="check the folder"):
        SigningKey.load_or_create(tmp_path / "file" / "key.pem")
