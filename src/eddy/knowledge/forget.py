"""Erasure: every row of an origin leaves the tables of a lake, with the files and the entries of the log that told of it.

The proof is a search of all that is left: of the bytes of every file, and of every text in the tables, since those are compressed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eddy.errors import DataError, SettingError
from eddy.knowledge import turn
from eddy.knowledge.extra import load
from eddy.knowledge.tables import RESERVED, Place, Table

LONG = 4
"""Letters from which on a name is looked for within texts, and as bytes; a shorter one is everywhere, and must be the whole text."""


@dataclass(frozen=True)
class Forgotten:
    """What was done.

    Attributes:
        rows: {table: rows removed}.
        searched: Files that were looked into afterwards.
        left: What still holds the name: a file, and for tables a column. Empty: nothing.
    """

    rows: dict[str, int]
    searched: int
    left: list[str]


def forget(root: Path, origin: str) -> Forgotten:
    """Remove an origin from a lake in a folder. Nodes may go on writing; they wait meanwhile.

    Raises:
        DataError: There is no lake.
        SettingError: No origin.
    """
    if not origin:
        raise SettingError("say which origin is to be forgotten")
    place = Place(str(root))
    names = place.names()
    if not names:
        raise DataError(f"there is no lake at {root}: name the folder that a sink with the driver lake writes to")
    with turn.alone(root):
        gone = {name: _from_table(Table(place, name, None), name, origin) for name in names}
        searched, left = search(root, origin)
    return Forgotten({name: count for name, count in gone.items() if count}, searched, left)


def search(root: Path, origin: str) -> tuple[int, list[str]]:
    """Look for a name in all files below a folder; returns how many there are, and what holds it."""
    raw = origin.encode()
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    left = []
    for file in files:
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
