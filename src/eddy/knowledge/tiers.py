"""Tiers of a stream: what its samples came to, in steps of time, for longer than the samples themselves are kept.

Days of samples that are old enough are summed up into a table of each tier and then leave the table of the stream: a move. A row of a tier
is the sum of one field of one origin in one step by one move: samples that come late make further rows for the same step, and whoever
reads adds them up (`merged` here, `history` in `eddy.knowledge.query`). Numbers and truth values are summed up as floats, those that are
not finite are left out; of texts, bytes and lists there is the count.

Each sample counts once, though no commit spans two tables. Moves have numbers. The rows of a move say its number, and so does the commit
that takes the samples away, behind the commits that have written the rows: what has a higher number than the table of the stream says does
not count. That is how readers take it, from whichever versions they have before them, and the next move removes such rows and begins anew.

A tier may know less of the days before one of them: they are too old for it, or were moved before it was there. It says which day that is,
so that such days are read from the other tier.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from eddy.errors import DataError
from eddy.knowledge import durable
from eddy.knowledge.columns import OWN
from eddy.knowledge.extra import load
from eddy.knowledge.tables import ROW_GROUP, TIERS, UNITS, Place, Table, is_tier, moment, store

MOVED = "eddy.moved"
"""Position in the table of a stream, and of its tiers: number of the last move; 0 and none are the same."""

GONE = "eddy.gone"
"""Position likewise: what was of the days before this one may have left, or never been here. As `datetime.date.toordinal` counts."""

OF = "eddy.of"
"""Property of a tier: the id of the table whose moves it numbers."""

MOST_ROWS = 4_000_000
"""Samples of a move, unless a single day has more."""

_NUMBERS = ("bool", "int", "float")
_KEY = ("origin", "field", "time")
_MERGED_FROM = 1 << 20  # so many sums are merged


@dataclass(frozen=True)
class Tier:
    """What is kept of a stream behind its samples.

    Attributes:
        name: One of `TIERS`.
        every_ms: Length of a step; it divides a day.
        keep_ms: Age at which whole days go; None: never.
    """

    name: str
    every_ms: int
    keep_ms: int | None = None


def tier_schema() -> Any:
    """A row is what `count` values of a field came to; sum, min, max and m2 (squares of distances from their mean) only if numbers."""
    pa = load("pyarrow")
    key = [("origin", pa.string()), ("field", pa.string()), ("time", moment()), ("step_ms", pa.int64())]
    sums = [("count", pa.int64()), *((name, pa.float64()) for name in ("sum", "min", "max", "m2"))]
    return pa.schema([*key, *sums, ("moved", pa.int64()), ("day", pa.date32())])


def let_go(table: Table, oldest: date, tiers: Sequence[Tier], now_s: int) -> list[tuple[Table, Tier]]:
    """Move what is of the days before `oldest` into the tiers; without tiers it just goes. Only when alone with the table.

    Returns:
        Tiers that have got something.

    Raises:
        StorageFull: A table could not be written; nothing is lost or there twice.
        DataError: A tier is that of another table.
    """
    files = _older(table, oldest)
    if is_tier(table.name) and files:
        table.release(files, {GONE: max(oldest.toordinal(), table.known(GONE))})
    if is_tier(table.name) or not files:
        return []
    there = _opened(table, tiers)
    if not all(tier.claimed(now_s) for tier in there.values()):
        return []
    table.refresh()  # behind the tiers: a move that they know of and this table does not is one that has stopped half-way
    moved = max(table.known(MOVED), 0)
    for tier in there.values():
        if tier.known(MOVED) > moved:
            tier.delete(f"moved > {moved}", {MOVED: moved})
    files = _older(table, oldest)
    while files and table.held:
        days = _next(files)
        _move(table, days, {tier: there[tier.name] for tier in tiers})
        files = files[len(days) :]
    return [(there[tier.name], tier) for tier in tiers]


def mend(place: Place, stream: str) -> None:
    """Drop what a power cut has torn in the tiers of a stream: they are opened for writing late, and readers need them whole."""
    if place.folder:
        for tier in TIERS:
            durable.mend(place.folder / f"{stream}@{tier}")


def merged(parts: Iterable[Any]) -> Any:
    """Sums that are of the same origin, field and time as one.

    Args:
        parts: pyarrow.Tables with origin, field, time, count, sum, min, max, m2, as of `tier_schema`; time may be microseconds.

    Returns:
        Such a table in order of origin, field and time. The squares are merged as of Chan, Golub, LeVeque (1979).
    """
    pa, np = load("pyarrow"), load("numpy")
    table = pa.concat_tables(parts).combine_chunks().sort_by([(name, "ascending") for name in _KEY])
    if not table.num_rows:
        return table
    is_new = np.ones(table.num_rows, bool)
    codes = [table[name].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False) for name in _KEY]
    is_new[1:] = np.any([code[1:] != code[:-1] for code in codes], axis=0)
    first = np.flatnonzero(is_new)
    count, total, least, most, squares = (_floats(table[name]) for name in ("count", "sum", "min", "max", "m2"))
    counts, totals = np.add.reduceat(count, first), np.add.reduceat(total, first)
    with np.errstate(over="ignore", invalid="ignore"):  # sums of numbers near the largest
        off = total / count - np.repeat(totals / counts, np.diff([*first, table.num_rows]))
        all_squares = np.add.reduceat(squares + count * off * off, first)
    sums = {"sum": totals, "min": np.minimum.reduceat(least, first), "max": np.maximum.reduceat(most, first), "m2": all_squares}
    columns = {name: table[name].take(pa.array(first)) for name in _KEY} | {"count": pa.array(counts.astype(np.int64))}
    return pa.table(columns | {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in sums.items()})


def _older(table: Table, oldest: date) -> list[dict[str, Any]]:
    """Data files of the days before, the oldest first."""
    old = (file for file in table.files() if file["partition.day"] < oldest)
    return sorted(old, key=lambda file: (file["partition.day"], file["path"]))


def _next(files: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a move: whole days."""
    taken: list[dict[str, Any]] = []
    rows = 0
    for file in files:
        if taken and rows >= MOST_ROWS and file["partition.day"] != taken[-1]["partition.day"]:
            break
        taken.append(file)
        rows += file.get("num_records") or 0
    return taken


