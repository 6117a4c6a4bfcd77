"""Clocks in milliseconds. Code is handed a clock and never asks the system for the time itself."""

import time


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1000000


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000


def _difference(end: int, start: int) -> int:
    return end - start


# MicroPython has these three and no monotonic().
_ticks_ms = getattr(time, "ticks_ms", _monotonic_ms)
_ticks_us = getattr(time, "ticks_us", _monotonic_us)
_ticks_diff = getattr(time, "ticks_diff", _difference)


class SystemClock:
    """Milliseconds since this clock was made, monotonic, on every interpreter.

    MicroPython's tick counters wrap (2**30 on 32-bit boards), so the ticks between two calls are summed up. Call `now_ms` at least every
    6 days, or every 8 minutes when `scale` is above 1, which counts in microseconds.

    Args:
        scale: How many milliseconds of this clock pass in one real millisecond; above 1 in simulations that hurry.
    """

    def __init__(self, scale: int = 1) -> None:
        if scale < 1:
            raise ValueError("scale must be at least 1")
        self._scale = scale
        # Per-millisecond ticks when real time is asked for, finer ones when each millisecond is to be multiplied.
        self._ticks_per_ms = 1 if scale == 1 else 1000
        self._ticks = _ticks_ms if scale == 1 else _ticks_us
        self._last = self._ticks()
        self._passed = 0

    def now_ms(self) -> int:
        """Milliseconds since the clock was made, times `scale`."""
        ticks = self._ticks()
        self._passed += _ticks_diff(ticks, self._last)
        self._last = ticks
        return self._passed * self._scale // self._ticks_per_ms


class ManualClock:
    """A clock that stands still until it is moved: for tests and for virtual time.

    >>> clock = ManualClock()
    >>> clock.advance(250)
    >>> clock.now_ms()
    250
    """

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def advance(self, ms: int) -> None:
        """Move the time on by `ms` milliseconds, which may be 0 but not less."""
        if ms < 0:
            raise ValueError("time does not run backwards")
        self._now += ms

    def now_ms(self) -> int:
        """The time that was reached, in milliseconds."""
        return self._now
