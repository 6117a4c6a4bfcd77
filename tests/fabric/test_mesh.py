"""Messages by address, wherever the addressee is."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from company import repeat
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import LinkLost, SettingError, TooLarge
from eddy.fabric import mesh
from eddy.fabric.mailbox import Mailbox
from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.kernel.assignment import ASSIGN, BATCH, kind, message


@pytest.fixture
def ends() -> Iterator[tuple[Mesh, Mesh, Mesh]]:
    at = [free_endpoint() for _ in range(3)]
    three = tuple(Mesh([f"@{name}"], here, [other for other in at if other != here]) for name, here in zip("abc", at, strict=True))
    yield three  # type: ignore[misc]
    for end in three:
        end.close()


def exchange(sender: Mesh, to: str, receiver: Mesh, data: bytes = b"hello") -> list[bytes]:
    return repeat(lambda: sender.send(to, data), lambda: receiver.take(0.05))


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
    with pytest.raises(SettingError, match=r"0\.0\.0\.0:7447.*without an identity"):
        Mesh([], "tcp/0.0.0.0:7447")
    here = free_endpoint()
    first = Mesh([], here)
    with pytest.raises(LinkLost, match="is another node there"):
        Mesh([], here)
    first.close()


def test_only_the_hub_gives_orders() -> None:
    meeting, left, right = (free_endpoint() for _ in range(3))
    hub, a, b = Mesh(["@"], meeting), Mesh(["@a"], left, [meeting]), Mesh(["@b"], right, [meeting, left])
    order, batch = message(ASSIGN, []), message(BATCH, "x", b"")
    assert set(exchange(hub, "@a", a, order)) == {order}
    assert repeat(lambda: [b.send("@a", order), b.send("@a", batch)], lambda: set(a.take(0.05)) - {order}) == {batch}
    while a.take(0.05):
        continue
    b.send("@a", order)
    b.send("@a", batch)
    assert a.take(5) == [batch]
    for end in (hub, a, b):
        end.close()


def test_a_question_is_answered_on_the_thread_that_takes(ends: tuple[Mesh, Mesh, Mesh]) -> None:
    a, b, c = ends
    assert exchange(a, "@b", b) and exchange(c, "@b", b)
    threads: list[int] = []

    def answer(question: bytes) -> bytes | None:
        threads.append(threading.get_ident())
        return question.upper() if question != b"silence" else None

    b.answer(answer)
    with ThreadPoolExecutor() as pool:
        for question, said in ((b"who?", b"WHO?"), (b"silence", None)):
            asked = pool.submit(a.ask, "@b", question, 5.0)
            while not asked.done():
                assert set(b.take(0.01)) <= {b"hello"}
            assert asked.result() == said
    assert set(threads) == {threading.get_ident()}
    assert a.ask("@nobody", b"who?", 0.2) is None


def test_a_question_that_nobody_takes_ends_in_time(ends: tuple[Mesh, Mesh, Mesh]) -> None:
    a, b, _ = ends
    assert exchange(a, "@b", b)
    began = time.monotonic()
    assert a.ask("@b", b"who?", 0.2) is None
    assert time.monotonic() - began < 2


def test_people_look_on_and_the_work_is_saved_when_nobody_does(ends: tuple[Mesh, Mesh, Mesh]) -> None:
    a, b, _ = ends
    assert exchange(a, "@b", b)
    assert not a.publish("vibration", b"1")
    seen = b.subscribe("vibration")
    assert set(repeat(lambda: a.publish("vibration", b"2"), lambda: seen.take(0.05))) == {b"2"}
    assert a.listened("vibration") and not a.listened("temperature")
    seen.close()
    assert repeat(lambda: None, lambda: not a.listened("vibration"))
    assert not a.publish("vibration", b"3")


def test_who_comes_and_goes_is_told_once() -> None:
    meeting, there = free_endpoint(), free_endpoint()
    hub = Mesh(["@"], meeting)
    a = Mesh(["@gw 1", "pump/sink"], there, [meeting])
    came: list[str] = []
    assert repeat(lambda: came.extend(hub.alive()), lambda: len(came) == 2)
    assert sorted(came) == ["@gw 1", "pump/sink"] == hub.here()
    assert hub.alive() == [] == hub.gone()
    assert repeat(lambda: None, lambda: a.alive() == ["@"])
    again = Mesh(["@gw 1"], free_endpoint(), [meeting])  # it has started anew before the old link was given up
    assert repeat(lambda: hub.send("@gw 1", b"both?"), lambda: again.take(0.05))
    a.close()
    assert repeat(lambda: None, hub.gone) == ["pump/sink"]
    assert hub.here() == ["@gw 1"]
    again.close()
    assert repeat(lambda: None, hub.gone) == ["@gw 1"]
    hub.close()


def test_a_message_that_no_end_would_put_together_is_refused(ends: tuple[Mesh, Mesh, Mesh]) -> None:
    with pytest.raises(TooLarge, match="send it in parts"):
        ends[0].send("@b", bytes(mesh.MAX_MESSAGE_BYTES + 1))


def test_who_does_not_take_loses_messages_and_not_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "WAITING_BYTES", 1 << 20)
    meeting = free_endpoint()
    slow, fast = Mesh(["@slow"], meeting), Mesh(["@fast"], free_endpoint(), [meeting])
    assert exchange(fast, "@slow", slow)
    assert repeat(lambda: fast.send("@slow", bytes(32768)), lambda: slow.dropped > 50)
    assert sum(len(data) for data in slow.take(0)) <= 1 << 20
    assert exchange(fast, "@slow", slow)
    slow.close()
    fast.close()


@given(st.lists(st.integers(0, 40), max_size=60), st.booleans())
def test_a_mailbox_is_bounded_and_keeps_order(sizes: list[int], newest: bool) -> None:
    box: Mailbox[int] = Mailbox(10, 100, newest)
    for number, size in enumerate(sizes):
        box.put(number, size)
        assert box.waiting_bytes <= 100
    kept = box.take(0)
    assert len(kept) <= 10 and len(kept) + box.dropped == len(sizes)
    assert kept == sorted(kept)
    if newest and sizes:
        assert kept[-1] == len(sizes) - 1
    if not newest and sizes:
        assert kept[0] == 0
    assert box.take(0) == [] and box.waiting_bytes == 0


@given(st.binary(max_size=30))
def test_the_kind_of_a_message_is_seen_without_reading_it(data: bytes) -> None:
    assert kind(message(BATCH, data)) == BATCH
    assert kind(data) == -1 or 0 <= kind(data) < 24
