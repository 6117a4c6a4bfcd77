"""Several writers of one lake, each a process of its own: in a folder, and on an object store that speaks S3."""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from writing import ROWS, opened

from eddy.errors import StorageFull
from eddy.fabric.ports import free_port
from eddy.knowledge.aggregate import aggregate
from eddy.knowledge.query import Lake
from eddy.knowledge.tables import LEASE_S, Place, Table

pytestmark = pytest.mark.slow

NAMES = ("a", "b")


def written_by_all(place: Place, batches: int) -> None:
    """Let everybody write at once, and look at what came of it."""
    command = [sys.executable, str(Path(__file__).with_name("writing.py")), place.root]
    writers = [subprocess.Popen([*command, name, str(batches), json.dumps(dict(place.options))]) for name in NAMES]
    assert [writer.wait(120) for writer in writers] == [0] * len(NAMES)
    with Lake(place.root, dict(place.options)) as lake:
        found = Counter((row["origin"], row["value"]) for row in lake.query("SELECT origin, value FROM room").rows())
    assert found == Counter((name, number) for name in NAMES for number in range(batches * ROWS))


def moved_by_all(place: Place, batches: int) -> None:
    """Let everybody write and sum up at once, and look at what came of it."""
    command = [sys.executable, str(Path(__file__).with_name("writing.py")), place.root]
    writers = [subprocess.Popen([*command, name, str(batches), json.dumps(dict(place.options)), "moving"]) for name in NAMES]
    assert [writer.wait(120) for writer in writers] == [0] * len(NAMES)
    with Lake(place.root, dict(place.options)) as lake:
        hours = lake.query("FROM history('room', 'value', INTERVAL 1 HOUR)").rows()
        tiers = {row["tier"]: row["rows"] for row in lake.query("FROM tiers").rows()}
        (left,) = lake.query("SELECT count(*) AS n FROM room").rows()
        summed = {tier: lake.query(f'SELECT sum("count") AS n FROM "room@{tier}"').rows()[0]["n"] for tier in tiers}
    numbers = range(batches * ROWS)
    wanted = [(name, len(numbers), sum(numbers) / len(numbers), 0, len(numbers) - 1) for name in NAMES]
    assert [tuple(row[column] for column in ("origin", "count", "mean", "min", "max")) for row in hours] == wanted
    assert tiers.keys() == {"warm", "cold"} and left["n"] < len(NAMES) * len(numbers)
    assert summed == dict.fromkeys(tiers, len(NAMES) * len(numbers) - left["n"])


def test_in_a_folder_each_sample_counts_once_through_moves_of_all(tmp_path: Path) -> None:
    moved_by_all(Place(str(tmp_path)), batches=16)


def test_in_a_folder_each_sample_is_there_once_through_compactions_of_all(tmp_path: Path) -> None:
    written_by_all(Place(str(tmp_path)), batches=16)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """On a server of moto's, which keeps what it has in memory."""
    pytest.importorskip("moto.server", reason="no server that speaks S3 is installed: pip install 'moto[server]'")
    port = free_port()
    with (tmp_path_factory.mktemp("moto") / "log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"}
    end = time.monotonic() + 60
    try:
        while True:
            try:
                with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/plant", method="PUT", headers=signed)):
                    break
            except OSError:
                assert server.poll() is None and time.monotonic() < end
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
        yield Place("s3://plant/lake", {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true", **keys})
    finally:
        server.kill()
        server.wait()


def test_on_an_object_store_each_sample_counts_once_through_moves_of_all(bucket: Place) -> None:
    moved_by_all(Place(f"{bucket.root}-moving", bucket.options), batches=16)


class Stop(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("where", ["room@warm", "room@cold", "room"])
def test_on_an_object_store_who_was_away_for_longer_than_its_claim_takes_nothing_away(
    bucket: Place, monkeypatch: pytest.MonkeyPatch, where: str, stops: bool
) -> None:
    """Before it commits to one of the tables, somebody else has taken over and moved the same samples, or stopped while doing so."""
    place = Place(f"{bucket.root}-away-{where.replace('@', '-')}-{stops}", bucket.options)
    one, other = opened(place.root, dict(place.options), True), opened(place.root, dict(place.options), True)
    one.write_all([(f"a/a/ab/{n}", n * 10**9, ["room", "a", n, n]) for n in range(100)])
    theirs = other._table("room").table
    commits, now_s, away = {"append": Table.append, "release": Table.release}, 2_000_000_000, True

    def commit(how: str) -> Callable[..., None]:
        def does(table: Table, *given: Any) -> None:
            nonlocal away
            if away and table.name == where:
                away = False
                with suppress(Stop):
                    other._upkeep.tend(theirs, (now_s + 2 * LEASE_S) * 10**9)
            elif stops and table is theirs:
                raise Stop
            commits[how](table, *given)

        return does

    for how in commits:
        monkeypatch.setattr(Table, how, commit(how))
    with pytest.raises(StorageFull):
        one._upkeep.tend(one._table("room").table, now_s * 10**9)
    assert not away
    for later in (0, 4, 8):
        with Lake(place.root, dict(place.options)) as lake:
            (row,) = lake.query("FROM history('room', 'value', INTERVAL 1 HOUR)").rows()
        assert (row["count"], row["mean"], row["max"]) == (100, 49.5, 99)
        one._upkeep.tend(one._table("room").table, (now_s + later * LEASE_S) * 10**9)


def test_on_an_object_store_each_sample_is_there_once_and_can_be_asked_for(bucket: Place) -> None:
    written_by_all(bucket, batches=8)
    sums = aggregate(bucket, "room", every_us=3_600_000_000)
    assert sums["n"].to_pylist() == [8 * ROWS] * len(NAMES)
    with Lake(bucket.root, dict(bucket.options)) as lake:
        told = lake.query("SELECT stream, rows, origins FROM streams").rows()
    assert told == [{"stream": "room", "rows": 8 * ROWS * len(NAMES), "origins": len(NAMES)}]
