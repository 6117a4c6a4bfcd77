"""Erasure: nothing of an origin is left, and nothing else is gone."""

from pathlib import Path

import pytest
from lakes import SENDER, START_NS, rows, sample

from eddy.errors import DataError, SettingError
from eddy.knowledge.forget import forget, search
from eddy.knowledge.lake import Lake
from eddy.knowledge.query import Lake as Reader


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
