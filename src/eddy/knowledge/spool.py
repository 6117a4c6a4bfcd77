"""The durable end of a hop in SQLite: the inbox's positions, and a store for an outbox.

Both live in the same database as the rows that belong to them, so that one transaction commits them together: a record is stored if and
only if its position is, and nothing is acknowledged before. Durable means WAL with ``synchronous=FULL``: NORMAL passes every ``kill -9``
and loses acknowledged rows in a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import StorageFull
from eddy.kernel.hop import Inbox, Record

_FULL = 2  # PRAGMA synchronous

_TABLES = (
    """CREATE TABLE IF NOT EXISTS hop_positions (
        stream TEXT, origin TEXT, term INTEGER NOT NULL, upto INTEGER NOT NULL, birth BLOB NOT NULL, PRIMARY KEY (stream, origin)
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS hop_meta (name TEXT PRIMARY KEY, meta BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS hop_records (name TEXT, seq INTEGER, data BLOB NOT NULL, PRIMARY KEY (name, seq)) WITHOUT ROWID",
)


def connect(path: str | Path, busy_ms: int = 5000) -> sqlite3.Connection:
    """Open a database whose commits survive a power cut; transactions are begun by hand (``isolation_level=None``).

    Args:
        path: the file; made when it is not there.
        busy_ms: how long to wait for another process that holds it.
    """
    connection = sqlite3.connect(path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing.

    Raises:
        StorageFull: no room on the disk; nothing of the block is stored.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise StorageFull("no room for the database: make room on its disk") from error
        raise


class Spool:
    """The positions of an `Inbox`, kept in the database that its records go to.

    Inside the caller's own transaction::

        inbox = Inbox(spool.positions())
        records = inbox.offer(batch)
        # BEGIN ... insert the records ...
        for position in inbox.uncommitted():
            spool.advance(*position)
        # COMMIT
        inbox.commit()
        # inbox.acks() may leave now

    `accept` is the same in one piece.

    Args:
        connection: with ``isolation_level=None``, as `connect` opens it.

    Raises:
        ValueError: the connection would commit by itself, or less durably than an acknowledgement promises.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        _prepare(connection)

    def positions(self) -> dict[tuple[str, str], tuple[int, int, bytes]]:
        """{(stream, origin): (term, upto, birth)} as committed."""
        rows = self._connection.execute("SELECT stream, origin, term, upto, birth FROM hop_positions")
        return {(stream, origin): (term, upto, birth) for stream, origin, term, upto, birth in rows}

    def advance(self, stream: str, origin: str, term: int, upto: int, birth: bytes) -> None:
        """Move a position, inside the transaction that stores the records up to it.

        Raises:
            ValueError: there is no open transaction, so the records and the position could part.
        """
        if not self._connection.in_transaction:
            raise ValueError("a position moves inside the transaction that stores its records: BEGIN first")
        self._connection.execute("INSERT OR REPLACE INTO hop_positions VALUES (?, ?, ?, ?, ?)", (stream, origin, term, upto, birth))

    @contextmanager
    def accept(self, inbox: Inbox, batches: Iterable[bytes]) -> Iterator[list[Record]]:
        """Offer batches and store what is new: the block's inserts and the positions are committed together when it ends.

        An exception in the block undoes both, and the senders will repeat the batches.

        Raises:
            CodecError, SampleError: a batch is malformed; none of them is taken.
            StorageFull: no room; none of them is taken.
        """
        try:
            with transaction(self._connection):
                yield [record for batch in batches for record in inbox.offer(batch)]
                for position in inbox.uncommitted():
                    self.advance(*position)
        except BaseException:
            inbox.rollback()
            raise
        inbox.commit()


class SqliteStore:
    """An outbox's store (the contract is `eddy.kernel.store.Store`).

    Each `append` commits by itself, unless the caller has a transaction open: then it belongs to that, and nothing leaves the outbox until
    it is committed (group commit). After a ROLLBACK build the outbox anew.

    Args:
        connection: with ``isolation_level=None``, as `connect` opens it.
        name: tells the stores of one database apart.

    Raises:
        ValueError: the connection would commit by itself, or less durably than `append` promises.
    """

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        _prepare(connection)

    def load(self) -> dict[object, object]:
        """The meta as last put, {} at first."""
        row = self._connection.execute("SELECT meta FROM hop_meta WHERE name = ?", (self._name,)).fetchone()
        meta = decode(row[0]) if row else {}
        return meta if isinstance(meta, dict) else {}

    def records(self, first: int) -> Iterator[tuple[int, bytes]]:
        """(seq, data) from `first` on, in order."""
        statement = "SELECT seq, data FROM hop_records WHERE name = ? AND seq >= ? ORDER BY seq"
        yield from self._connection.execute(statement, (self._name, first))

    def append(self, seq: int, data: bytes) -> None:
        """Keep a record."""
        self._write("INSERT OR REPLACE INTO hop_records VALUES (?, ?, ?)", (self._name, seq, data))

    def trim(self, seq: int) -> None:
        """Remove the records up to `seq`, but never the newest: it remembers the highest number."""
        self._write(
            "DELETE FROM hop_records WHERE name = ?1 AND seq <= ?2 AND seq < (SELECT max(seq) FROM hop_records WHERE name = ?1)",
            (self._name, seq),
        )

    def put(self, meta: dict[object, object]) -> None:
        """Replace the meta."""
        self._write("INSERT OR REPLACE INTO hop_meta VALUES (?, ?)", (self._name, encode(meta)))

    def settled(self) -> bool:
        """Whether no transaction is open."""
        return not self._connection.in_transaction

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise StorageFull("no room for the database: make room on its disk") from error
            raise


def check_durable(connection: sqlite3.Connection) -> None:
    """Refuse a connection whose commits would come too early or not last; raises ValueError."""
    if connection.isolation_level is not None:
        raise ValueError("open the database with isolation_level=None: implicit transactions commit at the wrong moment")
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    if synchronous < _FULL or journal == "off":
        raise ValueError(f"synchronous={synchronous}, journal_mode={journal} loses acknowledged rows in a power cut: use connect()")


def _prepare(connection: sqlite3.Connection) -> None:
    check_durable(connection)
    for statement in _TABLES:
        connection.execute(statement)
