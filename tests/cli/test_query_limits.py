"""`eddy query` as a process: what DuckDB neither counts nor interrupts ends all the same."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lakes import sample

from eddy.knowledge.lake import Lake as Sink

LIMIT_S, MEMORY_MB = 0.5, 64
MOST_MB = 900
"""Of the process: the interpreter with its libraries (150), DuckDB (64), a result (256), headroom (256), and what threads have reserved."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here") / "lake"
    Sink(to=str(folder)).write_all([sample(i, i) for i in range(10)])
    return folder


def _query(lake: Path, sql: str) -> tuple[int, str, float, int]:
    """Exit code, all that it said, how long it took, and its largest resident size in MiB."""
    options = ["--lake", str(lake), "--limit-s", str(LIMIT_S), "--memory", str(MEMORY_MB), "--format", "csv"]
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "eddy", "query", sql, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said, time.monotonic() - begin, usage.ru_maxrss >> 10


HUNGRY = [
    "SELECT len(range(200000000))",
    "SELECT * FROM range(10000000) a ORDER BY hash(a.range), repeat('z', 1000)",
]
ENDLESS = [
    "SELECT lpad('x', 2000000000, 'y')",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
]


@pytest.mark.slow
@pytest.mark.parametrize("sql", [*HUNGRY, *ENDLESS])
def test_a_query_stays_within_its_limits(lake: Path, sql: str) -> None:
    before = sorted(lake.parent.rglob("*"))
    code, said, seconds, most_mb = _query(lake, sql)
    assert code == 1
    assert ("more memory than it may" if sql in HUNGRY else f"more than {LIMIT_S:g} s") in said
    assert "Traceback" not in said
    assert most_mb < MOST_MB
    assert seconds < 20  # with starting and opening; without limits it is minutes
    assert sorted(lake.parent.rglob("*")) == before
    assert not Path(".tmp").exists()  # where DuckDB spills to


@pytest.mark.slow
def test_a_query_that_needs_little_is_answered_within_the_same_limits(lake: Path) -> None:
    code, said, _, most_mb = _query(lake, "SELECT sum(value) AS s, sum(range) AS r FROM room, range(1000000)")
    assert (code, said) == (0, "s,r\n45000000,4999995000000\n")
    assert most_mb < MOST_MB
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY


@pytest.mark.slow
def test_a_time_that_cannot_be_written_is_told(lake: Path) -> None:
    code, said, _, _ = _query(lake, "SELECT '20000-01-01'::DATE AS far")
    assert code == 1
    assert "cast it to text" in said
