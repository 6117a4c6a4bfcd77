"""What the stage plays, and what it refuses before anything runs."""

from pathlib import Path

import numpy as np
import pytest

from eddy.errors import ModelError, SettingError
from eddy.sim.pump import Settings, open_bearing, run


def source(settings: Settings, number: int) -> str:
    recordings = open_bearing(settings, number, lambda problem: None)
    return f"{recordings.source} {recordings.channels[0]}"


@pytest.fixture
def femto(tmp_path: Path) -> Path:
    for name in ("1_1", "2_1", "3_1"):
        signal, seconds = np.zeros((2, 2, 2560), np.int32), np.array([0.0, 10.0])
        np.savez(tmp_path / f"Bearing{name}_raw.npz", x_milli_g=signal, record=np.array([1, 2], np.int32), seconds_of_day=seconds)
    return tmp_path


def test_further_devices_listen_to_the_bearings_after_the_first() -> None:
    heard = [source(Settings(bearing="3", devices=4), number) for number in range(4)]
    assert [text[-1] for text in heard] == ["3", "4", "1", "2"]


def test_bearings_in_files_of_their_own_follow_each_other_too(femto: Path) -> None:
    heard = [source(Settings(data=femto, bearing="2"), number) for number in range(3)]
    assert ["2_1" in heard[0], "3_1" in heard[1], "1_1" in heard[2]] == [True] * 3


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        (Settings(bearing="9"), SettingError, "choose among 1, 2, 3, 4"),
        (Settings(features=("rms", "loudness")), ModelError, "loudness"),
        (Settings(rate_hz=96_000), SettingError, "choose at most that"),
    ],
    ids=["bearing", "feature", "rate"],
)
def test_what_cannot_be_played_is_told_before_anything_runs(settings: Settings, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        run(settings)
