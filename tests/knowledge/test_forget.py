"""Erasure: nothing of an origin is left, and nothing else is gone."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest
from lakes import SENDER, START_NS, rows, sample

from eddy.errors import DataError, SettingError
from eddy.hub.devices import Devices
from eddy.hub.terms import open_database
from eddy.knowledge import forget as forgetting
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.forget import forget, search
from eddy.knowledge.lake import Lake
from eddy.knowledge.query import Lake as Reader
from eddy.knowledge.registry import Model, Registry
from eddy.knowledge.spool import connect
from eddy.node.journal import SqliteJournal


def filled(root: Path, name: str) -> Lake:
    lake = Lake(to=str(root), streams={"ward": {"private": "gateway"}})
    for batch in range(5):
        lake.write_all([sample(10 * batch + i, i, ("room", "ward")[i % 2], (name, "other")[i // 2 % 2]) for i in range(10)])
    lake.write_all(
        [sample(50, "x", "room", name), sample(51, {"quarantine": "no", "payload": b"{" + name.encode(), "from": "a"}, "room", "other")]
    )
    lake.write_all([(f"{SENDER}/52", START_NS, ["room", name, 3, "overflow", 4]), sample(53, "x", "room", "other")])
    with Reader(root) as reader:
        reader.query(f"SELECT * FROM ward WHERE origin = '{name}'")
        reader.query("SELECT * FROM ward WHERE origin = 'other'")
    return lake


def test_no_byte_of_a_name_is_left_and_every_other_row_is(tmp_path: Path) -> None:
    filled(tmp_path, "patient-4711")
    assert search(tmp_path, "patient-4711")[1]
    others = {name: [row for row in rows(tmp_path, name) if row["origin"] == "other"] for name in ("room", "ward")}
    said = forget(tmp_path, "patient-4711")
    assert said.left == [] and said.searched > 10
    assert said.rows == {"room": 15, "ward": 15, "quarantine": 2, "gaps": 1, "audit": 1}
    assert not any(b"patient-4711" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert {name: rows(tmp_path, name) for name in others} == others
    assert len(rows(tmp_path, "quarantine")) == len(rows(tmp_path, "audit")) == 1


def test_a_node_goes_on_and_what_was_forgotten_does_not_come_again(tmp_path: Path) -> None:
    lake = filled(tmp_path, "patient-4711")
    forget(tmp_path, "patient-4711")
    again = [
        sample(10 * batch + i, i, ("room", "ward")[i % 2], ("patient-4711", "other")[i // 2 % 2]) for batch in range(5) for i in range(10)
    ]
    lake.write_all([*again, sample(54, 54, "room", "other")])
    assert search(tmp_path, "patient-4711")[1] == []
    assert [row["value"] for row in rows(tmp_path)][-1] == 54
    Lake(to=str(tmp_path)).write_all([*again, sample(55, 55, "room", "other")])
    assert len(rows(tmp_path)) == 12 and search(tmp_path, "patient-4711")[1] == []


def test_a_short_name_takes_no_other_with_it(tmp_path: Path) -> None:
    filled(tmp_path, "o")
    assert forget(tmp_path, "o").left == []
    assert {row["origin"] for name in ("room", "ward", "quarantine") for row in rows(tmp_path, name)} == {"other"}


def test_a_name_within_a_value_of_another_is_told(tmp_path: Path) -> None:
    Lake(to=str(tmp_path)).write_all([sample(0, "seen by patient-4711", origin="nurse"), sample(1, "x", origin="patient-4711")])
    left = forget(tmp_path, "patient-4711").left
    assert any("room/day=" in one for one in left)
    assert len(rows(tmp_path)) == 1


def test_there_must_be_a_lake_and_a_name(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        forget(tmp_path, "x")
    with pytest.raises(SettingError):
        forget(tmp_path, "")


def noted(state: Path, name: str) -> None:
    """A node's journal from which samples were deleted, and a knowledge base."""
    (state / "nodes").mkdir(parents=True)
    connection = connect(state / "nodes" / "gw.db")
    connection.execute("PRAGMA secure_delete = OFF")  # as SQLite comes; Debian's overwrites what is deleted
    journal = SqliteJournal(connection)
    journal.append("room", [f"{name} {number}".encode() for number in range(2000)])
    journal.append("hall", [b"others wait"])
    journal.commit()
    journal.remove("room")
    journal.commit()
    base = KnowledgeBase(state / "knowledge.db")
    for origin in (name, "other"):
        base.connection.execute("INSERT INTO events VALUES (?, 's', 1, 1, 'trained', '{}')", (origin,))
        Registry(base).add(Model(f"of {len(origin)}", origin.encode(), ("rms",), "device", origin))
    base.close()


