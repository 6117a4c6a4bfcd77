"""Lakes for tests: samples as a node hands them to the sink, and what is in the tables afterwards."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

START_NS = 1_767_225_600 * 10**9
SENDER = "record/record/abcdef"


def sample(number: int, value: Any, stream: str = "room", origin: str = "a", time_ns: int | None = None) -> tuple[str, int, Any]:
    """The n-th sample of a sink, a second after the one before."""
    at_ns = START_NS + number * 10**9 if time_ns is None else time_ns
    return (f"{SENDER}/{number}", at_ns, [stream, origin, number, value])


def rows(root: Path, table: str = "room") -> list[dict[str, Any]]:
    """All rows of a table in the order of their numbers, read without Eddy."""
    found = pa.table(DeltaTable(str(root / table)).to_pyarrow_table())
    listed: list[dict[str, Any]] = found.to_pylist()
    return sorted(listed, key=lambda row: row.get("seq") or 0)


def values(root: Path, table: str = "room", column: str = "value") -> list[Any]:
    """One column."""
    return [row[column] for row in rows(root, table)]
