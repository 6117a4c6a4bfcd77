from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eddy.kernel.features import NAMES
from eddy.models.create import Recipe, train
from eddy.models.verify import Target, verify

ENERGY = ("rms", "mean_abs_difference", "peak_to_peak")
ROWS: NDArray[np.int64] = (3000 * (1 + 0.1 * np.random.default_rng(1).standard_normal((80, len(NAMES))))).astype(np.int64)
WIRE = train(Recipe(20, 48, ENERGY, 1, 970), ROWS).to_wire()


def with_threshold(threshold: int) -> bytes:
    forest = train(Recipe(20, 48, ENERGY, 1, 970), ROWS)
    forest.threshold = threshold
    return forest.to_wire()


def failed(wire: bytes, features: tuple[str, ...] = ENERGY, target: Target | None = None, **options: int) -> set[str]:
    report = verify(wire, features, ROWS, target or Target(), **options)
    assert report.passed == (not report.why)
    return {check.name for check in report.checks if not check.passed}


def test_a_sound_model_passes_every_check() -> None:
    report = verify(WIRE, ENERGY, ROWS, Target())
    assert report.passed
    assert set(report.metrics()) == {"unsupported_features", "image_bytes", "package_bytes", "blind", "scorers_differ", "false_alarms"}


def test_a_model_that_the_device_has_no_room_for_does_not_run_there() -> None:
    assert failed(WIRE, target=replace(Target(), heap_bytes=500)) == {"image_bytes"}
    assert failed(WIRE, target=replace(Target(), package_bytes=500)) == {"package_bytes"}


def test_a_feature_that_only_the_gateway_knows_keeps_a_model_from_the_device_but_not_from_the_pool() -> None:
    derived = ("rms", "mean_abs_difference", "difference(peak_to_peak, rms)")
    wire = train(Recipe(20, 48, derived, 1, 970), ROWS).to_wire()
    report = verify(wire, derived, ROWS, Target())
    assert report.sound
    assert not report.passed
    assert "unsupported_features 1" in report.why


def test_a_model_that_cannot_notice_anything_is_no_judge() -> None:
    report = verify(with_threshold(65536), ENERGY, ROWS, Target())
    assert not report.sound
    assert "blind" in report.why


def test_a_model_that_always_alarms_may_not_run_on_the_device() -> None:
    assert failed(with_threshold(0)) == {"false_alarms"}


def test_false_alarms_of_a_rehearsal_count_more_than_those_on_its_own_windows() -> None:
    assert failed(WIRE, held_out_false_alarms=201) == {"false_alarms"}
    assert failed(WIRE, held_out_false_alarms=200) == set()


def test_a_model_pushed_before_any_window_is_checked_as_far_as_possible() -> None:
    assert verify(WIRE, ENERGY, ROWS[:0], Target()).passed


def test_a_wrong_number_of_features_is_told() -> None:
    assert "takes 3 features, 2 are named" in verify(WIRE, ENERGY[:2], ROWS, Target()).why


@pytest.mark.parametrize("wire", [b"", b"nonsense", WIRE[:-1]])
def test_what_is_no_forest_is_told_not_raised(wire: bytes) -> None:
    report = verify(wire, ENERGY, ROWS, Target())
    assert not report.sound
    assert report.why


@given(st.integers(0, len(WIRE) - 1), st.integers(1, 255))
def test_a_damaged_model_gives_a_report_whatever_the_damage(at: int, flip: int) -> None:
    damaged = WIRE[:at] + bytes([WIRE[at] ^ flip]) + WIRE[at + 1 :]
    assert isinstance(verify(damaged, ENERGY, ROWS, Target()).why, str)
