"""How often a producer repeats itself."""

from itertools import pairwise

import pytest

from eddy.kernel.assignment import read
from eddy.kernel.hop import Inbox, Outbox, numbering
from eddy.kernel.outlets import MAX_RETRY_MS, RETRY_MS, Outlets
from eddy.kernel.store import RamStore


class Consumer:
    def __init__(self, samples: int = 1) -> None:
        store = RamStore()
        store.put(numbering(b"src"))
        self.box = Outbox("s", "source", store, block=1)
        self.outlets = Outlets({"sink": self.box})
        self.inbox = Inbox()
        for number in range(samples):
            self.box.keep(0, number)

    def sent_at(self, until_ms: int, answer_after_ms: int | None = None, since_ms: int = 0) -> list[int]:
        """When something is sent, ms, if each batch is answered so late."""
        times: list[int] = []
        answers: list[tuple[int, bytes]] = []
        for now in range(since_ms, until_ms, 10):
            while answers and answers[0][0] <= now:
                self.outlets.acked("sink", answers.pop(0)[1])
                if not self.box.pending():
                    self.box.keep(0, 0)
            for _, data in self.outlets.speak(now):
                times.append(now)
                self.inbox.offer(read(data)[2])
                self.inbox.commit()
                answers += [(now + (answer_after_ms or 0), ack) for ack in self.inbox.acks() if answer_after_ms is not None]
        return times


def test_nobody_there_is_asked_less_and_less_but_never_given_up() -> None:
    times = Consumer().sent_at(5000)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[:3] == [RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS]
    assert set(gaps[3:]) == {MAX_RETRY_MS}


@pytest.mark.parametrize("answer_after_ms", [350, 1500])
def test_a_consumer_slower_than_the_first_repeat_is_soon_sent_everything_once(answer_after_ms: int) -> None:
    consumer = Consumer()
    times = consumer.sent_at(10_000, answer_after_ms)
    assert consumer.inbox.duplicates <= 3
    assert times[-1] > 8000


def test_one_that_answers_at_once_is_repeated_to_after_the_shortest_time_when_it_stops() -> None:
    consumer = Consumer()
    consumer.sent_at(1000, answer_after_ms=0)
    assert consumer.sent_at(1300, since_ms=1000) == [990 + RETRY_MS]


def test_a_new_owner_is_told_at_once() -> None:
    consumer = Consumer()
    consumer.sent_at(3000)
    consumer.outlets.again("sink")
    assert [to for to, _ in consumer.outlets.speak(3000)] == ["sink"]
    assert consumer.outlets.speak(3000 + RETRY_MS - 1) == []
    assert consumer.outlets.speak(3000 + RETRY_MS) != []
