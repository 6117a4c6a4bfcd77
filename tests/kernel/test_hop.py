"""A hop gives every sample exactly once and in order, or says that it is missing, whatever the line, the power and the stores do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from eddy.kernel.batch import LOST, OVERFLOW, REBOOT, TRIMMED, Batch, read_ack
from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import BadInput, CodecError, Fenced, SampleError, StorageFull, TooLarge
from eddy.kernel.filestore import FileStore
from eddy.kernel.hop import Gap, Inbox, Outbox, Record
from eddy.kernel.store import RamStore

if TYPE_CHECKING:
    from eddy.kernel.store import Store

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Kind(Protocol):
    """See conftest."""

    durable: bool

    def open(self) -> Store: ...

    def close(self) -> None: ...


def outbox(store: Store | None = None, **options: Any) -> Outbox:
    return Outbox("windows", "pump-3", store or RamStore(), **options)


def offered(inbox: Inbox, batch: bytes | None) -> list[Record]:
    assert batch is not None
    records = inbox.offer(batch)
    inbox.commit()
    return records


def drain(out: Outbox, inbox: Inbox, max_bytes: int = 200) -> list[Record]:
    """Deliver all that is pending, acknowledged batch by batch."""
    records = []
    while out.pending():
        records += offered(inbox, out.batch(max_bytes))
        for ack in inbox.acks():
            out.acknowledge(ack)
    return records


def values(records: list[Record]) -> list[object]:
    return [record.value for record in records]


def test_samples_arrive_once_in_order_with_their_times_and_numbers() -> None:
    out, inbox = outbox(), Inbox()
    for i in range(50):
        assert out.keep(START + i * i * 1000, [i, -i, "x" * (i % 7)]) == i
    records = drain(out, inbox)
    assert [r.seq for r in records] == list(range(50))
    assert [r.time_ns for r in records] == [START + i * i * 1000 for i in range(50)]
    assert values(records) == [[i, -i, "x" * (i % 7)] for i in range(50)]
    assert {(r.stream, r.origin, r.term, r.replayed) for r in records} == {("windows", "pump-3", 0, False)}
    assert out.batch(200) is None


def test_a_report_of_eight_small_integers_costs_less_than_45_bytes_alone_and_13_among_others() -> None:
    out = outbox()
    for i in range(1000):
        out.keep(START + i * SECOND // 2, [i % 24, 2, 3, 4, 5, 6, 7, 8])
        if i == 0:
            batch = out.batch(200)
            assert batch is not None
            assert len(batch) < 45
    batch = out.batch(400)
    assert batch is not None
    assert len(batch) / len(Batch(batch).records) < 13


def test_a_batch_keeps_to_its_size_unless_one_record_is_larger() -> None:
    for size in range(40, 400, 7):
        out, inbox = outbox(), Inbox()
        for i in range(30):
            out.keep(START + i * 977_000_003 * (1 + i % 3), b"v" * (3 * i))
        while out.pending():
            batch = out.batch(size)
            assert batch is not None
            assert len(batch) <= size or len(Batch(batch).records) == 1
            offered(inbox, batch)
            out.acknowledge(inbox.acks()[0])


def test_a_repeat_is_dropped_and_marked_as_replayed() -> None:
    out, inbox = outbox(), Inbox()
    out.keep(START, "a")
    first = out.batch(200)
    out.keep(START, "b")
    again = Batch(out.batch(200) or b"")
    assert [r.replayed for r in again.records] == [True, False]
    offered(inbox, first)
    assert values(offered(inbox, out.batch(200))) == ["b"]
    assert inbox.duplicates == 1


def test_nothing_is_acknowledged_before_it_is_committed() -> None:
    out, inbox = outbox(), Inbox()
    out.keep(START, "a")
    batch = out.batch(200) or b""
    assert values(inbox.offer(batch)) == ["a"]
    assert inbox.acks() == []
    inbox.rollback()
    assert inbox.acks() == []
    assert values(inbox.offer(batch)) == ["a"], "what was rolled back is new again"
    assert inbox.uncommitted() == [("windows", "pump-3", 0, 0, Batch(batch).birth)]
    inbox.commit()
    (ack,) = inbox.acks()
    assert read_ack(ack)[3:] == (0, 0)
    assert inbox.acks() == [], "one answer is enough"
    out.keep(START, "b")
    inbox.offer(out.batch(200) or b"")
    assert inbox.acks() == []
    inbox.commit()
    assert [read_ack(ack)[4] for ack in inbox.acks()] == [1]


def test_positions_survive_a_restart_of_the_receiver() -> None:
    out, inbox = outbox(), Inbox()
    out.keep(START, "a")
    batch = out.batch(200)
    offered(inbox, batch)
    inbox = Inbox(inbox.positions())
    assert offered(inbox, batch) == []
    (ack,) = inbox.acks()
    out.acknowledge(ack)
    assert out.pending() == 0


def test_one_inbox_serves_many_streams_and_origins() -> None:
    inbox = Inbox()
    boxes = [Outbox(stream, origin, RamStore()) for stream in ("windows", "events") for origin in ("pump-1", "pump-2", "fan-1")]
    for index, out in enumerate(boxes):
        for i in range(index + 1):
            out.keep(START, [index, i])
    records = [record for out in boxes for record in inbox.offer(out.batch(500) or b"")]
    inbox.commit()
    assert values(records) == [[index, i] for index in range(6) for i in range(index + 1)]
    for ack in inbox.acks():
        assert sum(out.acknowledge(ack) for out in boxes) == 1
    assert [out.pending() for out in boxes] == [0] * 6


def test_a_full_buffer_gives_up_the_oldest_for_one_gap_record() -> None:
    out, inbox = outbox(capacity=16), Inbox()
    for i in range(60):
        out.keep(START, i)
        assert len(list(out._store.records(out._dropped))) <= 16
    first, *rest = drain(out, inbox)
    assert first.value == Gap(0, rest[0].seq - 1, OVERFLOW)
    assert values(rest) == list(range(rest[0].seq, 60))
    assert len(rest) >= 12
    assert out.overflowed == rest[0].seq


def test_a_buffer_is_bounded_in_bytes_as_well() -> None:
    out, inbox = outbox(max_bytes=1000), Inbox()
    for i in range(60):
        out.keep(START, bytes([i]) * (10 * i % 700))
    records = drain(out, inbox)
    assert isinstance(records[0].value, Gap)
    assert 0 < sum(len(r.value) for r in records[1:] if isinstance(r.value, bytes)) <= 1000
    assert records[-1].value == bytes([59]) * 590


def test_an_overflow_up_to_a_reboot_keeps_its_reason(tmp_path: Path) -> None:
    out = outbox(FileStore(str(tmp_path)), capacity=8, block=16)
    for i in range(6):
        out.keep(START, i)
    out = outbox(FileStore(str(tmp_path)), capacity=8, block=16)
    for i in range(8):
        out.keep(START, 16 + i)
    records = drain(out, Inbox())
    assert values(records) == [Gap(0, 5, OVERFLOW), Gap(6, 15, REBOOT), *range(16, 24)]


def test_overflow_of_what_is_already_accepted_takes_nothing_back() -> None:
    out, inbox = outbox(capacity=8), Inbox()
    for i in range(8):
        out.keep(START, i)
    assert values(offered(inbox, out.batch(500))) == list(range(8))  # the acknowledgement is lost
    for i in range(8, 14):
        out.keep(START, i)
    assert values(drain(out, inbox)) == list(range(8, 14))


def test_a_value_that_cannot_be_sent_is_refused_when_it_is_kept() -> None:
    out = outbox(max_bytes=100)
    with pytest.raises(CodecError):
        out.keep(START, 1.5)
    with pytest.raises(CodecError):
        out.keep(START, [[[[[[[[1]]]]]]]])
    with pytest.raises(TooLarge):
        out.keep(START, b"x" * 100)
    with pytest.raises(SampleError):
        out.keep(1 << 63, 1)
    assert out.pending() == 0


def test_a_reboot_skips_the_rest_of_the_block_and_says_so(kind: Kind) -> None:
    inbox = Inbox()
    out = outbox(kind.open(), block=16)
    for i in range(5):
        out.keep(START + i, i)
    offered(inbox, out.batch(50))
    accepted = inbox.positions()["windows", "pump-3"][1] + 1
    assert 0 < accepted < 5
    out = outbox(kind.open(), block=16)
    assert out.keep(START + 9, "after") == 16
    records = drain(out, inbox)
    kept = [record for record in records if not isinstance(record.value, Gap)]
    gaps = [record.value for record in records if isinstance(record.value, Gap)]
    if kind.durable:
        assert values(kept) == [*range(accepted, 5), "after"]
        assert [r.replayed for r in kept] == [True] * (5 - accepted) + [False]
        assert gaps == [Gap(5, 15, REBOOT)]
    else:
        assert values(kept) == ["after"]
        assert gaps == [Gap(accepted, 15, REBOOT)]


def test_reboots_without_a_sample_use_no_numbers_up(kind: Kind) -> None:
    outbox(kind.open()).keep(START, 1)
    for _ in range(5):
        assert outbox(kind.open()).pending() == 64


def test_the_meta_is_written_once_in_a_block() -> None:
    writes = 0

    class Counting(RamStore):
        def put(self, meta: dict[object, object]) -> None:
            nonlocal writes
            writes += 1
            super().put(meta)

    out = outbox(Counting(), block=64, capacity=1000)
    created = writes
    for i in range(640):
        out.keep(START, i)
    assert writes - created == 10


def test_a_damaged_record_becomes_a_gap(tmp_path: Path) -> None:
    out = outbox(FileStore(str(tmp_path), segment=60), block=8)
    for i in range(6):
        out.keep(START, b"%d" % i * 10)
    (tmp_path / "2").write_bytes((tmp_path / "2").read_bytes()[:-1])
    records = drain(outbox(FileStore(str(tmp_path)), block=8), Inbox())
    assert [r.value if isinstance(r.value, Gap) else r.seq for r in records] == [0, 1, 2, Gap(3, 3, LOST), 4, 5, Gap(6, 7, REBOOT)]


def test_lost_meta_neither_reuses_a_number_nor_doubles_a_sample(tmp_path: Path) -> None:
    out, inbox = outbox(FileStore(str(tmp_path))), Inbox()
    for i in range(6):
        out.keep(START, i)
    drain(out, inbox)
    out.keep(START, "kept before the damage")
    (tmp_path / "meta").unlink()
    out = outbox(FileStore(str(tmp_path)))
    out.keep(START, "kept after it")
    records = drain(out, inbox)
    assert "kept before the damage" in values(records)
    assert "kept after it" in values(records)
    assert out.renumbered == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_sample_without_room_is_told_to_the_caller_and_in_a_gap(tmp_path: Path) -> None:
    out, inbox = outbox(FileStore(str(tmp_path), segment=30), block=8), Inbox()
    for i in range(4):
        out.keep(START, i)
    (tmp_path / "4").symlink_to("/dev/full")
    with pytest.raises(StorageFull):
        out.keep(START, "no room")
    (tmp_path / "4").unlink()
    assert out.keep(START, "room again") == 5
    gap, *records = drain(out, inbox)
    assert gap.value == Gap(0, 0, OVERFLOW), "the oldest quarter was given up in vain"
    assert [r.value for r in records] == [1, 2, 3, Gap(4, 4, LOST), "room again"]
    assert (out.unstored, out.overflowed) == (1, 1)


class Shelf(RamStore):
    """A store that somebody else fills up and clears."""

    full = False

    def append(self, seq: int, data: bytes) -> None:
        if self.full:
            raise StorageFull("no room")
        super().append(seq, data)

    def put(self, meta: dict[object, object]) -> None:
        if self.full:
            raise StorageFull("no room")
        super().put(meta)


@pytest.mark.parametrize("numbered", range(5))
def test_every_sample_that_found_no_room_is_in_a_gap(numbered: int) -> None:
    store, inbox = Shelf(), Inbox()
    out = outbox(store, block=4)
    for i in range(numbered):
        out.keep(START, i)
    drain(out, inbox)
    store.full = True
    for _ in range(6):
        with pytest.raises(StorageFull):
            out.keep(START, "no room")
    store.full = False
    assert out.keep(START, "room again") == numbered + 6
    records = drain(out, inbox)
    assert values(records)[-1] == "room again"
    missing = [r.value for r in records[:-1] if isinstance(r.value, Gap)]
    assert (missing[0].first, missing[-1].last) == (numbered, numbered + 5)
    assert out.unstored == 6


@given(
    steps=st.lists(st.integers(0, 3) | st.sampled_from(["reboot", "acknowledge"]), max_size=40),
    below=st.integers(0, 60),
    pieces=st.lists(st.integers(1, 9), min_size=60, max_size=60),
)
def test_who_looks_sees_what_a_batch_says(steps: list[int | str], below: int, pieces: list[int]) -> None:
    store, inbox = RamStore(), Inbox()
    out = outbox(store, capacity=12, block=4)
    for number, step in enumerate(steps):
        if step == "reboot":
            out = outbox(store, capacity=12, block=4)
        elif step == "acknowledge":
            if batch := out.batch(60):
                offered(inbox, batch)
                for ack in inbox.acks():
                    out.acknowledge(ack)
        else:
            for value in range(int(step)):
                out.keep(START + number * SECOND, [number, value])
    batch = out.batch(1 << 16, below)
    said = Batch(batch).records if batch else []
    seen: list[Record] = []
    at = out.floor()
    for most in pieces:
        part = out.look(at, below, most)
        assert len(part) <= most
        seen += part
        if part:
            at = part[-1].value.last + 1 if isinstance(part[-1].value, Gap) else part[-1].seq + 1

    def plain(record: Record) -> list[Any]:
        value = decode(record.value) if isinstance(record.value, bytes) else record.value
        return [record.seq, record.time_ns, (value.first, value.last, value.reason) if isinstance(value, Gap) else value]

    assert [plain(record) for record in seen] == [plain(record) for record in said]


def test_an_owner_with_a_lower_term_is_refused_and_told() -> None:
    store, inbox = RamStore(), Inbox()
    old = outbox(store, term=1)
    old.keep(START, "old")
    stale = old.batch(200)
    new = outbox(store, term=2)
    assert next((r.value, r.term) for r in drain(new, inbox)) == ("old", 2)
    assert offered(inbox, stale) == []
    assert inbox.fenced == 1
    (ack,) = inbox.acks()
    with pytest.raises(Fenced, match="term 2"):
        old.acknowledge(ack)
    assert old.pending() > 0, "a fenced owner forgets nothing"
    with pytest.raises(Fenced):
        old.batch(200)
    old.term = 3
    assert old.batch(200) is not None


def test_terms_heard_survive_a_restart_of_the_receiver() -> None:
    inbox = Inbox()
    out = outbox(term=7)
    out.keep(START, 1)
    drain(out, inbox)
    late = outbox(term=6)
    late.keep(START, 2)
    assert offered(Inbox(inbox.positions()), late.batch(200)) == []


def test_a_term_alone_is_a_position_to_commit() -> None:
    out, inbox = outbox(), Inbox()
    out.keep(START, 1)
    offered(inbox, out.batch(200))
    out.term = 4
    assert inbox.offer(out.batch(200) or b"") == []
    assert [position[2] for position in inbox.uncommitted()] == [4]


def test_a_wiped_origin_is_renumbered_above_what_was_accepted() -> None:
    inbox = Inbox()
    first = outbox()
    for i in range(10):
        first.keep(START, ["before", i])
    drain(first, inbox)
    wiped = outbox()
    for i in range(3):
        wiped.keep(START, ["after", i])
    records = drain(wiped, inbox)
    assert [(r.seq, r.value) for r in records] == [(10 + i, ["after", i]) for i in range(3)]
    assert wiped.renumbered == 1
    assert inbox.foreign == 1
    assert wiped.keep(START, "next") == 13


def test_what_a_wiped_origin_left_on_the_line_cannot_take_the_stream_back() -> None:
    first = outbox()
    for i in range(10):
        first.keep(START, i)
    drain(first, Inbox())
    first.keep(START, "left on the line")
    left = first.batch(200)
    wiped, receiver = outbox(), Inbox()
    wiped.keep(START, "after")
    assert values(offered(receiver, wiped.batch(200))) == ["after"]
    assert offered(receiver, left) == [], "its numbers are above, but nobody named its store"
    wiped.keep(START, "next")
    assert values(drain(wiped, receiver)) == ["next"]
    assert wiped.renumbered == 0


def test_an_origin_that_takes_over_from_its_earlier_store_does_so_after_a_reboot_too(tmp_path: Path) -> None:
    inbox, first = Inbox(), outbox()
    first.keep(START, "before")
    drain(first, inbox)
    wiped = outbox(FileStore(str(tmp_path)))
    wiped.keep(START, "after")
    offered(inbox, wiped.batch(200))
    wiped.acknowledge(inbox.acks()[0])
    again = outbox(FileStore(str(tmp_path)))
    assert values(drain(again, inbox))[0] == "after"
    assert inbox.foreign == 1, "one refusal tells it all"


def test_a_renumbered_origin_stays_so_after_a_reboot(tmp_path: Path) -> None:
    inbox = Inbox()
    first = outbox()
    for i in range(10):
        first.keep(START, i)
    drain(first, inbox)
    wiped = outbox(FileStore(str(tmp_path)))
    wiped.keep(START, "a")
    offered(inbox, wiped.batch(200))
    wiped.acknowledge(inbox.acks()[0])
    offered(inbox, wiped.batch(200))  # accepted under its new number; then the power fails
    again = outbox(FileStore(str(tmp_path)))
    assert drain(again, inbox)[-1].value == Gap(11, 73, REBOOT)
    assert again.renumbered == 0
    assert inbox.duplicates == 1


def test_an_origin_restored_from_an_old_image_does_not_lose_what_it_keeps_next() -> None:
    store, inbox = RamStore(), Inbox()
    out = outbox(store)
    out.keep(START, "a")
    image = store.load()
    for i in range(200):
        out.keep(START, i)
        drain(out, inbox)
    restored = RamStore()
    restored.put(dict(image))
    out = outbox(restored)
    out.keep(START, "new")
    assert "new" in values(drain(out, inbox))


def test_a_new_receiver_is_told_what_an_earlier_one_has() -> None:
    out = outbox()
    for i in range(5):
        out.keep(START, i)
    drain(out, Inbox())
    out.keep(START, 5)
    gap, record = drain(out, Inbox())
    assert gap.value == Gap(0, 4, TRIMMED)
    assert record.value == 5


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[:-1],
        lambda b: [7, *b[1:]],
        lambda b: [b[0], b"pump-3", *b[2:]],
        lambda b: [*b[:2], -1, *b[3:]],
        lambda b: [*b[:3], 1 << 63, *b[4:]],
        lambda b: [*b[:4], True, *b[5:]],
        lambda b: [*b[:5], 0, *b[6:]],
        lambda b: [*b[:5], b"four", *b[6:]],
        lambda b: [*b[:6], None, *b[7:]],
        lambda b: [*b[:7], "now", *b[8:]],
        lambda b: [*b[:7], None, 3],
        lambda b: [*b[:7], None, [0, 0]],
        lambda b: [*b[:7], None, [1, 9]],
        lambda b: [*b[:7], None, [(1 << 63) - 1, 0], None, [2, 0]],
        lambda b: [*b[:6], 1 << 62, START, 0, 4, 0],
        lambda b: {},
    ],
)
def test_a_malformed_batch_changes_nothing(change: Callable[[list[Any]], object]) -> None:
    out, inbox = outbox(), Inbox()
    out.keep(START, "a")
    batch = decode(out.batch(200) or b"")
    with pytest.raises(BadInput):
        inbox.offer(encode(change(batch)))  # type: ignore[arg-type]
    assert inbox.uncommitted() == []
    assert inbox.acks() == []


ITEMS = st.none() | st.integers(-2, 1 << 63) | st.text() | st.binary() | st.lists(st.integers(0, 9), max_size=3)


@given(st.binary(max_size=60) | st.lists(ITEMS, max_size=14))
@settings(max_examples=300)
def test_whatever_comes_in_is_taken_or_refused_as_bad_input(data: bytes | list[object]) -> None:
    raw = data if isinstance(data, bytes) else encode(data)
    inbox = Inbox()
    try:
        records = inbox.offer(raw)
    except BadInput:
        assert inbox.uncommitted() == []
    else:
        assert all(record.seq >= 0 for record in records)
    try:
        outbox().acknowledge(raw)
    except (BadInput, Fenced):
        assert outbox().pending() == 0


class Traffic(RuleBasedStateMachine):
    """Keeps, batches, losses, repeats, reorderings, commits, rollbacks, reboots, new terms, wiped origins, forgetful receivers, at random.

    A sample is a number that is counted up, so it can be told from all others. Nothing may arrive twice, out of order or under the number
    of something else; when an acknowledgement lets the outbox forget a sample, the receiver has it, or a gap record with a reason that
    has really occurred.
    """

    kind: ClassVar[Callable[[Path], Kind]]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.stores = 0
        self.term = 0
        self.made = 0
        self.numbers: dict[int, int] = {}  # sample: its number, while it is not acknowledged
        self.repeats: set[int] = set()  # samples that were in a batch, or kept before a reboot
        self.in_ram: set[int] = set()  # samples that a reboot has lost
        self.batches: list[bytes] = []  # on the line
        self.acks: list[bytes] = []
        self.inbox = Inbox()
        self.taken: list[int | str] = []  # under each number a sample, or the reason of its gap
        self.committed = 0  # of them
        self.install_empty_store()

    def install_empty_store(self) -> None:
        if self.stores:
            self.store.close()
        self.stores += 1
        place = self.folder / str(self.stores)
        place.mkdir()
        self.store = self.kind(place)
        self.start()

    def start(self) -> None:
        self.outbox = outbox(self.store.open(), capacity=12, block=8, term=self.term)

    def teardown(self) -> None:
        self.commit()
        while self.outbox.pending():
            self.batches = [self.send(200)]
            self.deliver(0, again=False)
            self.commit()
            while self.acks:
                self.acknowledge(0, again=False)
        assert self.numbers == {}
        assert self.inbox.acks() == []
        self.store.close()
        shutil.rmtree(self.folder)

    def send(self, max_bytes: int) -> bytes:
        batch = self.outbox.batch(max_bytes)
        assert batch is not None
        for record in Batch(batch).records:
            if isinstance(record.value, int):
                assert record.replayed == (record.value in self.repeats)
                self.repeats.add(record.value)
        return batch

    @rule(count=st.integers(1, 6))
    def keep(self, count: int) -> None:
        for _ in range(count):
            number = self.outbox.keep(START + self.made * SECOND, self.made)
            assert number not in self.numbers.values()
            self.numbers[self.made] = number
            self.made += 1

    @precondition(lambda self: self.outbox.pending())
    @rule(max_bytes=st.integers(40, 200))
    def put_on_the_line(self, max_bytes: int) -> None:
        self.batches.append(self.send(max_bytes))

    @precondition(lambda self: self.outbox.pending())
    @rule(max_bytes=st.integers(40, 200), answered=st.booleans())
    def exchange(self, max_bytes: int, answered: bool) -> None:
        self.batches.append(self.send(max_bytes))
        self.deliver(len(self.batches) - 1, again=True)
        self.commit()
        if answered and self.acks:
            self.acknowledge(len(self.acks) - 1, again=True)

    @precondition(lambda self: self.batches)
    @rule(which=st.integers(0), again=st.booleans())
    def deliver(self, which: int, again: bool) -> None:
        which %= len(self.batches)
        for record in self.inbox.offer(self.batches[which]):
            assert record.seq == len(self.taken)
            if isinstance(record.value, Gap):
                self.taken += [record.value.reason] * (record.value.last - record.value.first + 1)
            else:
                sample = record.value
                assert isinstance(sample, int)
                assert all(other < sample for other in self.taken if isinstance(other, int)), "once, and in order"
                assert self.numbers.get(sample, record.seq) == record.seq
                assert record.time_ns == START + sample * SECOND
                self.taken.append(sample)
        if not again:
            del self.batches[which]

    @rule()
    def commit(self) -> None:
        self.inbox.commit()
        self.committed = len(self.taken)
        self.acks += self.inbox.acks()

    @rule()
    def roll_back(self) -> None:
        self.inbox.rollback()
        del self.taken[self.committed :]
        self.acks += self.inbox.acks()

    @precondition(lambda self: self.acks)
    @rule(which=st.integers(0), again=st.booleans())
    def acknowledge(self, which: int, again: bool) -> None:
        which %= len(self.acks)
        ack = self.acks[which] if again else self.acks.pop(which)
        first = Batch(self.send(1)).first if self.outbox.pending() else 0
        renumbered = self.outbox.renumbered
        try:
            assert self.outbox.acknowledge(ack)
        except Fenced:
            self.term = self.outbox.term = read_ack(ack)[3] + 1
        left = Batch(self.send(1)).first if self.outbox.pending() else None
        if self.outbox.renumbered > renumbered and left is not None:
            self.numbers = {sample: number + left - first for sample, number in self.numbers.items()}
        for sample, number in list(self.numbers.items()):
            if left is None or number < left:
                self.check_forgotten(sample, self.taken[number])
                del self.numbers[sample]

    def check_forgotten(self, sample: int, found: int | str) -> None:
        reasons = {OVERFLOW, REBOOT, LOST} if sample in self.in_ram else {OVERFLOW}
        assert found == sample or found in reasons

    @precondition(lambda self: self.batches or self.acks)
    @rule()
    def lose_what_is_on_the_line(self) -> None:
        self.batches.clear()
        self.acks.clear()

    @rule()
    def reboot(self) -> None:
        self.repeats.update(self.numbers)
        if not self.store.durable:
            self.in_ram.update(self.numbers)
        self.start()

    @rule()
    def restart_the_receiver(self) -> None:
        self.roll_back()
        self.inbox = Inbox(self.inbox.positions())

    @rule()
    def hand_over(self) -> None:
        self.term += 1
        self.outbox.term = self.term

    @precondition(lambda self: len(self.taken) > 12)
    @rule()
    def hear_another_owner(self) -> None:
        self.inbox.offer(encode(["windows", "pump-3", self.term + 1, 0, 0, b"els", 0]))

    @precondition(lambda self: len(self.taken) > 12)
    @rule()
    def wipe(self) -> None:
        self.numbers.clear()
        self.install_empty_store()

    @precondition(lambda self: len(self.taken) > 12)
    @rule()
    def replace_the_receiver(self) -> None:
        self.lose_what_is_on_the_line()
        self.inbox = Inbox()
        self.taken = []
        self.committed = 0

    @invariant()
    def acknowledgements_name_only_what_is_committed(self) -> None:
        assert all(read_ack(ack)[4] < self.committed for ack in self.acks)


@pytest.mark.slow
def test_random_traffic_gives_every_sample_once_or_a_reason(store_kind: Callable[[Path], Kind]) -> None:
    class OnThisStore(Traffic):
        kind = staticmethod(store_kind)

    run_state_machine_as_test(OnThisStore, settings=settings(max_examples=60, stateful_step_count=60))


@pytest.mark.soak
def test_much_random_traffic_gives_every_sample_once_or_a_reason(store_kind: Callable[[Path], Kind]) -> None:
    class OnThisStore(Traffic):
        kind = staticmethod(store_kind)

    run_state_machine_as_test(OnThisStore, settings=settings(max_examples=1200, stateful_step_count=80))
