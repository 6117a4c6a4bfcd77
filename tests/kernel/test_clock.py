"""Clocks: monotonic, scaled, and unimpressed by tick counters that wrap."""

import pytest

from eddy.kernel import clock
from eddy.kernel.clock import ManualClock, SystemClock


class Ticks:
    """A tick counter that wraps at 2**30 as on a 32-bit board, `start` ticks before it does."""

    def __init__(self, start: int) -> None:
        self.now = 2**30 - start

    def read(self) -> int:
        return self.now % 2**30

    @staticmethod
    def diff(end: int, start: int) -> int:
        return (end - start + 2**29) % 2**30 - 2**29


@pytest.mark.parametrize(("scale", "counter", "ticks_per_ms"), [(1, "_ticks_ms", 1), (8, "_ticks_us", 1000)])
def test_a_wrapping_counter_is_followed(monkeypatch: pytest.MonkeyPatch, scale: int, counter: str, ticks_per_ms: int) -> None:
    ticks = Ticks(start=500)
    monkeypatch.setattr(clock, counter, ticks.read)
    monkeypatch.setattr(clock, "_ticks_diff", ticks.diff)
    system = SystemClock(scale)
    for passed_ms in range(0, 2_000_000, 100_000):
        assert system.now_ms() == passed_ms * scale
        ticks.now += 100_000 * ticks_per_ms


def test_a_scaled_clock_counts_fractions_of_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = Ticks(start=2**20)
    monkeypatch.setattr(clock, "_ticks_us", ticks.read)
    system = SystemClock(scale=100)
    ticks.now += 50
    assert system.now_ms() == 5


def test_time_cannot_be_stopped_or_turned_back() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SystemClock(scale=0)
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)
