"""The package: what is deployed to a device. Model, feature names and configuration, under a signed manifest.

    package  = CBOR [manifest: bytes, signature: 64 bytes, body: bytes]
    manifest = CBOR {1: class, 2: device, 3: sequence, 4: predecessor, 5: size of the body, 6: SHA-256 of the body}
    body     = CBOR {"m": model, "f": [feature names], "c": {configuration}}, every key optional

The signature is Ed25519 over `DOMAIN` and the manifest's bytes as they came; the manifest binds the body by its hash. Bytes are signed and
hashed, never decoded values. A body without a model reconfigures what runs already. What a manifest names and why follows the metadata of
SUIT (RFC 9019) and TUF cut down to what a 2,400 baud line carries in half a second.
"""

import hashlib

from eddy.kernel import codec, seal
from eddy.kernel.errors import CodecError, ManifestError, RollbackError, SignatureError, WrongTarget

MYPY = False  # mypy takes this name for True; the device has no typing
if MYPY:
    from collections.abc import Callable

DOMAIN = b"eddy package 1\n"  # keeps a signature made for something else from passing here
MAX_MANIFEST = 256  # bytes; bounds the work that an unsigned input can cause
MAX_NAME = 64  # bytes of UTF-8
MAX_NUMBER = 0xFFFFFFFF

MODEL = "m"
FEATURES = "f"
CONFIGURATION = "c"


class Manifest:
    """Who a body is for and what exactly it is.

    Args:
        cls: Class of devices, such as "pump".
        device: The one device it is for, such as "pump-1"; "*" is no device.
        sequence: In [1, 2**32): higher than that of every package accepted before.
        predecessor: `fingerprint` of the body it replaces, or b"" for the first.
        size: Bytes of the body.
        digest: SHA-256 of the body, 32 bytes.

    Raises:
        ManifestError: One of them is not of that form.
    """

    def __init__(self, cls: str, device: str, sequence: int, predecessor: bytes, *, size: int, digest: bytes) -> None:
        _check_name(cls, "class")
        _check_name(device, "device")
        _check_number(sequence, 1, "sequence")
        _check_number(size, 0, "size")
        if not isinstance(predecessor, bytes) or len(predecessor) not in (0, 8):
            raise ManifestError("the manifest's predecessor is not 8 bytes or empty")
        if not isinstance(digest, bytes) or len(digest) != 32:
            raise ManifestError("the manifest's hash is not 32 bytes")
        self.cls = cls
        self.device = device
        self.sequence = sequence
        self.predecessor = predecessor
        self.size = size
        self.digest = digest

    def encode(self) -> bytes:
        """The bytes that are signed."""
        return codec.encode(
            {1: self.cls, 2: self.device, 3: self.sequence, 4: self.predecessor, 5: self.size, 6: self.digest},
        )

    @classmethod
    def decode(cls, data: bytes | memoryview) -> "Manifest":
        """The manifest that `encode` wrote.

        Raises:
            ManifestError: Anything else.
        """
        fields = _decode(data, "manifest")
        if not isinstance(fields, dict) or len(fields) != 6:
            raise ManifestError("the manifest is not a map of 6 fields")
        try:
            return cls(fields[1], fields[2], fields[3], fields[4], size=fields[5], digest=fields[6])
        except KeyError:
            raise ManifestError("the manifest has other fields than 1 to 6") from None


def fingerprint(body: bytes | memoryview) -> bytes:
    """What the manifest of the next package names as its predecessor: the first 8 bytes of the body's SHA-256."""
    return hashlib.sha256(body).digest()[:8]


def encode_body(model: bytes | None = None, features: list[str] | None = None, configuration: dict[str, object] | None = None) -> bytes:
    """The body that carries what is given; what is None stays as it is on the device."""
    body: dict[str, object] = {}
    if model is not None:
        body[MODEL] = model
    if features is not None:
        body[FEATURES] = features
    if configuration is not None:
        body[CONFIGURATION] = configuration
    return codec.encode(body)


def decode_body(data: bytes | memoryview) -> dict[str, object]:
    """The parts of a body by their keys; the model is a view into `data`.

    Raises:
        ManifestError: Not a map of the three known parts. An unknown part is refused, not skipped: the sender counts on it.
    """
    body = _decode(data, "body", True)
    if not isinstance(body, dict):
        raise ManifestError("the body is not a map")
    for key, part in body.items():
        if key == MODEL:
            good = isinstance(part, (bytes, memoryview))
        elif key == FEATURES:
            good = isinstance(part, list) and all(isinstance(name, str) for name in part)
        else:
            good = key == CONFIGURATION and isinstance(part, dict) and all(isinstance(name, str) for name in part)
        if not good:
            raise ManifestError("the body's part %r is unknown or of the wrong type" % (key,))
    return body


