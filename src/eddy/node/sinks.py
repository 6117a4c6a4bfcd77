"""Runs a sink in a thread of its own: in order, again until it works, and to its safe value when nobody speaks any more."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from threading import Condition, Thread
from typing import Any

from eddy.errors import Refused
from eddy.links.driver import Sink, Store
from eddy.node.sources import BACKOFF_S, stop

BOUND = 1024
"""Samples that wait for a driver."""

BATCH = 16384
"""Most samples that a driver with `write_all` gets at once."""


class SinkRunner:
    """Brings samples out through a driver. What is done is told, so that it is acknowledged only then.

    A driver with `write_all` gets what is in the queue, at most 16,384. The fuller it is, the less of `gather_s` the oldest waits for more:
    nothing comes from a producer who waits for an acknowledgement, and meanwhile its next batch grows.

    Args:
        start: Makes the driver; called again after a failure.
        safe: What `driver.safe` gets, once, when nobody has spoken for `silence_s`.
        silence_s: After this many seconds without `offer` or `hear`; 0 for never.
        bound: Samples in the queue at which no more are taken.
        monotonic_s: The clock.

    Attributes:
        faults, fault: How often the driver failed, and what it said last; "" once it works again.
        silent: The safe value is out.
    """

    def __init__(
        self,
        start: Callable[[], Sink | Store],
        safe: Any = None,
        silence_s: float = 0.0,
        bound: int = BOUND,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._safe = safe
        self._silence_s = silence_s
        self._bound = bound
        self._monotonic_s = monotonic_s
        self._queue: deque[tuple[str, int, Any]] = deque()
        self._done = 0
        self._refused: list[tuple[str, str]] = []
        self._changed = Condition()
        self._driver: Any = None
        self._since_s = monotonic_s()  # when the oldest in the queue came, or others were written before it
        self._heard_s = monotonic_s()
        self._again_s = self._heard_s  # not before this
        self._wait_s = BACKOFF_S[0]
        self._idle = True  # as the last turn saw it
        self._closed = False
        self._thread: Thread | None = None
        self.silent = False
        self.faults = 0
        self.fault = ""

    def begin(self) -> "SinkRunner":
        """Start the thread."""
        self._thread = Thread(target=self._run, name="sink", daemon=True)
        self._thread.start()
        return self

    def offer(self, key: str, time_ns: int, value: Any) -> bool:
        """One more sample to bring out; False when the queue is full: offer it again later."""
        return self.offer_all([(key, time_ns, value)]) == 1

    def offer_all(self, samples: Sequence[tuple[str, int, Any]]) -> int:
        """Several; returns how many there was room for, the first ones."""
        if not samples:
            return 0
        with self._changed:
            self._hear()
            taken = samples[: max(0, self._bound - len(self._queue))]
            if taken and not self._queue:
                self._since_s = self._monotonic_s()
            self._queue.extend(taken)
            self._changed.notify_all()
            return len(taken)

    def room(self) -> int:
        """Samples that can be offered now."""
        return max(0, self._bound - len(self._queue))

    @property
    def works(self) -> bool:
        """Whether the driver has not failed; it is not started before there is something to write."""
        return not self.fault

    def hear(self) -> None:
        """Whoever decides about this sink lives, although it has nothing to say."""
        with self._changed:
            self._hear()
            self._changed.notify_all()

    def done(self) -> tuple[int, list[tuple[str, str]]]:
        """How many are out since the last question, in order; of these (key, why) of what the driver refused for good."""
        with self._changed:
            done, self._done = (self._done, self._refused), 0
            self._refused = []
            return done

    def close(self) -> None:
        """Stop; what is still in the queue is not done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(2)

    def turn(self) -> float:
        """One step of the thread: write the oldest sample, or the safe value. Returns how many seconds to wait for the next one."""
        now = self._monotonic_s()
        with self._changed:
            head = self._queue[0] if self._queue else None
            self._idle = head is None
            quiet_s = now - self._heard_s
            safe = bool(self._silence_s) and quiet_s >= self._silence_s and not self.silent and head is None
        if now < self._again_s:
            return self._again_s - now
        if head is None and not safe:
            return self._silence_s - quiet_s if self._silence_s and not self.silent else BACKOFF_S[1]
        if self._driver is None:
            try:
                self._driver = self._start()
            except Exception as error:  # also one that is refused: that says nothing about the sample
                return self._failed(error)
        if head is not None and hasattr(self._driver, "write_all"):
            return self._all(now)
        why = ""
        try:
            if head is not None:
                self._driver.write(*head)
            else:
                self._driver.safe(self._safe)
        except Refused as error:
            self.faults += 1
            self.fault = why = f"{type(error).__name__}: {error}"
        except Exception as error:  # whatever a driver may raise: it is started again
            return self._failed(error)
        else:
            self.fault = ""
        self._wait_s = BACKOFF_S[0]
        with self._changed:
            if head is not None:
                self._queue.popleft()
                self._done += 1
                self._refused += [(head[0], why)] if why else []
            else:
                self.silent = self._monotonic_s() - self._heard_s >= self._silence_s  # unless somebody spoke meanwhile
        return 0.0

    def _all(self, now: float) -> float:
        """Write what is in the queue, or say how long it may wait for more."""
        with self._changed:
            batch = list(islice(self._queue, BATCH))
        wait_s = self._gather(len(batch)) - now
        if wait_s > 0:
            return wait_s
        try:
            self._driver.write_all(batch)
        except Exception as error:  # also what it refuses: nobody knows which of them it means
            return self._failed(error)
        self.fault, self._wait_s = "", BACKOFF_S[0]
        with self._changed:
            for _ in batch:
                self._queue.popleft()
            self._done += len(batch)
            self._since_s = self._monotonic_s()
        return 0.0

    def _due(self) -> bool:
        """Whether there is something to write now, or something came for which nobody has looked how long it may wait."""
        if self._closed:
            return True
        now = self._monotonic_s()
        if not self._queue or now < self._again_s:
            return False
        return self._idle or now >= self._gather(len(self._queue))

    def _gather(self, count: int) -> float:
        """Until when so many samples wait for more."""
        waits: float = getattr(self._driver, "gather_s", 0.0)
        return self._since_s + waits * max(0.0, 1 - count / BATCH)

    def _failed(self, error: Exception) -> float:
        self.faults += 1
        self.fault = f"{type(error).__name__}: {error}"
        stop(self._driver)
        self._driver = None
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, BACKOFF_S[1])
        self._again_s = self._monotonic_s() + wait_s
        return wait_s

    def _hear(self) -> None:
        self._heard_s = self._monotonic_s()
        self.silent = False

    def _run(self) -> None:
        while not self._closed:
            wait_s = self.turn()
            with self._changed:
                self._changed.wait_for(self._due, wait_s)
        stop(self._driver)
