"""Driver `folder`: tables that somebody puts into a folder, each read once."""

import csv
import json
import os
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from eddy.errors import DataError, Undecodable
from eddy.links.decoders import Form, quarantined
from eddy.links.driver import Home
from eddy.links.intake import Samples

_BATCH = 512
_LOOK_S = 0.5
_KINDS = (".csv", ".parquet")


class Folder:
    """Reads CSV files with a header, and Parquet files where pyarrow is installed, in the order in which they came (by name at a time).

    A file must be whole when it has its name: write it elsewhere, or under a name that ends otherwise, and rename it. It must stay until it
    is read. Which files were taken, and how many samples each gave, is kept in the node's folder; so a restart goes on behind the last
    sample that was kept. A row that cannot be decoded goes to quarantine. Every sample is `{"from": file, "value": row}`, unless `origin`
    names a column.

    Args:
        folder: Where the files come; made if it is not there.
        home: Of the node.
        resume: Samples that are kept already.
        format: `csv`; as the file says.
        delimiter, decimal, columns: Of CSV files; with `columns` only these are used.
        remember: How many keys are remembered, with `unique`.
        form: Of a row; see `eddy.links.decoders.Form`.

    Raises:
        DataError: The folder cannot be read.
    """

    at_home = True

    def __init__(
        self,
        *,
        folder: str,
        home: Home | None = None,
        resume: int = 0,
        format: str = "csv",
        delimiter: str = ",",
        decimal: str = ".",
        columns: str | Sequence[str] = (),
        remember: int = 0,
        **form: Any,
    ) -> None:
        wanted = [columns] if isinstance(columns, str) else list(columns)
        self._form = Form(delimiter=delimiter, decimal=decimal, **form)
        self._columns, self._delimiter = wanted, delimiter
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder} cannot be used as a folder: {error.strerror}") from None
        place = Path(home.folder) if home else self._folder
        self._list = place / f".folder-{sha256(str(folder).encode()).hexdigest()[:12]}.json"
        self._taken: list[list[Any]] = json.loads(self._list.read_text()) if self._list.exists() else []  # [name, samples or None]
        self._skip = resume  # samples that are kept, of files that are not behind us
        self._at = 0  # in the list
        self._count = 0  # samples of the file at that place
        self._rows: Iterator[tuple[int, Any]] | None = None
        while self._at < len(self._taken) and self._taken[self._at][1] is not None and self._taken[self._at][1] <= self._skip:
            self._skip -= self._taken[self._at][1]
            self._at += 1

    def read(self) -> Samples | None:
        """The next rows; None when no file is left."""
        if self._rows is None and not self._open():
            time.sleep(_LOOK_S)
            return None
        assert self._rows is not None
        out = list(islice(self._rows, _BATCH))
        self._count += len(out)
        if len(out) < _BATCH:
            self._taken[self._at][1] = self._count
            self._note()
            self._rows, self._at, self._count = None, self._at + 1, 0
        return out or None

    def _open(self) -> bool:
        """Begin the next file; whether there is one."""
        if self._at == len(self._taken):
            known = {name for name, _ in self._taken}
            there = [file.name for file in self._folder.iterdir() if file.suffix in _KINDS and file.name[0] != "."]
            fresh = sorted(name for name in there if name not in known)
            if not fresh:
                return False
            self._taken += [[name, None] for name in fresh]
            self._note()  # before anything of it is given: the order is what the count of samples means
        rows = self._samples(self._folder / self._taken[self._at][0])
        for _ in islice(rows, self._skip):  # a file that is shorter by now has given so many all the same
            continue
        self._count, self._skip = self._skip, 0
        self._rows = rows
        return True

    def _note(self) -> None:
        scratch = self._list.with_suffix(".new")
        with scratch.open("w") as file:
            json.dump(self._taken, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._list)

    def _samples(self, file: Path) -> Iterator[tuple[int, Any]]:
        """The rows of a file as samples. The same file gives the same, but for the times of rows that say none."""
        rows = _parquet(file) if file.suffix == ".parquet" else self._csv(file)
        try:
            for line, row, fault in rows:
                yield self._sample(file.name, line, row, fault)
        except Exception as error:  # of a damaged file, pyarrow may raise anything
            why = str(error)[:200] or type(error).__name__
            yield time.time_ns(), quarantined(b"", f"{file.name} cannot be read further: {why}", file.name)

    def _sample(self, name: str, line: int, row: Any, fault: str) -> tuple[int, Any]:
        now_ns = time.time_ns()
        try:
            if fault:
                raise Undecodable(fault)
            if self._columns:
                row = {column: row[column] for column in self._columns}
            at, who, value, key = self._form.reading(row)
        except (KeyError, Undecodable) as error:
            reason = f"no column {error}" if isinstance(error, KeyError) else str(error)
            return now_ns, quarantined(repr(row).encode(errors="replace"), f"{name}:{line}: {reason}", name)
        whole = {"key": key} if self._form.unique else {}
        return now_ns if at is None else at, {**whole, "from": who or name, "value": value}

    def _csv(self, file: Path) -> Iterator[tuple[int, Any, str]]:
        """Number of the line, the row, and what is wrong with it; a byte that is no UTF-8 is half a character, which no sample can hold."""
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            reader = csv.reader(lines, delimiter=self._delimiter)
            header = [name.strip() for name in next(reader, [])]
            if len(set(header)) < len(header):
                raise DataError("two columns have the same name")
            while True:
                fields: list[str] = []
                try:
                    fields = next(reader)
                    if fields:
                        yield reader.line_num, self._form.cells(fields, header), ""
                except StopIteration:
                    return
                except (csv.Error, Undecodable) as error:  # what comes behind it is a row again
                    yield reader.line_num, fields, str(error)


def _parquet(file: Path) -> Iterator[tuple[int, Any, str]]:
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError:
        raise ValueError("Parquet needs the package pyarrow: pip install 'eddy[knowledge]'") from None
    line = 0
    for batch in parquet.ParquetFile(file).iter_batches(4096):
        for row in batch.to_pylist():
            line += 1
            yield line, row, ""
