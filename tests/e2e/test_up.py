"""`eddy up` as a person uses it: real processes, real TLS, a real MicroPython behind an emulated 2,400-baud line."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import Running
from typer.testing import CliRunner

from eddy.cli.main import app as cli
from eddy.kernel.function import TICK, Instance, Sample
from eddy.kernel.functions import load
from eddy.links import micropython
from eddy.security.signing import SigningKey
from eddy.sim.line import start_line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

AIR = """
app: street-air
nodes:
  station: {tier: gateway}
  cloud:   {tier: cloud}
links: {station-cloud: {bandwidth: 10Mbit/s, latency: 5ms}}
sources: {pm25: {at: station, driver: simulated, rate: 200Hz, type: int32, unit: ug/m3}}
functions:
  hourly: {use: mean, from: pm25, over: 10s}
  doubled: {use: "own.py:Doubled", from: hourly, near: record}
sinks:
  record: {from: hourly, at: cloud, driver: log, file: record.jsonl}
  twice: {from: doubled, at: station, driver: log, file: twice.jsonl}
place: {minimise: [traffic]}
"""

OWN = '''
from eddy.kernel.function import Function


class Doubled(Function):
    """Counts, and doubles what comes in."""

    def __init__(self):
        self.count = 0

    def on(self, sample):
        self.count += 1
        return [[self.count, 2 * sample.value]]

    def state(self):
        return self.count

    def restore(self, state):
        self.count = state
'''

PUMP = """
app: pump-guard
nodes:
  pump: {tier: device, memory: 256KiB, flash: 1MiB}
  gw:   {tier: gateway}
links: {pump-gw: {kind: serial, rate: 2400baud, duplex: half}}
sources:
  vibration: {at: pump, driver: simulated, chunk: 1000, rate: 20kHz, type: int16, unit: m/s2, private: device, fault_after: 20s}
functions:
  windows:  {use: window, from: vibration, size: 500ms}
  features: {use: features, from: windows, compute: [rms, mean_abs_difference, peak_to_peak], releases: gateway}
  detect:   {use: model, from: features, model: health}
sinks:
  history: {from: detect, at: gw, driver: log, file: history.jsonl}
models:
  health: {trees: 40, subsample: 32, threshold: quantile 98%, train: {where: device, first: 24 windows}}
"""


HOUSE = """
app: house
nodes: {gw: {tier: gateway}}
sources:
  room:  {at: gw, driver: http, listen: "127.0.0.1:%d", value: t}
  table: {at: gw, driver: replay, data: "csv:missing.csv#t", rate: 1Hz}
  hall:  {at: gw, driver: simulated, rate: 10Hz}
sinks:
  log: {from: [room, table, hall], at: gw, driver: log, file: all.jsonl}
