"""What the hub keeps beside who owns what: apps as they were applied, nodes that were let in, what happened to them.

The documents of an app, its file and those beside it that are text, stand in a table of their own, so that they can be searched.
"""

import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sql

from eddy.hub.search import SEARCHED, Words, holds
from eddy.hub.terms import create_tables, in_order, page
from eddy.hub.view import APP_FILE, Document, Event, Tier

DOCUMENT = 1 << 18
"""Characters of a document that are searched."""

_SHOWN = 300  # characters of a line

_metadata = sql.MetaData()
_apps = sql.Table(
    "apps",
    _metadata,
    sql.Column("name", sql.Text, primary_key=True),
    sql.Column("version", sql.BigInteger, nullable=False),
    sql.Column("text", sql.Text, nullable=False),
    sql.Column("files", sql.JSON, nullable=False),  # path → base64
)
_nodes = sql.Table(
    "nodes",
    _metadata,
    sql.Column("name", sql.Text, primary_key=True),
    sql.Column("tier", sql.Text, nullable=False),
    sql.Column("fingerprint", sql.Text, nullable=False),
    sql.Column("gone", sql.Boolean, nullable=False),
)
_events = sql.Table(
    "events",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("time_ms", sql.BigInteger, nullable=False),
    sql.Column("node", sql.Text, nullable=False, info=SEARCHED),
    sql.Column("kind", sql.Text, nullable=False, info=SEARCHED),
    sql.Column("instance", sql.Text, nullable=False, info=SEARCHED),
    sql.Column("text", sql.Text, nullable=False, info=SEARCHED),
)
_documents = sql.Table(
    "documents",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("app", sql.Text, nullable=False),
    sql.Column("path", sql.Text, nullable=False, info=SEARCHED),
    sql.Column("text", sql.Text, nullable=False, info=SEARCHED),
)


@dataclass(frozen=True, slots=True)
class App:
    """An app as it was applied.

    Attributes:
        name: Its name.
        version: Rises with every change.
        text: Its file, YAML.
        files: {path beside the file: content} of its own functions and drivers.
    """

    name: str
    version: int
    text: str
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Member:
    """A node that was let in.

    Attributes:
        name: Its name.
        tier: What it is.
        fingerprint: Of its certificate's key; nobody else gets in under its name.
        gone: A person has declared it dead.
    """

    name: str
    tier: Tier
    fingerprint: str
    gone: bool


class Register:
    """Tables beside those of `Terms`, in the same database.

    Args:
        engine: The database, as `terms.open_database` opens it.
        wall_ms: Time of events, milliseconds since 1970.
    """

    def __init__(self, engine: sql.Engine, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._engine = engine
        self._wall_ms = wall_ms
        create_tables(engine, _metadata)
        with engine.begin() as connection:  # a database of an older hub has none yet
            in_order(connection, _documents)
            known = set(connection.scalars(sql.select(_documents.c.app).distinct()))
            for app in self.apps():
                if app.name not in known:
                    _document(connection, app.name, app.text, app.files)

    def apps(self) -> list[App]:
        """All apps, by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(sql.select(_apps).order_by(_apps.c.name)).all()
        return [App(row.name, row.version, row.text, {path: b64decode(data) for path, data in row.files.items()}) for row in rows]

    def save_app(self, name: str, text: str, files: dict[str, bytes], replaces: int) -> bool:
        """Keep an app.

        Args:
            name, text, files: See `App`.
            replaces: The version that it changes; 0 for a new one.

        Returns:
            False when another one is there by now; then nothing has changed.
        """
        row = {"version": replaces + 1, "text": text, "files": {path: b64encode(data).decode() for path, data in files.items()}}
        try:
            with self._engine.begin() as connection:
                here = (_apps.c.name == name) & (_apps.c.version == replaces)
                if replaces == 0:
                    connection.execute(_apps.insert().values(name=name, **row))
                elif connection.execute(_apps.update().where(here).values(**row)).rowcount != 1:
                    return False
                _document(connection, name, text, files)
                return True
        except sql.exc.IntegrityError:
            return False

    def remove_app(self, name: str) -> None:
        """Forget an app."""
        with self._engine.begin() as connection:
            connection.execute(_apps.delete().where(_apps.c.name == name))
            connection.execute(_documents.delete().where(_documents.c.app == name))

    def members(self) -> list[Member]:
        """All nodes that were let in, by name."""
        with self._engine.connect() as connection:
            rows = connection.execute(sql.select(_nodes).order_by(_nodes.c.name)).all()
        return [Member(row.name, row.tier, row.fingerprint, row.gone) for row in rows]

    def admit(self, name: str, tier: Tier, fingerprint: str) -> bool:
        """Let a node in, again if need be; False when somebody with another key has that name."""
        try:
            with self._engine.begin() as connection:
                connection.execute(_nodes.insert().values(name=name, tier=tier, fingerprint=fingerprint, gone=False))
            return True
        except sql.exc.IntegrityError:
            return self._change(name, _nodes.c.fingerprint == fingerprint, tier=tier, gone=False)

    def declare_gone(self, name: str) -> bool:
        """A node is dead; False when there is none of that name."""
        return self._change(name, sql.true(), gone=True)

    def note(self, node: str, kind: str, instance: str, text: str) -> None:
        """Something happened; see `Event`."""
        row = {"node": node, "kind": kind, "instance": instance, "text": text, "time_ms": self._wall_ms()}
        with self._engine.begin() as connection:
            in_order(connection, _events)
            connection.execute(_events.insert().values(**row))

    def events(self, after: int | None, limit: int) -> list[Event]:
        """See `HubView.events`."""
        with self._engine.connect() as connection:
            return [Event(**row._mapping) for row in page(connection, sql.select(_events), _events.c.number, after, limit)]

    def search(self, words: Words, limit: int) -> tuple[list[Event], list[Document]]:
        """See `Found`."""
        with self._engine.connect() as connection:
            query = sql.select(_events).where(holds(connection, _events, words))
            events = [Event(**row._mapping) for row in page(connection, query, _events.c.number, None, limit)]
            held = sql.select(_documents).where(holds(connection, _documents, words)).order_by(_documents.c.app, _documents.c.path)
            documents = [
                Document(row.app, row.path, line, text[:_SHOWN])
                for row in connection.execute(held.limit(limit))
                for line, text in [words.line(row.text)]
            ]
        return events, documents

    def _change(self, name: str, where: sql.ColumnElement[bool], **values: object) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(_nodes.update().where(_nodes.c.name == name, where).values(**values)).rowcount == 1


def _document(connection: sql.Connection, app: str, text: str, files: dict[str, bytes]) -> None:
    """The documents of an app in the place of those that it had; what is no text in UTF-8 is none."""
    found = {APP_FILE: text}
    for path, content in files.items():
        try:
            found[path] = content.decode().replace("\0", " ")
        except UnicodeDecodeError:
            continue
    connection.execute(_documents.delete().where(_documents.c.app == app))
    connection.execute(_documents.insert(), [{"app": app, "path": path, "text": found[path][:DOCUMENT]} for path in sorted(found)])
