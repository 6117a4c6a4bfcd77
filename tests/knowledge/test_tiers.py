"""Tiers: what days of samples are summed up into before they go. Nothing is lost, and nothing counts twice."""

import math
import os
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import SENDER, START_NS, rows, sample

from eddy.dashboard.lake import render
from eddy.errors import BadInput, DataError
from eddy.knowledge import durable, tiers
from eddy.knowledge.aggregate import aggregate
from eddy.knowledge.forget import forget
from eddy.knowledge.insight import findings
from eddy.knowledge.lake import Lake
from eddy.knowledge.query import Lake as Reader
from eddy.knowledge.tables import Place, Table
from eddy.knowledge.tiers import merged
from eddy.knowledge.upkeep import Upkeep

SECOND_NS, DAY_NS = 10**9, 86_400 * 10**9
DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
NOW_NS = START_NS + 10 * DAY_NS
WARM, COLD = {"every_ms": MINUTE_MS}, {"every_ms": HOUR_MS}

Taken = tuple[str, int, Any]
"""Origin, time in seconds behind the start, value."""


@pytest.fixture(autouse=True, scope="module")
def in_small() -> Iterator[None]:
    """A move has several parts, and each of them several batches, as with millions of samples."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("MOST_ROWS", 50), ("ROW_GROUP", 7), ("_MERGED_FROM", 10)):
            patch.setattr(tiers, name, value)
        yield


def opened(root: Path, warm: dict[str, int] | None = WARM, cold: dict[str, int] | None = COLD, days: int = 2, **more: Any) -> Lake:
    return Lake(to=str(root), keep_ms=days * DAY_MS, warm=warm, cold=cold, fsync=False, now_ns=lambda: NOW_NS, **more)


def written(lake: Lake, taken: Iterable[Taken], first: int = 0, stream: str = "room") -> None:
    lake.write_all([sample(first + at, value, stream, who, START_NS + s * SECOND_NS) for at, (who, s, value) in enumerate(taken)])


def tended(lake: Lake, stream: str = "room", linger_h: int = 1) -> None:
    upkeep = lake._upkeep
    Upkeep(upkeep.keep_ms, upkeep.tiers, linger_h=linger_h).tend(lake._table(stream).table, NOW_NS)


def told(root: Path, field: str = "value", step_s: int = 86_400, stream: str = "room") -> dict[tuple[str, int], list[Any]]:
    """{(origin, start of the step in seconds): count, mean, min, max, std} as `history` tells."""
    with Reader(root) as lake:
        found = lake.query(f"FROM history('{stream}', '{field}', INTERVAL {step_s} SECOND)").rows()
    keys = [(row["origin"], int(row["time"].timestamp()) - START_NS // SECOND_NS) for row in found]
    assert len(set(keys)) == len(keys)
    return {key: [row[name] for name in ("count", "mean", "min", "max", "std")] for key, row in zip(keys, found, strict=True)}


def expected(taken: Iterable[Taken], step_s: int = 86_400) -> dict[tuple[str, int], list[Any]]:
    """The same from what was sent, by exact arithmetic."""
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for who, at_s, value in taken:
        groups[who, at_s // step_s * step_s].append(float(value))
    return {key: [len(v), statistics.fmean(v), min(v), max(v), statistics.pstdev(v)] for key, v in groups.items()}


def alike(found: dict[Any, list[Any]], wanted: dict[Any, list[Any]]) -> bool:
    """Whether counts, least and most are equal, means and deviations but for rounding."""
    exact = {key: [row[0], row[2], row[3]] for key, row in found.items()} == {key: [r[0], r[2], r[3]] for key, r in wanted.items()}
    near = exact and all(
        math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6) for key in wanted for one, other in zip(found[key], wanted[key], strict=True)
    )
    return exact and near


def sums(root: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a tier that count, read without Eddy."""
    found: list[dict[str, Any]] = pa.table(DeltaTable(str(root / table)).to_pyarrow_table()).to_pylist()
    return found


