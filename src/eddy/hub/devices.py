"""Devices that have asked to be taken, and what people have decided about them: the truth of which nodes keep a copy."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sql

from eddy.errors import Refused, SettingError
from eddy.hub.terms import create_tables, in_order
from eddy.hub.view import DeviceState, DeviceView
from eddy.links.origins import LONGEST, Decided, Names, is_pattern
from eddy.links.senders import WAITING

DECIDED = 1000
"""Decisions that a source has, at most: all of them go to its node at once. One about a pattern stands for many."""

_MOST = 2**53  # no time and no count is larger

_metadata = sql.MetaData()
_devices = sql.Table(
    "devices",
    _metadata,
    sql.Column("app", sql.Text, primary_key=True),
    sql.Column("source", sql.Text, primary_key=True),
    sql.Column("origin", sql.Text, primary_key=True),
    sql.Column("first_ms", sql.BigInteger, nullable=False),
    sql.Column("last_ms", sql.BigInteger, nullable=False),
    sql.Column("waited", sql.BigInteger, nullable=False),
)
_approvals = sql.Table(
    "approvals",
    _metadata,
    sql.Column("app", sql.Text, primary_key=True),
    sql.Column("source", sql.Text, primary_key=True),
    sql.Column("origin", sql.Text, primary_key=True),  # or a pattern
    sql.Column("approved", sql.Boolean, nullable=False),
    sql.Column("who", sql.Text, nullable=False),
    sql.Column("time_ms", sql.BigInteger, nullable=False),  # rises within a source: the order of what was decided
)


class Seen(NamedTuple):
    """What a node tells of a device whose samples wait.

    Attributes:
        origin: Its name; "" for all that the node had no room for.
        first_ms, last_ms: Of the samples since the last report, milliseconds since 1970 by the clock of the node.
        samples: How many these were.
    """

    origin: str
    first_ms: int
    last_ms: int
    samples: int

    def after(self, before: "Seen | None") -> "Seen":
        """This and what was told of the same origin before, as one."""
        if before is None:
            return self
        first_ms, last_ms = min(before.first_ms, self.first_ms), max(before.last_ms, self.last_ms)
        return Seen(self.origin, first_ms, last_ms, min(before.samples + self.samples, _MOST))

    @classmethod
    def of(cls, told: Any) -> "Seen":
        """From what came; raises TypeError or ValueError for what is none."""
        seen = cls(*told)
        if not (isinstance(seen.origin, str) and len(seen.origin) <= LONGEST and seen.origin.isprintable()):
            raise ValueError("no name")
        if not all(isinstance(number, int) and 0 <= number <= _MOST for number in seen[1:]):
            raise ValueError("no number")
        return seen


class Devices:
    """Tables beside those of `Terms`, in the same database.

    Args:
        engine: The database, as `terms.open_database` opens it.
        wall_ms: Time of decisions, milliseconds since 1970.
    """

    def __init__(self, engine: sql.Engine, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._engine = engine
        self._wall_ms = wall_ms
        create_tables(engine, _metadata)

    def saw(self, app: str, source: str, several: Iterable[Seen]) -> None:
        """Devices wait. Of a source the `WAITING` heard last are known by name; samples of others are counted under the origin ""."""
        with self._engine.begin() as connection:
            in_order(connection, _devices)
            here = (_devices.c.app == app) & (_devices.c.source == source)
            known = {row.origin: Seen(*row[2:]) for row in connection.execute(sql.select(_devices).where(here))}
            decided = Decided((row.origin, row.approved) for row in _rules(connection, app, source))
            changed = set()
            for seen in several:
                known[seen.origin] = seen.after(known.get(seen.origin))
                changed.add(seen.origin)
            waiting = sorted((known[origin] for origin in known if origin and decided.of(origin) is None), key=lambda seen: seen.last_ms)
            for seen in waiting[: max(0, len(waiting) - WAITING)]:  # they give way, so that no one can keep newcomers out
                known[""] = known.pop(seen.origin)._replace(origin="").after(known.get(""))
                changed |= {"", seen.origin}
            connection.execute(_devices.delete().where(here, _devices.c.origin.in_(changed)))
            names = ("origin", "first_ms", "last_ms", "waited")
            rows = [{"app": app, "source": source, **dict(zip(names, known[one], strict=True))} for one in changed if one in known]
            if rows:
                connection.execute(_devices.insert(), rows)

    def decide(self, app: str, source: str, origin: str, approved: bool, by: str) -> None:
        """A device, or all that a pattern means, may send or may not. It replaces what was decided about these before.

        Raises:
            SettingError: No name and no pattern.
            Refused: There are too many decisions about devices of this source.
        """
        if not origin or len(origin) > LONGEST or not origin.isprintable():
            raise SettingError(f"{origin[:40]!r} is no origin: give its name, or a pattern, of up to {LONGEST} printable characters")
        meant = Names([origin])
        with self._engine.begin() as connection:
            in_order(connection, _approvals)
            rules = _rules(connection, app, source)
            replaced = [row.origin for row in rules if row.origin == origin or (row.origin in meant and not is_pattern(row.origin))]
            if len(rules) - len(replaced) >= DECIDED:
                raise Refused(f"{source} has {DECIDED} decisions already: decide about a pattern of origins, or use `allow` in the app")
            here = (_approvals.c.app == app) & (_approvals.c.source == source)
            connection.execute(_approvals.delete().where(here, _approvals.c.origin.in_(replaced)))
            time_ms = max([self._wall_ms(), *(row.time_ms + 1 for row in rules)])
            row = {"app": app, "source": source, "origin": origin, "approved": approved, "who": by, "time_ms": time_ms}
            connection.execute(_approvals.insert().values(**row))

    def version(self, app: str, source: str) -> int:
        """Of what was decided about devices of a source: another number when something else was."""
        here = (_approvals.c.app == app) & (_approvals.c.source == source)
        with self._engine.connect() as connection:
            return connection.scalar(sql.select(sql.func.max(_approvals.c.time_ms)).where(here)) or 0

    def rules(self, app: str, source: str) -> tuple[int, list[tuple[str, bool]]]:
        """That version, and (name or pattern, whether it is approved), the oldest first."""
        with self._engine.connect() as connection:
            rows = _rules(connection, app, source)
        return rows[-1].time_ms if rows else 0, [(row.origin, row.approved) for row in rows]

    def all(self) -> list[DeviceView]:
        """See `HubView.devices`."""
        with self._engine.connect() as connection:
            seen = connection.execute(sql.select(_devices)).all()
            rules = connection.execute(sql.select(_approvals).order_by(_approvals.c.time_ms)).all()
        listed: dict[tuple[str, str], list[tuple[str, Any]]] = {}
        for row in rules:
            listed.setdefault((row.app, row.source), []).append((row.origin, row))
        decided = {here: Decided(several) for here, several in listed.items()}
        found = {}
        for row in rules:  # also of those that were not seen yet, and of patterns
            found[row.app, row.source, row.origin] = _view(row.app, row.source, row.origin, row)
        for row in seen:
            rule = decided.get((row.app, row.source), Decided()).of(row.origin) if row.origin else None
            found[row.app, row.source, row.origin] = _view(row.app, row.source, row.origin, rule, row.first_ms, row.last_ms, row.waited)
        return [view for _, view in sorted(found.items())]

    def remove_app(self, app: str) -> None:
        """Forget all devices of an app, and what was decided about them."""
        with self._engine.begin() as connection:
            for table in (_devices, _approvals):
                connection.execute(table.delete().where(table.c.app == app))


def _rules(connection: sql.Connection, app: str, source: str) -> Any:
    here = (_approvals.c.app == app) & (_approvals.c.source == source)
    return connection.execute(sql.select(_approvals).where(here).order_by(_approvals.c.time_ms)).all()


def _view(
    app: str, source: str, origin: str, rule: Any, first_ms: int | None = None, last_ms: int | None = None, waited: int = 0
) -> DeviceView:
    state: DeviceState = "waiting" if rule is None else "approved" if rule.approved else "refused"
    return DeviceView(app, source, origin, state, first_ms, last_ms, waited, rule.who if rule else "", rule.time_ms if rule else None)
