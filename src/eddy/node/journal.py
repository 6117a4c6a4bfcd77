"""The journal of a host in SQLite: WAL and FULL, so that what it has committed survives a power cut."""

import sqlite3
from collections.abc import Iterator

from eddy.knowledge.spool import check_durable, transaction

_TABLES = (
    "CREATE TABLE IF NOT EXISTS host_replicas (instance TEXT PRIMARY KEY, meta BLOB NOT NULL) WITHOUT ROWID",
    # Apart from the meta: SQLite writes a row as a whole, and the meta changes while others wait.
    "CREATE TABLE IF NOT EXISTS host_snapshots (instance TEXT PRIMARY KEY, snapshot BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS host_entries (n INTEGER PRIMARY KEY, instance TEXT NOT NULL, entry BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS host_entries_of ON host_entries (instance, n)",
)


class SqliteJournal:
    """A journal (the contract is `eddy.kernel.host.Journal`).

    Args:
        connection: As `eddy.knowledge.spool.connect` opens it.

    Raises:
        ValueError: It would commit by itself, or less durably than a host promises.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        check_durable(connection)
        self._connection = connection
        self._open: list[tuple[str, list[tuple[object, ...]]]] = []
        for statement in _TABLES:
            connection.execute(statement)

    def load(self) -> Iterator[tuple[str, bytes, bytes | None, list[bytes]]]:
        """(instance, meta, snapshot, entries) as committed."""
        self._open = []
        rows = "SELECT instance, meta, snapshot FROM host_replicas LEFT JOIN host_snapshots USING (instance) ORDER BY instance"
        for instance, meta, snapshot in self._connection.execute(rows).fetchall():
            entries = self._connection.execute("SELECT entry FROM host_entries WHERE instance = ? ORDER BY n", (instance,))
            yield instance, meta, snapshot, [entry for (entry,) in entries]

    def meta(self, instance: str, data: bytes) -> None:
        """Replace the meta."""
        self._later("INSERT OR REPLACE INTO host_replicas VALUES (?, ?)", [(instance, data)])

    def snapshot(self, instance: str, data: bytes) -> None:
        """Replace the snapshot, and forget all entries."""
        self._later("INSERT OR REPLACE INTO host_snapshots VALUES (?, ?)", [(instance, data)])
        self._later("DELETE FROM host_entries WHERE instance = ?", [(instance,)])

    def append(self, instance: str, entries: list[bytes]) -> None:
        """Add entries."""
        self._later("INSERT INTO host_entries (instance, entry) VALUES (?, ?)", [(instance, entry) for entry in entries])

    def remove(self, instance: str) -> None:
        """Forget an instance."""
        for table in ("host_replicas", "host_snapshots", "host_entries"):
            self._later(f"DELETE FROM {table} WHERE instance = ?", [(instance,)])  # noqa: S608 - one of three names

    def commit(self) -> None:
        """One transaction for everything since the last one; raises StorageFull."""
        with transaction(self._connection):
            for statement, rows in self._open:
                self._connection.executemany(statement, rows)
        self._open = []

    def _later(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        self._open.append((statement, rows))
