"""Runs a source in a thread of its own: it may wait for its sensor without anybody waiting for it."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from threading import Condition, Thread
from typing import Any

from eddy.links.driver import Source

BACKOFF_S = (1.0, 60.0)  # the first wait, and the longest; each is twice the one before
_IDLE_S = 0.05  # between two questions to a source that had nothing
_BLOCKS_S = 1.0  # so long a source may block when it is read


class SourceThread:
    """Samples of a source, through a bounded queue; a source that fails is started again where it was.

    Args:
        start: Makes the driver; gets the number of samples that it has given already (`resume`).
        kept: Samples that the system has taken from earlier.
        bound: Samples in the queue at which the source is not asked any more.
        monotonic_s: The clock.

    Attributes:
        faults, fault: How often the driver failed, and what it said last; "" once it works again.
        given: Samples that the driver has given, those of earlier included.
    """

    def __init__(
        self, start: Callable[[int], Source], kept: int = 0, bound: int = 1024, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._start = start
        self._monotonic_s = monotonic_s
        self._bound = bound
        self._queue: deque[tuple[int, Any]] = deque()
        self._changed = Condition()
        self._driver: Any = None
        self._first = kept  # samples that came from the drivers before this one
        self._told = kept
        self._broken: Exception | None = None  # what the driver said when it was told
        self._wait_s = BACKOFF_S[0]
        self._begun_s = 0.0  # when the driver was started
        self._read = False  # it has been read without a fault
        self._over = False
        self._closed = False
        self._thread: Thread | None = None
        self.given = kept
        self.faults = 0
        self.fault = ""

    def begin(self) -> "SourceThread":
        """Start the thread."""
        self._thread = Thread(target=self._run, name="source", daemon=True)
        self._thread.start()
        return self

    def take(self, limit: int = 256, wait_s: float = 0.0) -> list[tuple[int, Any]]:
        """The next samples, (time in nanoseconds, value), at most `limit`; waits for the first one as long as said."""
        with self._changed:
            if wait_s:
                self._changed.wait_for(lambda: self._queue or self._over or self._closed, wait_s)
            taken = list(islice(self._queue, limit))
            for _ in taken:
                self._queue.popleft()
            self._changed.notify_all()
            return taken

    def keep(self, kept: int) -> None:
        """So many samples, those of earlier included, can no longer be lost: tell the driver, if it wants to know."""
        with self._changed:
            driver, count = self._driver, kept - self._first
            news = kept > self._told and count > 0
            self._told = max(self._told, kept)
        tell = getattr(driver, "kept", None)
        if tell is None or not news:
            return
        try:
            tell(count)
        except Exception as error:  # as in `turn`
            self._broken = error

    @property
    def up(self) -> bool:
        """Whether a driver works."""
        return self._driver is not None

    @property
    def works(self) -> bool:
        """Whether a driver has been read, or is still being read without a fault; also when the data have ended."""
        return self._over or (self.up and (self._read or self._monotonic_s() - self._begun_s > _BLOCKS_S))

    @property
    def ended(self) -> bool:
        """Whether the data have ended and all of them were taken."""
        return self._over and not self._queue

    def close(self) -> None:
        """Stop; the driver is closed by its thread once it comes back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(2)

    def turn(self) -> float | None:
        """One step of the thread: start the driver, or read once. Returns how many seconds to wait; None for until there is room."""
        if self._full():
            return None
        try:
            if self._broken:
                broken, self._broken = self._broken, None
                raise broken
            if self._driver is None:
                self._begin_driver(self._start(self.given))
            said = self._driver.read()
        except EOFError:
            self._finish()
            return 0.0
        except Exception as error:  # whatever a driver may raise: its own business until it works again
            self.faults += 1
            self.fault = f"{type(error).__name__}: {error}"
            self._end_driver()
            wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, BACKOFF_S[1])
            return wait_s
        self.fault, self._wait_s, self._read = "", BACKOFF_S[0], True
        if not said:
            return _IDLE_S
        samples = said if isinstance(said, list) else [said]
        with self._changed:
            self._queue.extend(samples)
            self.given += len(samples)
            self._changed.notify_all()
        return 0.0

    def _begin_driver(self, driver: Source) -> None:
        with self._changed:
            self._begun_s, self._read = self._monotonic_s(), False
            self._driver, self._first = driver, self.given

    def _end_driver(self) -> None:
        with self._changed:
            driver, self._driver = self._driver, None
        stop(driver)

    def _finish(self) -> None:
        self._end_driver()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _run(self) -> None:
        while not (self._closed or self._over):
            wait_s = self.turn()
            with self._changed:
                if wait_s is None:
                    self._changed.wait_for(lambda: self._closed or not self._full())
                elif wait_s:
                    self._changed.wait_for(lambda: self._closed, wait_s)
        self._end_driver()

    def _full(self) -> bool:
        return len(self._queue) >= self._bound


def stop(driver: Any) -> None:
    """Close a driver that can be closed; what it says to that helps nobody any more."""
    with suppress(Exception):
        if hasattr(driver, "close"):
            driver.close()