def state(root: Path) -> dict[str, tuple[int, list[str]]]:
    """Version and files of each table."""
    tables = {name: DeltaTable(str(root / name)) for name in Place(str(root)).names()}
    return {name: (table.version(), sorted(table.file_uris())) for name, table in tables.items()}


numbers = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6, width=32)
values = st.fixed_dictionaries(
    {},
    optional={
        "t": numbers.map(float) | st.sampled_from([math.nan, math.inf, None]),
        "n": st.integers(-(2**53), 2**53),
        "ok": st.booleans(),
        "word": st.text("ab", max_size=2),
        "row": st.lists(st.integers(0, 3), min_size=1, max_size=2),
    },
)
times = st.integers(0, 9 * 86_400) | st.integers(0, 200)
batches = st.lists(st.lists(st.tuples(st.sampled_from("ab"), times, values), min_size=1, max_size=8), min_size=1, max_size=3)


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches)
def test_tiers_are_what_the_samples_that_have_gone_come_to(tmp_path_factory: pytest.TempPathFactory, sent: list[list[Taken]]) -> None:
    root, number = tmp_path_factory.mktemp("lake"), 0
    lake = opened(root)
    for batch in sent:  # what comes behind the first tending is late
        written(lake, batch, number)
        number += len(batch)
        tended(lake)
    hot_s = 8 * 86_400
    everything = [one for batch in sent for one in batch]
    assert sorted(row["seq"] for row in rows(root)) == [at for at, one in enumerate(everything) if one[1] >= hot_s]
    for tier, step_s in (("warm", 60), ("cold", 3600)):
        wanted: dict[Any, list[Any]] = defaultdict(list)
        for who, at_s, value in everything:
            for name, one in value.items():
                if at_s < hot_s and one is not None and (not isinstance(one, float) or math.isfinite(one)):
                    wanted[who, name, at_s // step_s * step_s].append(one)
        found: dict[Any, list[Any]] = defaultdict(list)
        for row in sums(root, f"room@{tier}") if wanted else []:
            assert row["step_ms"] == step_s * 1000 and row["day"] == row["time"].date()
            found[row["origin"], row["field"], int(row["time"].timestamp()) - START_NS // SECOND_NS].append(row)
        assert found.keys() == wanted.keys()
        for key, parts in found.items():
            one = wanted[key]
            assert sum(part["count"] for part in parts) == len(one)
            if key[1] in ("word", "row"):
                assert all(part[name] is None for part in parts for name in ("sum", "min", "max", "m2"))
                continue
            assert (min(part["min"] for part in parts), max(part["max"] for part in parts)) == (min(one), max(one))
            assert math.isclose(sum(part["sum"] for part in parts), math.fsum(one), rel_tol=1e-12, abs_tol=1e-3)
            (row,) = merged([_in_us(parts)]).to_pylist()
            squares = float(statistics.pvariance([float(part) for part in one])) * len(one)
            assert math.isclose(row["m2"], squares, rel_tol=1e-6, abs_tol=1e-3 * max(1.0, *map(abs, one)))


def _in_us(parts: list[dict[str, Any]]) -> Any:
    names = ("origin", "field", "time", "count", "sum", "min", "max", "m2")
    return pa.table({name: [part[name] for part in parts] for name in names})


def test_deviations_of_large_numbers_that_differ_little_are_right(tmp_path: Path) -> None:
    taken = [("a", at, 1e9 + at % 7 / 1000) for at in range(0, 4000, 13)]
    lake = opened(tmp_path)
    for first in range(0, len(taken), 50):
        written(lake, taken[first : first + 50], first)
        tended(lake)
    (row,) = told(tmp_path).values()
    assert rows(tmp_path) == []
    assert row[4] == pytest.approx(statistics.pstdev([one[2] for one in taken]), rel=1e-4)


class Stop(BaseException):
    """The process is gone."""


def stopping(monkeypatch: pytest.MonkeyPatch, after: int, torn: bool) -> Callable[[], bool]:
    """Stop behind the n-th commit, before it is on the disk, and with the power, which tears it; tells whether there were so many."""
    settle, left = Table._settle, after

    def stops(table: Table, before: int) -> None:
        nonlocal left
        if table.delta.version() > before:
            left -= 1
            if left < 0:
                entry = durable.entry(Path(table.place.root) / table.name, table.delta.version())
                if torn:
                    os.truncate(entry, entry.stat().st_size // 2)
                raise Stop
        settle(table, before)

    monkeypatch.setattr(Table, "_settle", stops)
    return lambda: left < 0


TAKEN = [("ab"[at % 2], at * 1801, at * at % 101 - 7.5) for at in range(400)]


def before_the_move(root: Path) -> None:
    """Moved once, with late ones and new ones since."""
    lake = opened(root)
    written(lake, TAKEN[:300:2])
    tended(lake)
    written(lake, TAKEN[1:300:2], 300)
    written(lake, TAKEN[300:], 600)


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_nothing_is_lost_or_counted_twice_by_a_stop_behind_any_commit(tmp_path: Path, torn: bool) -> None:
    before_the_move(tmp_path / "before")
    wanted, stops = expected(TAKEN), 0
    while True:
        root = tmp_path / str(stops)
        shutil.copytree(tmp_path / "before", root)
        with pytest.MonkeyPatch.context() as patch:
            stopped = stopping(patch, stops, torn)
            with suppress(Stop):
                tended(opened(root), linger_h=0)
        opened(root)._table("room")  # mends what is torn
        assert alike(told(root), wanted), stops
        tended(opened(root), linger_h=0)
        assert alike(told(root), wanted), stops
        for tier in ("warm", "cold"):
            assert sum(row["count"] for row in sums(root, f"room@{tier}")) + len(rows(root)) == len(TAKEN)
        if not stopped():
            break
        stops += 1
    assert stops >= 9  # several parts of two tiers and the stream, and what is tidied up


configured = st.sampled_from([None, WARM, {"every_ms": 5 * MINUTE_MS}, WARM | {"keep_ms": 4 * DAY_MS}, WARM | {"keep_ms": 7 * DAY_MS}])
late = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9 * 86_400), st.integers(-1000, 1000)), min_size=1, max_size=6)
steps = st.lists(
    st.tuples(late, configured, st.integers(1, 6), st.sampled_from([99, 99, 0, 1, 2, 3, 4, 5, 6, 7]), st.booleans()), min_size=1, max_size=6
)


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_history_tells_everything_whatever_is_late_reconfigured_and_stopped(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[Taken], dict[str, int] | None, int, int, bool]]
) -> None:
    root, sent = tmp_path_factory.mktemp("lake"), list[Taken]()
    for batch, warm, days, stop, torn in steps:
        written(opened(root, warm, days=days), batch, len(sent))
        sent += batch
        with pytest.MonkeyPatch.context() as patch:
            stopping(patch, stop, torn)
            with suppress(Stop):
                tended(opened(root, warm, days=days), linger_h=0)
        opened(root)._table("room")
        for step_s in (86_400, 3600):
            assert alike(told(root, step_s=step_s), expected(sent, step_s))


