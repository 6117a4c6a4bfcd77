"""Erasure: every row of an origin leaves the tables of a lake, with the files and the entries of the log that told of it.

What nodes keep beside it are databases: rows of the origin leave them, and what was deleted before, their journals' old samples among it,
leaves their files. Models are not taken back: those that were trained on it are named. The proof is a search of all that is left: of the
bytes of every file, and of every text in the tables, since those are compressed.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eddy.errors import DataError, SettingError
from eddy.knowledge import turn
from eddy.knowledge.extra import load
from eddy.knowledge.tables import RESERVED, Place, Table

_SQLITE = b"SQLite format 3\0"
_PATIENCE_S = 30.0
_AGAIN_S = 0.02  # while somebody reads
_STAY = ("models", "approvals")  # who made them; and without a refusal its device might be taken again

LONG = 4
"""Letters from which on a name is looked for within texts, and as bytes; a shorter one is everywhere, and must be the whole text."""


@dataclass(frozen=True)
class Forgotten:
    """What was done.

    Attributes:
        rows: {table: rows removed}.
        searched: Files that were looked into afterwards.
        left: What still holds the name: a file, and for tables a column. Empty: nothing.
        trained: Models that were trained on what it measured, by database.
        journals: Of `left`, the journals of nodes: a node takes out of its own what nobody waits for when it ends.
    """

    rows: dict[str, int]
    searched: int
    left: list[str]
    trained: dict[str, list[str]] = field(default_factory=dict)
    journals: list[str] = field(default_factory=list)


def forget(root: Path, origin: str, state: Path | None = None) -> Forgotten:
    """Remove an origin from a lake in a folder, and from what nodes keep. They may go on writing; they wait meanwhile.

    Args:
        root: The lake.
        origin: Whose rows leave.
        state: Folder of the nodes, such as `.eddy`.

    Raises:
        DataError: There is no lake, or a database that cannot be written.
        SettingError: No origin.
    """
    if not origin:
        raise SettingError("say which origin is to be forgotten")
    place = Place(str(root))
    names = place.names()
    if not names:
        raise DataError(f"there is no lake at {root}: name the folder that a sink with the driver lake writes to")
    trained: dict[str, list[str]] = {}
    journals: set[str] = set()
    with turn.alone(root):
        gone = {name: _from_table(Table(place, name, None), name, origin) for name in names}
        searched, left = search(root, origin)
    if state:
        for file in _databases(state):
            rows, models, is_journal = _from_database(file, origin)
            name = str(file.relative_to(state))
            journals |= {name, f"{name}-wal"} if is_journal else set()
            gone |= {f"{name}: {table}": count for table, count in rows.items()}
            trained |= {name: models} if models else {}
        more, others = search(state, origin, besides=root)
        searched, left = searched + more, left + others
    gone = {name: count for name, count in gone.items() if count}
    return Forgotten(gone, searched, left, trained, [one for one in left if one in journals])


def search(root: Path, origin: str, besides: Path | None = None) -> tuple[int, list[str]]:
    """Look for a name in all files below a folder, except those below another one; returns how many there are, and what holds it."""
    raw = origin.encode()
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    if besides:
        files = [file for file in files if not file.resolve().is_relative_to(besides.resolve())]
    left = []
    for file in files:
        with suppress(FileNotFoundError):  # nodes go on, and let go of files
            if len(origin) >= LONG and (raw in file.read_bytes() or origin in str(file.relative_to(root))):
                left.append(str(file.relative_to(root)))
            elif file.suffix == ".parquet":
                left += [f"{file.relative_to(root)}: column {column}" for column, text in _texts(file) if _holds(text, origin, raw)]
    return len(files), list(dict.fromkeys(left))


def _from_table(table: Table, name: str, origin: str) -> int:
    kinds = table.kinds()
    text = origin.replace("'", "''")
    conditions = [f"origin = '{text}'"] if "origin" in kinds else []
    if name in RESERVED and len(origin) >= LONG:
        conditions += [f"strpos({column}, '{text}') > 0" for column, kind in kinds.items() if kind == "text"]
        conditions += [
            f"strpos(encode({column}, 'hex'), '{origin.encode().hex()}') > 0" for column, kind in kinds.items() if kind == "bytes"
        ]
    gone = table.delete(" OR ".join(conditions)) if conditions else 0
    table.sweep(0)
    table.checkpoint()
    table.forget_log()
    return gone


def _databases(state: Path) -> list[Path]:
    """The files of SQLite below a folder."""
    found = []
    for file in sorted(state.rglob("*")):
        if file.is_file():
            with suppress(FileNotFoundError), file.open("rb") as opened:
                found += [file] if opened.read(len(_SQLITE)) == _SQLITE else []
    return found


def _from_database(file: Path, origin: str) -> tuple[dict[str, int], list[str], bool]:
    """Rows that left it, by table, models that were trained on what the origin measured, and whether it is the journal of a node."""
    try:
        with closing(sqlite3.connect(file, timeout=_PATIENCE_S, isolation_level=None)) as base:
            tables = [name for (name,) in base.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
            columns = {name: {row[1] for row in base.execute(f"PRAGMA table_info({name!r})")} for name in tables}
            models = []
            if {"id", "wire", "device"} <= columns.get("models", set()):
                models = [name for (name,) in base.execute("SELECT id FROM models WHERE device = ? ORDER BY at_ns", (origin,))]
            rows = {}
            base.execute("BEGIN IMMEDIATE")
            for name in tables:
                if "origin" in columns[name] and name not in _STAY:
                    rows[name] = base.execute(f"DELETE FROM {name!r} WHERE origin = ?", (origin,)).rowcount  # noqa: S608 - a table
            base.execute("COMMIT")
            base.execute("VACUUM")  # also what others have deleted is in its free pages
            base.execute("PRAGMA busy_timeout = 0")  # who waits for a reader here keeps all writers waiting
            end_s = time.monotonic() + _PATIENCE_S
            while not _truncated(base) and time.monotonic() < end_s:
                time.sleep(_AGAIN_S)
            return rows, models, "host_entries" in tables
    except sqlite3.Error as error:
        raise DataError(f"{file} cannot be written ({error}): end the node that has it open, and forget again") from error


def _truncated(base: sqlite3.Connection) -> bool:
    """Whether the write-ahead log is empty now; not while others read or write."""
    try:
        return not base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError:
        return False


def _texts(file: Path) -> Iterator[tuple[str, Any]]:
    with load("pyarrow.parquet").ParquetFile(file) as parquet:
        for batch in parquet.iter_batches():
            for column in batch.schema:
                kind, values = str(column.type), batch[column.name]
                if kind in ("string", "binary"):
                    values = values.unique()
                if "string" in kind or "binary" in kind:
                    for value in values.to_pylist():
                        yield column.name, value


def _holds(value: Any, origin: str, raw: bytes) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds(one, origin, raw) for one in value)
    if isinstance(value, dict):
        return any(_holds(one, origin, raw) for one in value.values())
    if len(origin) < LONG:
        return value in (origin, raw)
    return (isinstance(value, str) and origin in value) or (isinstance(value, bytes) and raw in value)
