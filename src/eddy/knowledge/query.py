"""Answers: SQL over the tables of a lake by DuckDB, which can read these tables and do nothing else.

Each stream is a view of its name, beside `quarantine`, `gaps`, `audit`, and what is worked out when it is asked for: `streams` (what there
is, with unit, rate, owner, privacy, rows, origins, first and last time), `fields` (their columns, with type, unit and range), `quality`
(per stream and origin: late, repeated numbers, missing, stuck, rows with a field out of its range, longest silence in seconds) and `tiers`
(what samples that have gone were summed up into, see `eddy.knowledge.tiers`). Four macros are there for time series:

    resample(stream, 'value', INTERVAL 1 MINUTE)      origin, time, n, mean, least, most
    filled(stream, 'value', INTERVAL 1 MINUTE)        the same with every step; mean is the last known one where there is none, n is 0
    joined(stream, other, 'value', 'value')           each sample with the last one of another stream before it
    history(stream, 'value', INTERVAL 1 HOUR)         time, origin, count, mean, min, max, std of samples and of what they were summed up
                                                      into; steps are those of the tier where it has longer ones,
                                                      else multiples of these
"""

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from eddy.errors import BadInput, DataError, EddyError, NotAllowed, OverLimit, TooLarge
from eddy.knowledge import quality
from eddy.knowledge.audit import audit_schema, note
from eddy.knowledge.columns import OWN, literal, quoted
from eddy.knowledge.extra import load
from eddy.knowledge.tables import RANGE, RESERVED, TIERS, UNITS, Place, gaps_schema, is_tier, quarantine_schema
from eddy.knowledge.tiers import GONE, MOVED, OF

LIMIT_S = 30.0
MEMORY_MB = 1024
RESULT_MB = 256
"""Defaults of a query: how long it may take, what it may need, how large its result may be."""

_EVERY = ("streams", "fields", "quality", "tiers", "quarantine", "gaps")  # show something of every stream
# Table functions that read what so many first arguments name.
_NAMING = {"query_table": 1, "resample": 1, "filled": 1, "joined": 2, "history": 1}
_HARMLESS = ("range", "generate_series", "unnest", "json_each", "json_tree")  # table functions that read nothing
_CATALOGUED = ("unit", "rate_hz", "type", "owner", "private", "kind")
_NUMBERS = ("long", "integer", "double")
_CATALOG = "information_schema"
_AGAIN_S = 0.1  # an interrupt that comes while a query is planned is forgotten
_OPEN = "cloud"  # the label of what may go anywhere
_MACROS = (
    """CREATE MACRO resample(stream, field, step) AS TABLE
       SELECT origin, time_bucket(step, time) AS time, count(v) AS n, avg(v) AS mean, min(v) AS least, max(v) AS most
       FROM (SELECT origin, time, COLUMNS(lambda c: c = field) AS v FROM query_table(stream)) GROUP BY ALL ORDER BY ALL""",
    """CREATE MACRO filled(stream, field, step) AS TABLE
       WITH known AS (FROM resample(stream, field, step)),
       steps AS (SELECT origin, unnest(generate_series(min(time), max(time), step)) AS time FROM known GROUP BY origin)
       SELECT origin, time, coalesce(n, 0) AS n,
              last_value(mean IGNORE NULLS) OVER (PARTITION BY origin ORDER BY time) AS mean
       FROM steps LEFT JOIN known USING (origin, time) ORDER BY ALL""",
    """CREATE MACRO joined(stream, other, field, of_other) AS TABLE
       SELECT a.origin, a.time, a.v AS value, b.origin AS other_origin, b.time AS other_time, b.v AS other_value
       FROM (SELECT origin, time, COLUMNS(lambda c: c = field) AS v FROM query_table(stream)) a
       ASOF LEFT JOIN (SELECT origin, time, COLUMNS(lambda c: c = of_other) AS v FROM query_table(other)) b ON a.time >= b.time
       ORDER BY ALL""",
    # Samples become one sum a step first, so that the few sums can be centred: the squares are merged as in eddy.knowledge.tiers.
    """CREATE MACRO history(stream, field, step) AS TABLE
       WITH parts AS (
           SELECT origin, time_bucket(step, time) AS time, count(v) AS n, sum(x) AS total, min(x) AS least, max(x) AS most,
                  var_pop(x) * count(x) AS m2
           FROM (SELECT origin, time, v, CASE WHEN isfinite(v) THEN v END AS x
                 FROM (SELECT origin, time, COLUMNS(lambda c: c = field) AS v
                       FROM query_table('samples."' || replace(stream, '"', '""') || '"')))
           WHERE v IS NOT NULL GROUP BY ALL
           UNION ALL
           SELECT s.origin,
                  CASE WHEN epoch_ms(step) <= s.step_ms THEN s.time
                       WHEN epoch_ms(step) % s.step_ms = 0 THEN time_bucket(step, s.time)
                       ELSE error('samples were summed up into steps of ' || s.step_ms / 1000 || ' s: ask for a multiple of these') END,
                  s.count, s.sum, s.min, s.max, s.m2
           FROM query_table('sums."' || replace(stream, '"', '""') || '"') s WHERE s.field = field),
       centred AS (
           SELECT *, sum(total) OVER step_of_origin / sum(n) OVER step_of_origin AS mean FROM parts
           WINDOW step_of_origin AS (PARTITION BY origin, time))
       SELECT time, origin, sum(n)::BIGINT AS count, any_value(mean) AS mean, min(least) AS min, max(most) AS max,
              sqrt(sum(m2 + n * (total / n - mean) ** 2) / sum(n)) AS std
       FROM centred GROUP BY time, origin ORDER BY origin, time""",
)
_SUMS = "origin, field, time, step_ms, count, sum, min, max, m2"
_NO_SUMS = """SELECT ''::VARCHAR AS origin, '' AS field, now() AS time, 1::BIGINT AS step_ms, 0::BIGINT AS count, 0.0::DOUBLE AS sum,
              0.0::DOUBLE AS min, 0.0::DOUBLE AS max, 0.0::DOUBLE AS m2 WHERE false"""


