"""Windows: whole, without a gap, and nothing lost silently."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel import codec
from eddy.kernel.errors import SampleError
from eddy.kernel.window import Windower

PERIOD = 50_000  # ns


def feed(windower: Windower, samples: list[int], time_ns: int, period_ns: int = PERIOD) -> list[tuple[int, list[int]]]:
    """Push all, take what gets ready."""
    windows = []
    rest = array("h", samples)
    while len(rest):
        taken = windower.push(rest, time_ns, period_ns)
        rest = rest[taken:]
        time_ns += taken * period_ns
        if windower.ready():
            start, window = windower.take()
            windows.append((start, window.tolist()))
    return windows


@given(st.integers(1, 20), st.lists(st.integers(1, 30), max_size=20))
def test_pieces_of_any_length_give_the_windows_of_the_whole(size: int, pieces: list[int]) -> None:
    windower = Windower(size)
    windows = []
    at = 0
    for piece in pieces:
        windows += feed(windower, list(range(at, at + piece)), at * PERIOD)
        at += piece
    assert windows == [(i * PERIOD, list(range(i, i + size))) for i in range(0, at - size + 1, size)]
    assert windower.dropped == windower.gaps == 0


@pytest.mark.parametrize("shift", [PERIOD, -PERIOD, PERIOD // 2 + 1])
def test_a_gap_or_an_overlap_drops_the_partial_window_and_counts_it(shift: int) -> None:
    windower = Windower(4)
    feed(windower, [1, 2, 3], 0)
    assert feed(windower, [5, 6, 7, 8], 3 * PERIOD + shift) == [(3 * PERIOD + shift, [5, 6, 7, 8])]
    assert (windower.dropped, windower.gaps) == (3, 1)


def test_jitter_within_the_tolerance_is_no_gap() -> None:
    windower = Windower(4)
    feed(windower, [1, 2, 3], 0)
    assert feed(windower, [4], 3 * PERIOD - PERIOD // 2) == [(0, [1, 2, 3, 4])]
    windower = Windower(4, tolerance_ns=10 * PERIOD)
    feed(windower, [1, 2, 3], 0)
    assert feed(windower, [4], 12 * PERIOD) == [(0, [1, 2, 3, 4])]


def test_another_rate_starts_a_new_window() -> None:
    windower = Windower(4)
    feed(windower, [1, 2], 0)
    assert feed(windower, [3, 4, 5, 6], 2 * PERIOD, 2 * PERIOD) == [(2 * PERIOD, [3, 4, 5, 6])]
    assert windower.dropped == 2


def test_a_gap_between_windows_costs_nothing() -> None:
    windower = Windower(2)
    feed(windower, [1, 2], 0)
    feed(windower, [3, 4], 10**12)
    assert windower.dropped == windower.gaps == 0


def test_a_ready_window_waits_until_it_is_taken() -> None:
    windower = Windower(2)
    assert windower.push(array("h", [1, 2, 3]), 0, PERIOD) == 2
    assert windower.push(array("h", [9]), 2 * PERIOD, PERIOD) == 0
    assert windower.take()[1].tolist() == [1, 2]
    with pytest.raises(SampleError, match="0 of 2"):
        windower.take()


@given(st.integers(0, 40), st.integers(0, 40))
def test_moved_half_way_it_ends_the_same(first: int, second: int) -> None:
    here, stayed = Windower(16), Windower(16)
    samples = list(range(first + second))
    windows = feed(here, samples[:first], 0)
    there = Windower(16)
    state = codec.decode(codec.encode(here.state()))
    assert isinstance(state, dict)
    there.restore(state)
    windows += feed(there, samples[first:], first * PERIOD)
    assert windows == feed(stayed, samples, 0)
    assert there.state() == stayed.state()


def test_what_makes_no_window_is_refused() -> None:
    for size in (0, -1, 16385):
        with pytest.raises(SampleError, match="16384"):
            Windower(size)
    with pytest.raises(SampleError, match="period"):
        Windower(4).push(array("h", [1]), 0, 0)
    long = Windower(8)
    feed(long, [1, 2, 3, 4, 5], 0)
    with pytest.raises(SampleError, match="5 samples"):
        Windower(4).restore(long.state())
