"""A rolling-element bearing that wears out: vibration of a test rig with four bearings on one shaft, one of which fails.

For runs without data at hand. The model is the usual one for localised faults (Randall & Antoni 2011, section 2): each time a roller
passes the spall, an impulse excites a structural resonance that rings down; rollers slip, so the intervals jitter; the load zone modulates
the amplitude. It is set to resemble test 2 of the IMS data: rms 0.077 g and kurtosis 3.4 while healthy, 0.15 g and 5 to 8 in mid-fault,
0.48 g at the end; the other bearings feel the failing one through the shaft, weaker, smoother and therefore late.

References:
    R. B. Randall, J. Antoni (2011), Rolling element bearing diagnostics - a tutorial, MSSP 25(2), doi:10.1016/j.ymssp.2010.07.017.
    J. Antoni, R. B. Randall (2003), A stochastic model for simulation and diagnostics of rolling element bearings with localized faults,
    J. Vibration and Acoustics 125(3), doi:10.1115/1.1569940 (the slip as a random walk).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eddy.errors import SettingError
from eddy.links.recordings.recording import Recording, Recordings, saturate

Fault = Literal["outer", "inner", "ball"]
Signal = NDArray[np.float64]

SCALE = 0.001  # g a count, as in the IMS files
_START_NS = 1_704_067_200 * 1_000_000_000  # 2024-01-01, an arbitrary date
_NAMES = ("1", "2", "3", "4")
_WHERE = {"outer": "outer race fault", "inner": "inner race fault", "ball": "roller fault"}


@dataclass(frozen=True)
class Geometry:
    """What decides the defect frequencies; the defaults are the Rexnord ZA-2115 of the IMS rig (double row, tapered).

    Attributes:
        rollers: In one row.
        pitch_mm: Pitch diameter.
        roller_mm: Roller diameter.
        contact_deg: Contact angle.
    """

    rollers: int = 16
    pitch_mm: float = 71.501  # 2.815 in
    roller_mm: float = 8.407  # 0.331 in
    contact_deg: float = 15.17

    def _ratio(self) -> float:
        return self.roller_mm / self.pitch_mm * math.cos(math.radians(self.contact_deg))

    def cage_hz(self, shaft_hz: float) -> float:
        """FTF: turns of the cage a second, outer ring at rest."""
        return shaft_hz / 2 * (1 - self._ratio())

    def outer_hz(self, shaft_hz: float) -> float:
        """BPFO: how often a roller passes a spot on the outer race, a second."""
        return self.rollers * self.cage_hz(shaft_hz)

    def inner_hz(self, shaft_hz: float) -> float:
        """BPFI: the same on the turning inner race."""
        return self.rollers * shaft_hz / 2 * (1 + self._ratio())

    def ball_hz(self, shaft_hz: float) -> float:
        """BSF: turns of a roller about itself a second; a spot on it hits a race twice a turn."""
        return self.pitch_mm / (2 * self.roller_mm) * shaft_hz * (1 - self._ratio() ** 2)


@dataclass(frozen=True)
class Rig:
    """The machine, its noise and its fault.

    Attributes:
        geometry: Of each of the four bearings.
        shaft_rpm: Turns a minute.
        rate_hz: Sampling rate.
        samples: Samples of a recording.
        period_s: Time between the starts of two recordings.
        healthy_rms: g, of each bearing without a fault (as in IMS test 2).
        offset: g, of the sensor.
        load_modulation: Depth, 0 to 1, to which the turning shaft modulates the noise; 0.28 gives a kurtosis of 3.4.
        spread: Relative standard deviation of the level from recording to recording.
        resonance_hz: Of the housing, excited by the impulses.
        decay_s: In which the ringing falls to 1/e.
        slip: Standard deviation of the interval between impulses, relative to its mean.
        transmission: How much of the fault's rms arrives at the other bearings.
        fault: Where the spall is.
        fault_rms: g, of the fault's contribution: at the onset, its linear growth to the end of life, and the final burst.
        burst: Exponent of the final burst; the higher, the later.
        fault_spread: Standard deviation of the logarithm of the fault's level from recording to recording.
    """

    geometry: Geometry = field(default_factory=Geometry)
    shaft_rpm: float = 2000.0
    rate_hz: int = 20_000
    samples: int = 20_480
    period_s: int = 600
    healthy_rms: tuple[float, float, float, float] = (0.077, 0.094, 0.101, 0.055)
    offset: float = -0.002
    load_modulation: float = 0.28
    spread: float = 0.017
    resonance_hz: float = 4_500.0
    decay_s: float = 1.0e-3
    slip: float = 0.01
    transmission: float = 0.27
    fault: Fault = "outer"
    fault_rms: tuple[float, float, float] = (0.03, 0.16, 0.29)
    burst: float = 30.0
    fault_spread: float = 0.12

    @property
    def shaft_hz(self) -> float:
        """Turns a second."""
        return self.shaft_rpm / 60

    def fault_hz(self) -> float:
        """Impulses a second."""
        if self.fault == "outer":
            return self.geometry.outer_hz(self.shaft_hz)
        if self.fault == "inner":
            return self.geometry.inner_hz(self.shaft_hz)
        return 2 * self.geometry.ball_hz(self.shaft_hz)

    def severity(self, wear: float) -> float:
        """The fault's rms in g at a point of its life; `wear` is 0 at the onset and 1 at the end, the fault is absent below 0."""
        start, growth, burst = self.fault_rms
        return 0.0 if wear < 0 else start + growth * wear + burst * wear**self.burst


