"""The simulated rig resembles the real one where it matters to what listens to it."""

import numpy as np
import pytest

from eddy.errors import SettingError
from eddy.links.recordings.bearing import Fault, Geometry, Rig, SimulatedBearing
from eddy.links.recordings.recording import Recording

SHAFT_HZ = 2000 / 60


@pytest.fixture(scope="module")
def life() -> list[Recording]:
    return list(SimulatedBearing(files=100, onset=0.55, seed=3))


def figures(recording: Recording, channel: int = 0) -> tuple[float, float]:
    """rms in g and kurtosis of a channel, without its offset."""
    x = recording.counts[channel] * recording.scale
    x = x - x.mean()
    rms = float(np.sqrt((x**2).mean()))
    return rms, float((x**4).mean()) / rms**4


def envelope_peak_hz(signal: np.ndarray, rate_hz: int, around_hz: float) -> float:
    """Strongest line of the squared envelope around the resonance, from 20 Hz on (Randall & Antoni 2011, section 4)."""
    spectrum = np.fft.fft(signal - signal.mean())
    frequency = np.fft.fftfreq(len(signal), 1 / rate_hz)
    spectrum[(frequency < around_hz - 1500) | (frequency > around_hz + 1500)] = 0
    envelope = np.abs(np.fft.ifft(spectrum)) ** 2
    lines = np.abs(np.fft.rfft(envelope - envelope.mean()))
    hertz = np.fft.rfftfreq(len(signal), 1 / rate_hz)
    lines[hertz < 20] = 0
    return float(hertz[np.argmax(lines)])


def test_the_defect_frequency_of_the_ims_bearing_is_the_published_one() -> None:
    assert Geometry().outer_hz(SHAFT_HZ) == pytest.approx(236.4, abs=0.05)


def test_the_races_share_the_rollers_passes() -> None:
    geometry = Geometry()
    assert geometry.outer_hz(SHAFT_HZ) + geometry.inner_hz(SHAFT_HZ) == pytest.approx(geometry.rollers * SHAFT_HZ)
    assert geometry.outer_hz(SHAFT_HZ) == pytest.approx(geometry.rollers * geometry.cage_hz(SHAFT_HZ))


def test_a_healthy_bearing_resembles_the_recordings(life: list[Recording]) -> None:
    rms, kurtosis = np.median([figures(recording) for recording in life[:55]], axis=0)
    assert rms == pytest.approx(0.077, abs=0.002)
    assert kurtosis == pytest.approx(3.4, abs=0.15)


def test_a_worn_bearing_resembles_the_recordings(life: list[Recording]) -> None:
    middle_rms, middle_kurtosis = np.median([figures(recording) for recording in life[75:90]], axis=0)
    assert 0.10 < middle_rms < 0.18
    assert 4.5 < middle_kurtosis < 8
    assert figures(life[-1])[0] == pytest.approx(0.48, abs=0.12)


def test_the_fault_begins_at_the_onset_and_not_before() -> None:
    run = SimulatedBearing(files=100, onset=0.55, seed=3)
    assert run.onset_index == 55
    rms = [figures(recording)[0] for recording in run]
    assert max(rms[:55]) < np.mean(rms[57:65])


def test_the_other_bearings_rise_late_and_stay_below(life: list[Recording]) -> None:
    for channel in (1, 2, 3):
        healthy = [figures(recording, channel)[0] for recording in life[:55]]
        early = np.median([figures(recording, channel)[0] for recording in life[57:65]])
        assert early < np.mean(healthy) + 3 * np.std(healthy)
        assert figures(life[-1], channel)[0] > np.mean(healthy) + 5 * np.std(healthy)
        assert figures(life[-1], channel)[0] < figures(life[-1], 0)[0] / 2


@pytest.mark.parametrize("fault", ["outer", "inner", "ball"])
def test_the_envelope_shows_the_defect_frequency(fault: Fault) -> None:
    rig = Rig(fault=fault)
    recording = list(SimulatedBearing(files=10, bearings=["1"], rig=rig, seed=5))[-1]
    turns = {"outer": 0.0, "inner": rig.shaft_hz, "ball": rig.geometry.cage_hz(rig.shaft_hz)}[fault]
    peak = envelope_peak_hz(recording.counts[0], recording.rate_hz, rig.resonance_hz)
    expected = [rig.fault_hz(), turns, 2 * turns]  # the load zone modulates a fault that travels through it
    assert min(abs(peak - hertz) for hertz in expected) < 0.02 * rig.fault_hz()


def test_a_healthy_envelope_does_not_show_it(life: list[Recording]) -> None:
    peak = envelope_peak_hz(life[0].counts[0], 20_000, 4500)
    assert abs(peak - Rig().fault_hz()) > 20


def test_the_same_seed_plays_the_same_run_and_another_does_not() -> None:
    first, again, other = (np.stack([r.counts for r in SimulatedBearing(files=3, seed=seed)]) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not any(np.array_equal(mine, its) for mine, its in zip(first, other, strict=True))


def test_a_bearing_sounds_the_same_whoever_else_is_listened_to() -> None:
    alone = next(iter(SimulatedBearing(files=4, bearings=["3"])))
    among = next(iter(SimulatedBearing(files=4)))
    assert np.array_equal(alone.counts[0], among.counts[2])


def test_the_contract_of_recordings_is_kept() -> None:
    run = SimulatedBearing(files=4, bearings=["2", "1"])
    recordings = list(run)
    assert len(run) == len(recordings) == 4
    assert run.channels == ("2", "1")
    assert [recording.index for recording in recordings] == [0, 1, 2, 3]
    assert {recording.counts.shape for recording in recordings} == {(2, 20_480)}
    assert {recording.counts.dtype for recording in recordings} == {np.dtype(np.int16)}
    assert np.diff([recording.time_ns for recording in recordings]).tolist() == [600 * 10**9] * 3


@pytest.mark.parametrize(("files", "onset", "bearings"), [(1, 0.5, []), (10, 0.0, []), (10, 1.0, []), (10, 0.5, ["5"])])
def test_an_impossible_life_is_an_error(files: int, onset: float, bearings: list[str]) -> None:
    with pytest.raises(SettingError):
        SimulatedBearing(files=files, onset=onset, bearings=bearings)
