"""Snapshots of large functions from a fork: the copy is made while the function goes on."""

import contextlib
import fcntl
import os
import warnings
from typing import TYPE_CHECKING, NoReturn

from eddy.errors import OutOfMemory
from eddy.kernel.leading import at_once
from eddy.kernel.replica import Replica

if TYPE_CHECKING:
    from eddy.kernel.leading import Copy

SMALL = 200_000
"""Bytes below which a snapshot takes less time than a fork."""

_PIECE = 1 << 20


def forked(replica: Replica, size: int) -> "Copy":
    """A snapshot of now, encoded by a child process and taken over piece by piece.

    Args:
        replica: Goes on as soon as this returns.
        size: About how large its snapshot is, bytes.

    Returns:
        To be called until it gives the snapshot; raises OutOfMemory when the child could not make it.
    """
    if size < SMALL or not hasattr(os, "fork"):
        return at_once(replica, size)
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux: fewer turns until all is taken over
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIECE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads: the child touches nothing of theirs and ends without cleaning up
        child = os.fork()
    if child == 0:
        _write(replica, writing)
    os.close(writing)
    os.set_blocking(reading, False)
    pieces: list[bytes] = []

    def take() -> bytes | None:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(reading, _PIECE):
                pieces.append(piece)
            os.close(reading)
            if os.waitpid(child, 0)[1] != 0:
                raise OutOfMemory(f"no copy of {replica.instance.name} could be made: give the node twice the memory of its functions")
            return b"".join(pieces)
        return None

    return take


def _write(replica: Replica, writing: int) -> NoReturn:
    """The child: never returns."""
    status = 1
    try:
        os.nice(10)  # what goes on is worth more than what is copied
        data = memoryview(replica.snapshot())
        while data:
            data = data[os.write(writing, data) :]
        status = 0
    finally:
        os._exit(status)
