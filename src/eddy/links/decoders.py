"""Decoders: from the bytes of a message to samples, by a form that the app declares."""

import csv
import json
import re
import struct as binary
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from eddy.errors import SettingError, ToolMissing, Undecodable
from eddy.kernel.codec import encode
from eddy.links import senml
from eddy.links.plain import UNITS_NS, Plain, time_ns

FORMATS = ("json", "senml", "senml-cbor", "cbor", "csv", "raw")
WHOLE = "."
"""The path to everything."""

SAMPLES = 65536
"""In one message, at most."""

SHOWN_BYTES = 4096
"""Of a message that cannot be decoded, so much is kept."""

_BOM = b"\xef\xbb\xbf"
_NESTED = 64  # containers inside each other, of CBOR that is parsed at all
_NAME = re.compile(r'"[ \t\r\n]*:')  # ends each name, and may be in a text, too
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "?")

Tree = Any  # what a parser gives


class Reading(NamedTuple):
    """One sample of a message.

    Attributes:
        time_ns: When it was measured; None when the message does not say.
        origin: Who measured it; None likewise.
        value: Whole numbers, text, bytes, true, false, null, lists and maps.
        key: What tells it from others, when the form says where that is.
    """

    time_ns: int | None
    origin: str | None
    value: Any
    key: Any = None


class Decoder(Protocol):
    """From the bytes of a message to samples.

    Attributes:
        unique: Whether samples have a key.
    """

    @property
    def unique(self) -> bool: ...

    def decode(self, payload: bytes, now_ns: int = 0, sender: str | None = None) -> list[Reading]:
        """The samples of a message of a sender, taken in now; raises Undecodable, and no sample of it is used."""