def test_a_second_tending_commits_nothing(tmp_path: Path) -> None:
    lake = opened(tmp_path, warm=WARM | {"keep_ms": 5 * DAY_MS})
    written(lake, TAKEN)
    tended(lake)
    before = state(tmp_path)
    assert before.keys() == {"room", "room@warm", "room@cold"}
    for one in (lake, opened(tmp_path, warm=WARM | {"keep_ms": 5 * DAY_MS})):
        tended(one)
        assert state(tmp_path) == before


@pytest.mark.parametrize("where", ["room@warm", "room@cold", "room"])
def test_what_comes_in_the_middle_of_a_move_stays_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    lake, other = opened(tmp_path), opened(tmp_path)
    written(lake, TAKEN)
    in_between, number = [("a", 11, 1000.0), ("b", 700_000, 2000.0)], len(TAKEN)
    commits = {"append": Table.append, "release": Table.release}

    def commit(how: str) -> Callable[..., None]:
        def does(table: Table, *given: Any) -> None:
            nonlocal number
            if table.name == where and (how == "release" or table.name != "room") and number == len(TAKEN):
                number += 1
                written(other, in_between, number)
            commits[how](table, *given)

        return does

    for how in commits:
        monkeypatch.setattr(Table, how, commit(how))
    tended(lake)
    assert number > len(TAKEN)
    assert {1000.0, 2000.0} <= {row["value"] for row in rows(tmp_path)}
    assert alike(told(tmp_path), expected([*TAKEN, *in_between]))
    tended(lake)
    assert min(row["day"] for row in rows(tmp_path)) >= date(2026, 1, 9) or not rows(tmp_path)
    assert alike(told(tmp_path), expected([*TAKEN, *in_between]))


