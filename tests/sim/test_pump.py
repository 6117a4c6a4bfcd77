"""What the devices of the demonstration hear."""

from pathlib import Path

import numpy as np
import pytest

from eddy.cli.init import example
from eddy.sim.pump import Settings, app_of, heard_by
from eddy.spec.load import parse
from eddy.spec.write import text


def heard(settings: Settings) -> list[str]:
    app = app_of(settings, parse(example("pump").read_text()))
    app = parse(text(app))  # as the hub reads it
    recordings = [heard_by(app, number) for number in range(settings.devices)]
    return [f"{one.source} {one.channels[0]}" for one in recordings]


@pytest.fixture
def femto(tmp_path: Path) -> Path:
    for name in ("1_1", "2_1", "3_1"):
        signal, seconds = np.zeros((2, 2, 2560), np.int32), np.array([0.0, 10.0])
        np.savez(tmp_path / f"Bearing{name}_raw.npz", x_milli_g=signal, record=np.array([1, 2], np.int32), seconds_of_day=seconds)
    return tmp_path


def test_further_devices_listen_to_the_bearings_after_the_first() -> None:
    assert [text[-1] for text in heard(Settings(bearing="3", devices=4))] == ["3", "4", "1", "2"]


def test_bearings_in_files_of_their_own_follow_each_other_too(femto: Path) -> None:
    found = heard(Settings(data=femto, bearing="2", devices=3))
    assert ["2_1" in found[0], "3_1" in found[1], "1_1" in found[2]] == [True] * 3


def test_a_recording_shorter_than_the_papers_window_is_one_window(femto: Path) -> None:
    app = app_of(Settings(data=femto), parse(example("pump").read_text()))
    window = app.functions["windows"]
    assert window.size_ms == 100  # type: ignore[union-attr]