class Form:
    """How the messages of a source are written. Of JSON and CBOR a list is many samples, everything else is one.

    A path is names with dots between them, numbers for the items of lists, or `.` for everything. Every number of a value is multiplied
    by `scale` and rounded half to even: what is stored are whole numbers.

    Args:
        format: `json` (also several values, a line each), `senml` and `senml-cbor` (RFC 8428), `cbor` (RFC 8949), `csv` (lines without a
            header) or `raw` (bytes by `struct`, repeated).
        items: Path to the list of samples; the message itself without.
        value: Path to the value, or several for a map; without, all that no other path names.
        time, time_unit: Path to the time, and of numbers `s`, `ms`, `us` or `ns`; other times are ISO 8601.
        origin: Path to who measured it.
        unique: Path to what tells a sample from others of its origin; `.` for all of it.
        scale: Counts per unit: 100 keeps two decimals. None: of whole numbers, and others cannot be decoded.
        columns: Names of the fields, of `csv` and `raw`.
        delimiter, decimal: Of `csv`: what separates fields, and what the fraction.
        struct: Of `raw`: the format, as Python's module `struct` takes it, such as `<hhI`.

    Raises:
        SettingError: No such form.
        ToolMissing: It needs a package that is not here.
    """

    def __init__(
        self,
        *,
        format: str = "json",
        items: str = "",
        value: str | Sequence[str] = (),
        time: str = "",
        time_unit: str = "s",
        origin: str = "",
        unique: str = "",
        scale: int | None = None,
        columns: Sequence[str] = (),
        delimiter: str = ",",
        decimal: str = ".",
        struct: str = "",
    ) -> None:
        if format not in FORMATS or time_unit not in UNITS_NS or (scale is not None and scale < 1):
            way = f"use one of {', '.join(FORMATS)}; s, ms, us, ns; 1 or more"
            raise SettingError(f"format {format!r}, time_unit {time_unit!r} or scale {scale} is not known: {way}")
        if len(set(columns)) < len(columns) and not isinstance(columns, str):
            raise SettingError("`columns` has a name twice: each field needs its own")
        if format in ("csv", "raw") and not columns:
            raise SettingError(f"what are the fields of a message in format {format}? Name them with `columns`")
        self._format = format
        self._items = items
        self._value = [value] if isinstance(value, str) else list(value)
        self._time, self._unit, self._origin, self._unique = time, time_unit, origin, unique
        self._scale = scale
        self._columns = [columns] if isinstance(columns, str) else list(columns)
        self._delimiter, self._decimal = delimiter, decimal
        self._named = {path for path in (time, origin, unique) if path and "." not in path}
        self._struct = _layout(struct, len(self._columns)) if format == "raw" else None
        self._cbor: Callable[[bytes], Tree] | None = _cbor_parser() if format in ("cbor", "senml-cbor") else None

    @property
    def unique(self) -> bool:
        """Whether samples have a key."""
        return bool(self._unique)

    @property
    def record_bytes(self) -> int:
        """Bytes of a record of `raw`; 0 of everything else."""
        return self._struct.size if self._struct else 0

    def decode(self, payload: bytes, now_ns: int = 0, sender: str | None = None) -> list[Reading]:
        """The samples of a message.

        Args:
            payload: The message.
            now_ns: What relative times are counted from.
            sender: Ignored: a message says itself what it holds.

        Raises:
            Undecodable: It is not in this form, or what it holds cannot be stored; no sample of it is used.
        """
        plain = Plain(self._scale)
        if self._format.startswith("senml"):
            return list(self._senml(payload, now_ns, plain))
        found = self._trees(payload)
        if len(found) > SAMPLES:
            raise Undecodable(f"the message holds {len(found)} samples: send at most {SAMPLES} at once")
        if len(found) == 1:
            return [self.reading(found[0], plain)]
        return [self.reading(tree, plain, f"sample {n}: ") for n, tree in enumerate(found)]

    def reading(self, tree: Tree, plain: Plain | None = None, before: str = "") -> Reading:
        """The sample of what a parser gave for it; raises Undecodable."""
        plain = plain or Plain(self._scale)
        if self._value:
            picked = [_pick(tree, path, before) for path in self._value]
            value = picked[0] if len(picked) == 1 else dict(zip(self._value, picked, strict=True))
        elif self._named and isinstance(tree, dict):
            value = {name: part for name, part in tree.items() if name not in self._named}
        else:
            value = tree
        value = plain.value(value, before)
        at = time_ns(_pick(tree, self._time, before), self._unit, before + self._time) if self._time else None
        origin = _text(_pick(tree, self._origin, before), before + self._origin) if self._origin else None
        return Reading(at, origin, value, self._key(tree, at, origin, value, before) if self._unique else None)

    def cells(self, fields: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
        """A line of a table as a map: numbers where there are some, null where there is nothing."""
        if len(fields) != len(columns):
            raise Undecodable(f"the line has {len(fields)} fields, and {len(columns)} columns are declared")
        return {name: self._cell(name, text.strip()) for name, text in zip(columns, fields, strict=True)}

    def _trees(self, payload: bytes) -> list[Tree]:
        if self._format == "raw":
            return self._records(payload)
        if self._format == "csv":
            return [self.cells(fields, self._columns) for fields in self._lines(payload) if fields]
        tree = _parse_json(payload) if self._cbor is None else self._cbor(payload)
        if self._items:
            tree = _pick(tree, self._items, "")
            if not isinstance(tree, list):
                raise Undecodable(f"{self._items} is no list")
        return tree if isinstance(tree, list) else [tree]

    def _senml(self, payload: bytes, now_ns: int, plain: Plain) -> Iterator[Reading]:
        pack = _parse_json(payload) if self._cbor is None else self._cbor(payload)
        for n, (at, name, found) in enumerate(senml.resolve(pack, now_ns)):
            value = plain.value(found, f"record {n}")
            yield Reading(at, name, value, digest(at, name, value) if self._unique else None)

    def _lines(self, payload: bytes) -> Iterator[list[str]]:
        try:
            yield from csv.reader(payload.decode("utf-8-sig").splitlines(), delimiter=self._delimiter, strict=True)
        except UnicodeDecodeError as error:
            raise Undecodable(f"the message is no UTF-8 at byte {error.start}") from None
        except csv.Error as error:
            raise Undecodable(f"the message is no CSV: {error}") from None

    def _cell(self, name: str, text: str) -> Any:
        if text in _MISSING:
            return None
        try:
            number = Decimal(text.replace(self._decimal, ".") if self._decimal != "." else text)
        except ArithmeticError:
            return text
        return number if number.is_finite() and "_" not in text else text

    def _records(self, payload: bytes) -> list[Tree]:
        assert self._struct
        if not payload or len(payload) % self._struct.size:
            raise Undecodable(f"the message has {len(payload)} bytes, which is no multiple of the {self._struct.size} of a record")
        return [dict(zip(self._columns, record, strict=True)) for record in self._struct.iter_unpack(payload)]

    def _key(self, tree: Tree, at: int | None, origin: str | None, value: Any, before: str) -> Any:
        if self._unique == WHOLE:
            return digest(at, origin, value)
        key = _pick(tree, self._unique, before)
        if isinstance(key, Decimal | float):
            key = str(key)
        if isinstance(key, list | dict | tuple):
            raise Undecodable(f"{before}{self._unique} is a list or map: a key is text, bytes or a whole number")
        return Plain(1).value(key, before + self._unique)


def digest(at: int | None, origin: str | None, value: Any) -> bytes:
    """The key of a sample that has none but all of it."""
    return sha256(encode([at, origin, value])).digest()[:16]


def quarantined(payload: bytes, reason: str, origin: str | None) -> dict[str, Any]:
    """What stands in the place of the samples of a message that cannot be decoded: why, whence, and its first 4,096 bytes."""
    return {"quarantine": reason, "payload": payload[:SHOWN_BYTES], "size": len(payload), "from": origin}


def _parse_json(payload: bytes) -> Tree:
    """One value, or several lines of one each as a list of them."""
    try:
        text = payload.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"the message is no UTF-8 at byte {error.start}") from None
    try:
        value, end = _scan(text, 0)  # as `decode` does, but for the spaces around
        if end == len(text) and (text.count(":") == (names := _names(value)) or len(_NAME.findall(text)) == names):
            return value
    except (StopIteration, RecursionError, ArithmeticError, ValueError):
        pass  # there may be spaces in front, or lines; and else it is told below
    try:
        return _JSON.decode(text)
    except (json.JSONDecodeError, RecursionError, ArithmeticError, ValueError) as error:
        first = error
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 2:
        raise Undecodable(f"the message is no JSON: {str(first)[:200]}")
    values = []
    for n, line in enumerate(lines):
        try:
            values.append(_JSON.decode(line))
        except (json.JSONDecodeError, RecursionError, ArithmeticError, ValueError) as error:
            raise Undecodable(f"the message is no JSON, nor is its line {n + 1}: {str(error)[:200]}") from None
    return values


