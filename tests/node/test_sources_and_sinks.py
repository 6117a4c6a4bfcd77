"""Drivers that wait, fail and come back hold nobody up, and lose and double nothing."""

import threading
from typing import Any

import pytest

from eddy.errors import LinkLost, Refused, StorageFull
from eddy.node.sinks import BATCH, SinkRunner
from eddy.node.sources import SourceThread


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


class Sensor:
    """A source of the numbers from `resume` to 9 that fails at the numbers in `bad`, once each."""

    def __init__(self, resume: int, bad: set[int]) -> None:
        self.at, self.bad = resume, bad
        self.closed = False

    def read(self) -> Any:
        if self.at in self.bad:
            self.bad.discard(self.at)
            raise OSError("loose contact")
        if self.at == 10:
            raise EOFError
        self.at += 1
        return (self.at - 1, self.at - 1) if self.at % 2 else [(self.at - 1, self.at - 1)]

    def close(self) -> None:
        self.closed = True


def drain(source: SourceThread) -> list[int]:
    out: list[int] = []
    while not source.ended:
        out += [value for _, value in source.take(3, 5.0)]
    return out


def test_samples_come_through_in_order_until_the_data_end() -> None:
    source = SourceThread(lambda resume: Sensor(resume, set()), bound=2).begin()
    assert drain(source) == list(range(10))
    source.close()


def test_it_goes_on_behind_what_was_kept() -> None:
    source = SourceThread(lambda resume: Sensor(resume, set()), kept=7).begin()
    assert drain(source) == [7, 8, 9]
    source.close()


def test_a_driver_that_fails_is_started_again_where_it_was_with_ever_longer_waits() -> None:
    made: list[Sensor] = []
    bad = {0, 4}

    def start(resume: int) -> Sensor:
        if len(made) == 1:
            made.append(Sensor(resume, bad))
            raise OSError("still loose")
        made.append(Sensor(resume, bad))
        return made[-1]

    source = SourceThread(start)
    assert [source.turn(), source.fault, made[0].closed] == [1.0, "OSError: loose contact", True]
    assert source.turn() == 2.0
    assert [source.turn() for _ in range(5)] == [0.0] * 4 + [1.0]
    assert (source.faults, source.given) == (3, 4)
    while not source.ended:
        source.turn()
        source.take()
    assert (source.given, source.fault, [sensor.at for sensor in made[-1:]]) == (10, "", [10])


def test_a_driver_works_once_it_was_read_or_may_be_waiting_for_its_sensor() -> None:
    clock = Clock()
    seen: list[bool] = []
    bad = {1}

    class Slow(Sensor):
        def read(self) -> Any:
            for seconds in (0.0, 0.5, 1.0):  # a source may block for a second
                clock.now += seconds
                seen.append(source.works)
            return super().read()

    source = SourceThread(lambda resume: Slow(resume, bad), monotonic_s=clock)
    assert not source.works
    source.turn()
    assert (seen, source.works) == ([False, False, True], True)
    source.turn()
    assert (source.works, source.fault) == (False, "OSError: loose contact")
    source.turn()
    assert (source.works, source.fault) == (True, "")
    while not source.ended:
        source.turn()
        source.take()
    assert source.works  # the data have ended, and nothing is wrong


def test_a_full_queue_is_not_filled_further() -> None:
    source = SourceThread(lambda resume: Sensor(resume, set()), bound=3)
    assert [source.turn() for _ in range(5)] == [0.0, 0.0, 0.0, None, None]
    assert source.take(2) == [(0, 0), (1, 1)]
    assert source.turn() == 0.0


def test_a_source_that_waits_for_room_is_closed_at_once() -> None:
    made: list[Sensor] = []
    source = SourceThread(lambda resume: made.append(Sensor(resume, set())) or made[-1], bound=1).begin()  # type: ignore[func-returns-value]
    source.take(0, 5.0)
    source.close()
    assert made[0].closed and "source" not in running()