class Answer:
    """The rows of a query.

    Attributes:
        table: As pyarrow.Table.
        seconds: How long it took.
    """

    def __init__(self, table: Any, seconds: float) -> None:
        self.table = table
        self.seconds = seconds

    def arrow(self) -> Any:
        """pyarrow.Table."""
        return self.table

    def pandas(self) -> Any:
        """pandas.DataFrame; raises ToolMissing without pandas."""
        load("pandas")
        return self.table.to_pandas()

    def polars(self) -> Any:
        """polars.DataFrame; raises ToolMissing without polars."""
        return load("polars").from_arrow(self.table)

    def rows(self) -> list[dict[str, Any]]:
        """As plain Python."""
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows


class Lake:
    """A lake as it is now, for reading. What is written later is seen by a new one.

    Args:
        root: Folder, or URL.
        options: Of an object store.
        limit_s: Most seconds of a query.
        memory_mb: Most MiB that DuckDB takes; nothing is written to the disk when that is too little.
        result_mb: Most MiB of a result.
        who: For the audit of queries on labelled streams; the name of the user of this process if empty.
        threads: Of DuckDB; as many as cores when None.
        command: What asks all the queries until the lake is closed, which are one row of the audit then; each is a row of its own without.

    Raises:
        DataError: There is no lake, or a table cannot be read.
        ToolMissing: The extra `knowledge` is not installed.
    """

    def __init__(
        self,
        root: Path | str,
        options: dict[str, str] | None = None,
        limit_s: float = LIMIT_S,
        memory_mb: int = MEMORY_MB,
        result_mb: int = RESULT_MB,
        who: str = "",
        threads: int | None = None,
        command: str = "",
    ) -> None:
        self._command = command
        self._asked: set[str] = set()  # labelled streams
        self._told: int | None = 0  # rows of the answers about them; None when there was an error in the place of one
        self._place = Place(str(root), options or {})
        self._limit_s = limit_s
        self._result_bytes = result_mb << 20
        self._who = who
        names = [name for name in self._place.names() if not is_tier(name)]
        if not names:
            raise DataError(f"there is no lake at {root}: name the folder that a sink with the driver lake writes to")
        self._duck = load("duckdb").connect(":memory:")
        self.labels: dict[str, str] = {}
        self._about: dict[str, dict[str, str]] = {}
        self._ids: dict[str, str] = {}
        self._columns: dict[str, dict[str, str]] = {}
        self._shown: dict[str, set[str]] = {}
        self.streams = [name for name in names if name not in RESERVED]
        tables = {name: self._open(name) for name in names}
        # Tiers behind streams: what a stream has not any more is in a tier that was opened after it.
        self.tiers = {stream: [f"{stream}@{tier}" for tier in TIERS] for stream in self.streams}
        there = {name for name in self._place.names() if is_tier(name)}
        self.tiers = {stream: [name for name in several if name in there] for stream, several in self.tiers.items()}
        names += [name for several in self.tiers.values() for name in several]
        tables |= {name: self._open(name) for several in self.tiers.values() for name in several}
        self._moved = {stream: tables[stream][0].transaction_version(MOVED) or 0 for stream in self.streams}
        for stream, several in self.tiers.items():
            self.labels.update(dict.fromkeys(several, self.labels[stream]))
        if len({name.lower() for name in names}) < len(names):
            raise DataError(f"tables of {root} differ in upper and lower case only: rename one of {', '.join(names)}")
        self._confine([file for _, files in tables.values() for file in files], memory_mb, threads)
        for name, (table, files) in tables.items():
            try:
                self._show(name, table, files)
            except load("duckdb").Error as error:
                raise _unreadable(name, error) from None
        for name, schema in (("quarantine", quarantine_schema()), ("gaps", gaps_schema()), ("audit", audit_schema())):
            if name not in names:
                self._duck.register(name, schema.empty_table())
        self._duck.execute(f"CREATE VIEW streams AS {self._streams_view()}")
        self._duck.register("fields", self._fields())
        self._duck.register("quality", quality.schema().empty_table())
        self._assessed = False
        self._duck.execute(f"CREATE VIEW tiers AS {self._tiers_view()}")
        self._show_histories({name: table for name, (table, _) in tables.items()})
        for macro in _MACROS:
            self._duck.execute(macro)

    def query(self, sql: str) -> Answer:
        """Run one statement that reads.

        Raises:
            BadInput: No SQL, or about something that is not here.
            NotAllowed: It does something else than reading these tables, or there are several.
            OverLimit: It took more time or memory than it may.
            TooLarge: Its result is larger than it may be.
        """
        touched = self._touches(self._read(sql))
        about = sorted(name for name in touched if self.labels.get(name, _OPEN) != _OPEN)
        over = threading.Event()
        begin = time.perf_counter()
        threading.Thread(target=self._end, args=(over,), name="query-limit", daemon=True).start()
        rows: int | None = None
        try:
            if "quality" in touched and not self._assessed:
                self._assess()
            table = self._collect(sql)
            rows = table.num_rows
        except (load("duckdb").Error, load("pyarrow").ArrowException, OSError, RuntimeError, MemoryError) as error:
            raise self._said(error) from None
        finally:
            over.set()
            if about:  # what was not answered may have said something all the same: in its error
                self._note(sql, about, rows)
        return Answer(table, time.perf_counter() - begin)

    def close(self) -> None:
        """Let go of the files.

        Raises:
            StorageFull: What a command asked cannot be noted; then its result is not given, either.
        """
        self._duck.close()
        if self._asked:
            asked, self._asked = sorted(self._asked), set()
            note(self._place, self._who, self._command, asked, self._told)

    def __enter__(self) -> "Lake":
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def _note(self, sql: str, about: list[str], rows: int | None) -> None:
        if not self._command:
            note(self._place, self._who, sql, about, rows)
            return
        self._asked |= {*about}
        self._told = None if rows is None or self._told is None else self._told + rows

    def _open(self, name: str) -> tuple[Any, list[str]]:
        """A table, and its files when they are here; whatever its log says, they are below the folder of the lake."""
        delta = load("deltalake")
        try:
            table = delta.DeltaTable(self._place.where(name), storage_options=dict(self._place.options) or None)
        except Exception as error:
            raise _unreadable(name, error) from None
        about = {what: said for what, said in table.metadata().configuration.items() if said}
        self.labels[name] = about.get("eddy.private", _OPEN)
        self._ids[name] = str(table.metadata().id)
        self._about[name] = about
        self._columns[name] = {one.name: str(getattr(one.type, "type", "list")) for one in table.schema().fields}
        root = self._place.folder
        if root is None:
            return table, []
        files = [unquote(file) for file in table.file_uris()]
        for file in files:
            if not Path(file).resolve().is_relative_to(root.resolve()):
                raise NotAllowed(
                    f"the table {name} names the file {file}, which is not in the lake: remove the table, or copy its file there"
                )
        return table, files

    def _show(self, name: str, table: Any, files: Sequence[str]) -> None:
        """Make the view of a table; of a tier without the rows of a move that has stopped half-way, or came behind its stream."""
        stream = next((stream for stream, several in self.tiers.items() if name in several), "")
        counts = self._about[name].get(OF) == self._ids.get(stream) if stream else False
        self._shown[name] = set(self._columns[name])
        if not files:
            data = table.to_pyarrow_dataset()
            self._duck.register(name, data.filter(load("pyarrow.dataset").field("moved") <= self._moved[stream]) if counts else data)
            return
        source = f"read_parquet({_list(_exact(files))}, union_by_name = true, hive_partitioning = true, hive_types = {{'day': DATE}})"
        here = {row[0] for row in self._duck.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}  # noqa: S608 - quoted
        self._shown[name] &= here  # the rows of a column may have gone, with the days that are not kept
        columns = ", ".join(quoted(one) for one in self._columns[name] if one in here)
        done = f" WHERE moved <= {self._moved[stream]}" if counts else ""
        self._duck.execute(f"CREATE VIEW {quoted(name)} AS SELECT {columns} FROM {source}{done}")  # noqa: S608 - quoted

    def _show_histories(self, tables: Mapping[str, Any]) -> None:
        """Make the views behind `history`: of each stream its samples as numbers, and what went before them."""
        self._duck.execute("CREATE SCHEMA samples; CREATE SCHEMA sums")
        for stream in self.streams:
            fields = {name: kind for name, kind in self._columns[stream].items() if name not in OWN}
            columns = ["origin", "time", *(self._as_number(stream, name, kind) for name, kind in fields.items())]
            samples = f"SELECT {', '.join(columns)} FROM main.{quoted(stream)}"  # noqa: S608 - quoted
            self._duck.execute(f"CREATE VIEW samples.{quoted(stream)} AS {samples}")
            self._duck.execute(f"CREATE VIEW sums.{quoted(stream)} AS {self._sums(stream, tables)}")

    def _as_number(self, stream: str, name: str, kind: str) -> str:
        """A column as a number; what is none is there, but has no value."""
        column = quoted(name)
        if name not in self._shown[stream]:
            number = "NULL"
        elif kind in _NUMBERS:
            number = f"CASE WHEN isfinite({column}::DOUBLE) THEN {column} END"
        elif kind == "boolean":
            number = f"{column}::INTEGER"
        else:
            number = f"CASE WHEN {column} IS NOT NULL THEN 'nan' END"
        return f"({number})::DOUBLE AS {column}"

    def _sums(self, stream: str, tables: Mapping[str, Any]) -> str:
        """The sums that stand for the samples that have gone: of each day from one tier, the finer one where it has all of it."""
        tiers = sorted(self.tiers[stream], key=lambda name: (tables[name].transaction_version(MOVED) or 0) < self._moved[stream])
        gone = [tables[name].transaction_version(GONE) or 0 for name in tiers]
        picked = [f"SELECT {_SUMS} FROM main.{quoted(name)}" for name in tiers]  # noqa: S608 - quoted
        if len(tiers) == len(TIERS):
            cut = date.fromordinal(gone[0] if gone[1] < gone[0] else 1).isoformat()
            picked = [f"{picked[0]} WHERE day >= DATE '{cut}'", f"{picked[1]} WHERE day < DATE '{cut}'"]
        return " UNION ALL ".join(picked) or _NO_SUMS

    def _confine(self, files: Sequence[str], memory_mb: int, threads: int | None) -> None:
        """From here on: these files, no others, no network, no extensions, no variables of Python, and no way back."""
        settings = {
            "memory_limit": f"'{memory_mb}MiB'",
            "temp_directory": "''",
            "parquet_metadata_cache": "true",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "TimeZone": "'UTC'",
            "allowed_paths": _list([*files, *_exact(files)]),
            "enable_external_access": "false",
            "lock_configuration": "true",
        }
        if threads is not None:
            self._duck.execute(f"SET threads = {int(threads)}")
        for name, value in settings.items():
            self._duck.execute(f"SET {name} = {value}")

    def _end(self, over: threading.Event) -> None:
        """Interrupt the query at its limit, until it is over."""
        wait_s = self._limit_s
        while not over.wait(wait_s):
            self._duck.interrupt()
            wait_s = _AGAIN_S

    def _read(self, sql: str) -> list[dict[str, Any]]:
        """All parts of one statement that reads, as DuckDB parses it."""
        duck = load("duckdb")
        try:
            sql.encode()
            statements = self._duck.extract_statements(sql)
            if len(statements) != 1:
                raise NotAllowed(f"one statement at a time; here are {len(statements)}")
            found = json.loads(self._duck.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
        except (duck.Error, UnicodeEncodeError, RecursionError) as error:
            raise BadInput(f"this is no SQL, or too deep: {error}") from None
        only = NotAllowed("a query only reads: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW")
        if statements[0].type != duck.StatementType.SELECT or found["error"]:
            raise only
        parts, rest = [], found["statements"]
        while rest:
            part = rest.pop()
            if isinstance(part, dict):
                if str(part.get("type")).endswith("_QUERY_NODE"):  # INSERT, UPDATE, DELETE, MERGE within WITH
                    raise only
                parts.append(part)
                rest += part.values()
            elif isinstance(part, list):
                rest += part
        return parts

    def _touches(self, parts: Sequence[dict[str, Any]]) -> set[str]:
        """The tables that a statement may read.

        Raises:
            BadInput: One that is not here.
            NotAllowed: It calls something else that gives rows, or names a file.
        """
        here = {name.lower(): name for name in (*self.labels, *RESERVED)}
        own = {str(entry["key"]).lower() for part in parts for entry in (part.get("cte_map") or {}).get("map", ())}
        named: list[str] = []
        for part in parts:
            kind = part.get("type")
            if kind == "TABLE_FUNCTION":
                # Another spelling, such as main.room, could be any of them.
                for name in self._named(part["function"]):
                    named += [name] if name in here else _EVERY
            elif kind == "BASE_TABLE" or (kind == "SHOW_REF" and part.get("show_type") == "SHOW"):
                path = [str(step).lower() for step in part["qualified_name"]["path"]]
                if path[-1] in here:
                    named.append(path[-1])
                elif path[:1] != [_CATALOG] and (path[-1] not in own or set(path[-1]) & set("./\\")):
                    raise BadInput(f"a table called {path[-1]} does not exist here: `SHOW TABLES` tells which do")
        if any(name in _EVERY for name in named):
            return {*self.labels, *({"quality"} & {*named})}
        return {here[name] for name in named if name in here}

    def _named(self, function: dict[str, Any]) -> list[str]:
        """The tables that a function reads; raises NotAllowed when it could read something else."""
        name = str(function["function_name"]).lower()
        if name in _HARMLESS:
            return []
        if name not in _NAMING:
            raise NotAllowed(f"{name}() is not for queries: they read the tables of the lake and nothing else")
        first = function["arguments"][: _NAMING[name]]
        literals = [one["expression"].get("literal") or {} for one in first]
        if any(one["name"] for one in function["arguments"]) or any(one.get("kind") != "STRING" for one in literals):
            return [*_EVERY]
        return [str(one["text"]).lower() for one in literals]

    def _collect(self, sql: str) -> Any:
        """The result, batch by batch, so that it cannot be larger than it may."""
        pa = load("pyarrow")
        reader = self._duck.sql(sql).to_arrow_reader(65_536)
        batches, size = [], 0
        for batch in reader:
            size += batch.nbytes
            if size > self._result_bytes:
                raise TooLarge(f"the result is larger than {self._result_bytes >> 20} MiB: ask for fewer rows or columns, or aggregate")
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)

    def _said(self, error: Exception) -> EddyError:
        """What to tell people; behind Arrow an error of DuckDB is a text."""
        duck, text = load("duckdb"), str(error)
        if isinstance(error, duck.InterruptException) or "INTERRUPT" in text:
            return OverLimit(f"the query took more than {self._limit_s:g} s: ask for less, or give it more time")
        if isinstance(error, duck.OutOfMemoryException | MemoryError) or "Out of Memory" in text:
            return OverLimit("the query needs more memory than it may: ask for less, or give it more")
        if isinstance(error, duck.PermissionException) or "Permission Error" in text:
            return NotAllowed(f"a query reads the tables of the lake and nothing else ({_first_line(error)})")
        return BadInput(f"the query cannot be answered: {error}")

    def _streams_view(self) -> str:
        parts = []
        for name in self.streams:
            about = self._about[name]
            said = ", ".join(f"{literal(about.get('eddy.' + what))} AS {what}" for what in _CATALOGUED)
            counted = "count(*) AS rows, count(DISTINCT origin) AS origins, min(time) AS first, max(time) AS last"
            parts.append(f"SELECT {literal(name)} AS stream, {said}, {counted} FROM {quoted(name)}")  # noqa: S608 - quoted
        return " UNION ALL ".join(parts) or "SELECT NULL::VARCHAR AS stream WHERE false"

    def _fields(self) -> Any:
        """Every column that a stream has beside those that all have, with its unit and range."""
        pa = load("pyarrow")
        rows: list[dict[str, Any]] = []
        for stream in self.streams:
            about = self._about[stream]
            units = {"value": about.get("eddy.unit")} | json.loads(about.get(UNITS, "{}"))
            for name, kind in self._columns[stream].items():
                if name not in OWN and name in self._shown[stream]:
                    low, high = self._ranges(stream).get(name, (None, None))
                    rows.append({"stream": stream, "field": name, "type": kind, "unit": units.get(name), "min": low, "max": high})
        texts = [(name, pa.string()) for name in ("stream", "field", "type", "unit")]
        return pa.Table.from_pylist(rows, pa.schema([*texts, ("min", pa.float64()), ("max", pa.float64())]))

    def _ranges(self, stream: str) -> dict[str, tuple[float, float]]:
        """Of its columns of numbers, what is to be believed."""
        said = json.loads(self._about[stream].get(RANGE, "{}"))
        numbers = [name for name in self._shown[stream] if name in said and self._columns[stream][name] in _NUMBERS]
        return {name: (float(said[name][0]), float(said[name][1])) for name in numbers}

    def _tiers_view(self) -> str:
        parts = []
        for stream, several in self.tiers.items():
            for name in several:
                said = f"{literal(stream)} AS stream, {literal(name.rpartition('@')[2])} AS tier, step_ms / 1000 AS step_s"
                counted = "count(*) AS rows, min(time) AS first, max(time) AS last"
                parts.append(f"SELECT {said}, {counted} FROM {quoted(name)} GROUP BY step_ms")  # noqa: S608 - quoted
        return " UNION ALL ".join(parts) or "SELECT NULL::VARCHAR AS stream WHERE false"

    def _assess(self) -> None:
        """Work out `quality`, once."""
        streams = {}
        for name in self.streams:
            ranges = self._ranges(name).items()
            outside = " OR ".join(f"{quoted(one)} NOT BETWEEN {_number(low)} AND {_number(high)}" for one, (low, high) in ranges)
            streams[name] = "value" in self._shown[name], outside
        self._duck.register("quality", quality.assess(self._duck, streams))
        self._assessed = True


def _number(number: float) -> str:
    return f"'{number!r}'::DOUBLE"


def _exact(files: Sequence[str]) -> list[str]:
    """As patterns that are these names and no others."""
    return [re.sub(r"[*?[]", r"[\g<0>]", file) for file in files]


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(literal(text) for text in texts) + "]"


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(f"the table {name} cannot be read ({_first_line(error)}): after a power cut, start the node that writes it first")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
