"""For every interpreter with this folder on its path: POWER says what is wrong with the disk of a node, or when its power fails.

`journal`: SQLite only says that it has written. `lake`: so does the lake. A file: when it is there, the process stops within the next
commit of the lake. What is in the file was brought to the disk then, by a kernel that may do so in any order: the `entry` of the log and
not the data that it names, or the `data` and not the entry. The names of both are there, as when somebody else has just synced.
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
    """As `sync`; the power may fail before it."""
    if path.suffix == ".parquet" and Path(POWER).exists():
        log = path.parents[1] / durable.LOG
        sync(path if Path(POWER).read_text() == "data" else max(log.glob("*.json")))
        sync(log)
        os.kill(os.getpid(), signal.SIGSTOP)  # may come to another thread first
        threading.Event().wait()
    sync(path)


if POWER == "journal":
    spool.connect, spool.check_durable = unsafe, lambda connection: None
elif POWER == "lake":
    durable.sync = lambda path: None
elif POWER:
    durable.sync = stopping
