"""Plays samples at the pace of their own times."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from eddy.errors import SettingError

_BATCH = 256
_PATIENCE_S = 1.0


class Pace:
    """Hands out samples when they are due; the first one at once.

    Args:
        samples: (time_ns, value) in order of time.
        speed: Seconds of samples in a second; 0 for as fast as they are taken.
        monotonic_s, sleep: The clock, and how to wait on it.

    Raises:
        SettingError: A negative speed.
    """

    def __init__(
        self,
        samples: Iterator[tuple[int, Any]],
        speed: int,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if speed < 0:
            raise SettingError(f"speed {speed}: use 1 for real time, more for faster, 0 for as fast as samples are taken")
        self._samples = samples
        self._speed = speed
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._next: tuple[int, Any] | None = None
        self._began: tuple[float, int] | None = None  # when the first one was played, and its time

    def read(self) -> list[tuple[int, Any]] | None:
        """What is due, at most 256 samples; None when nothing is within a second.

        Raises:
            EOFError: All were played.
        """
        if not self._speed:
            batch = list(islice(self._samples, _BATCH))
            if not batch:
                raise EOFError
            return batch
        wait_s = self._due_s(self._ahead()) - self._monotonic_s()
        if wait_s > 0:
            self._sleep(min(wait_s, _PATIENCE_S))
        out: list[tuple[int, Any]] = []
        now = self._monotonic_s()
        while len(out) < _BATCH and self._due_s(self._ahead()) <= now:
            out.append(self._ahead())
            self._next = next(self._samples, None)
            if self._next is None:
                break
        return out or None

    def _ahead(self) -> tuple[int, Any]:
        if self._next is None:
            self._next = next(self._samples, None)
        if self._next is None:
            raise EOFError
        return self._next

    def _due_s(self, sample: tuple[int, Any]) -> float:
        if self._began is None:
            self._began = (self._monotonic_s(), sample[0])
        began_s, first_ns = self._began
        return began_s + (sample[0] - first_ns) / 1e9 / self._speed
