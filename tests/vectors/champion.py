"""Vectors for packages of `eddy.kernel.functions.model`: a forest trained and signed on CPython, and a configuration for it."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eddy.kernel import package
from eddy.kernel.engines import LocalTraining
from eddy.kernel.function import Sample
from eddy.kernel.rng import Rng

KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"the key of the champion vectors").digest())


def vectors() -> dict[str, object]:
    among, rng = ["rms", "mean_abs_difference", "peak_to_peak"], Rng(11)
    names = ["peak_to_peak", "rms"]
    engine = LocalTraining(names, 20, 5, 16, 900, 3, among)
    for _ in range(20):
        engine.on(Sample("s", "o", 0, 0, [900 + rng.below(300), 1200 + rng.below(300), 3000 + rng.below(900)]))
    while not (forests := engine.tick(0)):
        continue
    body = package.encode_body(forests[0].to_wire(), names, {})
    packages = [
        package.build("pump", "pump-1", 3, body, KEY.sign),
        package.build("pump", "pump-1", 4, package.encode_body(configuration={"threshold": 30_000}), KEY.sign),
        package.build(
            "pump", "pump-1", 4, package.encode_body(configuration={"threshold": 30_000}), KEY.sign, predecessor=package.fingerprint(body)
        ),
    ]
    return {"public_key": KEY.public_key().public_bytes_raw().hex(), "packages": [data.hex() for data in packages]}
