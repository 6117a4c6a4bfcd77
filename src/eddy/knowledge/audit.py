"""Who has asked what about streams that are not for everybody: a table of the lake like others."""

import os
import pwd
import time
from typing import Any

from eddy.knowledge import turn
from eddy.knowledge.extra import load
from eddy.knowledge.tables import Place, Table, moment


def audit_schema() -> Any:
    """Who has asked what, when, about which streams, and how many rows came: of a query its text, of a run of a command its name."""
    pa = load("pyarrow")
    names = [("time", moment()), ("who", pa.string()), ("sql", pa.string()), ("streams", pa.list_(pa.string())), ("rows", pa.int64())]
    return pa.schema([*names, ("day", pa.date32())])


def note(place: Place, who: str, sql: str, streams: list[str], rows: int | None) -> None:
    """Keep that somebody has asked.

    Args:
        who: The user that this process belongs to when empty.
        sql: What was asked, or the command that has asked by itself.
        streams: Those with a label that it may have read.
        rows: Of the answer; None when there was an error in its place.

    Raises:
        StorageFull: The lake cannot be written; then the answer is not given, either.
    """
    pa = load("pyarrow")
    now_us = time.time_ns() // 1000
    schema = audit_schema()
    day = pa.array([now_us // 86_400_000_000], pa.int32()).cast(pa.date32())
    told = [
        pa.array([now_us], moment()),
        pa.array([who or _user()]),
        pa.array([sql]),
        pa.array([streams]),
        pa.array([rows], pa.int64()),
        day,
    ]
    table = Table(place, "audit", schema)
    table.append(pa.table([column.cast(one.type) for column, one in zip(told, schema, strict=True)], schema=schema), {})
    if table.delta.version() % 64 == 0:
        with turn.appending(place.folder), table.alone(now_us // 1_000_000) as mine:
            if mine:
                table.compact(32 << 20)
                table.checkpoint()


def _user() -> str:
    """Of this process, as the system knows it: what the environment says can be anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
