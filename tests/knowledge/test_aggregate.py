"""A stream in steps of time: the same from DuckDB, from this process and from the workers of a cluster, whichever of them are killed."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import START_NS, sample
from stumbling import signed, stumble
from typer.testing import CliRunner

from eddy.cli.main import app
from eddy.errors import BadInput, LinkLost
from eddy.knowledge.aggregate import aggregate, keep
from eddy.knowledge.lake import Lake
from eddy.knowledge.query import Lake as Reading
from eddy.knowledge.tables import Place

MINUTE_US = 60_000_000
FILES = 24


def fill(root: Path, rows: int = 400, **options: Any) -> Place:
    """A lake whose stream `room` is in many files, with numbers whose sum depends on the order in which they are added."""
    lake = Lake(to=str(root), **options)
    for file in range(FILES):
        first = file * rows
        lake.write_all([sample(n, math.sin(n) * 10 ** (n % 13), origin="abc"[n % 3]) for n in range(first, first + rows)])
    return Place(str(root))


def asked(root: Path, sql: str) -> list[dict[str, Any]]:
    with Reading(root) as lake:
        return lake.query(sql).rows()


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(-(10**6), 10**6) | st.none(), st.integers(-(10**5), 10**5)), min_size=1),
    st.integers(1, 5000),
)
@settings(max_examples=10)
def test_it_is_what_duckdb_says(tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, int | None, int]], every_s: int) -> None:
    root = tmp_path_factory.mktemp("lake")
    lake = Lake(to=str(root))
    for n, (origin, value, at_s) in enumerate([*said, ("a", 1, 0)]):  # each in a file of its own
        lake.write_all([sample(n, {"v": value, "w": 0.5}, origin=origin, time_ns=START_NS + at_s * 10**9)])
    found = aggregate(Place(str(root)), "room", "v", every_s * 1_000_000).to_pylist()
    oracle = asked(root, f"SELECT * FROM resample('room', 'v', INTERVAL {every_s} SECOND) WHERE n > 0 ORDER BY origin, time")
    for mine, theirs in zip(found, oracle, strict=True):
        assert mine | {"mean": 0} == theirs | {"mean": 0} and mine["mean"] == pytest.approx(theirs["mean"])
    (whole,) = aggregate(Place(str(root)), "room", "v", 10**15, by_origin=False).to_pylist()
    assert (whole["origin"], whole["n"]) == (None, sum(one["n"] for one in found))


def test_a_column_that_is_not_in_every_file_and_what_is_no_number(tmp_path: Path) -> None:
    lake = Lake(to=str(tmp_path))
    lake.write_all([sample(0, {"v": 1})])
    lake.write_all([sample(1, {"v": 2, "w": math.nan}), sample(2, {"v": 3, "w": 4.0}), sample(3, {"v": 3, "t": "x"})])
    place = Place(str(tmp_path))
    assert [(row["n"], row["mean"]) for row in aggregate(place, "room", "w").to_pylist()] == [(1, 4.0)]
    for stream, field, told in (("room", "t", "v, w"), ("room", "seq", "v, w"), ("rom", "v", "room")):
        with pytest.raises(BadInput, match=told):
            aggregate(place, stream, field)


def test_what_is_kept_is_a_stream_that_is_replaced_as_a_whole_and_as_private_as_it_was(tmp_path: Path) -> None:
    place = fill(tmp_path, 10, streams={"room": {"private": "gateway", "unit": "Cel"}})
    for every_us in (MINUTE_US, 2 * MINUTE_US):
        result = aggregate(place, "room", every_us=every_us)
        keep(place, "room-minutes", "room", result, 5)
    columns = "origin, time, n, mean, least, most"
    assert asked(tmp_path, f'SELECT {columns} FROM "room-minutes" ORDER BY seq') == result.to_pylist()
    (about,) = asked(tmp_path, "SELECT unit, private, rows FROM streams WHERE stream = 'room-minutes'")
    assert about == {"unit": "Cel", "private": "gateway", "rows": result.num_rows}
    assert asked(tmp_path, "SELECT count(*) AS n FROM audit WHERE sql LIKE 'aggregate room%'") == [{"n": 2}]
    for name in ("room", "gaps", "a/b"):
        with pytest.raises(BadInput):
            keep(place, name, "room", result, 5)


def test_nobody_at_the_address_is_told(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    from eddy.knowledge import cluster

    cluster_patience, cluster.PATIENCE_S = cluster.PATIENCE_S, 1
    try:
        with pytest.raises(LinkLost, match="dask scheduler"):
            aggregate(fill(tmp_path, 1), "room", run=cluster.on("tcp://127.0.0.1:9"))
    finally:
        cluster.PATIENCE_S = cluster_patience


# On a cluster


class Cluster:
    """A scheduler and two workers, as the page about scaling out starts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self.url = ""
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", "s.json")

    def begin(self) -> None:
        from distributed import Client

        file = self.folder / "s.json"
        while not file.exists() or not file.read_text():
            assert self.scheduler.poll() is None, (self.folder / "scheduler.log").read_text()
            os.sched_yield()
        self.url = json.loads(file.read_text())["address"]
        self.workers = [self.work(n) for n in range(2)]
        with Client(self.url, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)

    def work(self, number: int) -> subprocess.Popen[bytes]:
        return self._start("worker", self.url, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--name", f"w{number}")

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        beside = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        command, environment = [sys.executable, "-m", "dask", what, *words], os.environ | {"PYTHONPATH": beside}
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'eddy[cluster]'")
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.begin()
        yield made
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_workers_come_to_the_same_to_the_last_bit(cluster: Cluster, tmp_path: Path) -> None:
    place = fill(tmp_path)
    command = ["aggregate", "room", "--lake", str(tmp_path), "--every", "7m", "--format", "json"]
    alone = CliRunner().invoke(app, command)
    together = CliRunner().invoke(app, [*command, "--cluster", cluster.url])
    assert (alone.exit_code, together.exit_code) == (0, 0), together.output
    assert alone.stdout == together.stdout and alone.stdout.count("\n") > 60
    from eddy.knowledge.cluster import on

    names: set[str] = set()

    def run(_: Any, parts: Any) -> list[Any]:
        done = list(on(cluster.url)(signed, parts))
        names.update(name for name, _ in done)
        return [sums for _, sums in done]

    assert aggregate(place, "room", run=run).equals(aggregate(place, "room"))
    assert names == {"w0", "w1"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_is_killed_in_the_middle_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    from eddy.knowledge.cluster import on

    place = fill(tmp_path)
    found = aggregate(place, "room", run=lambda _, parts: on(cluster.url)(stumble, parts))
    assert cluster.workers[0].wait(10) == -signal.SIGKILL
    assert found.equals(aggregate(place, "room"))
