"""Messages by address, wherever the addressee is."""

import time
from collections.abc import Iterator

import pytest

from eddy.errors import LinkLost, SettingError
from eddy.fabric.mesh import Mesh, free_endpoint


@pytest.fixture
def ends() -> Iterator[tuple[Mesh, Mesh, Mesh]]:
    at = [free_endpoint() for _ in range(3)]
    three = tuple(Mesh([f"@{name}"], here, [other for other in at if other != here]) for name, here in zip("abc", at, strict=True))
    yield three  # type: ignore[misc]
    for end in three:
        end.close()


def exchange(sender: Mesh, to: str, receiver: Mesh, data: bytes = b"hello") -> list[bytes]:
    """Repeats, as those who use a mesh do, until something has come."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        sender.send(to, data)
        if came := receiver.take(0.05):
            return came
    return []


def test_a_node_is_reached_by_its_name(ends: tuple[Mesh, Mesh, Mesh]) -> None:
    a, b, c = ends
    assert set(exchange(a, "@b", b)) == {b"hello"}
    assert c.take(0.01) == []


def test_an_address_is_where_it_was_claimed_last(ends: tuple[Mesh, Mesh, Mesh]) -> None:
    a, b, c = ends
    b.claim(["detect@pump/1 *"])  # any name will do
    assert exchange(a, "detect@pump/1 *", b)
    b.claim([])
    c.claim(["detect@pump/1 *"])
    assert exchange(a, "detect@pump/1 *", c)
    while b.take(0.05):
        continue
    a.send("detect@pump/1 *", b"again")
    assert exchange(a, "detect@pump/1 *", c)
    assert b.take(0.05) == []


def test_two_nodes_hear_each_other_when_the_one_they_met_at_is_gone() -> None:
    meeting, left, right = (free_endpoint() for _ in range(3))
    hub = Mesh(["@"], meeting)
    a, b = Mesh(["@a"], left, [meeting]), Mesh(["@b"], right, [meeting])
    assert exchange(a, "@b", b)
    hub.close()
    assert exchange(a, "@b", b, b"still")
    a.close()
    b.close()


def test_an_endpoint_that_others_could_reach_or_that_is_taken_is_refused() -> None:
    with pytest.raises(SettingError, match=r"0\.0\.0\.0:7447.*not authenticated"):
        Mesh([], "tcp/0.0.0.0:7447")
    here = free_endpoint()
    first = Mesh([], here)
    with pytest.raises(LinkLost, match="is another node there"):
        Mesh([], here)
    first.close()