def _opened(table: Table, tiers: Sequence[Tier]) -> dict[str, Table]:
    """The tiers that a table is to have, and those that it has had."""
    metadata = table.delta.metadata()
    about = {what: text for what, text in metadata.configuration.items() if what in ("eddy.private", "eddy.unit", UNITS)}
    wanted, opened = {tier.name for tier in tiers}, {}
    for name in TIERS:
        full = f"{table.name}@{name}"
        if name not in wanted and not Table.exists(table.place, full):
            continue
        opened[name] = Table(table.place, full, tier_schema(), about | {OF: str(metadata.id)})
        if opened[name].delta.metadata().configuration.get(OF) != str(metadata.id):
            raise DataError(f"table {full} is a tier of another table {table.name} than is here: move it away, or bring that back")
    return opened


def _move(table: Table, files: Sequence[Mapping[str, Any]], tiers: Mapping[Tier, Table]) -> None:
    """Sum files up into the tiers, then let go of them."""
    before = max(table.known(MOVED), 0)
    sums = {tier: _Sums(tier.every_ms * 1000) for tier in tiers}
    if tiers:
        kinds = {name: kind for name, kind in table.kinds().items() if name not in OWN}
        for batch in _batches(table.place, table.name, files):
            for one in sums.values():
                one.add(batch, kinds)
    for tier, there in tiers.items():
        positions = {MOVED: before + 1}
        if there.known(MOVED) != before and table.known(GONE) >= 0:  # there were moves without it
            positions[GONE] = max(table.known(GONE), there.known(GONE))
        there.append(_rows(sums[tier].all(), tier.every_ms, before + 1), positions)
    gone = files[-1]["partition.day"].toordinal() + 1
    table.release(files, {MOVED: before + 1, GONE: max(gone, table.known(GONE))})


