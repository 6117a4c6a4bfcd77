"""Records and positions are committed together, durably, or not at all. (The outbox's store in SQLite: tests/kernel/test_store.py.)"""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from eddy.kernel.batch import read_ack
from eddy.kernel.errors import CodecError, StorageFull
from eddy.kernel.hop import Gap, Inbox, Outbox
from eddy.kernel.store import RamStore
from eddy.knowledge.spool import Spool, SqliteStore, connect, transaction


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "gateway.db")
    connection.execute("CREATE TABLE samples (origin TEXT, seq INTEGER, value INTEGER, PRIMARY KEY (origin, seq))")
    yield connection
    connection.close()


def sender(count: int, origin: str = "pump-3") -> Outbox:
    out = Outbox("windows", origin, RamStore())
    for i in range(count):
        out.keep(i, i)
    return out


def batch(out: Outbox, size: int = 200) -> bytes:
    data = out.batch(size)
    assert data is not None
    return data


def store(database: sqlite3.Connection, spool: Spool, inbox: Inbox, *batches: bytes) -> None:
    with spool.accept(inbox, batches) as records:
        for record in records:
            database.execute("INSERT INTO samples VALUES (?, ?, ?)", (record.origin, record.seq, record.value))


def stored(database: sqlite3.Connection) -> list[tuple[str, int, int]]:
    return database.execute("SELECT * FROM samples ORDER BY origin, seq").fetchall()


def test_a_commit_survives_a_power_cut_by_its_settings(database: sqlite3.Connection) -> None:
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("pragma", ["synchronous = NORMAL", "synchronous = OFF"])
@pytest.mark.parametrize("user", [Spool, lambda connection: SqliteStore(connection, "windows")])
def test_a_less_durable_connection_is_refused(database: sqlite3.Connection, pragma: str, user: type[Spool]) -> None:
    database.execute(f"PRAGMA {pragma}")
    with pytest.raises(ValueError, match="loses acknowledged rows"):
        user(database)


def test_a_connection_with_implicit_transactions_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "gateway.db")
    with pytest.raises(ValueError, match="isolation_level=None"):
        Spool(connection)
    connection.close()


def test_records_and_position_are_there_together_and_after_a_restart(database: sqlite3.Connection) -> None:
    spool, out = Spool(database), sender(30)
    inbox = Inbox(spool.positions())
    while out.pending():
        store(database, spool, inbox, batch(out))
        for ack in inbox.acks():
            out.acknowledge(ack)
    assert stored(database) == [("pump-3", i, i) for i in range(30)]
    assert Spool(database).positions() == inbox.positions()


def test_several_batches_share_one_commit(database: sqlite3.Connection) -> None:
    spool, inbox = Spool(database), Inbox()
    outs = [sender(5, f"pump-{i}") for i in range(4)]
    store(database, spool, inbox, *[batch(out) for out in outs])
    assert len(stored(database)) == 20
    assert len(inbox.acks()) == 4


def test_a_failing_insert_takes_the_position_back_and_acknowledges_nothing(database: sqlite3.Connection) -> None:
    spool, inbox, out = Spool(database), Inbox(), sender(5)
    database.execute("INSERT INTO samples VALUES ('pump-3', 3, 0)")
    with pytest.raises(sqlite3.IntegrityError):
        store(database, spool, inbox, batch(out))
    assert spool.positions() == {}
    assert inbox.acks() == []
    database.execute("DELETE FROM samples")
    store(database, spool, inbox, batch(out))
    assert len(stored(database)) == 5
    assert [read_ack(ack)[4] for ack in inbox.acks()] == [4]


def test_a_malformed_batch_takes_the_others_of_its_transaction_back(database: sqlite3.Connection) -> None:
    spool, inbox, out = Spool(database), Inbox(), sender(5)
    with pytest.raises(CodecError):
        store(database, spool, inbox, batch(out), b"\xff")
    assert stored(database) == []
    store(database, spool, inbox, batch(out))
    assert len(stored(database)) == 5


def test_a_position_cannot_move_outside_of_a_transaction(database: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match="BEGIN first"):
        Spool(database).advance("windows", "pump-3", 0, 1, b"abc")


def test_the_files_at_every_moment_hold_records_exactly_up_to_the_position(database: sqlite3.Connection, tmp_path: Path) -> None:
    """What lies on the disk between any two statements is what a power cut there would leave."""
    spool, inbox, out = Spool(database), Inbox(), sender(60)
    sights = 0

    def look(statement: str) -> None:
        nonlocal sights
        sights += 1
        for name in ("gateway.db", "gateway.db-wal"):
            shutil.copy(tmp_path / name, tmp_path / f"seen-{name}")
        seen = connect(tmp_path / "seen-gateway.db")
        upto = Spool(seen).positions().get(("windows", "pump-3"), (0, -1, b""))[1]
        assert stored(seen) == [("pump-3", i, i) for i in range(upto + 1)]
        seen.close()

    database.set_trace_callback(look)
    while out.pending():
        store(database, spool, inbox, batch(out, 100))
        for ack in inbox.acks():
            look("acknowledgement")
            on_disk = connect(tmp_path / "seen-gateway.db")
            assert read_ack(ack)[4] == len(stored(on_disk)) - 1
            on_disk.close()
            out.acknowledge(ack)
    database.set_trace_callback(None)
    assert sights > 50


def test_a_full_disk_is_said_and_nothing_of_the_batch_is_stored(database: sqlite3.Connection) -> None:
    spool, inbox = Spool(database), Inbox()
    out = Outbox("windows", "pump-3", RamStore())
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 1}")
    for _ in range(100):
        out.keep(0, b"x" * 300)
    with pytest.raises(StorageFull, match="make room"):
        store(database, spool, inbox, batch(out, 60000))
    assert stored(database) == []
    assert inbox.acks() == []
    database.execute("PRAGMA max_page_count = 100000")
    store(database, spool, inbox, batch(out, 60000))
    assert len(stored(database)) == 100


def test_nothing_leaves_an_outbox_before_its_transaction_is_committed(database: sqlite3.Connection) -> None:
    out, inbox = Outbox("windows", "gateway-1", SqliteStore(database, "windows")), Inbox()
    with transaction(database):
        for i in range(3):
            out.keep(0, i)
        assert out.batch(200) is None
    assert [record.value for record in inbox.offer(batch(out))] == [0, 1, 2]


def test_after_a_rollback_an_outbox_built_anew_uses_no_number_twice(database: sqlite3.Connection) -> None:
    out, inbox = Outbox("windows", "gateway-1", SqliteStore(database, "windows")), Inbox()
    out.keep(0, "committed")
    inbox.offer(batch(out))
    with pytest.raises(KeyboardInterrupt), transaction(database):
        out.keep(0, "rolled back")
        raise KeyboardInterrupt
    out = Outbox("windows", "gateway-1", SqliteStore(database, "windows"))
    out.keep(0, "next")
    assert [record.value for record in inbox.offer(batch(out))] == [Gap(1, 63, "reboot"), "next"]


def test_stores_of_one_database_keep_apart(database: sqlite3.Connection) -> None:
    boxes = [Outbox(name, "gateway-1", SqliteStore(database, name)) for name in ("windows", "events")]
    for box in boxes:
        box.keep(0, box.stream)
    inbox = Inbox()
    assert [record.value for box in boxes for record in inbox.offer(batch(box))] == ["windows", "events"]


def test_a_store_without_room_says_so(database: sqlite3.Connection) -> None:
    spare = SqliteStore(database, "windows")
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull, match="make room"):
        spare.append(0, bytes(20000))
    assert list(spare.records(0)) == []
