"""The far-edge loop whole: real MicroPython, real line emulator, real knowledge base, real recordings."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eddy.dashboard.report import render
from eddy.links import micropython
from eddy.sim.line import start_line
from eddy.sim.pump import Settings, run

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
IMS = DATA / "ims_bearing"
FEMTO = DATA / "femto_bearing"
LIVES = {"1_1": 2803, "2_1": 911, "3_1": 515}

needs_data = pytest.mark.skipif(not IMS.exists(), reason=f"no recordings in {DATA}; EDDY_DATA names their folder")


@pytest.fixture(scope="module")
def four_bearings() -> dict[str, Any]:
    return run(Settings(data=IMS, devices=4, speed=20))


@needs_data
@pytest.mark.slow
def test_bearing_1_raises_its_first_alarm_between_onset_and_file_560(four_bearings: dict[str, Any]) -> None:
    assert 533 <= four_bearings["first_alarm_file"] <= 560


@needs_data
@pytest.mark.slow
def test_no_other_bearing_raises_one_before_file_600(four_bearings: dict[str, Any]) -> None:
    for device in four_bearings["devices"][1:]:
        assert device["first_alarm_file"] is None or device["first_alarm_file"] >= 600, device


@needs_data
@pytest.mark.slow
def test_every_device_was_micropython_within_256_kib_and_lost_nothing(four_bearings: dict[str, Any]) -> None:
    if micropython.interpreter() is None:
        pytest.skip("no MicroPython wheel for this platform")
    assert four_bearings["device"]["interpreter"] == "micropython"
    assert four_bearings["device"]["heap_bytes"] <= 262144
    assert [device["windows"] for device in four_bearings["devices"]] == [552] * 4
    assert all(device["lost"] == 0 for device in four_bearings["devices"])
    reported = sum(device["reported"] for device in four_bearings["devices"])
    assert len(four_bearings["series"]) == reported


@needs_data
@pytest.mark.slow
def test_the_papers_settings_see_nothing_at_their_fixed_threshold(four_bearings: dict[str, Any]) -> None:
    assert four_bearings["paper_settings"]["fixed"]["first_alarm_file"] is None
    assert any("500 Hz; kurtosis, skewness, mean" in note for note in four_bearings["notes"])


@needs_data
@pytest.mark.slow
def test_the_same_settings_warn_on_at_least_two_of_three_femto_bearings_in_the_second_half_of_life() -> None:
    good = []
    for bearing, life in LIVES.items():
        first = run(Settings(data=FEMTO, bearing=bearing, speed=40))["first_alarm_file"]
        if first is not None and life / 2 < first < life:
            good.append(bearing)
    assert len(good) >= 2, good


@pytest.mark.slow
def test_a_champion_that_cries_wolf_is_replaced_and_the_false_alarms_fall() -> None:
    """Arranged: the device calibrates its champion so that 15 % of its training windows are called anomalous."""
    result = run(Settings(quantile=850, speed=40))
    (before, after), *_ = zip(result["false_positives"][:-1], result["false_positives"][1:], strict=True)
    assert before["false_positives"] >= 5
    assert after["false_positives"] / after["windows"] < before["false_positives"] / before["windows"] / 4
    phases = {decision["phase"] for decision in result["decisions"]}
    assert phases >= {"plan", "create", "adapt", "verify", "package", "release", "configure", "monitor"}
    assert result["deployments"][0]["state"] == "confirmed"
    assert result["first_alarm_file"] >= result["onset_file"]
    assert "<svg" in render(result)


def test_too_few_recordings_for_a_champion_are_told() -> None:
    result = run(Settings(files=3, speed=60))
    assert result["champions"] == []
    assert result["first_alarm_file"] is None
    assert any("no champion: it heard 6 windows and trains on 120" in note for note in result["notes"])


@pytest.mark.slow
def test_a_board_at_a_serial_port_is_served_until_ctrl_c(tmp_path: Path) -> None:
    """The board is a device process at the other end of an emulated line; the command only knows the port."""
    settings = {"device": "pump-1", "class": "pump", "key": bytes(32), "window": 256}
    flash = micropython.provision(tmp_path / "pump-1", settings)
    with start_line(speed=1) as line:
        board = micropython.start(flash, line.device_port)
        command = [sys.executable, "-m", "eddy", "demo", "pump", "--port", line.gateway_port, "--json", str(tmp_path / "demo.json")]
        demo = subprocess.Popen([*command, "--keep", str(tmp_path / "kept")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert board.asks()  # its first words have been acknowledged
        board.play(bytes(range(256)) * 2, 1_000_000_000, 1_000_000)
        assert board.asks()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 0
        board.kill()
    result = json.loads((tmp_path / "demo.json").read_text())
    assert [event["kind"] for event in result["events"]] == ["boot"]
    assert [window["label"] for window in result["series"]] == ["training"]
    assert result["source"] == f"the board at {line.gateway_port}"


@pytest.mark.slow
def test_a_bad_line_costs_time_and_no_window() -> None:
    result = run(Settings(files=70, loss=0.1, corrupt=0.01, speed=40))
    assert result["line"]["lost_frames"] > 0
    assert result["line"]["corrupted_bytes"] > 0
    (device,) = result["devices"]
    assert len(result["series"]) == device["reported"]
    assert len({window["index"] for window in result["series"]}) == device["reported"]