def _batches(place: Place, name: str, files: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """What is in files of a table, as pyarrow.Tables of a bounded size."""
    pa, parquet = load("pyarrow"), load("pyarrow.parquet")
    folder = store(place.where(name), place.options)
    for one in files:
        with folder.open_input_file(one["path"]) as raw, parquet.ParquetFile(raw) as file:
            for batch in file.iter_batches(ROW_GROUP):
                yield pa.Table.from_batches([batch])


@dataclass
class _Sums:
    """What samples come to, in steps.

    Attributes:
        every_us: Length of a step.
    """

    every_us: int
    _parts: list[Any] = field(default_factory=list)
    _rows: int = 0

    def add(self, samples: Any, kinds: Mapping[str, str]) -> None:
        """Samples as of `eddy.knowledge.tables.stream_schema`, and the kinds of their fields."""
        part = _summed(samples, {name: kind for name, kind in kinds.items() if name in samples.column_names}, self.every_us)
        self._parts.append(part)
        self._rows += part.num_rows
        if self._rows > _MERGED_FROM:
            self._parts = [merged(self._parts)]
            self._rows = 0

    def all(self) -> Any:
        """As of `merged`."""
        return merged(self._parts)


def _summed(samples: Any, kinds: Mapping[str, str], every_us: int) -> Any:
    """The sums of samples, of each field that has any in a step."""
    pa, pc = load("pyarrow"), load("pyarrow.compute")
    times = pc.cast(pc.cast(samples["time"], moment()), pa.int64()).to_numpy()
    columns = {"origin": samples["origin"], "time": pa.array(times // every_us * every_us)}
    columns |= {str(at): _values(samples[name], kind) for at, (name, kind) in enumerate(kinds.items())}
    wanted = [(str(at), what) for at in range(len(kinds)) for what in ("count", "sum", "min", "max", "variance")]
    summed = pa.table(columns).group_by(["origin", "time"], use_threads=False).aggregate(wanted)
    names = [*_KEY, "count", "sum", "min", "max", "m2"]
    parts = [pa.table({name: [] for name in names}, _sums_schema())]
    for at, (name, kind) in enumerate(kinds.items()):
        count, total, least, most, variance = (summed[f"{at}_{what}"] for what in ("count", "sum", "min", "max", "variance"))
        sums = [total, least, most, pc.multiply(variance, pc.cast(count, pa.float64()))]
        if kind not in _NUMBERS:
            sums = [pa.nulls(summed.num_rows, pa.float64())] * len(sums)
        fields = pa.array([name] * summed.num_rows, pa.string())
        part = pa.table([summed["origin"], fields, summed["time"], count, *sums], _sums_schema())
        parts.append(part.filter(pc.greater(part["count"], 0)))
    return pa.concat_tables(parts)


def _sums_schema() -> Any:
    """Of sums whose time is in microseconds."""
    pa = load("pyarrow")
    return pa.schema([(one.name, pa.int64() if one.name == "time" else one.type) for one in tier_schema() if one.name not in _OF_A_MOVE])


_OF_A_MOVE = ("step_ms", "moved", "day")


def _values(column: Any, kind: str) -> Any:
    """Numbers as floats, null where they are not finite; 1 for whatever else is there."""
    pa, pc = load("pyarrow"), load("pyarrow.compute")
    nothing = pa.scalar(None, pa.float64())
    if kind not in _NUMBERS:
        return pc.if_else(pc.is_valid(column), 1.0, nothing)
    numbers = pc.cast(column, pa.float64(), safe=False)
    return pc.if_else(pc.is_finite(numbers), numbers, nothing)


def _rows(sums: Any, step_ms: int, moved: int) -> Any:
    """Sums as rows of a tier."""
    pa, pc = load("pyarrow"), load("pyarrow.compute")
    times = pc.cast(sums["time"], moment())
    own = {"time": times, "step_ms": pa.array([step_ms] * len(times), pa.int64()), "moved": pa.array([moved] * len(times), pa.int64())}
    own["day"] = pc.cast(times, pa.date32())
    schema = tier_schema()
    return pa.table([own[name] if name in own else sums[name] for name in schema.names], schema=schema)


def _floats(column: Any) -> Any:
    """As numpy.ndarray of float64, NaN where it is null."""
    pa, pc = load("pyarrow"), load("pyarrow.compute")
    return pc.fill_null(pc.cast(column, pa.float64()), float("nan")).to_numpy()
