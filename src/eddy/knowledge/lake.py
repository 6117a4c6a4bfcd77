"""Driver `lake`: every sample exactly once in a table of its stream.

A sample comes as `[stream, origin, seq, value]` under the key `stream/origin/birth/number` (`eddy.links.driver.Store`). The number of the
last one stands in the commit that wrote it, so what comes again after a crash is recognised by the table itself. A value that fits nowhere
goes to the table `quarantine` with the reason; samples that are missing for good to `gaps`.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from eddy.errors import SettingError
from eddy.knowledge import turn
from eddy.knowledge.columns import Columns, Unfit, as_bytes, column_of
from eddy.knowledge.extra import load
from eddy.knowledge.tables import (
    RANGE,
    TIERS,
    UNITS,
    Place,
    Table,
    arrow_type,
    gaps_schema,
    moment,
    quarantine_schema,
    stream_schema,
    table_of,
)
from eddy.knowledge.tiers import Tier, mend
from eddy.knowledge.upkeep import Upkeep
from eddy.spec.measured import measured
from eddy.spec.vocabulary import LEVELS, Level

FOLDER = "lake"
"""Of a node, in its own folder."""

TEND_S = 3600
"""At the latest after so long a table is tended, while samples come for any of them; after a start within a minute."""

PAYLOAD_BYTES = 65_536
"""Most that quarantine keeps of a value."""

_TOLD = ("unit", "rate_hz", "type", "owner", "private", "scale", "kind")  # of what the app declares, in the table
_LABEL = "eddy.private"
_SOON_S = 60
_MIN_NS, _MAX_NS = -(1 << 63), (1 << 63) - 1
_DAY_US = 86_400_000_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")


class Home(Protocol):
    """What a node offers: its folder (`eddy.links.driver.Home`)."""

    @property
    def folder(self) -> Path:
        """The same after a restart."""


@dataclass(frozen=True, slots=True)
class _Sample:
    sender: str
    number: int
    stream: str
    origin: str
    seq: int
    time_ns: int
    value: Any
    fault: str = ""  # why its source could not decode it
    resent: bool = False


@dataclass
class _Stream:
    table: Table
    newest_ns: dict[str, int] = field(default_factory=dict)  # of each origin
    commits: int = 0
    tend_s: int = 0  # when it is tended at the latest


class Lake:
    """The sink.

    Args:
        home: Of the node.
        to: Folder or URL of the lake; the folder `lake` of the node when empty.
        keep_ms: Age of samples at which whole days of them are removed; None: never.
        warm, cold: What such days are summed up into before, `{"every_ms", "keep_ms"}`: length of a step, which divides a day, and age at
            which whole days of sums are removed; without: never.
        options: Of an object store, as deltalake names them.
        streams: What the app declares of each, see `eddy.spec.described`. Numbers of a stream with a scale are divided by it: the table has
            what was measured. Lists whose parts have names become maps. What an app says anew of a stream is said of its table from its
            next sample on; only the label of its privacy becomes no looser.
        fsync: See `eddy.knowledge.tables.Place`.
        now_ns: The clock.

    Raises:
        SettingError: Nobody says where.
    """

    at_home = True
    gather_s = 1.0

    def __init__(
        self,
        *,
        home: Home | None = None,
        to: str = "",
        keep_ms: int | None = None,
        warm: Mapping[str, int] | None = None,
        cold: Mapping[str, int] | None = None,
        options: dict[str, str] | None = None,
        streams: Mapping[str, Mapping[str, Any]] | None = None,
        fsync: bool = True,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if not to and home is None:
            raise SettingError("a lake needs a folder or URL: write `to`")
        root = to or str((home.folder if home else Path()) / FOLDER)
        self._place = Place(root, options or {}, fsync)
        self._declared = {table_of(name): said for name, said in (streams or {}).items()}  # by table
        tiers = tuple(Tier(name, **said) for name, said in zip(TIERS, (warm, cold), strict=True) if said)
        self._upkeep = Upkeep(keep_ms, tiers)
        self._now_ns = now_ns
        self._tables: dict[str, _Stream] = {}
        self._mark = b""
        self._look_s = self._soon_s()

    def write_all(self, samples: list[tuple[str, int, Any]]) -> None:
        """Write them, each into the table of its stream; durable when it returns.

        Raises:
            StorageFull: A table could not be written.
            DataError: A table could not be read.
        """
        with turn.appending(self._place.folder) as mark:
            if mark != self._mark:
                self._tables, self._mark = {}, mark
            self._write(samples, self._now_ns() // 1000)

    def safe(self, value: Any) -> None:
        """A lake that hears nothing does nothing."""

    def _write(self, samples: list[tuple[str, int, Any]], received_us: int) -> None:
        streams: dict[str, list[_Sample]] = {}
        unfit: list[tuple[_Sample, str]] = []
        gaps: list[tuple[_Sample, list[Any]]] = []
        for key, time_ns, value in samples:
            sample, gap = _read(key, time_ns, value)
            if gap is not None:
                gaps.append((sample, gap))
            elif _NAME.fullmatch(sample.stream):
                streams.setdefault(sample.stream, []).append(sample)
            else:
                unfit.append((sample, f"there can be no table for a stream called {sample.stream!r}"))
        for stream, those in streams.items():
            unfit += self._write_stream(stream, those, received_us)
        # Behind the streams: what is refused once is refused again, when it comes again, because of what the streams hold by then.
        self._write_unfit(sorted(unfit, key=lambda one: one[0].number), received_us)
        self._write_gaps(gaps, received_us)
        self._tend_quiet(received_us // 10**6)

    def _tend_quiet(self, now_s: int) -> None:
        """Tend one of the tables to which little is written, or nothing any more: their days grow old all the same."""
        if now_s >= self._look_s:
            self._look_s = now_s + TEND_S
            there = {*self._place.names()}
            for name in self._declared.keys() & there:
                self._table(name)
        due = next((stream for stream in self._tables.values() if now_s >= stream.tend_s), None)
        if due:
            self._tend(due)

    def _tend(self, stream: _Stream) -> None:
        now_ns = self._now_ns()
        self._upkeep.tend(stream.table, now_ns)
        stream.tend_s = now_ns // 10**9 + TEND_S

    def _write_stream(self, name: str, samples: list[_Sample], received_us: int) -> list[tuple[_Sample, str]]:
        """Append what is new and fits; returns what does not fit."""
        table = table_of(name)
        stream = self._table(table)
        positions = _positions(stream.table, samples)
        known = stream.table.kinds() or {}
        said = self._declared.get(table, {})
        scale = int(said.get("scale", 1))
        if said.get("type") and "value" not in known:
            known["value"] = "float" if scale > 1 or str(said["type"]).startswith("float") else "int"
        turned = scale > 1 or "fields" in said or "per" in said
        columns, fits, unfit = Columns(known), [], []
        upto: dict[str, int] = {}
        for sample in samples:
            is_new = sample.number > positions[sample.sender]
            try:
                if sample.fault:
                    raise Unfit(sample.fault)
                value = measured(sample.value, said) if turned else sample.value
                if not _MIN_NS <= sample.time_ns <= _MAX_NS:
                    raise Unfit("its time is not between 1677 and 2262")
                if is_new:
                    columns.add(value)
                    fits.append(sample)
                else:
                    Columns(known).add(value)  # only to know whether it is in quarantine, or should be
            except Unfit as why:
                unfit.append((sample, str(why)))
            if is_new:
                upto[sample.sender] = sample.number
        if fits:
            self._append(stream, self._rows(stream, fits, columns, received_us), upto)
        return unfit

    def _rows(self, stream: _Stream, samples: list[_Sample], columns: Columns, received_us: int) -> Any:
        pa, np = load("pyarrow"), load("numpy")
        times_ns = np.array([sample.time_ns for sample in samples], np.int64)
        times_us = times_ns // 1000
        arrays = {
            "origin": pa.array([sample.origin for sample in samples], pa.string()),
            "seq": pa.array([sample.seq for sample in samples], pa.int64()),
            "birth": pa.array([sample.sender.rpartition("/")[2] for sample in samples], pa.string()),
            "time": pa.array(times_us, moment()),
            "time_ns": pa.array(times_ns),
            "received": pa.array(np.full(len(samples), received_us), moment()),
            "late": pa.array(_late(stream.newest_ns, samples), pa.bool_()),
            "resent": pa.array([sample.resent for sample in samples], pa.bool_()),
            "day": pa.array((times_us // _DAY_US).astype(np.int32), pa.int32()).cast(pa.date32()),
        }
        for name, values in columns.padded().items():
            arrays[name] = pa.array(values, arrow_type(columns.kinds[name]))
        return pa.table(arrays)

    def _write_unfit(self, unfit: list[tuple[_Sample, str]], received_us: int) -> None:
        if not unfit:
            return
        stream = self._table("quarantine")
        positions = _positions(stream.table, [sample for sample, _ in unfit])
        unfit = [(sample, why) for sample, why in unfit if sample.number > positions[sample.sender]]
        rows = []
        for sample, why in unfit:
            value, told = sample.value, bool(sample.fault)
            at_ns = sample.time_ns if _MIN_NS <= sample.time_ns <= _MAX_NS else 0
            rows.append(
                {
                    "reason": _shown(why),
                    "sender": _shown(str(value.get("from", ""))) if told else "",
                    "stream": sample.stream,
                    "origin": sample.origin,
                    "seq": sample.seq,
                    "birth": sample.sender.rpartition("/")[2],
                    "time": at_ns // 1000,
                    "received": received_us,
                    "payload": as_bytes(value.get("payload", b"") if told else value)[:PAYLOAD_BYTES],
                    "day": received_us // _DAY_US,
                }
            )
        self._append_rows(stream, rows, [sample for sample, _ in unfit], quarantine_schema())

    def _write_gaps(self, gaps: list[tuple[_Sample, list[Any]]], received_us: int) -> None:
        if not gaps:
            return
        stream = self._table("gaps")
        positions = _positions(stream.table, [sample for sample, _ in gaps])
        gaps = [(sample, gap) for sample, gap in gaps if sample.number > positions[sample.sender]]
        rows = [
            {
                "stream": sample.stream,
                "origin": sample.origin,
                "first": sample.seq,
                "last": gap[1],
                "reason": str(gap[0]),
                "received": received_us,
                "day": received_us // _DAY_US,
            }
            for sample, gap in gaps
        ]
        self._append_rows(stream, rows, [sample for sample, _ in gaps], gaps_schema())

    def _append_rows(self, stream: _Stream, rows: list[dict[str, Any]], samples: list[_Sample], schema: Any) -> None:
        if rows:
            pa = load("pyarrow")
            plain = {"day": pa.int32()} | dict.fromkeys(("time", "received"), pa.int64())
            arrays = [pa.array([row[one.name] for row in rows], plain.get(one.name, one.type)).cast(one.type) for one in schema]
            self._append(stream, pa.table(arrays, schema=schema), {sample.sender: sample.number for sample in samples})

    def _append(self, stream: _Stream, rows: Any, upto: dict[str, int]) -> None:
        stream.table.append(rows, upto)
        stream.commits += 1
        if stream.commits % self._upkeep.every == 0:
            self._tend(stream)

    def _table(self, name: str) -> _Stream:
        if name not in self._tables:
            if name in ("quarantine", "gaps"):
                schema = quarantine_schema() if name == "quarantine" else gaps_schema()
                self._tables[name] = _Stream(Table(self._place, name, schema), tend_s=self._soon_s())
            else:
                about = _about(self._declared[name]) if name in self._declared else {}
                table = Table(self._place, name, stream_schema(), {what: said for what, said in about.items() if said})
                if _strictness(table.about.get(_LABEL)) < _strictness(about.get(_LABEL)):
                    about.pop(_LABEL, None)  # what is there was taken in under the stricter one
                table.tell(about)
                mend(self._place, name)
                self._tables[name] = _Stream(table, table.newest_ns(), tend_s=self._soon_s())
        return self._tables[name]

    def _soon_s(self) -> int:
        return self._now_ns() // 10**9 + _SOON_S


def _about(said: Mapping[str, Any]) -> dict[str, str]:
    """The properties of a table; "" where the app says nothing."""
    about = {f"eddy.{what}": str(said.get(what) or "") for what in _TOLD}
    for what, where in (("units", UNITS), ("range", RANGE)):
        about[where] = json.dumps({column_of(name): one for name, one in said[what].items()}) if said.get(what) else ""
    return about


def _strictness(label: str | None) -> int:
    """The less the stricter."""
    return LEVELS.index(cast(Level, label or LEVELS[-1]))


def _positions(table: Table, samples: list[_Sample]) -> dict[str, int]:
    """Of each sender: asked once, as it costs a look at the log."""
    return {sender: table.position(sender) for sender in {sample.sender for sample in samples}}


def _read(key: str, time_ns: int, value: Any) -> tuple[_Sample, list[Any] | None]:
    """A sample, and what a gap says beside it."""
    sender, _, number = key.rpartition("/")
    if isinstance(value, list | tuple) and len(value) in (4, 5) and isinstance(value[0], str) and isinstance(value[1], str):
        stream, origin, seq, held = value[:4]
        resent = len(value) == 5 and value[4] is True
        if len(value) == 5 and not resent:
            return _Sample(sender, int(number), stream, origin, seq, time_ns, None), [held, value[4]]
        if isinstance(held, dict) and "quarantine" in held:
            return _Sample(sender, int(number), stream, origin, seq, time_ns, held, str(held["quarantine"]) or "no reason was given"), None
        if isinstance(held, dict) and held.keys() - {"key", "resent"} == {"from", "value"}:  # as a source says who measured it
            resent = resent or "resent" in held
            origin, held = str(held["from"] or origin), held["value"]
        return _Sample(sender, int(number), stream, origin, seq, time_ns, held, resent=resent), None
    return _Sample(sender, int(number), "", "", -1, time_ns, value), None


def _late(newest_ns: dict[str, int], samples: list[_Sample]) -> list[bool]:
    """Whether each is older than one that was there before; keeps the newest."""
    late = []
    for sample in samples:
        newest = newest_ns.get(sample.origin)
        late.append(newest is not None and sample.time_ns < newest)
        if newest is None or sample.time_ns > newest:
            newest_ns[sample.origin] = sample.time_ns
    return late


def _shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:1000]
