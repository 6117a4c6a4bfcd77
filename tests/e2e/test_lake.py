"""A lake behind real nodes: killed again and again, every sample of every stream is in its table once."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from deltalake import DeltaTable
from running import Running

from eddy.errors import EddyError
from eddy.knowledge.forget import forget
from eddy.knowledge.query import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROOM = """
app: room
nodes:
  station: {tier: gateway}
  cloud:   {tier: cloud}
links: {station-cloud: {bandwidth: 10Mbit/s, latency: 5ms}}
sources:
  temperature: {at: station, driver: simulated, rate: 500Hz, unit: Cel, private: gateway, speed: 1}
  pressure:    {at: station, driver: simulated, rate: 100Hz, unit: hPa, seed: 7, speed: 1}
functions:
  mean: {use: mean, from: temperature, over: 10s, releases: cloud}
sinks:
  near: {from: [temperature, pressure], at: station, driver: lake, keep: 3650d}
  far:  {from: mean, at: cloud, driver: lake, to: far}
"""


HALL = """
app: hall
nodes: {gw: {tier: gateway}}
sources:
  doors: {at: gw, driver: folder, folder: inbox, time: at, origin: who}
sinks:
  lake: {from: doors, at: gw, driver: lake, to: lake}
"""


def rows(lake: Path, table: str) -> int:
    try:
        with Lake(lake) as here:
            return int(here.query(f'SELECT count(*) AS n FROM "{table}"').rows()[0]["n"])
    except EddyError:
        return 0


def test_every_sample_is_in_the_table_of_its_stream_once_however_often_nodes_are_killed(tmp_path: Path) -> None:
    folder = tmp_path / "room"
    with Running(folder, ROOM) as app:
        app.until(lambda: any(folder.glob(".eddy/**/lake/temperature")), 60)
        near, far = next(folder.glob(".eddy/**/lake")), folder / "far"
        for node in ("station", "cloud", "station"):
            before = rows(near, "temperature")
            app.until(lambda before=before: rows(near, "temperature") > before + 700, 60)  # type: ignore[misc]
            os.kill(app.pids()[node], signal.SIGKILL)
        before_far = rows(far, "mean")
        app.until(lambda: rows(far, "mean") > before_far + 700 and rows(near, "pressure") > 100, 60)
    for lake, table in ((near, "temperature"), (near, "pressure"), (far, "mean")):
        found = Counter(DeltaTable(str(lake / table)).to_pyarrow_table()["seq"].to_pylist())
        assert found == Counter(range(len(found))), table
    with Lake(near) as here:
        said = here.query("SELECT stream, unit, private FROM streams ORDER BY stream").rows()
    assert said == [
        {"stream": "pressure", "unit": "hPa", "private": "cloud"},
        {"stream": "temperature", "unit": "Cel", "private": "gateway"},
    ]


def test_after_an_app_has_ended_its_journals_hold_nothing_that_the_lake_has(tmp_path: Path) -> None:
    folder = tmp_path / "hall"
    with Running(folder, HALL) as app:
        app.until((folder / "inbox").is_dir, 60)
        (folder / "new").write_text("at,value,who\n" + "".join(f"{n},{n},visitor-{n % 2}\n" for n in range(100)))
        (folder / "new").rename(folder / "inbox" / "a.csv")
        app.until(lambda: rows(folder / "lake", "doors") == 100, 60)
        hub = app.hub
        assert hub
        app.until(lambda: hub.call("GET", "apps/hall/progress")["pending"] == 0, 60)
    done = forget(folder / "lake", "visitor-1", folder / ".eddy")
    assert (done.rows["doors"], done.left) == (50, [])
