"""Rows of a CSV file as messages that a source takes in: what `eddy send` sends."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from eddy.errors import DataError, Undecodable
from eddy.links.decoders import Form

TIME = "time"
"""Field in which the time of a row is, ISO 8601."""


def rows(
    file: Path,
    delimiter: str = ",",
    decimal: str = ".",
    time: Sequence[str] = (),
    time_format: str | None = None,
    missing: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of a file with a header, as JSON has them: numbers, texts, null where there is nothing.

    Args:
        file: UTF-8.
        delimiter, decimal: What separates fields, and what the fraction.
        time: Columns that make up the time, joined by a space; they become the field `time`.
        time_format: As `strptime` takes it; ISO 8601 when None. A time without zone is read as UTC.
        missing: What stands for no value, beside nothing, NA and the like.
        more: Fields that every row gets besides.

    Raises:
        DataError: No such file or column; a row that is longer or shorter than the header, or has no time.
    """
    form = Form(delimiter=delimiter, decimal=decimal)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter)
            header = [name.strip() for name in next(reader, [])]
            if unknown := [name for name in time if name not in header]:
                has = ", ".join(header)
                raise DataError(f"{file} has no column {unknown[0]!r}: it has {has}; is the delimiter {delimiter!r} right?")
            for fields in reader:
                if not fields:
                    continue
                try:
                    cells = form.cells(["" if text.strip() in missing else text for text in fields], header)
                    texts = dict(zip(header, fields, strict=True))
                    at = {TIME: _moment(" ".join(texts[name].strip() for name in time), time_format)} if time else {}
                except (Undecodable, ValueError) as error:
                    raise DataError(
                        f"{file}:{reader.line_num}: {error}: is the delimiter {delimiter!r} right, and the form of the time?"
                    ) from None
                yield at | {name: _plain(cell) for name, cell in cells.items() if name not in time} | dict(more or {})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as a CSV file: {error}") from None


def messages(several: Iterator[dict[str, Any]], batch: int) -> Iterator[tuple[int, bytes]]:
    """(rows in it, message): JSON, one row, or a list of at most `batch`."""
    waiting: list[dict[str, Any]] = []
    for row in several:
        waiting.append(row)
        if len(waiting) == batch:
            yield len(waiting), _message(waiting, batch)
            waiting = []
    if waiting:
        yield len(waiting), _message(waiting, batch)


def _message(several: list[dict[str, Any]], batch: int) -> bytes:
    return json.dumps(several if batch > 1 else several[0], ensure_ascii=False, separators=(",", ":")).encode()


def _moment(text: str, form: str | None) -> str:
    moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _plain(cell: Any) -> Any:
    """A float is written with the fewest digits that read as it: of up to 15 digits, those of the file."""
    if not isinstance(cell, Decimal):
        return cell
    return int(cell) if cell.as_tuple().exponent == 0 else float(cell)
