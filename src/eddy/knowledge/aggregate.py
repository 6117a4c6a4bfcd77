"""A stream in steps of time: how many, mean, least and most, of each origin or of all; file by file, here or on a cluster.

Each data file is summed up by itself (`partial`), and the sums are put together in the order of the files. So the result is the same to
the last bit wherever the files were read. Steps begin where those of `resample` in `eddy.knowledge.query` do.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eddy.errors import BadInput, DataError
from eddy.knowledge.audit import note
from eddy.knowledge.extra import load
from eddy.knowledge.tables import RESERVED, Place, Table, is_tier, moment, store, stream_schema

ORIGIN_US = 946_857_600_000_000
"""Steps begin at multiples of their length from here: Monday, 2000-01-03."""

_OPEN = "cloud"  # the label of what may go anywhere
_SUMMED = [("n", "sum"), ("total", "sum"), ("least", "min"), ("most", "max")]
_SOURCE = "eddy.aggregate"  # what a table was made of


@dataclass(frozen=True)
class Part:
    """A data file, and what is wanted of it.

    Attributes:
        where: Folder or URL of the table.
        options: Of the object store.
        path: Of the file, within the table.
        field: Column.
        every_us: Length of a step.
        by_origin: Whether each origin is for itself.
    """

    where: str
    options: dict[str, str]
    path: str
    field: str
    every_us: int
    by_origin: bool


Run = Callable[[Callable[[Part], Any], Sequence[Part]], Iterable[Any]]
"""Applies a function to parts, and gives the results in their order."""


def here(function: Callable[[Part], Any], parts: Sequence[Part]) -> Iterable[Any]:
    """One after the other, in this process."""
    return map(function, parts)


def aggregate(
    place: Place, stream: str, field: str = "value", every_us: int = 3_600_000_000, by_origin: bool = True, run: Run = here, who: str = ""
) -> Any:
    """A pyarrow.Table with origin (null when not by origin), time, n, mean, least, most, in order; what is no number does not count.

    Args:
        place: The lake.
        every_us: Length of a step, microseconds.
        run: Who does the work; see `eddy.knowledge.cluster`.
        who: For the audit of labelled streams, as in `eddy.knowledge.query`.

    Raises:
        BadInput: No such stream, or the field is no number in it.
    """
    table = _table(place, stream)
    kinds = {one.name: str(one.type) for one in load("pyarrow").schema(table.schema().to_arrow())}
    numbers = [name for name, kind in kinds.items() if kind in ("int64", "double") and name not in ("seq", "time_ns")]
    if field not in numbers:
        raise BadInput(f"{stream} has no numbers called {field!r}: it has {', '.join(numbers) or 'none at all'}")
    files = sorted(load("pyarrow").table(table.get_add_actions())["path"].to_pylist())
    parts = [Part(place.where(stream), dict(place.options), path, field, every_us, by_origin) for path in files]
    pa, pc = load("pyarrow"), load("pyarrow.compute")
    sums = [one for one in run(partial, parts) if one is not None]
    said = pa.concat_tables(sums).group_by(["origin", "time"], use_threads=False).aggregate(_SUMMED) if sums else None
    if said is None:
        return pa.table({"origin": [], "time": [], "n": [], "mean": [], "least": [], "most": []}, _schema(kinds[field]))
    mean = pc.divide(said["total_sum"], pc.cast(said["n_sum"], pa.float64()))
    columns = [said["origin"], pc.cast(said["time"], moment()), said["n_sum"], mean, said["least_min"], said["most_max"]]
    result = pa.table(columns, _schema(kinds[field])).sort_by([("origin", "ascending"), ("time", "ascending")])
    if table.metadata().configuration.get("eddy.private", _OPEN) != _OPEN:
        note(place, who, f"aggregate {stream} {field} every {every_us} us", [stream], result.num_rows)
    return result


def partial(part: Part) -> Any:
    """The sums of a file: a pyarrow.Table with origin, time in microseconds, n, total, least, most; None when it lacks the column."""
    pa, pc = load("pyarrow"), load("pyarrow.compute")
    with store(part.where, part.options).open_input_file(part.path) as raw, load("pyarrow.parquet").ParquetFile(raw) as file:
        if part.field not in file.schema_arrow.names:
            return None
        rows = file.read(["origin", "time", part.field], use_threads=False)
    times = pc.cast(pc.cast(rows["time"], moment()), pa.int64()).to_numpy()
    steps = (times - ORIGIN_US) // part.every_us * part.every_us + ORIGIN_US
    origins = rows["origin"] if part.by_origin else pa.nulls(rows.num_rows, pa.string())
    table = pa.table([origins, pa.array(steps), rows[part.field]], ["origin", "time", "value"])
    table = table.filter(pc.equal(table["value"], table["value"]))  # neither null nor NaN
    table = table.append_column("total", pc.cast(table["value"], pa.float64(), safe=False))
    wanted = [("value", "count"), ("total", "sum"), ("value", "min"), ("value", "max")]
    summed = table.group_by(["origin", "time"], use_threads=False).aggregate(wanted)
    return summed.select(["origin", "time", "value_count", "total_sum", "value_min", "value_max"]).rename_columns(
        ["origin", "time", *(name for name, _ in _SUMMED)]
    )


def keep(place: Place, name: str, stream: str, result: Any, received_us: int) -> None:
    """Make a result a stream of the lake, in place of what was kept of the same stream under this name before, in one commit.

    Raises:
        BadInput: There is something else of that name.
        StorageFull: It could not be written.
    """
    pa = load("pyarrow")
    about = {what: text for what, text in _table(place, stream).metadata().configuration.items() if what in ("eddy.private", "eddy.unit")}
    if name in RESERVED or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise BadInput(f"a stream cannot be called {name!r}: letters, digits, - _ .")
    if name in place.names() and _table(place, name).metadata().configuration.get(_SOURCE) != stream:
        raise BadInput(f"{name} is a stream already, and was not made of {stream} by this: choose another name")
    count = result.num_rows
    times_us = result["time"].cast(pa.int64())
    days = load("pyarrow.compute").cast(result["time"], pa.date32())
    own = {
        "origin": result["origin"],
        "seq": pa.array(range(count), pa.int64()),
        "birth": pa.array([_SOURCE] * count, pa.string()),
        "time": result["time"],
        "time_ns": pa.array([time_us * 1000 for time_us in times_us.to_pylist()], pa.int64()),
        "received": pa.array([received_us] * count, moment()),
        "late": pa.array([False] * count),
        "day": days,
    }
    table = Table(place, name, stream_schema(), about | {_SOURCE: stream})
    table.append(pa.table(own | {what: result[what] for what in ("n", "mean", "least", "most")}), {}, instead=True)


def _table(place: Place, stream: str) -> Any:
    """The stream as it is now."""
    names = [name for name in place.names() if name not in RESERVED and not is_tier(name)]
    if stream not in names:
        raise BadInput(f"there is no stream {stream!r} in {place.root}: there are {', '.join(names) or 'none'}")
    try:
        return load("deltalake").DeltaTable(place.where(stream), storage_options=dict(place.options) or None)
    except Exception as error:
        raise DataError(f"table {place.where(stream)} cannot be read ({str(error).partition(chr(10))[0]})") from None


def _schema(kind: str) -> Any:
    pa = load("pyarrow")
    number = pa.int64() if kind == "int64" else pa.float64()
    return pa.schema(
        [("origin", pa.string()), ("time", moment()), ("n", pa.int64()), ("mean", pa.float64()), ("least", number), ("most", number)]
    )
