"""What the paper's settings see, computed beside a run."""

from eddy.links.recordings.bearing import SimulatedBearing
from eddy.sim.paper import compare


def test_both_thresholds_are_told_with_what_they_see() -> None:
    told = compare(SimulatedBearing(files=40, bearings=["1"]), train_windows=30, seed=1)
    assert told is not None
    assert told["fixed"]["threshold"] == 0.6
    assert 0 <= told["calibrated"]["above"] <= 1
    assert told["calibrated"]["threshold"] != told["fixed"]["threshold"]


def test_too_few_recordings_give_no_comparison() -> None:
    assert compare(SimulatedBearing(files=10, bearings=["1"]), train_windows=30, seed=1) is None


def test_recordings_after_the_shutdown_are_left_out() -> None:
    assert compare(SimulatedBearing(files=40, bearings=["1"]), train_windows=30, seed=1, last_file=10) is None
