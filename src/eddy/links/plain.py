"""Numbers, times and plain data out of what others have written: only what every node can hold, and nothing without a bound."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from eddy.errors import Undecodable

DEPTH = 4
"""Containers inside each other in a value: around it, logs and records have their own, and the codec takes eight."""

SAMPLE_BYTES = 16384
"""Of a value as it is stored, at most: an entry of a log holds it, and a record of the hop."""

MESSAGE_BYTES = 8 << 20
"""Of all values of a message: one whose parts refer to each other can be larger than it looks."""

UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_FAR_NS = 1 << 62  # 146 years from 1970, in both directions
_DIGITS = 22  # before the point, of what may still be a number of 64 bits


def scaled(number: int | float | Decimal, scale: int, where: str = "") -> int:
    """The number times `scale`, rounded half to even: what is stored holds no fractions, equal on every interpreter.

    Raises:
        Undecodable: It is not finite, or beyond 64 bits.
    """
    if not isinstance(number, int):
        number = round(decimal(number, where) * scale)
    elif scale != 1:
        number *= scale
    if not -(1 << 64) <= number < 1 << 64:
        raise Undecodable(f"{_at(where)} is a number beyond 64 bits at scale {scale}")
    return number


def decimal(number: int | float | Decimal, where: str = "") -> Decimal:
    """A number as people write it; raises Undecodable for one that is not finite or has more than 22 digits before the point."""
    if isinstance(number, float):
        if not math.isfinite(number):
            raise Undecodable(f"{_at(where)} is {number}, which is no number")
        number = Decimal(repr(number))
    elif isinstance(number, int):
        if abs(number) >= 10**_DIGITS:
            raise Undecodable(f"{_at(where)} is a number of more than {_DIGITS} digits")
        return Decimal(number)
    if not number.is_finite() or number.adjusted() > _DIGITS:
        raise Undecodable(f"{_at(where)} is {str(number)[:40]}, which is no number of 64 bits")
    return number


def time_ns(value: Any, unit: str, where: str = "") -> int:
    """Nanoseconds since 1970, of a number of `unit`, ISO 8601 text (UTC where it names no zone), or a date; raises Undecodable."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise Undecodable(f"{_at(where)} is {value[:40]!r}, which is no time: write ISO 8601, or a number") from None
    try:
        if isinstance(value, datetime):
            moment = (value if value.tzinfo else value.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
            found = ((moment.days * 86400 + moment.seconds) * 1_000_000 + moment.microseconds) * 1000
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            found = round(decimal(value, where) * UNITS_NS[unit])
        else:
            raise Undecodable(f"{_at(where)} is no time: write ISO 8601, or a number")
    except (OverflowError, ValueError):
        found = _FAR_NS
    if not -_FAR_NS < found < _FAR_NS:
        raise Undecodable(f"{_at(where)} is a time more than 146 years from 1970: is {unit!r} its unit?")
    return found


class Plain:
    """Turns what a parser gives into what can be stored: whole numbers at a scale, text, bytes, true, false, null, lists and maps.

    One object for one message: it counts how large that becomes.

    Args:
        scale: Counts per unit, of every number; None: numbers are whole.

    Attributes:
        size: Bytes of all values so far, or a few more.
    """

    def __init__(self, scale: int | None) -> None:
        self._whole = scale is None
        self._scale = scale or 1
        self.size = 0
        self._end = 0

    def value(self, value: Any, where: str = "") -> Any:
        """The value of one sample; raises Undecodable with the path to what cannot be stored."""
        self._end = self.size + SAMPLE_BYTES
        return self._plain(value, where, DEPTH)

    def _plain(self, value: Any, where: str, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            self._grow(1, where)
            return value
        if isinstance(value, int | float | Decimal):
            self._grow(9, where)
            stored = scaled(value, self._scale, where)
            if self._whole and stored != value:
                raise Undecodable(f"{_at(where)} is {str(value)[:40]}: say with `scale` how many decimals are kept, such as 100 for two")
            return stored
        if isinstance(value, str | bytes):
            return self._string(value, where)
        if isinstance(value, list | tuple | dict):
            if not depth:
                raise Undecodable(f"{_at(where)} has more than {DEPTH} containers inside each other")
            self._grow(5, where)
            if isinstance(value, list) and set(map(type, value)) == {int}:  # most of what comes in batches
                return self._integers(value, where)
            if isinstance(value, dict):
                return {self._key(key, where): self._plain(part, f"{where}.{key}", depth - 1) for key, part in value.items()}
            return [self._plain(part, f"{where}.{n}", depth - 1) for n, part in enumerate(value)]
        raise Undecodable(f"{_at(where)} is of type {type(value).__name__}, which no sample can hold")

    def _integers(self, values: list[int], where: str) -> list[int]:
        self._grow(9 * len(values), where)
        for extreme in (min(values), max(values)):
            scaled(extreme, self._scale, where)
        return values if self._scale == 1 else [value * self._scale for value in values]

    def _key(self, key: Any, where: str) -> Any:
        if isinstance(key, bool) or not isinstance(key, str | bytes | int):
            raise Undecodable(f"{_at(where)} has a key that is neither text, bytes nor a whole number")
        if isinstance(key, int):
            self._grow(9, where)
            return scaled(key, 1, where)
        return self._string(key, where)

    def _string(self, value: str | bytes, where: str) -> str | bytes:
        try:
            self._grow(5 + (len(value) if isinstance(value, bytes) or value.isascii() else len(value.encode())), where)
        except UnicodeEncodeError:
            raise Undecodable(f"{_at(where)} is text with half a character (a lone surrogate)") from None
        return value

    def _grow(self, size: int, where: str) -> None:
        self.size += size
        if self.size > self._end:
            raise Undecodable(f"{_at(where)} makes a sample larger than {SAMPLE_BYTES} bytes: send less at once, or more of them")
        if self.size > MESSAGE_BYTES:
            raise Undecodable(f"the message holds more than {MESSAGE_BYTES} bytes of values")


def _at(where: str) -> str:
    return where.removeprefix(".") or "the value"
