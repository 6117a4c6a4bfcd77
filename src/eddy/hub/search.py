"""Full-text search over the tables of a hub: FTS5 on SQLite, its own text search on PostgreSQL. The same text finds the same on both.

A table has an index over those of its columns that are marked `SEARCHED`; the database keeps it up to date in the transaction that adds or
removes a row. Words are what stands between punctuation and blanks, so that `features@pump-3` is three of them; case makes no difference.
"""

# ruff: noqa: S608 - the names in statements are those of the hub's own tables and columns

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects.postgresql import TSQUERY

from eddy.errors import SettingError, ToolMissing

SEARCHED = {"searched": True}
"""Marks a column, as its `info`."""

_TERM = re.compile(r'"([^"]*)"(\*?)|(\S+)')
_WORD = re.compile(r"[^\W_]+")
_PUNCTUATION = r"[!-/:-@\[-`{-~]+"  # of ASCII, so that it does not depend on the locale of a PostgreSQL


@dataclass(frozen=True, slots=True)
class Words:
    """What is searched for: all of these words or phrases, in any order.

    Attributes:
        phrases: (words that follow each other, whether the last may go on) each.
    """

    phrases: tuple[tuple[str, bool], ...]

    @classmethod
    def of(cls, text: str) -> "Words":
        """From what a person writes: `word`, `begin*`, `"several words"`.

        Raises:
            SettingError: There is no word in it.
        """
        found = []
        for phrase, more, word in _TERM.findall(text.encode(errors="replace").decode().replace("\0", " ")):
            if _WORD.search(phrase or word):
                found.append((phrase or word.rstrip("*"), bool(more) or word.endswith("*")))
        if not found:
            raise SettingError(f'there is no word in {text!r}: write words that all have to be there, begin* or "several words"')
        return cls(tuple(found))

    def line(self, text: str) -> tuple[int, str]:
        """(number from 1, text) of the line with the most of the words, the first of these."""
        words = {word for phrase, _ in self.phrases for word in _WORD.findall(phrase.casefold())}
        lines = text.splitlines() or [""]
        at = max(range(len(lines)), key=lambda number: sum(word in lines[number].casefold() for word in words))
        return at + 1, lines[at].strip()


def index(connection: sql.Connection, table: sql.Table) -> None:
    """Make the index of a table, with what the table holds already; nothing when it is there, or no column is searched."""
    columns = _searched(table)
    if not columns:
        return
    name, kind = f"{table.name}_words", connection.dialect.name
    if kind == "postgresql":
        connection.execute(sql.text(f"CREATE INDEX IF NOT EXISTS {name} ON {table.name} USING gin ({_vector(columns)})"))
    elif kind == "sqlite" and not sql.inspect(connection).has_table(name):
        listed, new, old = (", ".join(f"{of}{column}" for column in columns) for of in ("", "new.", "old."))
        for statement in (
            f"CREATE VIRTUAL TABLE {name} USING fts5({listed}, content='{table.name}', content_rowid='number',"
            " tokenize='unicode61 remove_diacritics 0')",
            f"INSERT INTO {name}({name}) VALUES ('rebuild')",
            f"CREATE TRIGGER {name}_new AFTER INSERT ON {table.name} BEGIN"
            f" INSERT INTO {name}(rowid, {listed}) VALUES (new.number, {new}); END",
            f"CREATE TRIGGER {name}_old AFTER DELETE ON {table.name} BEGIN"
            f" INSERT INTO {name}({name}, rowid, {listed}) VALUES ('delete', old.number, {old}); END",
        ):
            connection.execute(sql.text(statement))


def holds(connection: sql.Connection, table: sql.Table, words: Words) -> sql.ColumnElement[bool]:
    """The condition that a row of the table has all of them.

    Raises:
        ToolMissing: This kind of database has no index.
    """
    kind = connection.dialect.name
    if kind == "postgresql":
        vector: sql.ColumnElement[Any] = sql.literal_column(_vector(_searched(table)))
        return sql.and_(*(vector.op("@@")(_asked(phrase, more)) for phrase, more in words.phrases))
    if kind != "sqlite":
        raise ToolMissing(f"a hub cannot search {kind}: let it keep its tables in SQLite or PostgreSQL")
    quoted = ((phrase.replace('"', '""'), "*" if more else "") for phrase, more in words.phrases)
    asked = " AND ".join(f'"{phrase}"{more}' for phrase, more in quoted)
    name = f"{table.name}_words"
    hits = sql.text(f"SELECT rowid FROM {name} WHERE {name} MATCH :asked")
    return table.c.number.in_(hits.bindparams(asked=asked).columns(sql.column("rowid")))


def _searched(table: sql.Table) -> list[str]:
    return [column.name for column in table.columns if column.info.get("searched")]


def _vector(columns: list[str]) -> str:
    text = " || ' ' || ".join(columns)
    return f"to_tsvector('simple', regexp_replace({text}, '{_PUNCTUATION}', ' ', 'g'))"


def _asked(phrase: str, more: bool) -> sql.ColumnElement[Any]:
    """The query for a phrase; null, which finds nothing, when PostgreSQL sees no word in it."""
    words = sql.func.phraseto_tsquery(sql.literal_column("'simple'"), re.sub(_PUNCTUATION, " ", phrase))
    return sql.cast(sql.func.nullif(sql.cast(words, sql.Text), "") + (":*" if more else ""), TSQUERY)
