"""The NASA/IMS bearing recordings as distributed: a folder of tab-separated text files, one a recording.

A file is named after its acquisition time (`2004.02.12.10.32.39`; no time zone is stated, it is read as UTC) and holds 20,480 lines
at a nominal 20 kHz: four columns for tests 2 and 3 (bearings 1-4), eight for test 1 (1x, 1y, 2x, ...), with three decimals. CRLF and LF
both occur. The unit is not stated; it is commonly read as g.

Reference: Lee, Qiu, Yu, Lin and Rexnord Technical Services (2007), Bearing Data Set, NASA Prognostics Data Repository.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eddy.errors import DataError, SettingError
from eddy.links.recordings.recording import Problem, Recording, Recordings, UnreadableError, saturate

RATE_HZ = 20_000
ROWS = 20_480
SCALE = 0.001
UNIT = "g"
NAME = re.compile(r"\d{4}(\.\d{2}){5}")

_ABSURD = 1000.0  # the converter's range was +-5; a figure beyond this is a damaged file, not a bearing
_MAX_BYTES = 64 << 20
_SAMPLED_FILES = 5


def time_of(name: str) -> int:
    """Nanoseconds since 1970 from a file name; raises UnreadableError for a date that does not exist."""
    try:
        moment = datetime.strptime(name, "%Y.%m.%d.%H.%M.%S").replace(tzinfo=UTC)
    except ValueError:
        raise UnreadableError("the name is no acquisition time YYYY.MM.DD.HH.MM.SS: rename or remove the file") from None
    return int(moment.timestamp()) * 1_000_000_000


def pick(bearings: Sequence[str], axis: str | None, columns: int, where: Path) -> tuple[list[int], tuple[str, ...]]:
    """Which columns hold the wanted bearings, in the wanted order, and their names.

    Raises:
        DataError: A number of columns that no IMS test has.
        SettingError: No such bearing or axis.
    """
    if columns not in (4, 8):
        raise DataError(f"{where} has {columns} columns; IMS files have 4 (tests 2 and 3) or 8 (test 1): is this the IMS folder?")
    names = ["1", "2", "3", "4"] if columns == 4 else [f"{b}{a}" for b in "1234" for a in "xy"]
    if columns == 4 and axis not in (None, "x"):
        raise SettingError(f"{where} has one axis only: leave out axis {axis!r}")
    if axis not in (None, "x", "y"):
        raise SettingError(f"IMS has the axes x and y, not {axis!r}")
    wanted = list(bearings) or names
    found = []
    for bearing in wanted:
        name = f"{bearing}{axis or 'x'}" if columns == 8 and bearing in ("1", "2", "3", "4") else bearing
        if name not in names:
            raise SettingError(f"no bearing {bearing!r} in {where}: choose among {', '.join(names)}")
        found.append(names.index(name))
    return found, tuple(names[i] for i in found)


class TextRecordings(Recordings):
    """An IMS folder of text files.

    Args:
        files: The files of one run, in any order.
        bearings: Which bearings become channels, by number; all when empty.
        axis: `x` or `y` of test 1; x by default.
        on_problem: Called once for every file that is skipped.

    Raises:
        DataError: No readable file, or columns that no IMS test has.
        SettingError: No such bearing or axis.
    """

    def __init__(
        self,
        files: Sequence[Path],
        bearings: Sequence[str] = (),
        axis: str | None = None,
        on_problem: Callable[[Problem], None] | None = None,
    ) -> None:
        self._files = sorted(files, key=lambda file: file.name)
        self._columns, self._rows = _usual_shape(self._files)
        folder = self._files[0].parent
        self._picked, channels = pick(bearings, axis, self._columns, folder)
        super().__init__(f"IMS bearings, {folder}", channels, RATE_HZ, on_problem)

    def __len__(self) -> int:
        return len(self._files)

    def read(self) -> Iterator[Recording]:
        for index, file in enumerate(self._files):
            try:
                time_ns = time_of(file.name)
                values = parse(file, self._columns, self._rows)
            except UnreadableError as bad:
                self.report(Problem(file, bad.what, bad.line))
                continue
            counts, saturated = saturate(values[:, self._picked].T / SCALE)
            yield Recording(index, file.name, time_ns, RATE_HZ, counts, UNIT, SCALE, saturated)


def parse(file: Path, columns: int, rows: int) -> NDArray[np.float64]:
    """Reads one text file.

    Args:
        file: The file.
        columns: How many columns every line must have.
        rows: How many lines the file must have.

    Returns:
        float64[rows, columns] in units.

    Raises:
        UnreadableError: With the line, when one is to blame.
    """
    try:
        size = file.stat().st_size
        if size > _MAX_BYTES:
            raise UnreadableError(f"{size:,} bytes are far more than a recording has: remove the file")
        data = file.read_bytes()
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror}): check the file and its permissions") from None
    if not data.strip():
        raise UnreadableError("the file is empty: copy it again or remove it")
    try:
        values = np.loadtxt(io.BytesIO(data), delimiter="\t", comments=None, ndmin=2, encoding="latin-1")
    except ValueError:
        raise _blame(data, columns) from None
    sound = values.shape[1] == columns and bool(np.all(np.abs(values) <= _ABSURD))  # comparisons with NaN are false
    if not sound:
        raise _blame(data, columns)
    if len(values) != rows:
        fate = "it was cut short" if len(values) < rows else "it holds more than one recording"
        raise UnreadableError(f"{len(values):,} lines instead of {rows:,}, {fate}: copy it again or remove it", len(values))
    return values


def _blame(data: bytes, columns: int) -> UnreadableError:
    """Finds the first bad line of a file that did not read as a table."""
    for number, line in enumerate(data.splitlines(), start=1):
        fields = line.decode("latin-1").split("\t")
        if not line.strip():
            continue
        if len(fields) != columns:
            return UnreadableError(f"{len(fields)} columns instead of {columns}: correct the line, or copy the file again", number)
        for column, field in enumerate(fields, start=1):
            try:
                value = float(field)
            except ValueError:
                return UnreadableError(f"column {column} is no number: {field[:20]!r}", number)
            if not abs(value) <= _ABSURD:
                return UnreadableError(f"column {column} is {value:g}, no sensor reads that (limit {_ABSURD:g} {UNIT})", number)
    return UnreadableError("not a table of tab-separated numbers: copy the file again or remove it")


def _usual_shape(files: Sequence[Path]) -> tuple[int, int]:
    """Columns and lines that most of a few files spread over the run have; the files that differ are the bad ones."""
    step = max(1, len(files) // _SAMPLED_FILES)
    columns: Counter[int] = Counter()
    rows: Counter[int] = Counter()
    for file in files[::step]:
        try:
            with file.open("rb") as stream:
                data = stream.read(_MAX_BYTES)
        except OSError:
            continue
        lines = data.splitlines()
        if lines:
            columns[lines[0].count(b"\t") + 1] += 1
            rows[len(lines)] += 1
    if not columns:
        raise DataError(f"none of the {len(files)} files in {files[0].parent} can be read or holds anything: copy the folder again")
    usual_rows = ROWS if ROWS in rows else max(rows, key=lambda count: (rows[count], count))
    return max(columns, key=lambda count: (columns[count], -count)), usual_rows
