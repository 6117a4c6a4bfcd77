"""Tables of the lake: durable, exactly once, mended after a power cut, tended."""

import json
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from eddy.errors import DataError, StorageFull
from eddy.knowledge import durable
from eddy.knowledge.tables import Place, Table
from eddy.knowledge.upkeep import Upkeep

SCHEMA = pa.schema([("n", pa.int64()), ("day", pa.date32())])


def opened(root: Path) -> Table:
    return Table(Place(str(root)), "t", SCHEMA)


def numbers(root: Path) -> list[int]:
    return sorted(DeltaTable(str(root / "t")).to_pyarrow_table()["n"].to_pylist())


def some(*numbers: int, day: date = date(2026, 1, 1)) -> Any:
    return pa.table({"n": list(numbers), "day": pa.array([day] * len(numbers), pa.date32())}, schema=SCHEMA)


def test_positions_stand_in_the_commit_and_outlive_checkpoints(tmp_path: Path) -> None:
    table = opened(tmp_path)
    assert table.position("s") == -1
    table.append(some(1, 2), {"s": 2, "other": 7})
    table.checkpoint()
    table.append(some(3), {"s": 3})
    again = opened(tmp_path)
    assert (again.position("s"), again.position("other"), numbers(tmp_path)) == (3, 7, [1, 2, 3])


