"""Measurements in a CSV file, as integers."""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from eddy.errors import DataError, SettingError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "?")


class Table:
    """Rows of a CSV file with a header; iterate over it for (time_ns, value).

    Of one column the value is an integer, of several a map of them. A value is the number times `scale`, rounded half to even. Rows in
    which a wanted value is missing are skipped and counted. Files as R writes them, with row names and no header above these, are read too.

    Args:
        path: The file, UTF-8.
        columns: Names of the header.
        delimiter, decimal: What separates fields, and what the fraction.
        scale: Counts per unit: 100 keeps two decimals.
        time: Column of the time, or several that make it up (joined by a space); none when there is none.
        time_format: As `strptime` takes it; ISO 8601 when None. A time without zone is read as UTC.
        period_ns: Between two rows, where no column holds the time; the first row is then at 0.
        missing: What stands for no value.

    Attributes:
        skipped: Rows without a wanted value so far.

    Raises:
        SettingError: Neither a time nor a period.
        DataError: No such file or column; while iterating, a field that is no number or no time.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        delimiter: str = ",",
        decimal: str = ".",
        scale: int = 1,
        time: str | Sequence[str] = (),
        time_format: str | None = None,
        period_ns: int | None = None,
        missing: Sequence[str] = MISSING,
    ) -> None:
        self._path = path
        self._columns = list(columns)
        self._delimiter, self._decimal, self._scale = delimiter, decimal, scale
        self._time = [time] if isinstance(time, str) else list(time)
        self._time_format = time_format
        self._period_ns = period_ns
        self._missing = frozenset(missing)
        self.skipped = 0
        if not self._time and not period_ns:
            raise SettingError(f"when were the rows of {path} measured? Name the column with `time`, or give `rate_hz` or `period_ms`")
        header = self._header()
        unknown = [name for name in [*self._columns, *self._time] if name not in header]
        if unknown:
            raise DataError(f"{path} has no column {unknown[0]!r}: it has {', '.join(header)}; is the delimiter {delimiter!r} right?")

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        header = self._header()
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            next(reader)
            for n, fields in enumerate(reader):
                names = ["", *header] if len(fields) == len(header) + 1 else header
                row = dict(zip(names, fields, strict=False))
                values = [row.get(name, "").strip() for name in self._columns]
                if any(value in self._missing for value in values):
                    self.skipped += 1
                    continue
                time_ns = self._time_ns(row, reader.line_num) if self._time else n * (self._period_ns or 0)
                numbers = [self._number(value, reader.line_num) for value in values]
                yield time_ns, numbers[0] if len(numbers) == 1 else dict(zip(self._columns, numbers, strict=True))

    def _header(self) -> list[str]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                return [name.strip() for name in next(csv.reader(file, delimiter=self._delimiter), [])]
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise DataError(f"{self._path} cannot be read as a CSV file ({why}): put it there, or name another one with `data`") from None

    def _number(self, text: str, line: int) -> int:
        try:
            return round(Decimal(text.replace(self._decimal, ".")) * self._scale)
        except (InvalidOperation, ValueError, OverflowError):
            way = "say so with `decimal`, or add it to `missing`"
            raise DataError(f"{self._path}:{line}: {text!r} is no number with decimal {self._decimal!r}: {way}") from None

    def _time_ns(self, row: dict[str, str], line: int) -> int:
        text = " ".join(row.get(name, "").strip() for name in self._time)
        try:
            moment = datetime.strptime(text, self._time_format) if self._time_format else datetime.fromisoformat(text)
        except ValueError:
            raise DataError(f"{self._path}:{line}: {text!r} is no time: give its form with `time_format`") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (int(moment.timestamp()) * 1_000_000 + moment.microsecond) * 1000
