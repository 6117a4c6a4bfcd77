"""Hard limits of a process that answers a query, for what DuckDB neither counts nor interrupts: one expression over very long texts."""

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eddy.cli import console
from eddy.errors import OverLimit

HEADROOM_MB = 256
"""What a query may need beside the memory of DuckDB and its result: stacks of threads, buffers, rows as they are written."""

GRACE_S = 1.0
"""How much later than DuckDB is interrupted the process ends."""


@contextmanager
def memory(most_mb: int) -> Iterator[None]:
    """Within, this process gets no more than so many MiB and `HEADROOM_MB` besides.

    Raises:
        OverLimit: It was not enough.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data_bytes() + (most_mb + HEADROOM_MB << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    except MemoryError:
        raise OverLimit("the query needs more memory than it may: ask for less, or give it more") from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def time(limit_s: float) -> Iterator[None]:
    """Within, this process ends with a message when it takes longer by `GRACE_S`."""
    timer = threading.Timer(limit_s + GRACE_S, _end, (limit_s,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _data_bytes() -> int:
    """What this process has of what the limit counts (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmData:")[2].split()[0]) << 10


def _end(limit_s: float) -> None:
    console.complain(OverLimit(f"the query took more than {limit_s:g} s and could not be interrupted: ask for less"))
    os._exit(1)
