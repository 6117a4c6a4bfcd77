"""Answers: SQL over the tables of a lake by DuckDB, which can read these tables and do nothing else.

Each stream is a view of its name, beside `quarantine`, `gaps`, `audit`, and what is worked out when it is asked for: `streams` (what there
is, with unit, rate, privacy, rows, origins, first and last time), `fields` (their columns, with type, unit and range) and `quality` (per
stream and origin: late, repeated numbers, missing, stuck, rows with a field out of its range, longest silence in seconds). Three macros are
there for time series:

    resample(stream, 'value', INTERVAL 1 MINUTE)      origin, time, n, mean, least, most
    filled(stream, 'value', INTERVAL 1 MINUTE)        the same with every step; mean is the last known one where there is none, n is 0
    joined(stream, other, 'value', 'value')           each sample with the last one of another stream before it
"""

import json
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from eddy.errors import BadInput, DataError, EddyError, NotAllowed, OverLimit, TooLarge
from eddy.knowledge.audit import audit_schema, note
from eddy.knowledge.columns import OWN
from eddy.knowledge.extra import load
from eddy.knowledge.tables import RANGE, RESERVED, UNITS, Place, gaps_schema, quarantine_schema

LIMIT_S = 30.0
MEMORY_MB = 1024
RESULT_MB = 256
"""Defaults of a query: how long it may take, what it may need, how large its result may be."""

