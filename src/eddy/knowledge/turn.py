"""Whose turn it is in a lake in a folder: many may append at a time, one of them tends, and whoever forgets is alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eddy.kernel.rng import fresh

_FILE = ".turn"
_TENDING = ".tending"
_MARK_BYTES = 8


@contextmanager
def appending(folder: Path | None) -> Iterator[bytes]:
    """For one batch. Gives a mark: when it is another one than before, open tables are to be opened anew."""
    if folder is None:
        yield b""
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _FILE).open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield os.pread(file.fileno(), _MARK_BYTES, 0)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until nobody is appending; afterwards everybody opens the tables anew."""
    with (folder / _FILE).open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            file.truncate(0)
            os.write(file.fileno(), fresh(_MARK_BYTES))
            os.fsync(file.fileno())


@contextmanager
def tending(folder: Path) -> Iterator[bool]:
    """Whether nobody else is in here; it does not wait."""
    with (folder / _TENDING).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        except BlockingIOError:
            mine = False
        yield mine
