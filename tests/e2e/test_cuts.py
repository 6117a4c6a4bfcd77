"""Power cuts of the device and `kill -9` of the gateway in the middle of everything: nothing is lost or doubled.

Everything is real: a MicroPython on its flash behind an emulated line, a gateway and a hub as processes of their own, mutual TLS. Two sinks
take in what the judge says, a log and the loop of the model; what one has the other has as well.
"""

import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eddy.cli import client
from eddy.cli.joining import join
from eddy.errors import EddyError
from eddy.kernel.features import NAMES
from eddy.links import micropython
from eddy.sim.local import Local
from eddy.spec.load import load

pytestmark = pytest.mark.skipif(micropython.interpreter() is None, reason="no MicroPython wheel for this platform")

APP = """
app: pump-guard
nodes:
  pump: {tier: device, memory: 256KiB, flash: 1MiB}
  gw:   {tier: gateway}
links: {pump-gw: {kind: serial, rate: 2400baud, duplex: half}}
sources:
  vibration: {at: pump, driver: simulated, chunk: 1000, rate: 2kHz, speed: 10, noise: 400, type: int16, unit: m/s2, private: device}
functions:
  windows:  {use: window, from: vibration, size: 500ms}
  features: {use: features, from: windows, compute: [rms, mean_abs_difference, peak_to_peak], releases: gateway}
  detect:   {use: model, from: features, model: health, near: vibration}
  report:   {use: forward, from: detect, normal: 1 in 2, anomalous: all}
  judge:    {use: pool, from: report, model: health, at: gw}
sinks: {history: {from: judge, at: gw, driver: log, file: history.jsonl}}
models:
  health: {trees: 10, subsample: 32, threshold: quantile 98%, train: {where: device, first: 40 windows}, pool: {trees: [10]}}
"""
FEATURES = ("rms", "mean_abs_difference", "peak_to_peak")
SPEED = 20
SIZE_NS = 500_000_000
NEWS = 3
_SETTLED_S = 4.0  # what waits is said again every 20 s of the line's time


class Site:
    """The app, a pump and its gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "eddy.yaml").write_text(APP)
        self.told: list[str] = []
        self.local = Local(load(folder / "eddy.yaml"), folder / ".eddy", 0, {"speed": SPEED}, self.told.append)

    def start(self) -> None:
        local = self.local
        local.start_hub()
        with client.connect(local.url, None) as hub:
            local.start_nodes(lambda identity: join(hub, identity, hub.call("POST", "tokens", {"node": identity.name})["token"]))
            self.until(lambda: {one.name for one in hub.nodes() if one.state == "up"} >= {"pump", "gw"})
            hub.call("PUT", "apps/pump-guard", {"text": APP, "files": {}})
            self.until(lambda: self.heard() > 2)

    def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Let the pump run until something is so; what cannot be asked yet is not so yet."""
        end = time.monotonic() + seconds
        while True:
            self.local.look()
            try:
                if holds():
                    return
            except (EddyError, sqlite3.Error):
                pass
            assert time.monotonic() < end, self.told
            time.sleep(0.005)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end)

    def kill_gateway(self) -> None:
        process = self.local.processes["gw"]
        process.running.kill()
        process.running.wait()
        process.start()

    def cut_power(self) -> None:
        device = self.local.devices["pump"]
        device.switch_off()
        device.start()

    def settle(self) -> None:
        """The sensor falls silent, and everything arrives: both sinks have the same, and hear no more."""
        since, before = time.monotonic(), (-1, -1)
        end = since + 90
        while time.monotonic() - since < _SETTLED_S or before[0] != before[1]:
            if before != (now := (self.heard(), len(self.history()))):
                since, before = time.monotonic(), now
            assert time.monotonic() < end, before
            time.sleep(0.05)

    def heard(self) -> int:
        """How much the loop has taken in."""
        count: int = self.rows("SELECT count(*) FROM taken")[0][0]
        return count

    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "history.jsonl").read_text().splitlines()]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        base = self.folder / ".eddy" / "nodes" / "gw" / "loops" / "health" / "knowledge.db"
        if not base.exists():
            raise sqlite3.OperationalError("not yet")
        with closing(sqlite3.connect(f"file:{base}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.local:
        made.start()
        yield made


def check(site: Site) -> list[tuple[int, int]]:
    """Every number of what was said is there once and in order, in the log and in the loop; (position, time) of the windows."""
    site.settle()
    history = site.history()
    numbers = [int(key.rpartition("/")[2]) for (key,) in site.rows("SELECT key FROM taken ORDER BY id")]
    assert numbers == list(range(len(numbers)))
    assert [int(record["key"].rpartition("/")[2]) for record in history] == numbers
    windows = site.rows("SELECT seq, position, time_ns, label, score, features FROM windows ORDER BY seq")
    events = site.rows("SELECT seq, kind FROM events ORDER BY seq")
    assert sorted([seq for seq, *_ in windows] + [seq for seq, _ in events]) == numbers
    assert site.rows("SELECT * FROM gaps") == []
    assert [seq for seq, *_ in windows] == [n for n, record in enumerate(history) if record["value"][5] != NEWS]
    for seq, _, time_ns, label, score, features in windows:
        _, _, row, _, _, said, _, points, *_ = history[seq]["value"]
        assert (time_ns, label, score) == (history[seq]["time_ns"], said, points)
        kept = dict(zip(NAMES, json.loads(features), strict=True))
        assert [kept[name] for name in FEATURES] == row
    assert [kind for _, kind in events].count("trained") == 1
    times = [time_ns for _, _, time_ns, *_ in windows]
    assert times == sorted(set(times))
    positions = [position for _, position, *_ in windows]
    assert positions == sorted(set(positions))
    assert len(windows) > 40, "it has learned and gone on"
    return list(zip(positions, times, strict=True))


def kill_gateway_campaign(site: Site, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(kills):
        site.run(0.2 + 2.5 * rng.random())
        site.kill_gateway()
    site.run(2)
    for position, time_ns in check(site):
        assert time_ns == position * SIZE_NS  # not one window of the sensor is missing


def power_cut_campaign(site: Site, cuts: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(cuts):
        site.run(0.2 + 2.5 * rng.random())
        site.cut_power()
    site.run(2)
    for position, time_ns in check(site):
        assert time_ns >= position * SIZE_NS  # what the sensor gave while there was no power is missing, and nothing else is there twice


@pytest.mark.slow
def test_a_gateway_that_is_killed_loses_and_doubles_nothing(site: Site) -> None:
    kill_gateway_campaign(site, kills=3, seed=1)


@pytest.mark.soak
def test_a_gateway_that_is_killed_50_times_loses_and_doubles_nothing(site: Site) -> None:
    kill_gateway_campaign(site, kills=50, seed=2)


@pytest.mark.slow
def test_a_device_that_loses_power_loses_and_doubles_nothing_that_it_has_taken(site: Site) -> None:
    power_cut_campaign(site, cuts=3, seed=1)


@pytest.mark.soak
def test_a_device_that_loses_power_50_times_loses_and_doubles_nothing_that_it_has_taken(site: Site) -> None:
    power_cut_campaign(site, cuts=50, seed=2)
