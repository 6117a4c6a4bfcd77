"""Vectors for `eddy.kernel.package`: packages built on CPython, signed by cryptography with a key of known bytes."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eddy.kernel import package

KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"the key of the package vectors").digest())
OTHER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"another key").digest())


def vectors() -> dict[str, object]:
    features = ["rms", "mean_abs_difference", "peak_to_peak"]
    configuration = {"threshold": 39321, "normal_every": 20}
    model = hashlib.shake_128(b"model").digest(200)
    whole = package.encode_body(model, features, configuration)
    packages = {
        "good": package.build("pump", "pump-1", 7, whole, KEY.sign, predecessor=package.fingerprint(b"the body before")),
        "configuration only": package.build("pump", "pump-1", 8, package.encode_body(configuration=configuration), KEY.sign),
        "another key": package.build("pump", "pump-1", 7, whole, OTHER.sign),
        "no domain": package.build("pump", "pump-1", 7, whole, lambda signed: KEY.sign(signed[len(package.DOMAIN) :])),
    }
    return {
        "public_key": KEY.public_key().public_bytes_raw().hex(),
        "model": model.hex(),
        "features": features,
        "configuration": configuration,
        "packages": {name: data.hex() for name, data in packages.items()},
    }
