"""The stores of a hop under one roof: each opens anew on what it left behind, as after a reboot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eddy.kernel.filestore import FileStore
from eddy.kernel.store import RamStore
from eddy.knowledge.spool import SqliteStore, connect

if TYPE_CHECKING:
    from eddy.kernel.store import Store


class Ram:
    """Records in RAM, the numbering durable: a reboot loses the records."""

    durable = False

    def __init__(self, folder: Path) -> None:
        self.meta = RamStore()

    def open(self) -> Store:
        return RamStore(self.meta)

    def close(self) -> None:
        """There is nothing to close."""


class File:
    """Records in segments of a few records each."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "hop" / "windows"

    def open(self) -> Store:
        return FileStore(str(self.folder), segment=100)

    def close(self) -> None:
        """There is nothing to close."""


class Sqlite:
    """Records in a table."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hop.db"
        self.connection: sqlite3.Connection | None = None

    def open(self) -> Store:
        self.close()
        self.connection = connect(self.path)
        return SqliteStore(self.connection, "windows")

    def close(self) -> None:
        """Close the database."""
        if self.connection is not None:
            self.connection.close()


@pytest.fixture
def kind(store_kind: type[Ram | File | Sqlite], tmp_path: Path) -> Iterator[Ram | File | Sqlite]:
    """One of them on an empty folder."""
    kind = store_kind(tmp_path)
    yield kind
    kind.close()


@pytest.fixture(params=[Ram, File, Sqlite], ids=lambda kind: kind.__name__)
def store_kind(request: pytest.FixtureRequest) -> type[Ram | File | Sqlite]:
    """A class; made on a folder, it opens a store with `open()`; `durable` says whether records survive that."""
    return request.param