_EVERY = ("streams", "fields", "quality", "quarantine", "gaps")  # show something of every stream
_NAMING = {"query_table": 1, "resample": 1, "filled": 1, "joined": 2}  # table functions that read what so many first arguments name
_HARMLESS = ("range", "generate_series", "unnest", "json_each", "json_tree")  # table functions that read nothing
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
)


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
    ) -> None:
        self._place = Place(str(root), options or {})
        self._limit_s = limit_s
        self._result_bytes = result_mb << 20
        self._who = who
        names = self._place.names()
        if not names:
            raise DataError(f"there is no lake at {root}: name the folder that a sink with the driver lake writes to")
        self._duck = load("duckdb").connect(":memory:")
        self.labels: dict[str, str] = {}
        self._about: dict[str, dict[str, str]] = {}
        self._columns: dict[str, dict[str, str]] = {}
        self.streams = [name for name in names if name not in RESERVED]
        if len({name.lower() for name in names}) < len(names):
            raise DataError(f"tables of {root} differ in upper and lower case only: rename one of {', '.join(names)}")
        tables = {name: self._open(name) for name in names}
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
        self._duck.execute(f"CREATE VIEW quality AS {self._quality_view()}")
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
        about = sorted(name for name in self._touches(self._read(sql)) if self.labels.get(name, _OPEN) != _OPEN)
        over = threading.Event()
        begin = time.perf_counter()
        threading.Thread(target=self._end, args=(over,), name="query-limit", daemon=True).start()
        rows: int | None = None
        try:
            table = self._collect(sql)
            rows = table.num_rows
        except (load("duckdb").Error, load("pyarrow").ArrowException, OSError, RuntimeError, MemoryError) as error:
            raise self._said(error) from None
        finally:
            over.set()
            if about:  # what was not answered may have said something all the same: in its error
                note(self._place, self._who, sql, about, rows)
        return Answer(table, time.perf_counter() - begin)

    def close(self) -> None:
        """Let go of the files."""
        self._duck.close()

    def __enter__(self) -> "Lake":
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def _open(self, name: str) -> tuple[Any, list[str]]:
        """A table, and its files when they are here; whatever its log says, they are below the folder of the lake."""
        delta = load("deltalake")
        try:
            table = delta.DeltaTable(self._place.where(name), storage_options=dict(self._place.options) or None)
        except Exception as error:
            raise _unreadable(name, error) from None
        about = {what: said for what, said in table.metadata().configuration.items() if said}
        self.labels[name] = about.get("eddy.private", _OPEN)
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
        """Make the view of a table."""
        if not files:
            self._duck.register(name, table.to_pyarrow_dataset())
            return
        source = f"read_parquet({_list(_exact(files))}, union_by_name = true, hive_partitioning = true, hive_types = {{'day': DATE}})"
        here = {row[0] for row in self._duck.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}  # noqa: S608 - quoted
        # The rows of a column may have gone, with the days that are not kept.
        self._columns[name] = {one: kind for one, kind in self._columns[name].items() if one in here}
        columns = ", ".join(map(_quoted, self._columns[name]))
        self._duck.execute(f"CREATE VIEW {_quoted(name)} AS SELECT {columns} FROM {source}")  # noqa: S608 - quoted

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
                named += self._named(part["function"])
            elif kind == "BASE_TABLE" or (kind == "SHOW_REF" and part.get("show_type") == "SHOW"):
                path = [str(step).lower() for step in part["qualified_name"]["path"]]
                if path[-1] in here:
                    named.append(path[-1])
                elif path[:1] != [_CATALOG] and (path[-1] not in own or set(path[-1]) & set("./\\")):
                    raise BadInput(f"a table called {path[-1]} does not exist here: `SHOW TABLES` tells which do")
        if any(name in _EVERY for name in named):
            return {*self.labels}
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
            said = ", ".join(f"{_text(about.get('eddy.' + what))} AS {what}" for what in ("unit", "rate_hz", "type", "private", "kind"))
            counted = "count(*) AS rows, count(DISTINCT origin) AS origins, min(time) AS first, max(time) AS last"
            parts.append(f"SELECT {_text(name)} AS stream, {said}, {counted} FROM {_quoted(name)}")  # noqa: S608 - quoted
        return " UNION ALL ".join(parts) or "SELECT NULL::VARCHAR AS stream WHERE false"

    def _fields(self) -> Any:
        """Every column that a stream has beside those that all have, with its unit and range."""
        pa = load("pyarrow")
        rows: list[dict[str, Any]] = []
        for stream in self.streams:
            about = self._about[stream]
            units = {"value": about.get("eddy.unit")} | json.loads(about.get(UNITS, "{}"))
            for name, kind in self._columns[stream].items():
                if name not in OWN:
                    low, high = self._ranges(stream).get(name, (None, None))
                    rows.append({"stream": stream, "field": name, "type": kind, "unit": units.get(name), "min": low, "max": high})
        texts = [(name, pa.string()) for name in ("stream", "field", "type", "unit")]
        return pa.Table.from_pylist(rows, pa.schema([*texts, ("min", pa.float64()), ("max", pa.float64())]))

    def _ranges(self, stream: str) -> dict[str, tuple[float, float]]:
        """Of its columns of numbers, what is to be believed."""
        said = json.loads(self._about[stream].get(RANGE, "{}"))
        numbers = [name for name, kind in self._columns[stream].items() if kind in _NUMBERS and name in said]
        return {name: (float(said[name][0]), float(said[name][1])) for name in numbers}

    def _quality_view(self) -> str:
        parts = []
        for name in self.streams:
            value, stuck = "", "0"
            if "value" in self._columns[name]:
                value = ", value, lag(value) OVER (PARTITION BY origin ORDER BY seq) AS before"
                stuck = "count(*) FILTER (value = before)"
            ranges = self._ranges(name).items()
            outside = " OR ".join(f"{_quoted(one)} NOT BETWEEN {_number(low)} AND {_number(high)}" for one, (low, high) in ranges)
            of = f"stream = {_text(name)} AND gaps.origin = s.origin"
            missing = f"any_value((SELECT coalesce(sum(last - first + 1), 0) FROM gaps WHERE {of}))"  # noqa: S608 - quoted
            counted = "count(*) AS rows, count(*) FILTER (late) AS late, count(*) - count(DISTINCT (birth, seq)) AS doubled"
            rows = f"SELECT origin, seq, birth, late{value}, {outside or 'false'} AS outside FROM {_quoted(name)}"  # noqa: S608 - quoted
            more = f"{missing} AS missing, {stuck} AS unchanged, count(*) FILTER (outside) AS out_of_range"
            # Silences beside the counts: both at once take twice the memory.
            after = "us - lag(us) OVER (PARTITION BY origin ORDER BY us) AS silence"
            silent = f"SELECT origin, {after} FROM (SELECT origin, epoch_us(time) AS us FROM {_quoted(name)})"  # noqa: S608 - quoted
            parts.append(
                f"SELECT * FROM (SELECT {_text(name)} AS stream, origin, {counted}, {more} FROM ({rows}) s GROUP BY origin)"  # noqa: S608
                f" LEFT JOIN (SELECT origin, max(silence) / 1e6 AS gaps_s FROM ({silent}) GROUP BY origin) USING (origin)"
            )
        return " UNION ALL ".join(parts) or "SELECT NULL::VARCHAR AS stream WHERE false"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _number(number: float) -> str:
    return f"'{number!r}'::DOUBLE"


def _text(text: str | None) -> str:
    return "NULL::VARCHAR" if text is None else "'" + text.replace("'", "''") + "'"


def _exact(files: Sequence[str]) -> list[str]:
    """As patterns that are these names and no others."""
    return [re.sub(r"[*?[]", r"[\g<0>]", file) for file in files]


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(_text(text) for text in texts) + "]"


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(f"the table {name} cannot be read ({_first_line(error)}): after a power cut, start the node that writes it first")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
