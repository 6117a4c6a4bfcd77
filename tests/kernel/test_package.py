"""Packages: what is signed arrives whole on the device it is for, everything else is refused."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.kernel import codec, package
from eddy.kernel.errors import EddyError, ManifestError, RollbackError, SignatureError, WrongTarget
from eddy.kernel.package import Manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
BODY = package.encode_body(bytes(range(100)), ["rms", "kurtosis"], {"threshold": 39321})


def pumps(sequence: int = 5, body: bytes = BODY) -> bytes:
    """A good package for pump-1."""
    return package.build("pump", "pump-1", sequence, body, KEY.sign)


def opened(data: bytes, last_sequence: int = 4) -> tuple[Manifest, dict[str, object]]:
    """The package as pump-1 opens it."""
    return package.open_package(data, PUBLIC, "pump-1", "pump", last_sequence)


def signed(fields: dict[int, object], body: bytes = BODY) -> bytes:
    """A package with any manifest, truly signed."""
    manifest = codec.encode(fields)
    return codec.encode([manifest, KEY.sign(package.DOMAIN + manifest), body])


def fields(**changes: object) -> dict[int, object]:
    """The fields of a good manifest, with some of them (f1 to f6) changed."""
    good: dict[int, object] = {1: "pump", 2: "pump-1", 3: 5, 4: b"", 5: len(BODY), 6: hashlib.sha256(BODY).digest()}
    return good | {int(name[1:]): value for name, value in changes.items()}


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16).filter(lambda name: name != "*")


@settings(max_examples=30)
@given(names, names, st.integers(1, 2**32 - 1), st.binary(max_size=300), st.dictionaries(names, st.integers(-(2**63), 2**63), max_size=4))
def test_what_was_packed_is_what_opens(cls: str, device: str, sequence: int, model: bytes, configuration: dict[str, object]) -> None:
    body = package.encode_body(model, ["rms"], configuration)
    previous = package.fingerprint(b"before")
    data = package.build(cls, device, sequence, body, KEY.sign, predecessor=previous)
    manifest, parts = package.open_package(data, PUBLIC, device, cls, sequence - 1)
    assert parts == {"m": model, "f": ["rms"], "c": configuration}
    assert (manifest.cls, manifest.device, manifest.sequence, manifest.predecessor) == (cls, device, sequence, previous)


def test_manifest_and_signature_stay_below_167_bytes_on_the_wire() -> None:
    data = package.build("pump", "pump-station-12", 70_000, BODY, KEY.sign, predecessor=package.fingerprint(BODY))
    assert len(data) - len(BODY) < 167


def test_reading_copies_no_body_and_trusts_nothing() -> None:
    data = bytearray(pumps())
    manifest, signature, body = package.read(data)
    assert manifest.sequence == 5
    assert signature == KEY.sign(package.DOMAIN + manifest.encode())
    assert body.obj is data


def test_an_older_or_the_same_sequence_is_refused() -> None:
    assert opened(pumps(sequence=5), last_sequence=4)[0].sequence == 5
    for last in (5, 6, 2**32):
        with pytest.raises(RollbackError, match=f"sequence 5, {last} was accepted"):
            opened(pumps(sequence=5), last_sequence=last)


@pytest.mark.parametrize(("device", "cls"), [("pump-2", "pump"), ("pump-1", "fan"), ("pump-11", "pump"), ("", "pump"), ("*", "pump")])
def test_another_device_or_class_is_refused(device: str, cls: str) -> None:
    with pytest.raises(WrongTarget, match="build one for it"):
        package.open_package(pumps(), PUBLIC, device, cls, 4)


def test_no_package_is_for_every_device() -> None:
    with pytest.raises(ManifestError, match="device"):
        package.build("pump", "*", 5, BODY, KEY.sign)
    with pytest.raises(ManifestError, match="device"):
        package.open_package(signed(fields(f2="*")), PUBLIC, "*", "pump", 4)


def test_a_signature_by_another_key_or_for_another_purpose_is_refused() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    for sign in (other.sign, lambda data: KEY.sign(data[len(package.DOMAIN) :]), lambda data: bytes(64)):
        with pytest.raises(SignatureError, match="not signed by the key"):
            opened(package.build("pump", "pump-1", 5, BODY, sign))


def test_a_body_that_was_exchanged_is_refused() -> None:
    manifest, signature, _ = package.read(pumps())
    for other in (BODY + b"\0", BODY[:-1], package.encode_body(bytes(100), ["rms", "kurtosis"], {"threshold": 39321}), b""):
        with pytest.raises(SignatureError, match="not the one that was signed"):
            opened(codec.encode([manifest.encode(), signature, other]))


def test_the_signature_is_checked_before_anything_the_manifest_says() -> None:
    data = bytearray(pumps())
    data[data.index(b"pump-1") + 5] ^= 1
    with pytest.raises(SignatureError):
        opened(bytes(data), last_sequence=99)


@pytest.mark.parametrize(
    "changes",
    [
        {"f1": ""},
        {"f1": 7},
        {"f2": "x" * 65},
        {"f2": "é" * 33},
        {"f3": 0},
        {"f3": 2**32},
        {"f3": True},
        {"f4": b"1234567"},
        {"f4": None},
        {"f5": -1},
        {"f5": "1"},
        {"f6": bytes(31)},
        {"f6": [0] * 32},
        {"f7": 1},
    ],
    ids=str,
)
def test_a_manifest_of_another_form_is_refused_although_signed(changes: dict[str, object]) -> None:
    with pytest.raises(ManifestError):
        opened(signed(fields(**changes)))


def test_a_manifest_with_other_keys_is_refused() -> None:
    wrong = fields()
    wrong[0] = wrong.pop(1)
    with pytest.raises(ManifestError, match="other fields"):
        opened(signed(wrong))


def test_an_oversized_manifest_is_refused_before_it_is_hashed() -> None:
    with pytest.raises(ManifestError, match="lengths"):
        package.read(codec.encode([bytes(257), bytes(64), BODY]))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", codec.encode([b"", b""]), codec.encode([b"", bytes(63), b""]), codec.encode(["", bytes(64), b""]), codec.encode({1: 2})],
    ids=["nothing", "empty", "two parts", "short signature", "text", "map"],
)
def test_what_is_no_package_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        package.read(data)


@pytest.mark.parametrize(
    "body",
    [
        codec.encode([1]),
        codec.encode({"x": 1}),
        codec.encode({"m": "text"}),
        codec.encode({"f": [1]}),
        codec.encode({"c": {1: 1}}),
        b"\xff",
    ],
    ids=["list", "unknown part", "model", "features", "configuration", "damaged"],
)
def test_a_body_of_another_form_is_refused_at_both_ends(body: bytes) -> None:
    with pytest.raises(ManifestError, match="body"):
        package.build("pump", "pump-1", 5, body, KEY.sign)
    with pytest.raises(ManifestError, match="body"):
        opened(signed(fields(f5=len(body), f6=hashlib.sha256(body).digest()), body))


def flip_every_bit(data: bytes) -> int:
    """Open the package with each single bit changed, one after the other; returns how many of these were refused."""
    changed = bytearray(data)
    refused = 0
    for bit in range(8 * len(data)):
        changed[bit // 8] ^= 1 << bit % 8
        try:
            opened(bytes(changed))
        except EddyError:
            refused += 1
        changed[bit // 8] ^= 1 << bit % 8
    return refused


@pytest.mark.slow
def test_every_single_bit_change_is_refused() -> None:
    data = pumps(body=package.encode_body(configuration={"threshold": 39321}))
    assert opened(data)
    assert flip_every_bit(data) == 8 * len(data)


@pytest.mark.soak
def test_every_single_bit_change_of_a_package_with_a_model_is_refused() -> None:
    data = pumps(body=package.encode_body(hashlib.shake_128(b"model").digest(900), ["rms", "peak_to_peak"], {"threshold": 39321}))
    assert opened(data)
    assert flip_every_bit(data) == 8 * len(data)
