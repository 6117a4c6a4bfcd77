"""The journal of a host: what it has committed is there, what it has not is not."""

import sqlite3
from pathlib import Path

import pytest

from eddy.errors import Refused, StorageFull
from eddy.knowledge.spool import connect
from eddy.node.journal import SqliteJournal
from eddy.node.programs import build


def test_only_what_was_committed_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    journal = SqliteJournal(connect(path))
    journal.meta("count", b"meta")
    journal.snapshot("count", b"state")
    journal.append("count", [b"1", b"2"])
    journal.commit()
    journal.append("count", [b"3"])
    assert list(SqliteJournal(connect(path)).load()) == [("count", b"meta", b"state", [b"1", b"2"])]


def test_a_snapshot_ends_the_entries_before_it_and_a_removed_instance_is_gone(tmp_path: Path) -> None:
    journal = SqliteJournal(connect(tmp_path / "node.db"))
    for name in ("count", "even"):
        journal.meta(name, b"m")
        journal.append(name, [b"old"])
    journal.snapshot("count", b"new")
    journal.append("count", [b"after"])
    journal.remove("even")
    journal.commit()
    assert list(journal.load()) == [("count", b"m", b"new", [b"after"])]


def test_a_full_disk_is_said_and_nothing_of_the_commit_is_kept(tmp_path: Path) -> None:
    connection = connect(tmp_path / "node.db")
    journal = SqliteJournal(connection)
    journal.meta("count", b"m")
    journal.commit()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    journal.meta("count", b"changed")
    journal.append("count", [bytes(100_000)])
    with pytest.raises(StorageFull):
        journal.commit()
    assert list(journal.load()) == [("count", b"m", None, [])]


def test_a_connection_that_commits_by_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="isolation_level"):
        SqliteJournal(sqlite3.connect(":memory:"))


def test_only_built_in_functions_are_hosted() -> None:
    assert build(["eddy.functions.counter", "Counter", {}], {}).state() == [0, []]
    with pytest.raises(Refused, match="os:system"):
        build(["os", "system", {}], {})
