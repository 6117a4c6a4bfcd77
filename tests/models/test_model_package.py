from pathlib import Path

import numpy as np
import pytest

from eddy.errors import RollbackError, SettingError, SignatureError, WrongTarget
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.kernel.package import DOMAIN, open_package, read
from eddy.models.create import Recipe, train
from eddy.models.package import check, fingerprint_of, pack, sign
from eddy.security.signing import SigningKey

ENERGY = ("rms", "mean_abs_difference", "peak_to_peak")
ROWS = (3000 * (1 + 0.1 * np.random.default_rng(1).standard_normal((80, len(NAMES))))).astype(np.int64)
FOREST = train(Recipe(10, 48, ENERGY, 1, 970), ROWS)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.load_or_create(tmp_path_factory.mktemp("key") / "key.pem")


def test_the_device_gets_the_very_model_its_pipeline_and_its_settings(key: SigningKey) -> None:
    data = sign(pack("pump", "pump-1", 3, FOREST.to_wire(), ENERGY, {"threshold": 7}, predecessor=b"12345678"), key.sign)
    manifest, body = open_package(data, key.public_bytes(), "pump-1", "pump", 2)
    assert (manifest.sequence, manifest.predecessor) == (3, b"12345678")
    wire = body["m"]
    assert isinstance(wire, memoryview)
    assert Forest.from_wire(bytes(wire)).to_image() == FOREST.to_image()
    assert (body["f"], body["c"]) == (list(ENERGY), {"threshold": 7})


def test_it_is_for_one_device_one_class_one_key_and_one_time(key: SigningKey, tmp_path: Path) -> None:
    data = sign(pack("pump", "pump-1", 3, FOREST.to_wire(), ENERGY), key.sign)
    other = SigningKey.load_or_create(tmp_path / "other.pem")
    for error, public, device, cls, last in (
        (WrongTarget, key, "pump-2", "pump", 0),
        (WrongTarget, key, "pump-1", "fan", 0),
        (RollbackError, key, "pump-1", "pump", 3),
        (SignatureError, other, "pump-1", "pump", 0),
    ):
        with pytest.raises(error):
            open_package(data, public.public_bytes(), device, cls, last)


def test_a_package_names_the_one_before_it(key: SigningKey) -> None:
    first = pack("pump", "pump-1", 1, configuration={"threshold": 7})
    second = sign(pack("pump", "pump-1", 2, configuration={"threshold": 8}, predecessor=fingerprint_of(first)), key.sign)
    manifest, _ = open_package(second, key.public_bytes(), "pump-1", "pump", 1)
    assert manifest.predecessor == fingerprint_of(first)
    assert fingerprint_of(b"") == b""
    assert len(fingerprint_of(first)) == 8
    assert fingerprint_of(sign(first, key.sign)) == fingerprint_of(first)


def test_the_same_wish_gives_the_same_bytes(key: SigningKey) -> None:
    assert len({sign(pack("pump", "pump-1", 3, FOREST.to_wire(), ENERGY), key.sign) for _ in range(3)}) == 1


def test_ten_trees_fit_the_budget_of_the_line() -> None:
    assert len(pack("pump", "pump-1", 3, FOREST.to_wire(), ENERGY)) <= 1100


def test_it_is_good_for_nothing_until_it_is_signed_and_signing_changes_nothing_else(key: SigningKey) -> None:
    unsigned, asked = pack("pump", "pump-1", 3, FOREST.to_wire(), ENERGY), list[bytes]()

    def signature(data: bytes) -> bytes:
        asked.append(data)
        return key.sign(data)

    with pytest.raises(SignatureError):
        open_package(unsigned, key.public_bytes(), "pump-1", "pump", 0)
    signed = sign(unsigned, signature)
    (manifest, _, body), (same, given, carried) = read(unsigned), read(signed)
    assert (same.encode(), carried) == (manifest.encode(), body)
    assert asked == [DOMAIN + manifest.encode()] and given == key.sign(asked[0])
    assert open_package(signed, key.public_bytes(), "pump-1", "pump", 0)


def test_what_cannot_run_is_not_packed() -> None:
    for wire, features, configuration in (
        (None, None, None),
        (None, None, {}),
        (FOREST.to_wire(), None, None),
        (None, ENERGY, None),
        (FOREST.to_wire(), ("rms", "mean", "ratio(rms, mean)"), None),
        (None, None, {"window": 5}),
        (None, None, {"normal_every": 5}),
        (None, None, {"threshold": True}),
    ):
        with pytest.raises(SettingError):
            pack("pump", "pump-1", 1, wire, features, configuration)


@pytest.mark.parametrize("good", [{}, {"threshold": 0}, {"threshold": 65536}])
def test_settings_within_their_ranges_pass(good: dict[str, int]) -> None:
    check(good)
