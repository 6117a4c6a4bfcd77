"""The hub signs packages for the models of the apps that it runs, and for nobody else's; whoever looks sees that it did."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from company import repeat

from eddy.errors import SignatureError
from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.hub.house import House
from eddy.hub.terms import open_database
from eddy.kernel.assignment import HUB
from eddy.kernel.codec import decode, encode
from eddy.kernel.package import DOMAIN, Manifest, open_package
from eddy.models.package import pack, sign
from eddy.security.signing import SigningKey

EXAMPLE = Path(__file__).parents[2] / "examples" / "pump" / "eddy.yaml"
Ask = Callable[[Any], Any]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[House, SigningKey, Ask]]:
    """A hub, its key, and a node that asks it."""
    at, here = free_endpoint(), free_endpoint()
    key = SigningKey.load_or_create(tmp_path / "key.pem")
    mesh, node = Mesh([HUB], at), Mesh(["@gw"], here, [at])
    house = House(open_database("sqlite://"), key, None, mesh, at)

    pool = ThreadPoolExecutor()

    def said(question: Any, patience_s: float) -> bytes | None:
        asked = pool.submit(node.ask, HUB, encode(question), patience_s)
        while not asked.done():
            house.turn(0.01)
        return asked.result()

    try:
        repeat(lambda: None, lambda: said(["hello", ["gw", "gateway", here]], 0.2))
        yield house, key, lambda question: decode(said(question, 5.0) or b"\xf6")
    finally:
        node.close()
        mesh.close()
        pool.shutdown(wait=False)


def manifest(cls: str = "bearing-health", device: str = "pump-2", sequence: int = 7) -> bytes:
    return Manifest(cls, device, sequence, b"", size=5, digest=hashlib.sha256(b"12345").digest()).encode()


def releases(house: House) -> list[Any]:
    return [event for event in house.events(None, 100) if event.kind == "release"]


def test_a_package_for_a_model_of_a_running_app_is_signed_and_noted(hub: tuple[House, SigningKey, Ask]) -> None:
    house, key, ask = hub
    house.apply(EXAMPLE.read_text(), {}, dry=False)
    data = pack("bearing-health", "pump-2", 7, configuration={"threshold": 5})
    signed = sign(data, lambda asked: ask(["sign", asked.removeprefix(DOMAIN)]))
    assert open_package(signed, key.public_bytes(), "pump-2", "bearing-health", 6)[0].sequence == 7
    (event,) = releases(house)
    assert (event.node, event.instance) == (HUB, "detect@pump-2")
    assert "package 7 of bearing-health" in event.text
    with pytest.raises(SignatureError):
        open_package(data, key.public_bytes(), "pump-2", "bearing-health", 6)


@pytest.mark.parametrize(
    "asked",
    [
        manifest(cls="other"),
        manifest(device="pump-9"),
        manifest(device="gw"),
        b"",
        b"no manifest",
        manifest()[:-1],
        manifest() + b"\0",
        encode({1: "bearing-health", 2: "pump-2"}),
        "text",
        5,
        None,
        ["bearing-health", "pump-2"],
    ],
    ids=lambda asked: repr(asked)[:8],
)
def test_nothing_else_is_signed(hub: tuple[House, SigningKey, Ask], asked: Any) -> None:
    house, _, ask = hub
    house.apply(EXAMPLE.read_text(), {}, dry=False)
    assert house._answer(encode(["sign", asked])) is None
    assert releases(house) == []
    assert ask(["sign", manifest()]), "and it goes on"


def test_an_app_that_does_not_run_has_no_models_to_release(hub: tuple[House, SigningKey, Ask]) -> None:
    house, key, ask = hub
    assert house._answer(encode(["sign", manifest()])) is None
    house.apply(EXAMPLE.read_text(), {}, dry=True)
    assert house._answer(encode(["sign", manifest()])) is None
    house.apply(EXAMPLE.read_text(), {}, dry=False)
    assert ask(["sign", manifest()]) == key.sign(DOMAIN + manifest())
    house.remove("pump-guard")
    assert house._answer(encode(["sign", manifest()])) is None
    assert len(releases(house)) == 1
