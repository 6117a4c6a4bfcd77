"""The knowledge base of a gateway: what devices said, what was made of it, and every decision of the loop, durable in one SQLite file.

Everything that belongs together is written in one transaction (`transaction`); what has been committed survives a power cut (WAL with
synchronous=FULL). One connection takes reports in; others read, or ask for packages.
"""

import json
import sqlite3
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eddy.errors import DataError, StorageFull
from eddy.knowledge import schema
from eddy.knowledge.records import LABELS, TRAINING, Event, Window, plain
from eddy.knowledge.spool import connect

_REMEMBERED = 4096
"""Samples that may come twice: at most a queue of them after a restart, see `eddy.node.sinks`."""


class KnowledgeBase:
    """An open knowledge base.

    Args:
        path: The database file; made when it is not there. ":memory:" for one that is forgotten.
        clock: Nanoseconds of the gateway's clock, for "written at"; injected in tests.
        busy_ms: How long to wait for another process that holds the database.

    Raises:
        StorageFull: The file cannot be opened or written.
        DataError: It is a database of another kind or a newer version.
    """

    def __init__(self, path: str | Path, clock: Callable[[], int] = time.time_ns, busy_ms: int = 5000) -> None:
        self.path, self.clock = str(path), clock
        with self._explained():
            self.connection = connect(self.path, busy_ms)
            self.connection.execute("PRAGMA foreign_keys = ON")
        with self.transaction():
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version == 0 and not self.connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'windows'").fetchone()[0]:
                for statement in schema.TABLES.split(";\n"):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version = {schema.VERSION}")
            elif version != schema.VERSION:
                raise DataError(f"{self.path} has version {version}, not {schema.VERSION}: upgrade Eddy or choose another file")

    def close(self) -> None:
        """Close the file; what was committed is safe without it."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, or nothing. Inside another transaction it joins that one.

        Raises:
            StorageFull: No room, no permission, or held by another process for too long; nothing of the block is stored.
        """
        if self.connection.in_transaction:
            yield
            return
        with self._explained():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the current transaction that is undone by itself when the block raises."""
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:  # on a full disk SQLite has undone all of it
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
            raise
        self.connection.execute("RELEASE part")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            way_out = {
                sqlite3.SQLITE_FULL: "make room on that disk; devices keep what was not acknowledged and send it again",
                sqlite3.SQLITE_BUSY: "another process holds it for long: try again, or end that one",
                sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
                sqlite3.SQLITE_CANTOPEN: "make its folder and let this user write there",
                sqlite3.SQLITE_IOERR: "the disk reports errors or is full: check it, then start again",
            }.get(error.sqlite_errorcode & 0xFF)
            if way_out is None:
                raise
            raise StorageFull(f"the knowledge base {self.path} cannot be written ({error}): {way_out}") from error
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise DataError(f"{self.path} is no sound knowledge base ({error}): restore it, or move it away to begin anew") from error
            raise

    # What devices said

    def take(self, key: str, time_ns: int) -> bool:
        """Whether this sample is new; from now on it is not."""
        done = self.connection.execute("INSERT INTO taken (key, time_ns) VALUES (?, ?) ON CONFLICT DO NOTHING", (key, time_ns))
        if not done.rowcount:
            return False
        self.connection.execute("DELETE FROM taken WHERE id <= ?", ((done.lastrowid or 0) - _REMEMBERED,))
        return True

    def add_window(self, w: Window, term: int = 0, replayed: bool = False) -> None:
        """Store a window; its identity makes a second time harmless."""
        self.connection.execute(
            "INSERT INTO windows VALUES (?, 'windows', ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (w.origin, w.seq, term, w.time_ns, replayed, w.position, w.score, w.label, w.model_sequence, json.dumps(w.features)),
        )

    def add_event(self, e: Event) -> None:
        """Store an event; its identity makes a second time harmless."""
        self.connection.execute(
            "INSERT INTO events VALUES (?, 'events', ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (e.origin, e.seq, e.time_ns, e.kind, json.dumps(e.value, sort_keys=True)),
        )

    def add_gap(self, origin: str, stream: str, first: int, last: int, time_ns: int, reason: str) -> None:
        """Store which records are missing (`first` to `last`, both included) and why."""
        self.connection.execute(
            "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (origin, stream, first, last, time_ns, reason)
        )

    def windows(self, origin: str, after: int = -1, limit: int = -1, labels: tuple[int, ...] = LABELS) -> list[Window]:
        """Windows of `origin` with seq > `after` and one of `labels`, in order, at most `limit` (-1: all)."""
        rows = self.connection.execute(
            "SELECT origin, seq, time_ns, position, score, label, model_sequence, features FROM windows "
            "WHERE origin = ? AND stream = 'windows' AND seq > ? AND label IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?",
            (origin, after, json.dumps(labels), limit),
        )
        return [Window(*(*facts, tuple(json.loads(features)))) for *facts, features in rows]

    def training(self, origin: str, after: int, limit: int = -1) -> list[Window]:
        """The training windows of one training run, in order: those with seq > `after`, up to the first window of another label, at most
        `limit` (-1: all)."""
        (later,) = self.connection.execute(
            "SELECT min(seq) FROM windows WHERE origin = ?1 AND label <> ?3 AND seq > "
            "(SELECT min(seq) FROM windows WHERE origin = ?1 AND seq > ?2 AND label = ?3)",
            (origin, after, TRAINING),
        ).fetchone()
        return [w for w in self.windows(origin, after, limit, (TRAINING,)) if later is None or w.seq < later]

    def training_missed(self, origin: str) -> bool:
        """Whether nothing more is to be expected about how the device trained: it did so before, or what it said about it is lost."""
        lost = "SELECT 1 FROM gaps WHERE origin = ?1"
        learned = "SELECT 1 FROM windows WHERE origin = ?1 AND label = ?2"
        (missed,) = self.connection.execute(f"SELECT EXISTS ({lost}) OR NOT EXISTS ({learned})", (origin, TRAINING)).fetchone()
        return bool(missed)

    def normal_windows(self, origin: str, after: int, quiet: int) -> list[Window]:
        """Windows with seq > `after` that the pool called normal, in order: the weakly labelled data for training again.

        Args:
            quiet: A window fewer than this many positions away from one that the pool called anomalous is left out: a fault begins before
                it is noticed, and its onset must not be learned as normal.
        """
        outcomes = self.connection.execute(
            "SELECT seq, position, outcome FROM verdicts WHERE origin = ? AND stream = 'windows' AND seq > ?", (origin, after)
        ).fetchall()
        anomalous = sorted(position for _, position, outcome in outcomes if outcome)

        def far_from_anomalies(position: int) -> bool:
            at = bisect_left(anomalous, position - quiet + 1)
            return at == len(anomalous) or anomalous[at] >= position + quiet

        normal = {seq for seq, position, outcome in outcomes if not outcome and far_from_anomalies(position)}
        return [w for w in self.windows(origin, after) if w.seq in normal]

    def events(self, origin: str, after: int = -1, limit: int = -1) -> list[Event]:
        """Events of `origin` with seq > `after`, in order, at most `limit` (-1: all)."""
        rows = self.connection.execute(
            "SELECT origin, seq, time_ns, kind, value FROM events WHERE origin = ? AND stream = 'events' AND seq > ? ORDER BY seq LIMIT ?",
            (origin, after, limit),
        )
        return [Event(*(*facts, json.loads(value))) for *facts, value in rows]

    # What was made of it

    def add_verdict(self, w: Window, **columns: Any) -> None:
        """Store the pool's verdict on a window (columns: see the schema)."""
        values = {"origin": w.origin, "stream": "windows", "seq": w.seq, "time_ns": w.time_ns, "position": w.position, "label": w.label}
        self._insert("verdicts", {**values, **columns, "scores": json.dumps(columns["scores"])})

    def false_positives(self, device: str, champion: str | None, after_ns: int) -> list[int]:
        """Sample times after `after_ns` at which `champion` said anomalous and the pool normal."""
        rows = self.connection.execute(
            "SELECT time_ns FROM verdicts WHERE origin = ? AND champion IS ? AND label = 1 AND outcome = 0 AND time_ns > ? "
            "ORDER BY time_ns",
            (device, champion, after_ns),
        )
        return [time_ns for (time_ns,) in rows]

    def raise_alarm(self, device: str, detector: str, w: Window) -> None:
        """An alarm episode begins with window `w`."""
        values = {"device": device, "detector": detector, "raised_position": w.position, "raised_ns": w.time_ns}
        self._insert("alarms", values)

    def clear_alarm(self, device: str, detector: str, w: Window) -> None:
        """The open alarm episode of `detector` ends with window `w`."""
        self.connection.execute(
            "UPDATE alarms SET cleared_position = ?, cleared_ns = ? WHERE device = ? AND detector = ? AND cleared_ns IS NULL",
            (w.position, w.time_ns, device, detector),
        )

    def decide(self, phase: str, who: str, what: str, device: str = "", time_ns: int | None = None, **evidence: Any) -> None:
        """Write one row of the ledger: `who` decided `what` in `phase` of the loop, on which evidence."""
        values = {"at_ns": self.clock(), "time_ns": time_ns, "device": device, "phase": phase, "who": who, "what": what}
        self._insert("decisions", {**values, "evidence": json.dumps(plain(evidence), sort_keys=True)})

    def state(self, device: str) -> dict[str, Any]:
        """The loop's plain-data state of a device; empty for one that was never heard."""
        row = self.connection.execute("SELECT state FROM states WHERE device = ?", (device,)).fetchone()
        return json.loads(row[0]) if row else {}

    def put_state(self, device: str, state: dict[str, Any]) -> None:
        """Keep the loop's plain-data state of a device."""
        self.connection.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (device, json.dumps(state, sort_keys=True)))

    def devices(self) -> list[str]:
        """Every device that was heard, by name."""
        return [name for (name,) in self.connection.execute("SELECT device FROM states ORDER BY device")]

    def counts(self, device: str, champion: str | None) -> dict[str, int]:
        """What a status shows: windows and how they were judged, false positives of the champion in office, misses, missing records."""

        def one(query: str, *values: str | None) -> int:
            count: int = self.connection.execute(query, (device, *values)).fetchone()[0]
            return count

        verdicts = "SELECT count(*) FROM verdicts WHERE origin = ? AND "
        return {
            "windows": one("SELECT count(*) FROM windows WHERE origin = ?"),
            "confirmed_anomalies": one(verdicts + "label = 1 AND outcome = 1"),
            "false_positives": one(verdicts + "label = 1 AND outcome = 0"),
            "false_positives_of_champion": one(verdicts + "label = 1 AND outcome = 0 AND champion IS ?", champion),
            "missed": one(verdicts + "label = 0 AND outcome = 1"),
            "missing": one("SELECT CAST(total(last - first + 1) AS INTEGER) FROM gaps WHERE origin = ?"),
        }

    def event_counts(self, device: str) -> dict[str, int]:
        """How often the device spoke of what."""
        return dict(self.connection.execute("SELECT kind, count(*) FROM events WHERE origin = ? GROUP BY kind ORDER BY kind", (device,)))

    def table(self, name: str, device: str | None = None) -> list[dict[str, Any]]:
        """A whole table as rows of a report, oldest first, optionally of one device (or origin) only."""
        columns = [row[1] for row in self.connection.execute("SELECT * FROM pragma_table_info(?)", (name,))]
        if not columns:
            raise DataError(f"the knowledge base has no table {name!r}")
        key = "origin" if "origin" in columns and "device" not in columns else "device"
        where, values = ("", ()) if device is None else (f" WHERE {key} = ?", (device,))
        order = ", ".join(c for c in ("id", "origin", "device", "stream", "seq", "sequence") if c in columns) or "1"
        rows = self.connection.execute(f"SELECT * FROM {name}{where} ORDER BY {order}", values)  # noqa: S608 (a table of the schema)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        columns: Sequence[str] = list(values)
        self.connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 (names are the schema's)
            list(values.values()),
        )