def test_another_writer_of_the_same_sender_is_seen(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.append(some(1), {"s": 1})
    assert two.position("s") == 1


def test_two_writers_that_write_the_same_number_at_once_write_it_once(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    assert one.position("s") == two.position("s") == -1
    one.append(some(1), {"s": 1})
    with pytest.raises(StorageFull):
        two.append(some(1), {"s": 1})
    assert numbers(tmp_path) == [1]


def files_of(root: Path, version: int) -> list[Path]:
    actions = durable._actions(durable.entry(root / "t", version))
    return [root / "t" / action["add"]["path"] for action in actions if "add" in action]


def spoil(file: Path, how: str) -> None:
    size = file.stat().st_size
    if how == "missing":
        file.unlink()
    elif how == "zeros":
        file.write_bytes(bytes(size))
    elif how == "empty":
        os.truncate(file, 0)
    else:
        content = file.read_bytes()
        file.write_bytes(content[: size // 2] + bytes(size - size // 2))


@pytest.mark.parametrize("how", ["missing", "zeros", "empty", "half zeros"])
@pytest.mark.parametrize("what", ["data", "log"])
def test_a_torn_last_commit_is_dropped_and_written_again(tmp_path: Path, what: str, how: str) -> None:
    table = opened(tmp_path)
    table.append(some(1, 2), {"s": 2})
    table.append(some(*range(3, 3000)), {"s": 2999})
    spoil(files_of(tmp_path, 2)[0] if what == "data" else durable.entry(tmp_path / "t", 2), how)
    again = opened(tmp_path)
    assert again.dropped == ([] if (what, how) == ("log", "missing") else [2])
    assert (again.position("s"), numbers(tmp_path)) == (2, [1, 2])
    again.append(some(*range(3, 3000)), {"s": 2999})
    assert numbers(tmp_path) == list(range(1, 3000))


@pytest.mark.parametrize("operation", ["append", "compact", "delete", "release", "create", "tell"])
def test_a_log_entry_cut_anywhere_is_never_taken_for_a_whole_one(tmp_path: Path, operation: str) -> None:
    table = opened(tmp_path / "whole")
    if operation != "create":
        for number in range(3):
            table.append(some(number, day=date(2026, 1, 1 + number // 2)), {"s": number, "other": number})
    match operation:
        case "compact":
            table.compact(1 << 20)
        case "delete":
            table.delete("n = 1", {"s": 9})
        case "release":
            table.release([file for file in table.files() if file["partition.day"].day == 1], {"s": 9, "other": 9})
        case "tell":
            table.tell({"eddy.unit": "Cel"})
    version = table.delta.version()
    expected = [] if operation == "create" else [0, 1] if operation == "append" else [0, 1, 2]
    entry = durable.entry(tmp_path / "whole" / "t", version)
    size = entry.stat().st_size
    ends = [0, 1, size - 1] + [at for at, byte in enumerate(entry.read_bytes()) if byte == 10] + list(range(7, size, 199))
    ends += [at + 1 for at, byte in enumerate(entry.read_bytes()) if byte == 10]
    for end in sorted(set(ends)):
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "cut")
        os.truncate(durable.entry(tmp_path / "cut" / "t", version), end)
        again = opened(tmp_path / "cut")
        assert again.dropped == [version], end
        assert numbers(tmp_path / "cut") == expected, end


@pytest.mark.parametrize("what", ["_last_checkpoint", "*.checkpoint.parquet"])
@pytest.mark.parametrize("how", ["missing", "zeros", "empty", "half zeros"])
def test_a_torn_checkpoint_costs_nothing(tmp_path: Path, what: str, how: str) -> None:
    table = opened(tmp_path)
    for number in range(4):
        table.append(some(number), {"s": number})
    table.checkpoint()
    spoil(next((tmp_path / "t" / durable.LOG).glob(what)), how)
    again = opened(tmp_path)
    assert (again.position("s"), numbers(tmp_path), again.dropped) == (3, [0, 1, 2, 3], [])


def test_what_cannot_be_brought_to_the_disk_is_undone_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = opened(tmp_path)
    table.append(some(1), {"s": 1})

    def fails(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(durable.os, "fsync", fails)
        with pytest.raises((StorageFull, OSError)):
            table.append(some(2), {"s": 2})
    again = opened(tmp_path)
    assert again.position("s") == 1
    again.append(some(2), {"s": 2})
    assert numbers(tmp_path) == [1, 2]


def test_every_file_of_a_commit_and_the_folders_that_name_it_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync", synced.append)
    table = opened(tmp_path)
    synced.clear()
    table.append(some(1), {"s": 1})
    data = files_of(tmp_path, 1)[0]
    folder = tmp_path / "t"
    assert {data, data.parent, folder, folder / durable.LOG, durable.entry(folder, 1)} <= set(synced)
    assert synced.index(data) < synced.index(data.parent) and synced.index(durable.entry(folder, 1)) < synced.index(folder / durable.LOG)


def test_properties_are_brought_up_to_date_durably_and_only_when_they_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(Place(str(tmp_path)), "t", SCHEMA, {"eddy.unit": "Cel", "eddy.rate_hz": "1"})
    table.append(some(1), {"s": 1})
    before = table.about
    table.tell({"eddy.unit": "Cel", "eddy.type": ""})
    assert table.delta.version() == 1
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync", synced.append)
    table.tell({"eddy.unit": "K", "eddy.rate_hz": ""})
    assert {durable.entry(tmp_path / "t", 2), tmp_path / "t" / durable.LOG} <= set(synced)
    again = opened(tmp_path)
    assert again.about == before | {"eddy.unit": "K", "eddy.rate_hz": ""}
    again.append(some(2), {"s": 2})
    table.append(some(3), {"other": 3})
    assert (numbers(tmp_path), opened(tmp_path).about["eddy.unit"]) == ([1, 2, 3], "K")


def test_who_appends_while_another_one_changes_properties_writes_everything_once(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    for number in range(5):
        one.tell({"eddy.unit": str(number)})
        try:
            two.append(some(number), {"s": number})
        except StorageFull:
            assert two.position("s") == number - 1
            two.append(some(number), {"s": number})
        two.append(some(10 + number), {"other": number})
        one.position("s")
    assert numbers(tmp_path) == [*range(5), *range(10, 15)]


def test_tending_makes_few_files_of_many_and_keeps_every_row_and_position(tmp_path: Path) -> None:
    table = opened(tmp_path)
    for number in range(20):
        table.append(some(number), {"s": number})
    Upkeep(linger_h=0).tend(table)
    assert len(list((tmp_path / "t").glob("day=*/*.parquet"))) == len(table.files()) == 1
    assert (opened(tmp_path).position("s"), numbers(tmp_path)) == (19, list(range(20)))


def test_what_keeps_coming_is_merged_a_few_times_and_not_with_each_new_file(tmp_path: Path) -> None:
    table, upkeep = opened(tmp_path), Upkeep(small_files=4, target_bytes=1 << 20)
    rows, appends = 1000, 160
    for at in range(appends):
        table.append(some(*(number * 7919 % 999_983 for number in range(at * rows, at * rows + rows))), {"s": at})
        if at % 4 == 3:
            upkeep.tend(table)
    logged = DeltaTable(str(tmp_path / "t")).history()
    merged = [json.loads(one["operationMetrics"]["filesAdded"]) for one in logged if one["operation"] == "OPTIMIZE"]
    written = sum(one["totalSize"] for one in merged)
    kept = sum(file["size_bytes"] for file in table.files())
    assert kept < written < 4 * kept, "three sizes"
    assert len(table.files()) < 16
    assert len(numbers(tmp_path)) == rows * appends


def test_whole_days_go_when_they_are_too_old(tmp_path: Path) -> None:
    table = opened(tmp_path)
    for day in (1, 2, 3):
        table.append(some(day, day=date(2026, 1, day)), {"s": day})
    now_ns = 1_767_225_600 * 10**9 + 3 * 86_400 * 10**9  # 2026-01-04 00:00
    Upkeep(keep_ms=2 * 86_400_000, linger_h=0).tend(table, now_ns)
    assert numbers(tmp_path) == [2, 3]
    assert [folder.name for folder in (tmp_path / "t").glob("day=*") if any(folder.iterdir())] == ["day=2026-01-02", "day=2026-01-03"]
    assert opened(tmp_path).position("s") == 3


def test_what_is_released_goes_and_what_others_have_appended_meanwhile_stays(tmp_path: Path) -> None:
    table, other = opened(tmp_path), opened(tmp_path)
    for day in (1, 1, 2):
        table.append(some(day, day=date(2026, 1, day)), {"s": day})
    files = [file for file in table.files() if file["partition.day"].day == 1]
    other.append(some(7), {"other": 7})
    table.release(files, {"s": 5})
    again = opened(tmp_path)
    assert (numbers(tmp_path), again.position("s"), again.position("other"), again.dropped) == ([2, 7], 5, 7, [])


def test_what_somebody_else_has_released_or_deleted_is_not_released_again(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.append(some(1), {"s": 1})
    for change in (lambda files: one.release(files, {"x": 1}), lambda files: one.delete("n = 2")):
        two.refresh()
        files = two.files()
        change(files)
        with pytest.raises(StorageFull):
            two.release(files, {"y": 1})
        one.append(some(2), {"s": 2})


def test_a_table_whose_older_commits_are_damaged_is_named(tmp_path: Path) -> None:
    table = opened(tmp_path)
    for number in range(3):
        table.append(some(number), {"s": number})
    durable.entry(tmp_path / "t", 0).write_text("{")
    with pytest.raises(DataError, match=r"/t cannot be read.*bring it back from a copy"):
        opened(tmp_path)