class SimulatedBearing(Recordings):
    """The life of the rig as recordings; bearing 1 fails.

    Args:
        files: Recordings from new to failed.
        bearings: Which of `1` to `4` become channels; all when empty.
        onset: Share of life after which the fault begins.
        seed: The same seed gives the same counts, whatever bearings are asked for.
        rig: Machine, noise and fault.

    Attributes:
        onset_index: First recording with the fault in it.

    Raises:
        SettingError: Fewer than two files, an onset outside 0 to 1, or an unknown bearing.
    """

    def __init__(self, files: int = 240, bearings: Sequence[str] = (), onset: float = 0.55, seed: int = 1, rig: Rig | None = None) -> None:
        if files < 2 or not 0 < onset < 1:
            raise SettingError(f"cannot play {files} recordings with the onset at {onset:g}: at least 2, an onset between 0 and 1")
        unknown = [name for name in bearings if name not in _NAMES]
        if unknown:
            raise SettingError(f"no bearing {unknown[0]!r} on the simulated rig: choose among {', '.join(_NAMES)}")
        self.rig = rig or Rig()
        super().__init__(f"simulated rig, {_WHERE[self.rig.fault]}, seed {seed}", tuple(bearings) or _NAMES, self.rig.rate_hz)
        self.onset_index = max(1, round(files * onset))
        self._files = files
        self._seed = seed

    def __len__(self) -> int:
        return self._files

    def read(self) -> Iterator[Recording]:
        for index in range(self._files):
            counts, saturated = saturate(np.stack(self._signals(index)) / SCALE)
            time_ns = _START_NS + index * self.rig.period_s * 1_000_000_000
            yield Recording(index, f"simulated.{index:04}", time_ns, self.rig.rate_hz, counts, "g", SCALE, saturated)

    def _signals(self, index: int) -> list[Signal]:
        """float64[samples] in g for each wanted bearing."""
        rig = self.rig
        shared = np.random.default_rng([self._seed, index])
        wear = (index - self.onset_index) / max(1, self._files - 1 - self.onset_index)
        level = rig.severity(wear) * math.exp(shared.normal(0, rig.fault_spread))
        impulses = _impulses(rig, shared)
        signals = []
        for name in self.channels:
            place = _NAMES.index(name)
            own = np.random.default_rng([self._seed, index, place])
            signal = rig.offset + _background(rig, rig.healthy_rms[place], own)
            if level:
                near = place == 0
                # On its way along the shaft the ringing loses its high frequencies and its sharpness.
                ringing = _ring(rig, impulses, rig.resonance_hz if near else rig.resonance_hz / 2, rig.decay_s * (1 if near else 4))
                signal += level * (1 if near else rig.transmission) * ringing
            signals.append(signal)
        return signals


def _background(rig: Rig, rms: float, rng: np.random.Generator) -> Signal:
    """Noise of the healthy machine: broadband with the housing's resonance in it, modulated by the shaft, and the shaft's harmonics."""
    t = np.arange(rig.samples) / rig.rate_hz
    spectrum = np.fft.rfft(rng.standard_normal(rig.samples))
    frequency = np.fft.rfftfreq(rig.samples, 1 / rig.rate_hz)
    spectrum *= 1 + 1.5 * np.exp(-(((frequency - rig.resonance_hz) / 1200) ** 2))
    noise = np.fft.irfft(spectrum, n=rig.samples)
    turn = 2 * np.pi * (rig.shaft_hz * t + rng.random())
    noise *= 1 + rig.load_modulation * np.cos(turn)
    harmonics = sum(share * np.cos(order * turn + 2 * np.pi * rng.random()) for order, share in ((1, 0.10), (2, 0.15), (3, 0.08)))
    return rms * (1 + rng.normal(0, rig.spread)) * (_unit(noise) + harmonics) / math.sqrt(1 + (0.10**2 + 0.15**2 + 0.08**2) / 2)


def _impulses(rig: Rig, rng: np.random.Generator) -> Signal:
    """Blows of the rollers on the spall; the train starts before the recording, so that this begins in the middle of the ringing.

    Returns:
        float64[2 * samples], of which the second half is the recording.
    """
    interval = rig.rate_hz / rig.fault_hz()
    steps = interval * (1 + rng.normal(0, rig.slip, math.ceil(2.2 * rig.samples / interval)))
    at = interval * rng.random() + np.cumsum(steps)
    at = at[at < 2 * rig.samples]
    blows = (1 + 0.15 * rng.standard_normal(len(at))) * _load(rig, at / rig.rate_hz, rng.random())
    train = np.zeros(2 * rig.samples)
    np.add.at(train, at.astype(np.intp), blows)
    return train


def _load(rig: Rig, seconds: Signal, phase: float) -> Signal:
    """How hard each blow is: a spall on the outer race stays where the load is, the others travel through the load zone.

    The zone is Stribeck's distribution with half of the ring loaded (Randall & Antoni 2011, section 2.1).
    """
    if rig.fault == "outer":
        return 1 + 0.2 * np.cos(2 * np.pi * (rig.shaft_hz * seconds + phase))
    turns = rig.shaft_hz if rig.fault == "inner" else rig.geometry.cage_hz(rig.shaft_hz)
    zone = np.maximum(0, np.cos(2 * np.pi * (turns * seconds + phase))) ** 1.5
    return 0.05 + zone  # a little load remains outside the zone


def _ring(rig: Rig, train: Signal, resonance_hz: float, decay_s: float) -> Signal:
    """The answer of the structure to the blows, float64[samples] with rms 1."""
    t = np.arange(len(train)) / rig.rate_hz
    answer = np.exp(-t / decay_s) * np.sin(2 * np.pi * resonance_hz * t)
    ringing = np.fft.irfft(np.fft.rfft(train) * np.fft.rfft(answer), n=len(train))
    return _unit(ringing[rig.samples :])


def _unit(signal: Signal) -> Signal:
    return signal / math.sqrt(np.mean(signal**2))
