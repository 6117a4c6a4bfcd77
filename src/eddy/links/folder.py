"""Driver `folder`: tables that somebody puts into a folder, each read once."""

import csv
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from eddy.errors import DataError, Undecodable
from eddy.links.decoders import Form, quarantined
from eddy.links.driver import Home
from eddy.links.intake import Samples

_BATCH = 512
_PART_BYTES = 1 << 20
_LOOK_S = 0.5
_KINDS = (".csv", ".parquet")


class Folder:
    """Reads CSV files with a header, and Parquet files where pyarrow is installed, in the order in which they came (by name at a time).

    A file must be whole when it has its name: write it elsewhere, or under a name that ends otherwise, and rename it. It must stay until it
    is read. Which files were taken, and how many samples each gave, is kept in the node's folder; so a restart goes on behind the last
    sample that was kept. A file that was written further is read on behind the rows that it had; a last row without its end may have been
    half of one, and is read again. One with other content than that which was taken under its name is another file, and all of its rows are
    new; the one whose place it took has been read by then, or a sample in quarantine says how far it was. A row that cannot be decoded goes
    to quarantine. Every sample is `{"from": file, "value": row}`, unless `origin` names a column.

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
        # [name, samples or None, how it looked or None where that was not noted, digest of its content, rows that were taken before]
        listed = json.loads(self._list.read_text()) if self._list.exists() else []
        self._taken: list[list[Any]] = [[*one, *(None, "", 0)[len(one) - 2 :]] for one in listed]
        self._changing: dict[str, list[int]] = {}  # how those that were taken and look different looked last
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
            self._taken += [[name, None, [], "", before] for name, before in self._fresh()]
            if self._at == len(self._taken):
                return False
        entry = self._taken[self._at]
        self._count, self._skip = self._skip, 0
        try:
            file = (self._folder / entry[0]).open("rb")
            looks = entry[2] if entry[3] else _looks(os.fstat(file.fileno()))
            content = _content(file, looks[1])
        except OSError as error:
            self._rows = iter([_unread(entry[0], error)])
            return True
        if entry[3] not in ("", content):
            file.close()
            self._rows = iter([_unread(entry[0], f"another file took its place when {self._count} samples of it were kept")])
            return True
        entry[2:4] = looks, content
        self._note()  # before anything of it is given: the order is what the count of samples means
        before = entry[4] + self._count
        until = None if entry[1] is None else entry[4] + entry[1]  # what the file has behind that is of another entry
        self._rows = islice(self._samples(entry[0], file), before, until)
        return True

    def _fresh(self) -> list[tuple[str, int]]:
        """Files that are new, or hold something else than when they were taken and are not just being written; and how many rows of them
        were taken before.
        """
        known = {entry[0]: entry for entry in self._taken}
        before, self._changing = self._changing, {}
        fresh = []
        for file in sorted(file for file in self._folder.iterdir() if file.suffix in _KINDS and file.name[0] != "."):
            entry = known.get(file.name)
            with suppress(OSError):  # it has gone, or cannot be read, which was told
                looks = _looks(file.stat()) if entry else []
                if entry is None:
                    fresh.append((file.name, 0))
                elif entry[2] is None:
                    entry[2] = looks
                elif looks != entry[2]:
                    self._changing[file.name] = looks
                    if before.get(file.name) == looks:
                        with file.open("rb") as opened:
                            if _content(opened, looks[1]) == entry[3]:
                                entry[2] = looks
                            else:
                                fresh.append((file.name, _taken_before(opened, entry)))
        return fresh

    def _note(self) -> None:
        scratch = self._list.with_suffix(".new")
        with scratch.open("w") as file:
            json.dump(self._taken, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._list)

    def _samples(self, name: str, file: io.BufferedReader) -> Iterator[tuple[int, Any]]:
        """The rows of a file as samples. The same file gives the same, but for the times of rows that say none."""
        rows = _parquet(file) if name.endswith(".parquet") else self._csv(file)
        with file:
            try:
                for line, row, fault in rows:
                    yield self._sample(name, line, row, fault)
            except Exception as error:  # of a damaged file, pyarrow may raise anything
                yield _unread(name, error)

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

    def _csv(self, file: io.BufferedReader) -> Iterator[tuple[int, Any, str]]:
        """Number of the line, the row, and what is wrong with it; a byte that is no UTF-8 is half a character, which no sample can hold."""
        with io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
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


def _looks(found: os.stat_result) -> list[int]:
    """What changes when a file is written or replaced, as a rule."""
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _content(file: io.BufferedReader, size: int) -> str:
    """What tells the first bytes of a file from any others."""
    digest, left = sha256(), size
    while left > 0 and (part := file.read(min(left, _PART_BYTES))):
        digest.update(part)
        left -= len(part)
    file.seek(0)
    return digest.hexdigest() if not left else ""


def _taken_before(file: io.BufferedReader, entry: list[Any]) -> int:
    """Rows that an entry of the list has taken of a file, if that was written further since: without one that had no end."""
    size: int = entry[2][1]
    rows: int = entry[4] + (entry[1] or 0)
    if not entry[3] or not size or _content(file, size) != entry[3]:
        return 0
    file.seek(size - 1)
    return rows if file.read(1) == b"\n" else max(0, rows - 1)


def _unread(name: str, why: Exception | str) -> tuple[int, Any]:
    return time.time_ns(), quarantined(b"", f"{name} cannot be read further: {str(why)[:200] or type(why).__name__}", name)


def _parquet(file: io.BufferedReader) -> Iterator[tuple[int, Any, str]]:
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError:
        raise ValueError("Parquet needs the package pyarrow: pip install 'eddy[knowledge]'") from None
    line = 0
    for batch in parquet.ParquetFile(file).iter_batches(4096):
        for row in batch.to_pylist():
            line += 1
            yield line, row, ""