def _no_number(text: str) -> Tree:
    raise ValueError(f"{text} is no number")


def _names(tree: Tree) -> int:
    """How many names its maps have."""
    if isinstance(tree, dict):
        return len(tree) + sum(_names(part) for part in tree.values() if isinstance(part, dict | list))
    if isinstance(tree, list) and set(map(type, tree)) & {dict, list}:
        return sum(map(_names, tree))
    return 0


def _map(pairs: list[tuple[str, Tree]]) -> Tree:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a map has a name twice")
    return made


_JSON = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_map)
_FAST = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)  # does not see when a name comes twice
_scan: Callable[[str, int], tuple[Tree, int]] = _FAST.scan_once  # type: ignore[attr-defined]


def _cbor_parser() -> Callable[[bytes], Tree]:
    try:
        import cbor2
    except ImportError:
        raise ToolMissing("CBOR needs the package cbor2: pip install 'eddy[knowledge]'") from None

    def parse(payload: bytes) -> Tree:
        from io import BytesIO

        stream = BytesIO(payload)
        try:
            value = cbor2.CBORDecoder(stream, max_depth=_NESTED).decode()
            rest = len(payload) - stream.tell()
        except Exception as error:  # of tags, a decoder may raise anything
            raise Undecodable(f"the message is no CBOR: {str(error)[:200] or type(error).__name__}") from None
        if rest > 0:
            raise Undecodable(f"{rest} bytes follow after the value")
        return value

    return parse


def _layout(text: str, names: int) -> binary.Struct:
    try:
        made = binary.Struct(text)
        fields = len(made.unpack(bytes(made.size))) if made.size <= 1 << 16 else 0
    except binary.error as error:
        raise SettingError(f"struct {text!r}: {error}; write a format of Python's module struct, such as <hhI") from None
    if not made.size or fields != names:
        raise SettingError(f"struct {text!r} has {fields} fields in {made.size} bytes, and `columns` names {names}: name each of them")
    return made


def _pick(tree: Tree, path: str, before: str) -> Tree:
    if path == WHOLE:
        return tree
    if isinstance(tree, dict) and path in tree:
        return tree[path]
    at = tree
    for name in path.split("."):
        if isinstance(at, dict) and name in at:
            at = at[name]
        elif isinstance(at, list | tuple) and name.isascii() and name.isdigit() and int(name[:9]) < len(at):
            at = at[int(name[:9])]
        else:
            raise Undecodable(f"{before}there is no {path}")
    return at


def _text(value: Any, where: str) -> str:
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 256:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return str(value)
    raise Undecodable(f"{where} is no name: expected a short text or a whole number")
