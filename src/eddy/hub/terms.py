"""Who owns each instance, under which term; changed by compare-and-swap only, each change with its reason in the ledger."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sql

from eddy.hub.search import SEARCHED, Words, holds, index
from eddy.hub.view import Decision
from eddy.kernel.assignment import Assignment
from eddy.kernel.codec import decode, encode

_metadata = sql.MetaData()
_instances = sql.Table(
    "instances",
    _metadata,
    sql.Column("instance", sql.Text, primary_key=True),
    sql.Column("version", sql.BigInteger, nullable=False),
    sql.Column("assignment", sql.LargeBinary, nullable=False),
    sql.Column("wanted", sql.Text, nullable=False),
    sql.Column("holders", sql.JSON, nullable=False),
)
_decisions = sql.Table(
    "decisions",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("time_ms", sql.BigInteger, nullable=False),
    sql.Column("instance", sql.Text, nullable=False, index=True, info=SEARCHED),
    sql.Column("term", sql.BigInteger, nullable=False),
    sql.Column("what", sql.Text, nullable=False, info=SEARCHED),
    sql.Column("why", sql.Text, nullable=False, info=SEARCHED),
)


class Terms:
    """The table of assignments, in any database that SQLAlchemy opens.

    Args:
        engine: The database, as `open_database` opens it.
        wall_ms: Time of the ledger, milliseconds since 1970.
    """

    def __init__(self, engine: sql.Engine, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._engine = engine
        self._wall_ms = wall_ms
        create_tables(engine, _metadata)

    def all(self) -> list[tuple[Assignment, str, list[str]]]:
        """(assignment, wanted owner, nodes that shall hold a copy) of each instance."""
        with self._engine.connect() as connection:
            rows = connection.execute(sql.select(_instances).order_by(_instances.c.instance)).all()
        return [(Assignment.of(decode(row.assignment)), row.wanted, row.holders) for row in rows]

    def create(self, assignment: Assignment, holders: list[str], why: str) -> None:
        """A new instance.

        Raises:
            sqlalchemy.exc.IntegrityError: There is one of that name.
        """
        with self._engine.begin() as connection:
            row = {"instance": assignment.instance, "version": assignment.version, "wanted": assignment.owner, "holders": holders}
            connection.execute(_instances.insert().values(assignment=encode(assignment.plain()), **row))
            self._note(connection, assignment, f"place on {assignment.owner}", why)

    def want(self, assignment: Assignment, wanted: str, why: str) -> None:
        """Another owner is wanted."""
        with self._engine.begin() as connection:
            connection.execute(_instances.update().where(_instances.c.instance == assignment.instance).values(wanted=wanted))
            self._note(connection, assignment, f"want it on {wanted}", why)

    def hold(self, assignment: Assignment, holders: list[str], why: str) -> None:
        """Other nodes shall hold copies."""
        with self._engine.begin() as connection:
            connection.execute(_instances.update().where(_instances.c.instance == assignment.instance).values(holders=holders))
            self._note(connection, assignment, f"want copies on {', '.join(holders) or 'no node'}", why)

    def forget(self, instance: str) -> None:
        """An instance is no more; what was decided about it stays."""
        with self._engine.begin() as connection:
            connection.execute(_instances.delete().where(_instances.c.instance == instance))

    def swap(self, version: int, assignment: Assignment, what: str, why: str, wanted: str, holders: list[str]) -> bool:
        """Replace the assignment of this version, and what is wanted; False when another hub was faster, and nothing has changed."""
        here = (_instances.c.instance == assignment.instance) & (_instances.c.version == version)
        with self._engine.begin() as connection:
            new = {"version": assignment.version, "assignment": encode(assignment.plain()), "wanted": wanted, "holders": holders}
            if connection.execute(_instances.update().where(here).values(**new)).rowcount != 1:
                return False
            self._note(connection, assignment, what, why)
        return True

    def note(self, assignment: Assignment, what: str, why: str) -> None:
        """Something was decided that changes neither owner nor copies."""
        with self._engine.begin() as connection:
            self._note(connection, assignment, what, why)

    def decisions(self, instance: str) -> list[tuple[int, int, str, str]]:
        """(time_ms, term, what, why) about an instance, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sql.select(_decisions).where(_decisions.c.instance == instance).order_by(_decisions.c.number))
            return [(row.time_ms, row.term, row.what, row.why) for row in rows]

    def ledger(self, instance: str | None, after: int | None, limit: int) -> list[Decision]:
        """See `HubView.decisions`."""
        query = sql.select(_decisions) if instance is None else sql.select(_decisions).where(_decisions.c.instance == instance)
        with self._engine.connect() as connection:
            return [Decision(**row._mapping) for row in page(connection, query, _decisions.c.number, after, limit)]

    def search(self, words: Words, limit: int) -> list[Decision]:
        """See `Found.decisions`."""
        with self._engine.connect() as connection:
            query = sql.select(_decisions).where(holds(connection, _decisions, words))
            return [Decision(**row._mapping) for row in page(connection, query, _decisions.c.number, None, limit)]

    def _note(self, connection: sql.Connection, assignment: Assignment, what: str, why: str) -> None:
        row = {"instance": assignment.instance, "term": assignment.term, "what": what, "why": why, "time_ms": self._wall_ms()}
        in_order(connection, _decisions)
        connection.execute(_decisions.insert().values(**row))


def open_database(url: str) -> sql.Engine:
    """Open a metadata database; SQLite so that what is committed survives a power cut.

    Args:
        url: For example `sqlite:///hub.db` or `postgresql+psycopg://user@host/eddy`; `sqlite://` is in memory.
    """
    if url == "sqlite://":
        return sql.create_engine(url, poolclass=sql.StaticPool)
    engine = sql.create_engine(url)
    if engine.dialect.name == "sqlite":

        @sql.event.listens_for(engine, "connect")
        def _durable(connection, record) -> None:  # type: ignore[no-untyped-def]
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

    return engine


def create_tables(engine: sql.Engine, metadata: sql.MetaData) -> None:
    """Make the tables and indexes that are not there yet; hubs that start at once on one PostgreSQL take turns."""
    with engine.begin() as connection:
        _take_turns(connection, "eddy tables")
        metadata.create_all(connection)
        for table in metadata.sorted_tables:
            index(connection, table)


def in_order(connection: sql.Connection, table: sql.Table) -> None:
    """Called before a row is added whose numbers somebody follows.

    PostgreSQL numbers rows when they are written, not when they are committed: without taking turns, who has read up to a number would
    miss a lower one of a slower transaction. SQLite has one writer at a time anyway.
    """
    _take_turns(connection, f"eddy {table.name}")


def page(
    connection: sql.Connection, query: sql.Select[Any], number: sql.ColumnElement[int], after: int | None, limit: int
) -> Sequence[sql.Row[Any]]:
    """Rows by their numbers, oldest first: the first `limit` above `after`, or the newest `limit` when that is None."""
    if after is not None:
        return connection.execute(query.where(number > after).order_by(number).limit(limit)).all()
    return connection.execute(query.order_by(number.desc()).limit(limit)).all()[::-1]


def _take_turns(connection: sql.Connection, what: str) -> None:
    """Until the transaction ends nobody else gets past here with the same name."""
    if connection.dialect.name == "postgresql":
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(sql.func.hashtext(what))))
