"""From values to the columns of a table: what fits, what becomes a new column, and what fits nowhere and why.

A number, text, truth value, bytes or plain list is the column `value`; a map has a column for each of its fields, one level deep. What is
deeper, or a list of several kinds of things, is kept as JSON text. An empty list makes no column: it is nothing, but in a column of lists.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OWN = ("origin", "seq", "birth", "time", "time_ns", "received", "late", "resent", "day")
"""Columns that every stream has. A field of such a name gets a line behind it: `time_`."""

MOST = 256
"""Columns of a table."""

_INT64 = 1 << 63
_EXACT = 1 << 53  # integers up to here are exact as floats
_UNFIT = re.compile(r"[ ,;{}()\n\t=\x00-\x1f]")  # not in the name of a column of a Delta table
_KINDS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "text", bytes: "bytes"}
_LISTS = {"int": "ints", "float": "floats", "text": "texts"}
_WIDER = {("int", "float"), ("ints", "floats")}


class Unfit(ValueError):
    """A value that cannot be in a table; the text says why."""


def quoted(name: str) -> str:
    """A table or column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """A text in SQL."""
    return "NULL::VARCHAR" if text is None else "'" + text.replace("'", "''") + "'"


@dataclass
class Columns:
    """The rows of one batch, a list for each column.

    Attributes:
        known: {column: kind} of the table: bool, int, float, text, bytes, ints, floats or texts. It stays as it is.
        kinds: Likewise, with the new columns.
        values: {column: values}, None where a row has nothing; shorter lists end with Nones.
        rows: How many.
    """

    known: Mapping[str, str]
    kinds: dict[str, str] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)
    rows: int = 0
    _spelled: dict[str, str] = field(default_factory=dict)  # lower case → the column

    def __post_init__(self) -> None:
        self.kinds = dict(self.known)
        self._spelled = {name.lower(): name for name in self.known}

    def add(self, value: Any) -> None:
        """One more row.

        Raises:
            Unfit: It does not fit; nothing has changed.
        """
        kinds: dict[str, str] = {}  # of columns that are new, or become wider
        cells: list[tuple[str, Any]] = []
        fields = _fields(value) if isinstance(value, dict) else [("value", value)]
        for name, one in fields:
            if one is None:
                continue
            column = self._column(name)
            kind, cell = _cell(one)
            is_kind = kinds.get(column) or self.kinds.get(column)
            if kind == "":
                if is_kind not in _LISTS.values():
                    continue
            elif is_kind is None:
                kinds[column] = kind
            elif is_kind != kind:
                wider = self._meet(column, is_kind, kind, cell)
                if wider != is_kind:
                    kinds[column] = wider
            cells.append((column, cell))
        if len(cells) > 1 and len({column for column, _ in cells}) < len(cells):
            raise Unfit("two of its fields have the same name as columns")
        if kinds:
            self._grow(kinds)
        for column, cell in cells:
            values = self.values.setdefault(column, [])
            if len(values) < self.rows:
                values.extend([None] * (self.rows - len(values)))
            values.append(cell)
        self.rows += 1

    def padded(self) -> dict[str, list[Any]]:
        """{column: as many values as rows}; integers in a column of floats are floats."""
        for column, values in self.values.items():
            values.extend([None] * (self.rows - len(values)))
            if self.kinds[column] == "float":
                self.values[column] = [one if one is None else float(one) for one in values]
            elif self.kinds[column] == "floats":
                self.values[column] = [one if one is None else [float(part) for part in one] for one in values]
        return self.values

    def _column(self, name: str) -> str:
        column = column_of(name)
        spelled = self._spelled.get(column.lower(), column)
        if spelled != column:
            raise Unfit(f"its field {name!r} differs from column {spelled!r} in upper and lower case only")
        return column

    def _meet(self, column: str, here: str, kind: str, cell: Any) -> str:
        """The kind of a column that a value of another kind comes to."""
        exact = [cell] if kind == "int" else cell if kind == "ints" else []
        if (kind, here) in _WIDER and all(abs(one) <= _EXACT for one in exact):
            return here
        if (here, kind) in _WIDER and column not in self.known and self._exact(column):
            return kind
        raise Unfit(f"{column} is {here} here and not {kind}" + ("" if exact == [] else ", or not exact as one"))

    def _exact(self, column: str) -> bool:
        parts = (one if isinstance(one, list) else [one] for one in self.values.get(column, []) if one is not None)
        return all(abs(number) <= _EXACT for part in parts for number in part)

    def _grow(self, kinds: dict[str, str]) -> None:
        fresh = [name for name in kinds if name not in self.kinds]
        if len({name.lower() for name in fresh}) < len(fresh):
            raise Unfit("two of its fields differ in upper and lower case only")
        if len(self.kinds) + len(fresh) > MOST:
            raise Unfit(f"a table has at most {MOST} columns: send what has many names as a list, or as text")
        self.kinds.update(kinds)
        self._spelled.update((name.lower(), name) for name in fresh)


def column_of(name: str) -> str:
    """The column of a field."""
    column = _UNFIT.sub("_", name) or "_"
    return column + "_" if column.lower() in OWN else column


def as_text(value: Any) -> str:
    """A value as JSON; bytes as hex, numbers that JSON has no word for as text."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def as_bytes(value: Any) -> bytes:
    """A value as it is kept in quarantine."""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else as_text(value).encode("utf-8", "surrogatepass")


def _fields(value: dict[Any, Any]) -> Iterable[tuple[str, Any]]:
    for key, one in value.items():
        yield (bytes(key).hex() if isinstance(key, bytes | bytearray) else str(key)), one


def _cell(value: Any) -> tuple[str, Any]:
    """Kind and form in a column; "" is the kind of an empty list."""
    kind = _KINDS.get(type(value))
    if kind == "int" and not -_INT64 <= value < _INT64:
        raise Unfit(f"the integer {value} needs more than 64 bits")
    if kind == "text":
        return kind, _text(value)
    if kind:
        return kind, value
    if isinstance(value, bytearray | memoryview):
        return "bytes", bytes(value)
    if isinstance(value, list | tuple):
        return _list(list(value))
    if isinstance(value, dict):
        return "text", _text(as_text(value))
    raise Unfit(f"a {type(value).__name__} has no place in a table")


def _list(value: list[Any]) -> tuple[str, Any]:
    if not value:
        return "", value
    kinds = {_KINDS.get(type(one)) for one in value}
    if kinds == {"int", "float"}:
        kinds = {"float"} if all(isinstance(one, float) or abs(one) <= _EXACT for one in value) else {None}
    kind = _LISTS.get(kinds.pop() or "") if len(kinds) == 1 else None
    if kind == "ints" and not all(-_INT64 <= one < _INT64 for one in value):
        kind = None
    if kind == "texts":
        return kind, [_text(one) for one in value]
    return (kind, value) if kind else ("text", _text(as_text(value)))


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unfit("its text is no Unicode") from None
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(_fields({key: _plain(one) for key, one in value.items()}))
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