"""


def written(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def numbers(file: Path) -> list[int]:
    return [int(record["key"].rpartition("/")[2]) for record in written(file)]


def test_an_app_runs_moves_and_survives_its_nodes_without_losing_a_sample(tmp_path: Path) -> None:
    folder = tmp_path / "air"
    folder.mkdir()
    (folder / "own.py").write_text(OWN)
    with Running(folder, AIR) as app:
        app.until(lambda: app.lines("record.jsonl") > 300 and app.lines("twice.jsonl") > 300, 30)
        app.move("hourly", "cloud")
        app.move("doubled", "station")
        app.move("hourly", "station")
        app.until(lambda: len(app.function("hourly").in_sync) == 2, 10)  # a copy counts when it has caught up
        os.kill(app.pids()["station"], signal.SIGKILL)  # owner of everything but one sink
        app.until(lambda: app.node_of("hourly") == "cloud", 10)  # its copy took over
        before = app.lines("record.jsonl")
        app.until(lambda: app.lines("record.jsonl") > before + 500, 60)  # the source is back, too
        os.kill(app.pids()["hub"], signal.SIGKILL)
        before = app.lines("twice.jsonl")
        app.until(lambda: app.lines("twice.jsonl") > before + 500, 60)
        app.move("hourly", "station")
        children = app.pids()
    assert set(children) == {"hub", "station", "cloud"}
    assert app.pids() == {}  # Ctrl-C has ended them all
    with Running(folder, AIR) as app:  # and what they had is still there
        before = app.lines("twice.jsonl")
        app.until(lambda: app.lines("twice.jsonl") > before + 100, 30)
    for file in ("record.jsonl", "twice.jsonl"):
        found = numbers(folder / file)
        assert found == list(range(len(found)))  # in order, each once
    counted = [record["value"][0] for record in written(folder / "twice.jsonl")]
    assert counted == [number + 1 for number in range(len(counted))]  # the person's own state was never lost


@pytest.mark.skipif(micropython.interpreter() is None, reason="no MicroPython wheel for this platform")
def test_a_detector_moves_to_the_device_and_back_while_it_learns_and_scores_as_if_it_had_stayed(tmp_path: Path) -> None:
    with Running(tmp_path / "pump", PUMP, "--speed", "20") as app:
        file = "history.jsonl"
        app.until(lambda: app.lines(file) > 5, 60)
        app.move("detect", "pump")
        app.until(lambda: any(record["value"][1] < 2 for record in written(app.folder / file)), 90)  # it has learned there
        app.move("detect", "gw")
        app.until(lambda: any(record["value"][1] == 1 for record in written(app.folder / file)[-4:]), 90)  # and finds the fault here
    found = written(app.folder / file)
    assert numbers(app.folder / file) == list(range(len(found)))
    program = ["eddy.kernel.functions.model", "Model"]
    arguments = {"features": ["rms", "mean_abs_difference", "peak_to_peak"], "trees": 40, "subsample": 32, "quantile": 980, "rows": 24}
    twin = Instance(load([*program, {**arguments, "seed": 1}]), "twin")
    rows = [record["value"][2] for record in found if record["value"][1] != 3]
    for number, row in enumerate(rows[:24]):
        twin.feed(0, Sample("features", "features", number, 0, row))
    news = [said for _ in range(60) for said in twin.feed(TICK, 0)]
    assert [record["value"] for record in found if record["value"][1] == 3] == news
    judged = [record["value"] for record in found if record["value"][1] < 2]
    assert len(judged) > 10
    assert judged == [twin.feed(0, Sample("features", "features", 0, 0, value[2]))[0] for value in judged]
    assert {value[1] for value in judged} == {0, 1}


@pytest.mark.skipif(micropython.interpreter() is None, reason="no MicroPython wheel for this platform")
def test_a_board_at_a_serial_port_is_a_node_of_the_app(tmp_path: Path) -> None:
    """The board is a device process at the other end of an emulated line, at the line's own speed; the command only knows the port."""
    folder = tmp_path / "pump"
    key = SigningKey.load_or_create(folder / ".eddy" / "hub" / "signing.key")
    flash = micropython.provision(tmp_path / "boards" / "pump", {"device": "pump", "key": key.public_bytes()})
    rows = PUMP.replace("history: {from: detect", "history: {from: features").replace(
        "  detect:   {use: model, from: features, model: health}\n", ""
    )
    with start_line(speed=1) as line:
        board = micropython.start(flash, line.device_port)
        try:
            with Running(folder, rows, "--board", f"pump={line.gateway_port}") as app:
                while not board.asks():
                    assert board.figures is None
                board.play(b"\x05\x00\xfb\xff" * 5000, 1_000_000_000, 50_000)
                app.until(lambda: app.lines("history.jsonl") > 0, 30)
        finally:
            board.kill()
    (row,) = [record["value"] for record in written(folder / "history.jsonl")]
    assert row == [5 * 16, 10 * 16, 10 * 16]  # rms, mean absolute difference, peak to peak, in sixteenths of a count


def test_a_board_that_the_app_does_not_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "eddy.yaml").write_text(PUMP)
    said = CliRunner().invoke(cli, ["up", str(tmp_path / "eddy.yaml"), "--board", "fan=/dev/ttyUSB0"])
    assert said.exit_code == 1
    assert "write NAME=PORT with one of the app's devices (pump)" in said.stderr.replace("\n", " ")


def test_a_source_that_cannot_start_is_told_and_holds_nothing_up_and_a_second_up_is_told_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Running(folder, HOUSE % port) as house:
            said = " ".join((folder / "up.log").read_text().split())
            assert (
                f"room on gw does not work, and is tried again: LinkLost: cannot listen at 127.0.0.1:{port} (Address already in use" in said
            )
            assert "table on gw does not work, and is tried again: DataError: missing.csv cannot be read as a CSV file (No such" in said
            assert "hall on gw" not in said and "all 4 instances run" not in said
            assert "2 of 4 instances run; the drivers of 2 have a fault" in said
            house.until(lambda: house.lines("all.jsonl") > 0, 30)

            assert house.hub
            again = CliRunner().invoke(cli, ["up", str(folder / "eddy.yaml"), "--port", "0"])
            assert again.exit_code == 1
            told = again.stderr.replace("\n", " ")
            assert f"an app runs already in {(folder / '.eddy').resolve()} (process {house.process.pid})" in told
            assert f"change it with eddy up --hub {house.hub._url}" in told and "Traceback" not in told
            there = CliRunner().invoke(cli, ["up", str(folder / "eddy.yaml"), "--hub", house.hub._url, "--json", "-"])
            found = json.loads(there.stdout)
            assert (there.exit_code, found["changes"], sorted(found["faults"])) == (1, [], ["room", "table"])

            taken.close()
            house.until(lambda: "room works now" in (folder / "up.log").read_text(), 30)
            (folder / "missing.csv").write_text("t\n1\n")
            house.until(lambda: "table works now" in (folder / "up.log").read_text(), 60)
            house.until(lambda: house.lines("all.jsonl") > 10, 30)
            there = CliRunner().invoke(cli, ["up", str(folder / "eddy.yaml"), "--hub", house.hub._url, "--json", "-"])
            assert (there.exit_code, json.loads(there.stdout)["faults"]) == (0, {})
    assert "Traceback" not in (folder / ".eddy" / "hub.log").read_text()


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "eddy.yaml").write_text(HOUSE % 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "eddy", "up", "--port", str(port)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert f"the hub could not start: the hub cannot listen at 127.0.0.1 port {port}" in done.stderr.replace("\n", " ")
    assert (tmp_path / ".eddy" / "hub.log").read_text().count("\n") == 1
