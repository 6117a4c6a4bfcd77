"""Driver `simulated`: a signal that is the same at every start, for trying things out."""

import math
from array import array
from collections.abc import Iterator
from typing import Any

from eddy.errors import SettingError
from eddy.kernel.rng import Rng
from eddy.links.pace import Pace

_SECOND_NS = 1_000_000_000


class Simulated:
    """A sine with noise, and from some time on with a fault: much more noise. A sample is determined by its number alone.

    Args:
        rate_hz: Values a second.
        chunk: 0 for single integers; else so many int16 values make a sample `[values, period_ns]`.
        amplitude, cycle_ms: Of the sine, counts and milliseconds; no sine when the cycle is 0.
        noise: Uniform from minus this to this, counts.
        fault_after_ms: When the fault begins, in sample time; never when None.
        fault_factor: By how much it multiplies the noise.
        samples: After how many the data end; never when None.
        start_ns: Time of the first sample.
        seed: Of the noise.
        speed: As of `eddy.links.replay.Replay`.
        resume: Samples that are kept already.

    Raises:
        SettingError: A rate or chunk that cannot be.
    """

    def __init__(
        self,
        *,
        rate_hz: int = 10,
        chunk: int = 0,
        amplitude: int = 1000,
        cycle_ms: int = 1000,
        noise: int = 50,
        fault_after_ms: int | None = None,
        fault_factor: int = 5,
        samples: int | None = None,
        start_ns: int = 0,
        seed: int = 1,
        speed: int = 1,
        resume: int = 0,
    ) -> None:
        if not 1 <= rate_hz <= _SECOND_NS or chunk < 0:
            raise SettingError(f"a signal of {rate_hz} Hz in chunks of {chunk} cannot be: use 1 Hz or more, and chunks of 0 or more")
        self._rate_hz, self._chunk, self._amplitude, self._noise, self._seed = rate_hz, chunk, amplitude, noise, seed
        self._cycle = rate_hz * cycle_ms  # of the sine, in thousandths of a sample
        self._fault_at = math.inf if fault_after_ms is None else fault_after_ms * rate_hz / 1000
        self._factor = fault_factor
        self._start_ns = start_ns
        self._pace = Pace(self._samples(resume, samples), speed)

    def read(self) -> list[tuple[int, Any]] | None:
        """What is due; raises EOFError behind the last sample."""
        return self._pace.read()

    def _samples(self, first: int, end: int | None) -> Iterator[tuple[int, Any]]:
        period_ns = _SECOND_NS // self._rate_hz
        n, length = first, max(1, self._chunk)
        while end is None or n < end:
            rng = Rng((self._seed << 32) + n)
            values = [self._value(i, rng) for i in range(n * length, (n + 1) * length)]
            # The memory of an array is little-endian wherever this runs, as in eddy.kernel.forest.
            whole: Any = [array("h", values).tobytes(), period_ns] if self._chunk else values[0]
            yield self._start_ns + n * length * period_ns, whole
            n += 1

    def _value(self, i: int, rng: Rng) -> int:
        noise = self._noise * (self._factor if i >= self._fault_at else 1)
        sine = self._amplitude * math.sin(2 * math.pi * (1000 * i % self._cycle) / self._cycle) if self._cycle else 0
        return max(-32768, min(32767, round(sine) + rng.below(2 * noise + 1) - noise))
