"""For every interpreter with this folder on its path: POWER says what is wrong with the disk of a node, or when its power fails.

`journal`: SQLite only says that it has written. `lake`: so does the lake. A file: when it is there, the process stops within the next
commit of the lake, when its data are on the disk; of its entry of the log only the name is, as when somebody else has just synced.
"""

import os
import signal
import sqlite3
import threading
from pathlib import Path

from eddy.knowledge import durable, spool

POWER = os.environ.get("POWER", "")
sync, connect = durable.sync, spool.connect


def unsafe(path: str | Path, busy_ms: int = 5000) -> sqlite3.Connection:
    """As `connect`, for the control experiment."""
    connection = connect(path, busy_ms)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def stopping(path: Path) -> None:
    """As `sync`; the power may fail behind it."""
    sync(path)
    if path.suffix == ".parquet" and Path(POWER).exists():
        sync(path.parents[1] / durable.LOG)
        os.kill(os.getpid(), signal.SIGSTOP)  # may come to another thread first
        threading.Event().wait()


if POWER == "journal":
    spool.connect, spool.check_durable = unsafe, lambda connection: None
elif POWER == "lake":
    durable.sync = lambda path: None
elif POWER:
    durable.sync = stopping
