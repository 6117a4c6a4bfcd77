"""Delta tables of the lake, in a folder or on an object store: appended to exactly once, in order, and durable when `append` returns."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eddy.errors import DataError, StorageFull
from eddy.knowledge import durable, turn
from eddy.knowledge.extra import load

RESERVED = ("quarantine", "gaps", "audit", "streams", "fields", "quality", "tiers")
"""Names that are not those of streams. A stream of such a name gets a line behind it: `audit_`."""

TIERS = ("warm", "cold")
"""What is behind the name of a stream in the names of its tiers, as `room@warm`, the finer one first. See `eddy.knowledge.tiers`."""

UNITS = "eddy.units"
"""Property of a table: {column: unit} as JSON."""

RANGE = "eddy.range"
"""Property of a table: {column: [lowest, highest]} as JSON."""

LEASE_S = 3600
"""For so long a table on an object store is tended by one writer alone; clocks of writers may differ by much less."""

ROW_GROUP = 131_072
"""Rows of a row group: so much is read at least."""

_TENDING = "eddy.tending"
_KINDS = {"bool": "bool", "int64": "int", "double": "float", "string": "text", "binary": "bytes"}
_PROPERTIES = {"delta.logRetentionDuration": "interval 1 days", "delta.deletedFileRetentionDuration": "interval 1 hours"}


def table_of(stream: str) -> str:
    """The name of the table of a stream."""
    return stream + "_" if stream.lower() in RESERVED or is_tier(stream) else stream


def is_tier(name: str) -> bool:
    """Whether a table is a tier of a stream."""
    return name.lower().endswith(tuple(f"@{tier}" for tier in TIERS))


def arrow_type(kind: str) -> Any:
    """The Arrow type of a column of this kind (see `eddy.knowledge.columns`)."""
    pa = load("pyarrow")
    plain = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "text": pa.string(), "bytes": pa.binary()}
    lists = {"ints": "int", "floats": "float", "texts": "text"}
    return pa.list_(plain[lists[kind]]) if kind in lists else plain[kind]


def moment() -> Any:
    """The Arrow type of a time: microseconds, the finest that Delta knows, in UTC."""
    return load("pyarrow").timestamp("us", "UTC")


def stream_schema() -> Any:
    """What every stream has, before its values."""
    pa = load("pyarrow")
    return pa.schema(
        [
            ("origin", pa.string()),
            ("seq", pa.int64()),
            ("birth", pa.string()),
            ("time", moment()),
            ("time_ns", pa.int64()),
            ("received", moment()),
            ("late", pa.bool_()),
            ("resent", pa.bool_()),
            ("day", pa.date32()),
        ]
    )


def quarantine_schema() -> Any:
    """What fits nowhere, and why."""
    pa = load("pyarrow")
    text = [(name, pa.string()) for name in ("reason", "sender", "stream", "origin")]
    times = [("time", moment()), ("received", moment())]
    return pa.schema([*text, ("seq", pa.int64()), ("birth", pa.string()), *times, ("payload", pa.binary()), ("day", pa.date32())])


def gaps_schema() -> Any:
    """Which samples are missing for good."""
    pa = load("pyarrow")
    names = [("stream", pa.string()), ("origin", pa.string()), ("first", pa.int64()), ("last", pa.int64()), ("reason", pa.string())]
    return pa.schema([*names, ("received", moment()), ("day", pa.date32())])


@dataclass(frozen=True)
class Place:
    """Where a lake is.

    Attributes:
        root: A folder, or a URL that deltalake knows (s3://, az://, gs://).
        options: Of the object store, as deltalake takes them.
        fsync: Of a folder: whether commits are brought to the disk. Only measurements and control experiments switch it off.
    """

    root: str
    options: Mapping[str, str] = field(default_factory=dict)
    fsync: bool = True

    @property
    def folder(self) -> Path | None:
        """None when it is no folder of this machine."""
        return Path(self.root.removeprefix("file://")) if "://" not in self.root or self.root.startswith("file://") else None

    def where(self, name: str) -> str:
        """Of a table."""
        return str(self.folder / name) if self.folder else f"{self.root.rstrip('/')}/{name}"

    def names(self) -> list[str]:
        """The tables that are there."""
        if self.folder:
            return sorted(one.parent.name for one in self.folder.glob(f"*/{durable.LOG}") if any(one.iterdir()))
        found = store(self.root, self.options).get_file_info(load("pyarrow.fs").FileSelector("", allow_not_found=True))
        return sorted(one.base_name for one in found if one.base_name)


def store(where: str, options: Mapping[str, str]) -> Any:
    """The pyarrow.fs.FileSystem below a folder or URL, reached as the tables are."""
    return load("pyarrow.fs").PyFileSystem(load("deltalake.fs").DeltaStorageHandler(where, dict(options) or None))


class Table:
    """One table, open for writing. Other writers may append to it at the same time.

    Args:
        place: Of the lake.
        name: Of the table; it is made when it is not there.
        schema: Of the new table.
        about: Properties of the table, such as `eddy.unit`.

    Attributes:
        place: Of the lake.
        dropped: Versions that were torn by a power cut and are gone.

    Raises:
        DataError: What is there cannot be read as a table.
        ToolMissing: deltalake is not installed.
    """

    def __init__(self, place: Place, name: str, schema: Any, about: Mapping[str, str] | None = None) -> None:
        delta = load("deltalake")
        self.place = place
        self.name = name
        self._fsync = place.fsync
        self._claimed = -1
        self._folder = Path(place.where(name)) if place.folder else None
        self._known: set[Path] = set()
        self.dropped = durable.mend(self._folder) if self._folder else []
        options = dict(place.options) or None
        self._hook = delta.PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
        self._writer = delta.WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=ROW_GROUP)
        try:
            if self.exists(place, name):
                self._table = delta.DeltaTable(place.where(name), storage_options=options)
                return
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise DataError(f"table {place.where(name)} cannot be read ({why}): bring it back from a copy, or move it away") from error
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._table = delta.DeltaTable.create(
            place.where(name),
            schema,
            mode="ignore",
            partition_by=["day"],
            configuration={**_PROPERTIES, **(about or {})},
            storage_options=options,
            raise_if_key_not_exists=False,
            post_commithook_properties=self._hook,
        )
        self._settle(-1)

    @staticmethod
    def exists(place: Place, name: str) -> bool:
        """Whether there is such a table."""
        return bool(load("deltalake").DeltaTable.is_deltatable(place.where(name), dict(place.options) or None))

    @property
    def delta(self) -> Any:
        """The deltalake.DeltaTable."""
        return self._table

    @property
    def about(self) -> dict[str, str]:
        """Its properties."""
        return dict(self._table.metadata().configuration)

    def kinds(self) -> dict[str, str]:
        """{column: kind}."""
        fields = load("pyarrow").schema(self._table.schema().to_arrow())
        return {one.name: kind for one in fields if (kind := _kind(one.type))}

    def tell(self, about: Mapping[str, str]) -> None:
        """Bring the properties of a table that was there before up to date; "" for what is not known any more.

        Raises:
            StorageFull: It could not be written.
        """
        news = {name: said for name, said in about.items() if self.about.get(name, "") != said}
        if not news:
            return
        before = self._table.version()
        with self._told():
            self._table.alter.set_table_properties(news, raise_if_not_exists=False, post_commithook_properties=self._hook)
        self._settle(before)

    def position(self, sender: str) -> int:
        """The last number of this sender that is in here; -1 when there is none."""
        self._table.update_incremental()
        return self.known(sender)

    def known(self, sender: str) -> int:
        """Likewise, as the table was when it was last read."""
        at = self._table.transaction_version(sender)
        return -1 if at is None else int(at)

    def newest_ns(self) -> dict[str, int]:
        """{origin: time of its newest sample}, of the newest two days."""
        days = sorted({file["partition.day"] for file in self.files()})[-2:]
        if not days:
            return {}
        recent = load("pyarrow.dataset").field("day").isin(days)
        data = self._table.to_pyarrow_dataset().to_table(columns=["origin", "time_ns"], filter=recent)
        newest = data.group_by("origin").aggregate([("time_ns", "max")])
        return dict(zip(newest["origin"].to_pylist(), newest["time_ns_max"].to_pylist(), strict=True))

    def append(self, rows: Any, positions: Mapping[str, int], instead: bool = False) -> None:
        """Write rows and the positions of their senders in one commit.

        Args:
            rows: pyarrow.Table; columns that are new here are added.
            positions: {sender: last number}.
            instead: In the place of all rows that are there.

        Raises:
            StorageFull: It could not be written; what is in the table is as before, after it was opened anew at the latest.
        """
        before = self._table.version()
        with self._told():
            load("deltalake").write_deltalake(
                self._table,
                rows,
                mode="overwrite" if instead else "append",
                schema_mode="merge",
                writer_properties=self._writer,
                commit_properties=_said(positions),
                post_commithook_properties=self._hook,
            )
        self._settle(before)

    @contextmanager
    def alone(self, now_s: int) -> Iterator[bool]:
        """Whether nobody else replaces files meanwhile, in this lake if it is a folder, in this table for an hour if it is not.

        deltalake takes two compactions of the same files for no conflict: what was in them would be there twice.
        """
        if self._folder:
            with turn.tending(self._folder.parent) as mine:
                yield mine
        else:
            yield self.claimed(now_s)

    def claimed(self, now_s: int) -> bool:
        """Whether nobody else replaces files of this table, for somebody who is `alone` in another one of the same lake."""
        self.refresh()
        return self._folder is not None or self._claim(now_s)

    @property
    def held(self) -> bool:
        """Whether it is still this one that is `alone`, as the table was when it was last read."""
        return self._folder is not None or self.known(_TENDING) == self._claimed

    def delete(self, predicate: str, positions: Mapping[str, int] | None = None) -> int:
        """Remove the rows for which an SQL condition holds; returns how many. Their files are still there: `sweep` them.

        Only when `alone`. The table is as it was when it was last read.

        Args:
            positions: As of `append`; they are not kept when there is no such row.

        Raises:
            StorageFull: It could not be written, or somebody has written such rows meanwhile.
        """
        before = self._table.version()
        with self._told():
            done = self._table.delete(
                predicate,
                writer_properties=self._writer,
                commit_properties=_said(positions or {}),
                post_commithook_properties=self._hook,
            )
        self._settle(before)
        return int(done.get("num_deleted_rows") or 0)

    def release(self, files: Sequence[Mapping[str, Any]], positions: Mapping[str, int]) -> None:
        """Let go of whole data files and keep positions, in one commit. What others have appended meanwhile stays.

        Only when `alone`; nothing happens when that is somebody else by now.

        Args:
            files: Of `files`, as the table was when it was last read.
            positions: As of `append`.

        Raises:
            StorageFull: It could not be written.
        """
        action = load("deltalake.transaction").RemoveAction
        now_ms = time.time_ns() // 1_000_000
        gone = [action(one["path"], True, now_ms, one["size_bytes"], {"day": one["partition.day"].isoformat()}) for one in files]
        before = self._table.version()
        fence = {} if self._folder else {_TENDING: self._claimed}
        with self._told():
            self._table.create_write_transaction(
                gone,
                "append",
                self._table.schema(),
                ["day"],
                commit_properties=_said({**positions, **fence}),
                post_commithook_properties=self._hook,
            )
        self.refresh()
        self._settle(before)

    def refresh(self) -> None:
        """Read what others have written."""
        self._table.update_incremental()

    def compact(self, target_bytes: int) -> int:
        """Make few large files of many small ones; returns how many there are less. Only when `alone`."""
        self._table.update_incremental()
        before = self._table.version()
        said = self._table.optimize.compact(target_size=target_bytes, writer_properties=self._writer, post_commithook_properties=self._hook)
        self._settle(before)
        return int(said["numFilesRemoved"]) - int(said["numFilesAdded"])

    def sweep(self, hours: int) -> int:
        """Remove files that were nobody's for so long; returns how many."""
        before = self._table.version()
        gone = self._table.vacuum(
            retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True, post_commithook_properties=self._hook
        )
        self._settle(before)
        return len(gone)

    def checkpoint(self) -> None:
        """Sum the log up, so that opening and committing stay fast, and let go of entries that are older than a day."""
        self._table.create_checkpoint()
        if self._folder and self._fsync:
            durable.harden_checkpoint(self._folder)
        self._table.cleanup_metadata()

    def forget_log(self) -> None:
        """Let go of all older versions."""
        if self._folder:
            durable.forget_log(self._folder)

    def files(self) -> list[dict[str, Any]]:
        """Path, size and day of each data file."""
        actions = load("pyarrow").table(self._table.get_add_actions(flatten=True))
        columns = [name for name in ("path", "size_bytes", "num_records", "partition.day") if name in actions.column_names]
        rows: list[dict[str, Any]] = actions.select(columns).to_pylist()
        return rows

    def _claim(self, now_s: int) -> bool:
        """Say in a commit that this one tends the table for `LEASE_S`; False when somebody else does, or was faster."""
        delta = load("deltalake")
        held = self._table.transaction_version(_TENDING)
        if held is not None and now_s - held < (LEASE_S // 2 if held == self._claimed else LEASE_S):
            return bool(held == self._claimed)
        try:
            self._table.create_write_transaction([], "append", self._table.schema(), ["day"], commit_properties=_said({_TENDING: now_s}))
        except delta.exceptions.CommitFailedError:
            return False
        self._table.update_incremental()
        self._claimed = now_s
        return True

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What keeps a commit from being made, in words."""
        try:
            yield
        except (OSError, load("deltalake").exceptions.DeltaError) as error:
            raise StorageFull(f"table {self.name} cannot be written ({error}): it is tried again; make room, if that is it") from error

    def _settle(self, before: int) -> None:
        if not (self._folder and self._fsync):
            return
        try:
            durable.harden(self._folder, before, self._known)
        except OSError as error:
            for version in range(self._table.version(), before, -1):
                durable.drop(self._folder, version)
            raise StorageFull(f"table {self.name} cannot be brought to the disk ({error.strerror}): it is tried again") from error


def _said(positions: Mapping[str, int]) -> Any:
    """What a commit says about itself."""
    delta = load("deltalake")
    return delta.CommitProperties(
        custom_metadata={durable.POSITIONS: str(len(positions))},
        app_transactions=[delta.Transaction(sender, at) for sender, at in positions.items()],
    )


def _kind(one: Any) -> str | None:
    types = load("pyarrow.types")
    if types.is_list(one) or types.is_large_list(one):
        inner = _kind(one.value_type)
        return f"{inner}s" if inner in ("int", "float", "text") else None
    return _KINDS.get(str(one).removeprefix("large_"))