def test_a_reader_that_began_before_a_move_ended_counts_each_sample_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream is from before, its tiers from behind."""
    lake = opened(tmp_path)
    written(lake, TAKEN)
    tended(lake)
    written(lake, [("a", 5, 1.0)], len(TAKEN))
    open_one = Reader._open

    def moved_meanwhile(reader: Reader, name: str) -> Any:
        table = open_one(reader, name)
        if name == "room":
            tended(lake)
        return table

    monkeypatch.setattr(Reader, "_open", moved_meanwhile)
    assert alike(told(tmp_path), expected([*TAKEN, ("a", 5, 1.0)]))
    assert len(rows(tmp_path)) == 0 or max(row["seq"] for row in rows(tmp_path)) < len(TAKEN)


def test_days_of_a_tier_go_by_its_own_age_and_are_told_from_the_other(tmp_path: Path) -> None:
    lake = opened(tmp_path, warm=WARM | {"keep_ms": 4 * DAY_MS})
    written(lake, TAKEN)
    tended(lake)
    assert min(row["day"] for row in sums(tmp_path, "room@warm")) == date(2026, 1, 7)
    assert min(row["day"] for row in sums(tmp_path, "room@cold")) == date(2026, 1, 1)
    written(lake, [("a", 3, 55.0)], len(TAKEN))  # of a day that is in one tier only
    tended(lake)
    assert alike(told(tmp_path), expected([*TAKEN, ("a", 3, 55.0)]))
    hours, minutes = told(tmp_path, step_s=3600), told(tmp_path, step_s=60)
    old = {key for key in hours if key[1] < 6 * 86_400}
    assert old and {key for key in minutes if key[1] < 6 * 86_400} == old
    recent = [one for one in TAKEN if one[1] >= 6 * 86_400]
    assert alike({key: row for key, row in minutes.items() if key[1] >= 6 * 86_400}, expected(recent, 60))


def test_rows_keep_the_step_that_they_were_made_with(tmp_path: Path) -> None:
    written(opened(tmp_path), TAKEN[:200])
    tended(opened(tmp_path))
    lake = opened(tmp_path, warm={"every_ms": 10 * MINUTE_MS}, cold={"every_ms": DAY_MS})
    written(lake, TAKEN[200:], 200)
    tended(lake)
    with Reader(tmp_path) as reader:
        found = {(row["tier"], row["step_s"]) for row in reader.query("FROM tiers").rows()}
    assert found == {("warm", 60), ("warm", 600), ("cold", 3600), ("cold", 86_400)}
    assert alike(told(tmp_path), expected(TAKEN))


def test_a_tier_that_came_later_does_not_stand_for_days_that_went_before_it(tmp_path: Path) -> None:
    lake = opened(tmp_path, warm=None)
    written(lake, TAKEN)
    tended(lake)
    both = opened(tmp_path)
    written(both, [("a", 5, 1.0), ("b", 700_000, 2.0)], len(TAKEN))
    tended(both)
    tended(opened(tmp_path, days=1))
    everything = [*TAKEN, ("a", 5, 1.0), ("b", 700_000, 2.0)]
    assert alike(told(tmp_path), expected(everything))
    minutes = told(tmp_path, step_s=60)
    assert alike({key: row for key, row in minutes.items() if key[1] >= 9 * 86_400}, {})
    day = [one for one in everything if 8 * 86_400 <= one[1] < 9 * 86_400]  # moved with both
    assert day and alike({key: row for key, row in minutes.items() if key[1] >= 8 * 86_400}, expected(day, 60))


def test_a_tier_that_is_no_longer_wanted_does_not_stand_for_what_it_has_missed(tmp_path: Path) -> None:
    lake = opened(tmp_path, days=5)
    written(lake, TAKEN)
    tended(lake)
    without = opened(tmp_path, warm=None)
    written(without, [("a", 5, 1.0)], len(TAKEN))
    tended(without)
    assert alike(told(tmp_path), expected([*TAKEN, ("a", 5, 1.0)]))
    again = opened(tmp_path, days=1)
    tended(again)
    assert alike(told(tmp_path), expected([*TAKEN, ("a", 5, 1.0)]))


def test_the_views_list_streams_and_tiers_apart(tmp_path: Path) -> None:
    lake = opened(tmp_path, streams={"room": {"unit": "Cel"}})
    written(lake, TAKEN)
    written(lake, [("a", 0, 1)], 1000, "quarantine")
    tended(lake)
    with Reader(tmp_path) as reader:
        for view in ("streams", "fields", "quality"):
            assert {row["stream"] for row in reader.query(f"FROM {view}").rows()} == {"room", "quarantine_"}
        for row in reader.query("FROM tiers WHERE stream = 'room'").rows():
            tier = row["tier"]
            assert reader.query(f'SELECT count(*) AS rows FROM "room@{tier}"').rows() == [{"rows": row["rows"]}]
            assert row["rows"] == len(sums(tmp_path, f"room@{tier}"))
            assert row["first"] == datetime.fromtimestamp(START_NS // SECOND_NS, UTC)
    assert DeltaTable(str(tmp_path / "room@cold")).metadata().configuration["eddy.unit"] == "Cel"


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT count(*) FROM "ward@warm"',
        "FROM history('ward', 'value', INTERVAL 1 HOUR)",
        "FROM history('wa' || 'rd', 'value', INTERVAL 1 HOUR)",
        "FROM history(step := INTERVAL 1 HOUR, stream := 'ward', field := 'value')",
        "FROM sums.ward",
        "FROM samples.ward",
        "FROM tiers",
    ],
)
def test_the_label_of_a_stream_holds_for_its_tiers(tmp_path: Path, sql: str) -> None:
    lake = opened(tmp_path, streams={"ward": {"private": "gateway"}})
    written(lake, [("a", 0, 1), ("a", 9 * 86_400, 1)], stream="ward")
    written(lake, [("a", 0, 1)], 2, stream="room")
    tended(lake, "ward")
    DeltaTable(str(tmp_path / "ward@warm")).alter.set_table_properties({"eddy.private": "cloud"}, raise_if_not_exists=False)
    with Reader(tmp_path, who="ann") as reader:
        reader.query("FROM history('room', 'value', INTERVAL 1 HOUR)")
        reader.query(sql)
    assert [(row["who"], row["sql"]) for row in rows(tmp_path, "audit")] == [("ann", sql)]


def test_a_field_that_is_gone_from_the_samples_is_in_the_history(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    written(lake, [("a", 0, {"old": 3, "word": "x"}), ("a", 9 * 86_400, {"new": 4})])
    tended(lake)
    assert told(tmp_path, "old") == {("a", 0): [1, 3.0, 3.0, 3.0, 0.0]}
    assert told(tmp_path, "word") == {("a", 0): [1, None, None, None, None]}
    assert told(tmp_path, "new") == {("a", 9 * 86_400): [1, 4.0, 4.0, 4.0, 0.0]}


def test_a_step_into_which_sums_do_not_fit_is_told(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    written(lake, [("a", 600 * n, float(n)) for n in range(30)] + [("a", 9 * 86_400, 4.0)])
    tended(lake)
    with Reader(tmp_path) as reader:
        (step_s,) = {row["step_s"] for row in reader.query("SELECT step_s FROM tiers WHERE tier = 'warm'").rows()}
        counts = reader.query(f"SELECT count FROM history('room', 'value', INTERVAL {2 * step_s} SECOND)").rows()
        assert sum(row["count"] for row in counts) == 31
        with pytest.raises(BadInput, match="ask for a multiple of these"):
            reader.query(f"FROM history('room', 'value', INTERVAL {3 * step_s // 2} SECOND)")


def test_a_stream_that_is_called_like_a_tier_has_its_own(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    written(lake, [("a", 0, 1.0)], stream="room@warm")
    written(lake, [("a", 0, 2.0)], 1)
    tended(lake)
    tended(lake, "room@warm_")
    assert alike(told(tmp_path, stream="room@warm_"), expected([("a", 0, 1.0)]))
    assert alike(told(tmp_path), expected([("a", 0, 2.0)]))


def test_an_origin_is_forgotten_in_tiers_too_also_when_a_move_has_stopped(tmp_path: Path) -> None:
    taken = [("patient-4711", 5, 1.0), ("other", 6, 2.0), ("patient-4711", 9 * 86_400, 3.0), ("other", 9 * 86_400, 4.0)]
    lake = opened(tmp_path)
    written(lake, taken)
    tended(lake)
    written(lake, [("patient-4711", 7, 1.0), ("other", 8, 2.0)], len(taken))
    with pytest.MonkeyPatch.context() as patch:
        assert not (stopped := stopping(patch, 0, False))()
        with pytest.raises(Stop):
            tended(lake)
        assert stopped()
    said = forget(tmp_path, "patient-4711")
    assert said.left == [] and {"room", "room@warm", "room@cold"} == said.rows.keys()
    for _ in range(2):
        assert alike(told(tmp_path), expected([one for one in [*taken, ("other", 8, 2.0)] if one[0] == "other"]))
        tended(opened(tmp_path))


def test_a_tier_of_another_table_is_told_and_nothing_goes(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    written(lake, TAKEN)
    tended(lake)
    shutil.move(tmp_path / "room", tmp_path.parent / f"{tmp_path.name}-aside")
    again = opened(tmp_path)
    again.write_all([(f"{SENDER}0/1", START_NS, ["room", "a", 1, 7.0])])
    with pytest.raises(DataError, match=r"room@warm is a tier of another table room .*move it away"):
        tended(again)
    assert len(rows(tmp_path)) == 1
    assert sum(row[0] for row in told(tmp_path).values()) > 1


def test_aggregates_are_of_streams(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    written(lake, TAKEN)
    tended(lake)
    assert sum(aggregate(Place(str(tmp_path)), "room")["n"].to_pylist()) == len(rows(tmp_path))
    with pytest.raises(BadInput, match=r"there are room$"):
        aggregate(Place(str(tmp_path)), "room@warm")


def test_insight_and_the_report_see_what_went_before_the_samples(tmp_path: Path) -> None:
    lake = opened(tmp_path, warm=None)
    written(lake, [("a", at * 600, float(at)) for at in range(9 * 144)])
    tended(lake)
    with Reader(tmp_path) as reader:
        trend = next(one for one in findings(reader) if one.kind == "trend")
        assert trend.evidence["per_day"] == pytest.approx(144, rel=0.01)
        assert trend.evidence["change"] == pytest.approx(9 * 144, rel=0.02)
        assert "@" not in render(reader, "x").partition("<body")[2].replace("@media", "")
