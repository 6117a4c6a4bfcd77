"""Conditions: a small closed grammar, parsed to plain data; nothing is ever evaluated here.

    condition  = all { "or" all }
    all        = held { "and" held }
    held       = "not" held | basic [ "for" duration ]
    basic      = "(" condition ")" | anomalies | call [ operator number ] | field operator number
    anomalies  = "anomaly" "in" count "of" count ( "windows" | "samples" )
    call       = ( "drift" | "battery" ) "(" name ")"                       in `adapt` only
    field      = "value" [ "[" count "]" ] | name                           a sample's value, an item of its list, or an entry of its map
    operator   = "<" | "<=" | ">" | ">=" | "==" | "!="
    number     = [ "-" ] digits [ "." digits ] [ "%" ]                      in the unit of the stream; a percentage is divided by 100

`not` and `for` bind tightest, then `and`, then `or`. In plain data a condition is

    ["and", a, b] | ["or", a, b] | ["not", a] | ["for", a, duration_ms] | ["anomalies", k, n]
    | ["compare", field, operator, milli]          field "" is the value itself; milli is the number times 1000, and times what one unit
                                                   is stored as, where that is known
    | ["call", name, argument] | ["compare", ["call", name, argument], operator, milli]

    >>> parse("value > 50 for 3h")
    ['for', ['compare', '', '>', 50000], 10800000]
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from eddy.spec.diagnostics import Invalid, did_you_mean
from eddy.spec.quantities import DURATION_MS
from eddy.spec.quantities import parse as quantity

Known = Callable[[str], tuple[str, int]]
"""Of a field as it is written: where it is in a sample, and what its number is to be divided by there to be in its unit."""

CALLS = ("drift", "battery")
_OPERATORS = ("<", "<=", ">", ">=", "==", "!=")
_RESERVED = ("and", "or", "not", "for", "in", "of")
_MOST = 32
_INT64 = 1 << 63
_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?[0-9]+(?:\.[0-9]+)?[A-Za-z%]*)|(?P<word>[A-Za-z_][\w-]*)|(?P<sign><=|>=|==|!=|[<>()\[\]])|(?P<other>\S))"
)


class Token(NamedTuple):
    """A piece of text with its kind and its offset."""

    kind: str
    text: str
    column: int


def parse(text: str, calls: bool = False, known: Known | None = None) -> list[Any]:
    """A condition as plain data.

    Args:
        calls: `drift(stream)` and `battery(node)` are allowed.
        known: Of the fields; what it raises is told at their column. None: only the grammar is looked at, and milli may be a fraction.

    Raises:
        Invalid: It is none; with the column.
    """
    return _Parser(text, calls, known).whole()


def as_written(field: str) -> tuple[str, int]:
    """A field of which nothing is known: its numbers are in its unit. See `Known`."""
    return field, 1


def called(condition: list[Any]) -> list[tuple[str, str]]:
    """The calls in a condition, as name and argument."""
    if condition[0] == "call":
        return [(condition[1], condition[2])]
    return [call for part in condition[1:] if isinstance(part, list) for call in called(part)]


class _Parser:
    """Recursive descent, one method a rule."""

    def __init__(self, text: str, calls: bool, known: Known | None) -> None:
        found = (match for match in _TOKEN.finditer(text) if match.lastgroup)
        self._tokens = [Token(str(match.lastgroup), match[str(match.lastgroup)], match.start(str(match.lastgroup))) for match in found]
        self._end = Token("end", "", len(text.rstrip()))
        self._calls = calls
        self._known = known
        self._at = self._parts = 0

    def whole(self) -> list[Any]:
        condition = self._any()
        if self._next.kind != "end":
            raise self._wrong("the condition ends here", "join two conditions with 'and' or 'or'")
        return condition

    @property
    def _next(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._end

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _took(self, *texts: str) -> bool:
        taken = self._next.text in texts
        self._at += taken
        return taken

    def _expect(self, *texts: str) -> None:
        if not self._took(*texts):
            wanted = " or ".join(f"'{text}'" for text in texts)
            raise self._wrong(f"{wanted} is missing", did_you_mean(self._next.text, texts, f"write {wanted} here"))

    def _wrong(self, reason: str, way_out: str) -> Invalid:
        token = self._next
        return Invalid("E123", f"{reason}, before '{token.text}'" if token.text else f"{reason}, at the end", way_out, token.column)

    def _any(self) -> list[Any]:
        condition = self._all()
        while self._took("or"):
            condition = ["or", condition, self._all()]
        return condition

    def _all(self) -> list[Any]:
        condition = self._held()
        while self._took("and"):
            condition = ["and", condition, self._held()]
        return condition

    def _held(self) -> list[Any]:
        self._parts += 1  # also what bounds the depth: a device that evaluates this has little stack
        if self._parts > _MOST:
            raise self._wrong("the condition is too long", f"use at most {_MOST} comparisons, brackets and 'not'")
        if self._took("not"):
            return ["not", self._held()]
        condition = self._basic()
        if self._took("for"):
            condition = ["for", condition, self._duration()]
        return condition

    def _basic(self) -> list[Any]:
        if self._took("("):
            condition = self._any()
            self._expect(")")
            return condition
        if self._next.kind != "word" or self._next.text in _RESERVED:
            raise self._wrong("a condition is missing", "write for instance: value > 50, or: anomaly in 5 of 6 windows")
        word = self._take()
        if word.text == "anomaly":
            return self._anomalies()
        if self._next.text == "in":
            raise Invalid("E123", f"'{word.text}' is not counted", did_you_mean(word.text, ["anomaly"]), word.column)
        if self._took("("):
            call = self._call(word)
            return ["compare", call, self._operator(), self._milli(1)] if self._next.text in _OPERATORS else call
        field, per = self._index() if word.text == "value" else word.text, None
        if self._known:
            try:
                field, per = self._known(field)
            except Invalid as error:
                raise Invalid(error.code, error.reason, error.way_out, word.column) from None
        return ["compare", field, self._operator(), self._milli(per)]

    def _anomalies(self) -> list[Any]:
        self._expect("in")
        least = self._count()
        self._expect("of")
        of = self._next
        most = self._count()
        if not 1 <= least <= most:
            raise Invalid("E123", f"{least} of {most} cannot be met", "write two numbers, the second no smaller", of.column)
        self._expect("windows", "samples")
        return ["anomalies", least, most]

    def _call(self, name: Token) -> list[Any]:
        if not self._calls or name.text not in CALLS:
            reason = f"{name.text}() is not known {'here' if name.text in CALLS else 'anywhere'}"
            there = "drift and battery are for 'when' in 'adapt'; here compare 'value' or a field of it"
            raise Invalid("E123", reason, did_you_mean(name.text, CALLS) if self._calls else there, name.column)
        if self._next.kind != "word":
            raise self._wrong(f"{name.text}() is about nothing", f"name a {'node' if name.text == 'battery' else 'stream'}")
        argument = self._take().text
        self._expect(")")
        return ["call", name.text, argument]

    def _index(self) -> str:
        if not self._took("["):
            return ""
        index = str(self._count())
        self._expect("]")
        return index

    def _operator(self) -> str:
        if self._next.text not in _OPERATORS:
            raise self._wrong("a comparison is missing", f"write one of {' '.join(_OPERATORS)} and a number")
        return self._take().text

    def _count(self) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", self._next.text):
            raise self._wrong("a whole number is missing", "write one, as in: anomaly in 5 of 6 windows")
        return int(self._take().text)

    def _milli(self, per: int | None) -> int | Fraction:
        match = re.fullmatch(r"(-?[0-9]{1,15}(?:\.[0-9]{1,12})?)(%?)", self._next.text)
        if match is None:
            raise self._wrong("a number is missing", "write one, as in: value >= 1.5; units are those of the stream")
        milli = Fraction(match[1]) * (10 if match[2] else 1000) * (per or 1)
        if per and milli.denominator != 1:
            raise self._wrong(f"finer than {1 / (1000 * per):g}", "round the number; a thousandth of what is stored is the finest")
        if per and not -_INT64 <= milli < _INT64:
            raise self._wrong(f"beyond 64 bits, as {per:,} is stored for 1", "compare with a smaller number")
        self._at += 1
        return int(milli) if milli.denominator == 1 else milli

    def _duration(self) -> int:
        token = self._take()
        try:
            duration = quantity(token.text, DURATION_MS)
        except Invalid as error:
            raise Invalid("E123", error.reason, error.way_out, token.column + error.column) from None
        if duration < 1 or duration.denominator != 1:
            raise Invalid("E123", f"'{token.text}' is no whole number of milliseconds", "write a duration as in 10m", token.column)
        return int(duration)