class Lamp:
    """A sink that fails as often as told."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.lit: list[Any] = []

    def write(self, key: str, time_ns: int, value: Any) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.lit.append((key, value))

    def safe(self, value: Any) -> None:
        self.write("safe", 0, value)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_samples_are_written_in_order_and_told_when_done() -> None:
    lamp = Lamp([])
    sink = SinkRunner(lambda: lamp)
    assert sink.offer("a", 1, 10) and sink.offer("b", 2, 20)
    sink.turn()
    assert sink.done() == (1, [])
    sink.turn()
    assert (sink.done(), sink.done(), lamp.lit) == ((1, []), (0, []), [("a", 10), ("b", 20)])


def test_a_failed_write_comes_again_with_its_key_after_ever_longer_waits() -> None:
    clock, started = Clock(), []
    lamp = Lamp([LinkLost("down"), LinkLost("down"), LinkLost("down")])
    sink = SinkRunner(lambda: started.append(1) or lamp, monotonic_s=clock)  # type: ignore[func-returns-value]
    sink.offer("a", 1, 10)
    sink.offer("b", 2, 20)
    waits = []
    while not lamp.lit:
        waits.append(sink.turn())
        clock.now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 0.0] and len(started) == 4
    assert (sink.done(), sink.faults, sink.fault) == ((1, []), 3, "")


def test_nothing_is_tried_before_the_wait_is_over_however_much_comes() -> None:
    clock = Clock()
    sink = SinkRunner(lambda: Lamp([LinkLost("down")]), monotonic_s=clock)
    sink.offer("a", 1, 10)
    sink.turn()
    sink.offer("b", 2, 20)
    assert (sink.turn(), sink.faults) == (1.0, 1)


def test_what_the_driver_refuses_for_good_holds_nothing_up_and_is_told() -> None:
    lamp = Lamp([Refused("no such topic")])
    sink = SinkRunner(lambda: lamp)
    sink.offer("a", 1, 10)
    sink.offer("b", 2, 20)
    sink.turn()
    sink.turn()
    assert sink.done() == (2, [("a", "Refused: no such topic")])


def test_a_driver_that_is_refused_costs_no_sample() -> None:
    def start() -> Lamp:
        raise Refused("its code is not here")

    sink = SinkRunner(start)
    sink.offer("a", 1, 10)
    assert (sink.turn(), sink.done(), sink.fault) == (1.0, (0, []), "Refused: its code is not here")


def test_a_full_queue_takes_no_more() -> None:
    sink = SinkRunner(lambda: Lamp([]), bound=2)
    assert [sink.offer(key, 0, 0) for key in "abc"] == [True, True, False]


def test_the_safe_value_comes_once_when_nobody_speaks_and_again_after_the_next_silence() -> None:
    clock, lamp = Clock(), Lamp([])
    sink = SinkRunner(lambda: lamp, safe="off", silence_s=30, monotonic_s=clock)
    assert sink.turn() == 30
    for _ in range(5):
        clock.now += 20
        sink.hear()
        sink.turn()
    assert lamp.lit == []
    clock.now += 30
    sink.turn()
    sink.turn()
    assert (lamp.lit, sink.silent) == ([("safe", "off")], True)
    sink.offer("a", 1, 1)
    sink.turn()
    clock.now += 31
    sink.turn()
    assert lamp.lit == [("safe", "off"), ("a", 1), ("safe", "off")]


def test_a_safe_value_that_fails_is_tried_again() -> None:
    clock, lamp = Clock(), Lamp([LinkLost("down")])
    sink = SinkRunner(lambda: lamp, safe=0, silence_s=5, monotonic_s=clock)
    clock.now += 5
    clock.now += sink.turn()
    sink.turn()
    assert (lamp.lit, sink.silent) == ([("safe", 0)], True)


@pytest.mark.parametrize("count", [1, 300])
def test_the_thread_writes_what_is_offered_and_ends_when_closed(count: int) -> None:
    lamp, out = Lamp([]), threading.Event()
    write = lamp.write

    def told(key: str, time_ns: int, value: Any) -> None:
        write(key, time_ns, value)
        if value == count - 1:
            out.set()

    lamp.write = told  # type: ignore[method-assign]
    sink = SinkRunner(lambda: lamp).begin()
    for i in range(count):
        assert sink.offer(str(i), i, i)
    assert out.wait(5)
    sink.close()
    assert [value for _, value in lamp.lit] == list(range(count))
    assert "sink" not in running()


class Shelf:
    """A store that takes many at once."""

    gather_s = 1.0

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.written: list[list[str]] = []

    def write_all(self, samples: list[tuple[str, int, Any]]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.written.append([key for key, _, _ in samples])

    def safe(self, value: Any) -> None:
        """Nothing."""


def test_a_store_gets_what_has_gathered_once_the_oldest_has_waited_long_enough() -> None:
    clock, shelf = Clock(), Shelf([])
    sink = SinkRunner(lambda: shelf, monotonic_s=clock)
    sink.offer("a", 1, 10)
    clock.now += 0.75
    sink.offer("b", 2, 20)
    left_s = sink.turn()
    assert (left_s, sink.done()) == (0.25 - 2 / BATCH, (0, []))
    clock.now += left_s
    assert (sink.turn(), shelf.written, sink.done()) == (0.0, [["a", "b"]], (2, []))
    sink.offer("c", 3, 30)
    assert sink.turn() == 1 - 1 / BATCH


def test_the_more_there_is_for_a_store_the_less_it_waits_for_more() -> None:
    sink = SinkRunner(lambda: Shelf([]), bound=3 * BATCH, monotonic_s=Clock())
    for i in range(BATCH // 2):
        sink.offer(str(i), i, i)
    assert sink.turn() == 0.5


def test_a_store_gets_no_more_than_a_batch_and_that_at_once() -> None:
    shelf = Shelf([])
    sink = SinkRunner(lambda: shelf, bound=3 * BATCH, monotonic_s=Clock())
    for i in range(2 * BATCH + 1):
        assert sink.offer(str(i), i, i)
    waits = [sink.turn() for _ in range(3)]
    assert waits == [0.0, 0.0, 1 - 1 / BATCH] and [len(part) for part in shelf.written] == [BATCH, BATCH]
    assert sink.done() == (2 * BATCH, [])


@pytest.mark.parametrize("failure", [StorageFull("no room"), Refused("one of them")])
def test_a_batch_that_fails_comes_again_whole_and_nothing_of_it_is_done(failure: Exception) -> None:
    clock, shelf = Clock(), Shelf([failure])
    sink = SinkRunner(lambda: shelf, monotonic_s=clock)
    sink.offer("a", 1, 10)
    sink.offer("b", 2, 20)
    clock.now += 1
    assert (sink.turn(), sink.done(), sink.faults) == (1.0, (0, []), 1)
    clock.now += 1
    assert (sink.turn(), shelf.written, sink.fault) == (0.0, [["a", "b"]], "")


def test_the_thread_hands_a_store_everything_in_order() -> None:
    shelf, there = Shelf([]), threading.Event()
    shelf.gather_s = 0.01
    write_all = shelf.write_all

    def told(samples: list[tuple[str, int, Any]]) -> None:
        write_all(samples)
        if samples[-1][0] == "299":
            there.set()

    shelf.write_all = told  # type: ignore[method-assign]
    sink = SinkRunner(lambda: shelf).begin()
    for i in range(300):
        assert sink.offer(str(i), i, i)
    assert there.wait(5)
    sink.close()
    assert [key for part in shelf.written for key in part] == [str(i) for i in range(300)]