def build(cls: str, device: str, sequence: int, body: bytes, sign: "Callable[[bytes], bytes]", *, predecessor: bytes = b"") -> bytes:
    """A signed package.

    Args:
        cls: Class of devices.
        device: The one device it is for.
        sequence: Higher than that of the package before.
        body: What `encode_body` gave.
        sign: Called with the bytes to sign, returns the 64 bytes of their Ed25519 signature.
        predecessor: `fingerprint` of the body that runs now, if one does.

    Raises:
        ManifestError: A field or the body would not be accepted by `read` or `open_package`.
    """
    decode_body(body)
    manifest = Manifest(cls, device, sequence, predecessor, size=len(body), digest=hashlib.sha256(body).digest()).encode()
    return codec.encode([manifest, sign(DOMAIN + manifest), body])


def read(data: bytes | memoryview) -> tuple[Manifest, bytes, memoryview]:
    """Take a package apart without trusting it: structure only, nothing is verified.

    Returns:
        (manifest, signature, body); the body is a view into `data`.

    Raises:
        ManifestError: Not built as a package.
    """
    manifest, signature, body = _parts(data)
    return Manifest.decode(manifest), bytes(signature), body


def open_package(
    data: bytes | memoryview,
    public_key: bytes,
    device: str,
    cls: str,
    last_sequence: int,
) -> tuple[Manifest, dict[str, object]]:
    """Verify everything about a package and only then hand out what is in it.

    Args:
        data: The package.
        public_key: 32 bytes, the key this device trusts.
        device: This device's name.
        cls: This device's class.
        last_sequence: Highest sequence accepted before; 0 when there was none.

    Returns:
        (manifest, body by its keys), see `decode_body`.

    Raises:
        ManifestError: Not built as a package.
        SignatureError: Signed by another key, or changed after it was signed.
        WrongTarget: For another class or device.
        RollbackError: Not newer than `last_sequence`.
    """
    signed, signature, body = _parts(data)
    manifest = Manifest.decode(signed)
    if not seal.verify(public_key, DOMAIN + bytes(signed), signature):
        raise SignatureError("the package is not signed by the key this device trusts: sign it with that key, or install the new key")
    if manifest.size != len(body) or manifest.digest != hashlib.sha256(body).digest():
        raise SignatureError("the package's body is not the one that was signed: send it again")
    if manifest.cls != cls:
        raise WrongTarget("the package is for class %s, this device is a %s: build one for it" % (manifest.cls, cls))
    if manifest.device != device:
        raise WrongTarget("the package is for %s, this device is %s: build one for it" % (manifest.device, device))
    if manifest.sequence <= last_sequence:
        raise RollbackError(
            "the package has sequence %d, %d was accepted already: build it anew with a higher one" % (manifest.sequence, last_sequence)
        )
    return manifest, decode_body(body)


def _parts(data: bytes | memoryview) -> tuple[memoryview, memoryview, memoryview]:
    """Views of the manifest, the signature and the body, so that a large body is not copied."""
    view = memoryview(data)
    try:
        major, argument, at = codec.head(view, 0)
        if major != codec.ARRAY or argument != 3:
            raise ManifestError("the package is not an array of manifest, signature and body")
        parts = []
        for _ in range(3):
            major, argument, at = codec.head(view, at)
            if major != codec.BYTES:
                raise ManifestError("a part of the package is not a byte string")
            parts.append(view[at : at + argument])
            at += argument
    except CodecError as error:
        raise ManifestError("the package is damaged: %s" % error) from None
    manifest, signature, body = parts
    if at != len(view) or len(signature) != 64 or len(manifest) > MAX_MANIFEST:
        raise ManifestError("the package's parts do not have the lengths of manifest, signature and body")
    return manifest, signature, body


def _decode(data: bytes | memoryview, what: str, views: bool = False) -> object:
    try:
        return codec.decode(data, views)
    except CodecError as error:
        raise ManifestError("the %s is damaged: %s" % (what, error)) from None


def _check_name(value: object, what: str) -> None:
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= MAX_NAME or value == "*":
        raise ManifestError("the manifest's %s is not a name of 1 to %d bytes" % (what, MAX_NAME))


def _check_number(value: object, least: int, what: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_NUMBER:
        raise ManifestError("the manifest's %s is not a number from %d to %d" % (what, least, MAX_NUMBER))
