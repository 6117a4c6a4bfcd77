"""How good the samples of each origin are: counted stretch by stretch, so that a lake of any size needs the same memory.

A sample that is there twice has the same time both times, so it is found within its stretch. What reaches from one stretch into the next,
the last time and value of an origin, is carried over.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

from eddy.knowledge.columns import quoted
from eddy.knowledge.extra import load
from eddy.knowledge.tables import moment

AT_ONCE = 2_000_000
"""Samples of a stretch, about: they are sorted in memory."""


@dataclass
class _Origin:
    rows: int = 0
    late: int = 0
    doubled: int = 0
    unchanged: int = 0
    out_of_range: int = 0
    silence_us: int | None = None
    silent_us: int = 0  # since when
    last_us: int = 0
    last: Any = None


def schema() -> Any:
    """Of the view `quality`."""
    pa = load("pyarrow")
    counts = ("rows", "late", "doubled", "missing", "unchanged", "out_of_range")
    silence = [("gaps_s", pa.float64()), ("gap_from", moment())]
    return pa.schema([("stream", pa.string()), ("origin", pa.string()), *((name, pa.int64()) for name in counts), *silence])


def assess(duck: Any, streams: dict[str, tuple[bool, str]], at_once: int = AT_ONCE) -> Any:
    """A row for each origin of each stream.

    Args:
        duck: A connection of DuckDB with a view for each stream, and `gaps`.
        streams: {name of a view: (whether it has a column `value`, condition for a row that is out of range)}.
        at_once: See `AT_ONCE`.

    Returns:
        A pyarrow.Table of `schema`: samples; how many came late, have a number that was there, are told to be lost for good, have the same
        value as the one before, have a field out of its range; the longest time between two, s, and since when (None of one sample).
    """
    lost = duck.execute("SELECT stream, origin, sum(last - first + 1) FROM gaps GROUP BY ALL").fetchall()
    missing = {(stream, origin): int(samples) for stream, origin, samples in lost}
    rows: list[tuple[Any, ...]] = []
    for name, (has_value, outside) in streams.items():
        for origin, one in sorted(_stream(duck, quoted(name), has_value, outside, at_once).items()):
            counts = (one.rows, one.late, one.doubled, missing.get((name, origin), 0), one.unchanged, one.out_of_range)
            gap = (None, None) if one.silence_us is None else (one.silence_us / 1e6, one.silent_us)
            rows.append((name, origin, *counts, *gap))
    names = schema().names
    return load("pyarrow").Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema())


def _stream(duck: Any, view: str, has_value: bool, outside: str, at_once: int) -> dict[str, _Origin]:
    found: dict[str, _Origin] = {}
    for where in _stretches(duck, view, at_once):
        for origin, rows, late, out, unchanged, silence, silent_us, first_us, first, last_us, last in duck.execute(
            _counted(view, where, has_value, outside)
        ).fetchall():
            one = found.setdefault(origin, _Origin())
            silences = [(silence, silent_us)] + ([(first_us - one.last_us, one.last_us)] if one.rows else [])
            for silence_us, since_us in silences:
                if silence_us is not None and (one.silence_us is None or silence_us > one.silence_us):
                    one.silence_us, one.silent_us = silence_us, since_us
            one.unchanged += unchanged + (one.rows > 0 and first is not None and first == one.last)
            one.rows, one.late, one.out_of_range = one.rows + rows, one.late + late, one.out_of_range + out
            one.last_us, one.last = last_us, last
        for origin, doubled in duck.execute(_doubled(view, where)).fetchall():
            found[origin].doubled += int(doubled)
    return found


def _stretches(duck: Any, view: str, at_once: int) -> list[str]:
    """Conditions for stretches of time, one after the other: some days, or equal parts of one with many samples."""
    sql = f"SELECT day, count(*), min(epoch_us(time)), max(epoch_us(time)) FROM {view} GROUP BY day ORDER BY day"  # noqa: S608 - quoted
    several: list[tuple[Any, Any, int, int, int]] = []  # first and last day, rows, begin and last, us
    for day, rows, begin, last in duck.execute(sql).fetchall():
        if several and several[-1][2] + rows <= at_once:
            first, _, before, begun, _ = several.pop()
            several.append((first, day, before + rows, begun, last))
        else:
            several.append((day, day, rows, begin, last))
    out = []
    for first, day, rows, begin, last in several:
        parts = ceil(rows / at_once)
        for low, high in pairwise([begin + (last + 1 - begin) * part // parts for part in range(parts + 1)]):
            within = f"time >= make_timestamp({low})::TIMESTAMPTZ AND time < make_timestamp({high})::TIMESTAMPTZ"
            out.append(f"day BETWEEN DATE '{first}' AND DATE '{day}' AND {within}")
    return out


def _counted(view: str, where: str, has_value: bool, outside: str) -> str:
    value = "value" if has_value else "NULL"
    rows = f"SELECT origin, seq, late, epoch_us(time) AS us, {value} AS value, {outside or 'false'} AS outside FROM {view} WHERE {where}"  # noqa: S608 - quoted
    before = "lag(value) OVER by_time AS before, us - lag(us) OVER by_time AS silence, row_number() OVER by_time AS nr"
    sorted_rows = f"SELECT *, {before} FROM ({rows}) WINDOW by_time AS (PARTITION BY origin ORDER BY us, seq)"  # noqa: S608 - quoted
    counts = "count(*), count(*) FILTER (late), count(*) FILTER (outside), count(*) FILTER (value = before)"
    silence = "max(silence), arg_max(us - silence, silence)"
    ends = "min(us), arg_min_null(value, nr), max(us), arg_max_null(value, nr)"
    return f"SELECT origin, {counts}, {silence}, {ends} FROM ({sorted_rows}) GROUP BY origin"  # noqa: S608 - quoted


def _doubled(view: str, where: str) -> str:
    """Numbers are dense: sets of 64 of them as bits are much smaller than the numbers."""
    bits = "count(*) - bit_count(bit_or(1::UBIGINT << (seq & 63)::UBIGINT)) AS doubled"
    sets = f"SELECT origin, {bits} FROM {view} WHERE {where} GROUP BY origin, birth, seq >> 6"  # noqa: S608 - quoted
    return f"SELECT origin, sum(doubled) FROM ({sets}) GROUP BY origin"  # noqa: S608 - quoted