def test_nothing_is_left_in_what_nodes_have_deleted_and_models_are_named(tmp_path: Path) -> None:
    state, name = tmp_path / "state", "patient-4711"
    noted(state, name)
    filled(state / "lake", name)
    before = search(state, name)[1]
    assert "nodes/gw.db-wal" in before or "nodes/gw.db" in before
    said = forget(state / "lake", name, state)
    assert said.rows["knowledge.db: events"] == 1 and said.rows["room"] == 15
    assert said.trained == {"knowledge.db": ["of 12"]}
    assert said.left == ["knowledge.db"]  # the model says whose it is
    assert [said.searched, *search(state, name)[1]] == [len([file for file in state.rglob("*") if file.is_file()]), "knowledge.db"]
    with closing(sqlite3.connect(state / "knowledge.db")) as base:
        assert base.execute("SELECT origin FROM events").fetchall() == [("other",)]
    with closing(sqlite3.connect(state / "nodes" / "gw.db")) as kept:
        assert kept.execute("SELECT instance, entry FROM host_entries").fetchall() == [("hall", b"others wait")]


def test_what_waits_in_a_journal_is_told_and_a_node_goes_on(tmp_path: Path) -> None:
    state, name = tmp_path / "state", "patient-4711"
    noted(state, name)
    filled(state / "lake", name)
    journal = SqliteJournal(connect(state / "nodes" / "gw.db"))
    journal.append("room", [name.encode()])
    journal.commit()
    assert "nodes/gw.db" in forget(state / "lake", name, state).left
    journal.remove("room")
    journal.commit()
    assert forget(state / "lake", name, state).left == ["knowledge.db"]


def test_a_base_that_somebody_holds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    noted(state, "patient-4711")
    filled(tmp_path / "lake", "patient-4711")
    monkeypatch.setattr(forgetting, "_PATIENCE_S", 0.1)
    with closing(connect(state / "nodes" / "gw.db")) as held:
        held.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataError, match=r"gw\.db cannot be written \(database is locked\): end the node"):
            forget(tmp_path / "lake", "patient-4711", state)


def test_a_node_can_write_while_a_reader_keeps_the_forgetting_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    noted(state, "patient-4711")
    filled(tmp_path / "lake", "patient-4711")
    monkeypatch.setattr(forgetting, "_PATIENCE_S", 2.0)
    with closing(connect(state / "nodes" / "gw.db")) as reading, ThreadPoolExecutor(1) as pool:
        journal = SqliteJournal(connect(state / "nodes" / "gw.db", 200))
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM host_entries").fetchall()
        done = pool.submit(forget, tmp_path / "lake", "patient-4711", state)
        while wait([done], 0.02).not_done:
            journal.append("hall", [b"more"])
            journal.commit()
        assert "knowledge.db" in done.result().left


def test_a_refusal_stays(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    filled(tmp_path / "lake", "patient-4711")
    devices = Devices(open_database(f"sqlite:///{tmp_path / 'state' / 'hub.db'}"))
    devices.decide("app", "ward", "patient-*", True, "ann")
    devices.decide("app", "ward", "patient-4711", False, "ann")
    assert "hub.db" in forget(tmp_path / "lake", "patient-4711", tmp_path / "state").left
    assert devices.rules("app", "ward")[1] == [("patient-*", True), ("patient-4711", False)]
