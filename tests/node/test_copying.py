"""Snapshots from a fork: equal to one taken at once, whatever the function does meanwhile."""

import time

import pytest
from moving import charter

from eddy.errors import OutOfMemory
from eddy.functions.counter import Counter
from eddy.kernel.function import TICK
from eddy.kernel.replica import CONSUMERS, Replica
from eddy.node import copying
from eddy.node.copying import forked


def replica(ballast: int = 100_000) -> Replica:
    made = Replica(charter("count", None, "counted", ["ticks"]), lambda program: Counter(ballast))
    made.apply([CONSUMERS, ["sink"], 0])
    return made


def test_a_fork_copies_the_moment_while_the_function_goes_on() -> None:
    source = replica()
    expected = source.snapshot()
    take = forked(source, copying.SMALL)
    source.apply([TICK, 0, 0])  # goes on
    end = time.monotonic() + 30
    while (data := take()) is None and time.monotonic() < end:
        continue
    assert data == expected != source.snapshot()
    copy = replica(0)
    assert data
    copy.restore(data)
    assert copy.snapshot() == expected


def test_what_is_small_is_copied_at_once() -> None:
    source = replica(10)
    assert forked(source, copying.SMALL - 1)() == source.snapshot()


def test_a_copy_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    source = replica(10)
    source.instance.function.state = lambda: 1.5  # type: ignore[method-assign]  # no plain data: the child fails
    take = forked(source, copying.SMALL)
    end = time.monotonic() + 30
    with pytest.raises(OutOfMemory, match="no copy of count"):
        while time.monotonic() < end:
            take()
