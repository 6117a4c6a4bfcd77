"""Where what comes waits until its reader takes it: bounded, so that a slow reader costs messages and not memory."""

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Items from any thread for one reader.

    Args:
        most: Items that wait at most.
        most_bytes: Bytes that wait at most; a single larger item is taken when nothing else waits.
        newest: When there is no room, the oldest make room; otherwise what comes is dropped.

    Attributes:
        dropped: Items for which there was no room.
        waiting_bytes, peak_bytes: Bytes that wait, and waited at most.
    """

    def __init__(self, most: int, most_bytes: int, newest: bool = False) -> None:
        self.dropped = 0
        self.waiting_bytes = 0
        self.peak_bytes = 0
        self._most = most
        self._most_bytes = most_bytes
        self._newest = newest
        self._items: deque[tuple[T, int]] = deque()
        self._came = threading.Condition()

    def put(self, item: T, size: int) -> None:
        """Add an item of `size` bytes, or drop it; never waits."""
        with self._came:
            while self._items and (len(self._items) >= self._most or self.waiting_bytes + size > self._most_bytes):
                self.dropped += 1
                if not self._newest:
                    return
                self.waiting_bytes -= self._items.popleft()[1]
            self._items.append((item, size))
            self.waiting_bytes += size
            self.peak_bytes = max(self.peak_bytes, self.waiting_bytes)
            self._came.notify()

    def take(self, wait_s: float) -> list[T]:
        """Everything that waits, after waiting for the first at most so long."""
        end = time.monotonic() + wait_s
        with self._came:
            while not self._items:
                left = end - time.monotonic()
                if left <= 0:
                    return []
                self._came.wait(left)
            items, self._items = self._items, deque()
            self.waiting_bytes = 0
        return [item for item, _ in items]
