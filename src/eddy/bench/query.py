"""How fast the lake answers: many rows written as the sink writes them, tended, then one hour of one sensor and a group-by over all.

A hundred sensors, each a sample a second: 50 million rows are almost six days.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eddy.knowledge.extra import load
from eddy.knowledge.query import Lake
from eddy.knowledge.tables import Place, Table, moment, stream_schema
from eddy.knowledge.upkeep import Upkeep

SENSORS = 100
START_S = 1_767_225_600
_AT_ONCE = 500_000  # rows of a commit
_HOUR_S = 3600
_REPEATS = 7
_DAY_US = 86_400_000_000


def run(rows: int, progress: Callable[[Any], None] = lambda step: None, threads: int = 2) -> dict[str, Any]:
    """Write, tend and ask.

    Args:
        rows: How many.
        threads: Of DuckDB.

    Returns:
        Medians of 7 warm runs in ms, what writing and tending took, bytes and files.
    """
    folder = Path(tempfile.mkdtemp(prefix="eddy-bench-query-"))
    try:
        return _measured(folder, rows, progress, threads)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(folder: Path, rows: int, progress: Callable[[Any], None], threads: int) -> dict[str, Any]:
    table = Table(Place(str(folder)), "rooms", stream_schema())
    begin = time.perf_counter()
    for first in range(0, rows, _AT_ONCE):
        table.append(_rows(first, min(_AT_ONCE, rows - first)), {"bench": first})
        progress({"done": first, "total": rows, "doing": "writing"})
    write_s = time.perf_counter() - begin
    begin = time.perf_counter()
    progress({"done": rows, "total": rows, "doing": "tending"})
    Upkeep(small_files=2, linger_h=0).tend(table)
    tend_s = time.perf_counter() - begin
    files = table.files()
    middle_s = START_S + max(0, rows // SENSORS // 2 // _HOUR_S * _HOUR_S)
    within = f"time >= to_timestamp({middle_s}) AND time < to_timestamp({middle_s + _HOUR_S})"
    hour = f"SELECT time, value FROM rooms WHERE origin = 'sensor-42' AND {within}"  # noqa: S608 - of numbers
    with Lake(folder, threads=threads) as lake:
        progress({"done": rows, "total": rows, "doing": "asking"})
        one_hour_ms, answered = _median_ms(lake, hour)
        group_all_ms, groups = _median_ms(lake, "SELECT origin, count(*), avg(value), max(value) FROM rooms GROUP BY origin")
        counted = lake.query("SELECT count(*) AS n FROM rooms").rows()[0]["n"]
    return {
        "rows": counted,
        "one_hour_ms": one_hour_ms,
        "one_hour_rows": answered,
        "group_all_ms": group_all_ms,
        "groups": groups,
        "threads": threads,
        "files": len(files),
        "bytes": sum(file["size_bytes"] for file in files),
        "write_s": round(write_s, 2),
        "tend_s": round(tend_s, 2),
    }


def _median_ms(lake: Lake, sql: str) -> tuple[float, int]:
    lake.query(sql)
    answers = [lake.query(sql) for _ in range(_REPEATS)]
    return round(1000 * statistics.median(answer.seconds for answer in answers), 1), answers[0].arrow().num_rows


def _rows(first: int, count: int) -> Any:
    pa, np = load("pyarrow"), load("numpy")
    numbers = np.arange(first, first + count, dtype=np.int64)
    sensor, second = numbers % SENSORS, numbers // SENSORS
    times_us = (START_S + second) * 1_000_000
    names = pa.array([f"sensor-{number}" for number in range(SENSORS)])
    noise = np.random.default_rng(first).normal(0, 0.3, count)
    values = np.round(20 + sensor / 10 + 5 * np.sin(second / 86_400 * 2 * np.pi) + noise, 2)
    return pa.table(
        {
            "origin": pa.DictionaryArray.from_arrays(pa.array(sensor, pa.int32()), names).cast(pa.string()),
            "seq": pa.array(second),
            "birth": pa.array(np.full(count, "abcdef", dtype=object), pa.string()),
            "time": pa.array(times_us, moment()),
            "time_ns": pa.array(times_us * 1000),
            "received": pa.array(times_us + 250_000, moment()),
            "late": pa.array(np.zeros(count, bool)),
            "day": pa.array((times_us // _DAY_US).astype(np.int32), pa.int32()).cast(pa.date32()),
            "value": pa.array(values),
        }
    )
