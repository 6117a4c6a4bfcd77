"""Power cuts of the device and `kill -9` of the gateway in the middle of everything: nothing acknowledged is lost or doubled."""

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eddy.kernel.agent import DEFAULTS
from eddy.links import micropython
from eddy.security.signing import SigningKey
from eddy.sim.line import start_line

SPEED = 40
WINDOW = 1024
SECOND = 1_000_000_000
SETTINGS = {"device": "pump-1", "class": "pump", "window": WINDOW, "train_windows": 30, "trees": 20, "normal_every": 2}


class Site:
    """A device, its line, and `eddy gateway run` as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = SigningKey.load_or_create(folder / "gateway" / "signing.key").public_bytes()
        self.flash = micropython.provision(folder / "pump-1", {**SETTINGS, "key": key})
        self.line = start_line(speed=SPEED)
        self.random = np.random.default_rng(1)
        self.played = 0
        self.device: micropython.Device
        self.gateway: subprocess.Popen[bytes]
        self.switch_on()
        self.open()

    def switch_on(self) -> None:
        self.device = micropython.start(self.flash, self.line.device_port, SPEED)

    def open(self) -> None:
        pair = f"pump-1={self.line.gateway_port}"
        options = ["--device", pair, "--dir", str(self.folder / "gateway"), "--speed", str(SPEED)]
        command = [sys.executable, "-m", "eddy", "gateway", "run", *options]
        self.gateway = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill_gateway(self) -> None:
        self.gateway.send_signal(signal.SIGKILL)
        self.gateway.wait()

    def play(self) -> None:
        """Wait until the device asks, and play one window."""
        while not self.device.asks():
            assert self.device.figures is None
        loud = 400 if self.played > 100 else 80
        samples = self.random.normal(0, loud, WINDOW).round().astype("<i2").tobytes()
        self.played += 1
        self.device.play(samples, self.played * SECOND, 1_000_000)

    def end(self) -> dict[str, Any]:
        while not self.device.asks():
            pass
        self.device.play(b"", 0, 0)
        while self.device.figures is None:
            self.device.asks()
        return self.device.figures

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "gateway" / "knowledge.db")) as base:
            return base.execute(query).fetchall()

    def close(self) -> None:
        self.device.kill()
        self.kill_gateway()
        self.line.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def check(site: Site) -> None:
    """Every number of the device's streams is in the knowledge base once, as a record or in a gap."""
    for stream, table in (("windows", "windows"), ("events", "events")):
        present = [seq for (seq,) in site.rows(f"SELECT seq FROM {table} WHERE stream = '{stream}' ORDER BY seq")]
        gaps = site.rows(f"SELECT first, last FROM gaps WHERE stream = '{stream}'")
        missing = {seq for first, last in gaps for seq in range(first, last + 1)}
        assert len(present) == len(set(present))
        assert not missing & set(present)
        (top,) = site.rows("SELECT upto FROM hop_positions WHERE stream = '" + stream + "'")[0]
        assert set(present) | missing == set(range(top + 1))
    positions = [p for (p,) in site.rows("SELECT position FROM windows ORDER BY seq")]
    assert positions == sorted(set(positions))


def kill_gateway_campaign(site: Site, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(kills):
        for _ in range(rng.randrange(1, 4)):
            site.play()
        try:
            site.gateway.wait(rng.random() * 0.8)
        except subprocess.TimeoutExpired:
            site.kill_gateway()
            site.open()
    figures = site.end()
    assert figures["counts"]["windows"] == site.played
    (stored,) = site.rows("SELECT count(*) FROM windows")[0]
    assert stored == figures["counts"]["reported"]
    check(site)


def power_cut_campaign(site: Site, cuts: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(cuts):
        for _ in range(rng.randrange(1, 6)):
            site.play()
        try:
            site.device.process.wait(rng.random() * 0.4)
        except subprocess.TimeoutExpired:
            site.device.kill()
            site.switch_on()
    for _ in range(DEFAULTS["train_windows"] - 60):
        site.play()
    site.end()
    check(site)
    kinds = [kind for (kind,) in site.rows("SELECT kind FROM events")]
    assert kinds.count("trained") == 1


@pytest.mark.slow
def test_a_gateway_that_is_killed_loses_and_doubles_nothing(site: Site) -> None:
    kill_gateway_campaign(site, kills=3, seed=1)


@pytest.mark.soak
def test_a_gateway_that_is_killed_50_times_loses_and_doubles_nothing(site: Site) -> None:
    kill_gateway_campaign(site, kills=50, seed=2)


@pytest.mark.slow
def test_a_device_that_loses_power_loses_and_doubles_nothing_that_was_acknowledged(site: Site) -> None:
    power_cut_campaign(site, cuts=4, seed=1)


@pytest.mark.soak
def test_a_device_that_loses_power_60_times_loses_and_doubles_nothing_that_was_acknowledged(site: Site) -> None:
    power_cut_campaign(site, cuts=60, seed=2)


@pytest.mark.slow
def test_a_person_configures_a_running_device_from_another_process(site: Site) -> None:
    for _ in range(40):
        site.play()
    eddy = [sys.executable, "-m", "eddy", "gateway"]
    place = ["--dir", str(site.folder / "gateway")]
    subprocess.run([*eddy, "configure", "pump-1", "normal_every=1", *place], check=True, stdout=subprocess.DEVNULL)
    for _ in range(20):
        site.play()
    site.end()
    assert site.rows("SELECT state, model FROM deployments") == [("confirmed", None)]
    reported = [position for (position,) in site.rows("SELECT position FROM windows WHERE model_sequence = 1 ORDER BY seq")]
    assert len(reported) > 10
    assert reported == list(range(reported[0], 60))
    said = subprocess.run([*eddy, "status", "--json", "-", *place], check=True, capture_output=True, text=True).stdout
    assert '"pump-1"' in said
