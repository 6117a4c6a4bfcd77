"""Embedded Model Deployment Agent: turns a model, its feature pipeline and a configuration into one package for one device.

Features are named, not shipped: the kernel on the device holds the pipeline, which in Antonini et al., Tiny-MLOps (2022), section IV,
step 10, travels as a script. `eddy.kernel.package` defines the bytes.
"""

from collections.abc import Callable, Sequence
from typing import Any

from eddy.errors import SettingError
from eddy.kernel import codec, package
from eddy.kernel.features import NAMES
from eddy.kernel.functions.model import CONFIGURABLE

_UNSIGNED = bytes(64)


def check(configuration: dict[str, Any]) -> None:
    """Refuse a configuration that a device would refuse, before it costs line time.

    Raises:
        SettingError: An unknown name or a value out of range.
    """
    for name, value in configuration.items():
        if name not in CONFIGURABLE:
            raise SettingError(f"{name!r} cannot be configured on a running device: use {', '.join(CONFIGURABLE)}")
        low, high = CONFIGURABLE[name]
        if type(value) is not int or not low <= value <= high:
            raise SettingError(f"{name} = {value!r}: an integer from {low} to {high} is needed")


def pack(
    device_class: str,
    device: str,
    sequence: int,
    wire: bytes | None = None,
    features: Sequence[str] | None = None,
    configuration: dict[str, Any] | None = None,
    predecessor: bytes = b"",
) -> bytes:
    """The package, to be signed with `sign`.

    Args:
        device_class: Class of the device, as its manifest check expects it.
        device: The one device it is for.
        sequence: Higher than that of every package this device accepted.
        wire: The forest in wire form; None to configure only.
        features: Names of its columns, in order; given exactly when `wire` is.
        configuration: See `eddy.kernel.functions.model.CONFIGURABLE`.
        predecessor: Fingerprint of the body that runs now (`fingerprint_of`).

    Raises:
        SettingError: Nothing to deploy, a model without features, or a feature that the device cannot compute.
    """
    if (wire is None) != (features is None) or (wire is None and not configuration):
        raise SettingError("a package holds a model with its features, a configuration, or both")
    unknown = [name for name in features or () if name not in NAMES]
    if unknown:
        raise SettingError(f"the device cannot compute {unknown[0]!r}: a model for it uses {', '.join(NAMES)}")
    check(configuration or {})
    body = package.encode_body(wire, None if features is None else list(features), configuration or None)
    return package.build(device_class, device, sequence, body, lambda data: _UNSIGNED, predecessor=predecessor)


def sign(data: bytes, signature: Callable[[bytes], bytes]) -> bytes:
    """A package under its signature; Ed25519 gives the same one each time.

    Args:
        data: What `pack` made.
        signature: Of these bytes, 64 bytes.
    """
    manifest, _, body = package.read(data)
    signed = manifest.encode()
    return codec.encode([signed, signature(package.DOMAIN + signed), bytes(body)])


def fingerprint_of(data: bytes) -> bytes:
    """What the next package names as its predecessor; b"" for no package."""
    return package.fingerprint(package.read(data)[2]) if data else b""
