"""The far-edge loop whole, as `eddy up` runs it: hub, nodes, real MicroPython, real line emulator, real knowledge base, real recordings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eddy.cli.demo import play
from eddy.dashboard.report import render
from eddy.errors import ModelError, SettingError
from eddy.links import micropython
from eddy.sim.pump import Settings

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
IMS = DATA / "ims_bearing"
FEMTO = DATA / "femto_bearing"
LIVES = {"1_1": 2803, "2_1": 911, "3_1": 515}

needs_data = pytest.mark.skipif(not IMS.exists(), reason=f"no recordings in {DATA}; EDDY_DATA names their folder")
pytestmark = pytest.mark.timeout(300)

Run = Callable[[Settings], dict[str, Any]]


def quietly(step: Any) -> None:
    """Nobody looks on."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda settings: play(settings, tmp_path / f"{settings.bearing}", quietly)


@pytest.fixture(scope="module")
def four_bearings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return play(Settings(data=IMS, devices=4), tmp_path_factory.mktemp("four"), quietly)


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
    assert len(four_bearings["series"]) == sum(device["reported"] for device in four_bearings["devices"])


@needs_data
@pytest.mark.slow
def test_the_papers_settings_see_nothing_at_their_fixed_threshold(four_bearings: dict[str, Any]) -> None:
    assert four_bearings["paper_settings"]["fixed"]["first_alarm_file"] is None
    assert any("500 Hz; kurtosis, skewness, mean" in note for note in four_bearings["notes"])


@needs_data
@pytest.mark.slow
@pytest.mark.soak
def test_the_same_settings_warn_on_at_least_two_of_three_femto_bearings_in_the_second_half_of_life(run: Run) -> None:
    good = []
    for bearing, life in LIVES.items():
        first = run(Settings(data=FEMTO, bearing=bearing, speed=40))["first_alarm_file"]
        if first is not None and life / 2 < first < life:
            good.append(bearing)
    assert len(good) >= 2, good


@pytest.mark.slow
def test_a_champion_that_cries_wolf_is_replaced_and_the_false_alarms_fall(run: Run) -> None:
    """Arranged: the device calibrates its champion so that 15 % of its training windows are called anomalous."""
    result = run(Settings(quantile=850, speed=40))
    (before, after), *_ = zip(result["false_positives"][:-1], result["false_positives"][1:], strict=True)
    assert before["false_positives"] >= 5
    assert after["false_positives"] / after["windows"] < before["false_positives"] / before["windows"] / 4
    phases = {decision["phase"] for decision in result["decisions"]}
    assert phases >= {"plan", "create", "adapt", "verify", "package", "release", "configure", "monitor"}
    assert result["deployments"][0]["state"] == "installed"
    assert result["first_alarm_file"] >= result["onset_file"]
    assert "<svg" in render(result)


def recorded(folder: Path, count: int) -> Path:
    """So many recordings of noise, in the form of FEMTO."""
    folder.mkdir()
    signal = np.random.default_rng(1).normal(0, 300, (count, 2, 2560)).round().astype(np.int32)
    record, seconds = np.arange(1, count + 1, dtype=np.int32), np.arange(count) * 10.0
    np.savez(folder / "Bearing1_1_raw.npz", x_milli_g=signal, record=record, seconds_of_day=seconds)
    return folder


@pytest.mark.slow
def test_a_bad_line_costs_time_and_no_window_and_too_few_recordings_for_a_champion_are_told(run: Run, tmp_path: Path) -> None:
    result = run(Settings(data=recorded(tmp_path / "data", 60), bearing="1_1", loss=0.1, corrupt=0.01, speed=40))
    assert result["line"]["lost_frames"] > 0
    assert result["line"]["corrupted_bytes"] > 0
    (device,) = result["devices"]
    assert device["lost"] == 0
    assert [window["index"] for window in result["series"]] == list(range(60))
    assert result["champions"] == []
    assert result["first_alarm_file"] is None
    assert any("no champion: it heard 60 windows and trains on 120" in note for note in result["notes"])


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        (Settings(bearing="9"), SettingError, "choose among 1, 2, 3, 4"),
        (Settings(features=("rms", "loudness")), ModelError, "loudness"),
        (Settings(rate_hz=96_000), SettingError, "choose at most that"),
    ],
    ids=["bearing", "feature", "rate"],
)
def test_what_cannot_be_played_is_told_before_anything_runs(run: Run, settings: Settings, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        run(settings)
