"""One vibration recording, the contract of what yields recordings, and the paper's sub-sampling.

A recording is what an analogue-to-digital converter hands over: integer counts. Whatever the source stores (text with three
decimals, milli-g, a simulated acceleration) becomes int16 here, and what does not fit is clipped and counted, as an ADC would.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eddy.errors import DataError, SettingError

Counts = NDArray[np.int16]
"""int16[channels, samples], in counts of the recording's `scale`."""

COUNT_MAX = 32767


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A stretch of signal that was sampled without a gap.

    Attributes:
        index: Position in the run as the source numbers it; growing, not necessarily dense.
        name: The source's own name for it, such as `2004.02.12.10.32.39`.
        time_ns: Time of the first sample, nanoseconds since 1970 (sources without a date start at day 0).
        rate_hz: Samples a second and channel.
        counts: int16[channels, samples].
        unit: Unit of a sample after scaling, such as `g`.
        scale: Units a count.
        saturated: How many samples were clipped to the int16 range.
    """

    index: int
    name: str
    time_ns: int
    rate_hz: int
    counts: Counts
    unit: str
    scale: float
    saturated: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept a part of the data from being read; the rest goes on.

    Attributes:
        path: The file.
        what: What is wrong with it and what to do about it.
        line: Line of the file, from 1; 0 when it has none.
    """

    path: Path
    what: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}{f', line {self.line}' if self.line else ''}: {self.what}"


class UnreadableError(Exception):
    """Raised inside a reader for one bad file or record; never leaves the room."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class Recordings(ABC):
    """Recordings of one run in order; read lazily, and again from the start by every iteration.

    Attributes:
        source: What it is, for people: data set, folder, bearing.
        channels: A name for each channel of `Recording.counts`.
        rate_hz: Samples a second and channel.
        problems: What could not be read so far.
    """

    def __init__(self, source: str, channels: tuple[str, ...], rate_hz: int, on_problem: Callable[[Problem], None] | None = None) -> None:
        self.source = source
        self.channels = channels
        self.rate_hz = rate_hz
        self.problems: list[Problem] = []
        self._on_problem = on_problem

    @abstractmethod
    def __len__(self) -> int:
        """How many recordings there should be; bad ones turn out only when they are read."""

    @abstractmethod
    def read(self) -> Iterator[Recording]:
        """Yields the good recordings and calls `report` for the bad ones."""

    def __iter__(self) -> Iterator[Recording]:
        count = 0
        for recording in self.read():
            count += 1
            yield recording
        if count == 0:
            first = f" The first problem: {self.problems[0]}" if self.problems else ""
            raise DataError(f"nothing readable in {self.source}.{first}")

    def report(self, problem: Problem) -> None:
        """Keeps a problem and tells the caller, once however often the run is read."""
        if problem not in self.problems:
            self.problems.append(problem)
            if self._on_problem is not None:
                self._on_problem(problem)


def saturate(values: NDArray[np.floating] | NDArray[np.integer]) -> tuple[Counts, int]:
    """Rounds half to even and clips to int16; returns the counts and how many samples were clipped."""
    whole = np.rint(values)
    clipped = np.clip(whole, -COUNT_MAX - 1, COUNT_MAX)
    return clipped.astype(np.int16), int(np.count_nonzero(whole != clipped))


def subsample(counts: Counts, rate_in: int, rate_out: int) -> Counts:
    """Lowers the sampling rate as the Tiny-MLOps paper does: FFT, rectangular low-pass at half the new rate, back to time.

    Transforming back only the kept part of the spectrum gives every (rate_in/rate_out)-th sample of the filtered signal directly, for
    ratios that are no whole number too. A component at exactly half the new rate is removed, since its phase could not be kept.

    Args:
        counts: int16[channels, samples].
        rate_in: Its rate in Hz.
        rate_out: The wanted rate in Hz, at most `rate_in`.

    Returns:
        int16[channels, round(samples * rate_out / rate_in)].

    Raises:
        SettingError: The wanted rate is higher than the source's, or too low to leave a sample.

    Reference: Antonini et al., Tiny-MLOps, section V.A.
    """
    if rate_out == rate_in:
        return counts
    samples = counts.shape[-1]
    kept = round(samples * rate_out / rate_in)
    if rate_out > rate_in or kept < 1:
        raise SettingError(f"cannot sub-sample {samples} samples from {rate_in} Hz to {rate_out} Hz: choose a rate up to {rate_in} Hz")
    spectrum = np.fft.rfft(counts, axis=-1)[..., : kept // 2 + 1]
    if kept % 2 == 0:
        spectrum[..., -1] = 0
    low = np.fft.irfft(spectrum, n=kept, axis=-1) * (kept / samples)
    return saturate(low)[0]
