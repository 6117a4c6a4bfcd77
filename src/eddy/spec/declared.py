"""The strict base of everything that an app declares, and the types of its fields.

A field's name in Python carries its unit (`size_ms`); its alias is what people write (`size: 500ms`). Text becomes a number in a base
unit when it is read, and text again when it is written.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from eddy.kernel.features import NAMES as FEATURES
from eddy.spec import conditions, phrases, units
from eddy.spec.diagnostics import Invalid, did_you_mean
from eddy.spec.quantities import (
    BANDWIDTH_BIT_S,
    DURATION_MS,
    ENERGY_J,
    LATENCY_S,
    PRICE_PER_GB,
    PRICE_PER_H,
    RATE_HZ,
    SHARE,
    SIZE_B,
    Kind,
    parse,
    write,
)

T = TypeVar("T")


class Declared(BaseModel):
    """Strict: no conversion of types, no unknown field, no change afterwards."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _whole(kind: Kind) -> tuple[Any, ...]:
    def read(text: object) -> int:
        value = parse(text, kind)
        if value.denominator != 1 or value < 1:
            raise Invalid("E121", f"'{text}' is no whole number of {kind.base} above 0", f"write for instance {kind.example}")
        return int(value)

    return _as_text(read, lambda value: write(value, kind), kind.pattern, kind.example)


def _real(kind: Kind, above: bool = True) -> tuple[Any, ...]:
    def read(text: object) -> float:
        value = float(parse(text, kind))
        if above and value == 0:
            raise Invalid("E121", f"'{text}' is 0", f"write more, as in {kind.example}")
        return value

    return _as_text(read, lambda value: write(value, kind), kind.pattern, kind.example)


def _as_text(read: Callable[[object], Any], back: Callable[[Any], str], pattern: str, example: str) -> tuple[Any, ...]:
    schema = WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})
    return BeforeValidator(read), PlainSerializer(back, return_type=str), schema


def _checked(check: Callable[[str], Any], schema: dict[str, Any]) -> tuple[Any, ...]:
    """A text that is kept as it is when its parser takes it."""

    def read(text: str) -> str:
        check(text)
        return text

    return AfterValidator(read), WithJsonSchema({"type": "string", **schema})


Milliseconds = Annotated[int, *_whole(DURATION_MS)]
Seconds = Annotated[float, *_real(LATENCY_S, above=False)]
Bytes = Annotated[int, *_whole(SIZE_B)]
Hertz = Annotated[float, *_real(RATE_HZ)]
BitsPerSecond = Annotated[float, *_real(BANDWIDTH_BIT_S)]
Joules = Annotated[float, *_real(ENERGY_J)]
PricePerHour = Annotated[float, *_real(PRICE_PER_H, above=False)]
PricePerGigabyte = Annotated[float, *_real(PRICE_PER_GB, above=False)]
Share = Annotated[float, *_real(SHARE, above=False)]

OneIn = Annotated[int, *_as_text(phrases.one_in, lambda count: f"1 in {count}", f"^{phrases.ONE_IN}$", "1 in 20")]
Quantile = Annotated[int, *_as_text(phrases.quantile, lambda mille: f"quantile {mille / 10:g}%", f"^{phrases.QUANTILE}$", "quantile 98%")]
Rows = Annotated[int, *_as_text(phrases.rows, lambda count: f"{count} windows", f"^{phrases.ROWS}$", "150 windows")]
FalsePositives = Annotated[
    phrases.FalsePositives,
    *_as_text(
        phrases.false_positives,
        lambda few: f"{few.alarms} false positives in {write(few.within_ms, DURATION_MS)}",
        f"^{phrases.FALSE_POSITIVES}$",
        "5 false positives in 24h",
    ),
]
Below = Annotated[float, *_as_text(phrases.at_most, lambda share: f"< {write(share, SHARE)}", f"^{phrases.AT_MOST}$", "< 2%")]

Ring = Annotated[str, *_checked(phrases.ring, {"pattern": f"^({phrases.RING})$"})]
Task = Annotated[str, *_checked(phrases.task, {"examples": ["retrain bearing-health", "move detect to gw"]})]
Expectation = Annotated[str, *_checked(phrases.expectation, {"examples": ["latency(vibration -> alarm) p95 < 2s"]})]
Data = Annotated[str, *_checked(phrases.data, {"pattern": f"^({phrases.DATA})$", "examples": ["ims:2nd_test#1"]})]
Condition = Annotated[str, *_checked(conditions.parse, {"examples": ["anomaly in 5 of 6 windows", "value > 50 for 3h"]})]
AdaptCondition = Annotated[
    str,
    *_checked(
        lambda text: conditions.parse(text, calls=True, known=conditions.as_written),
        {"examples": ["drift(features) for 10m", "battery(pump) < 20%"]},
    ),
]
Unit = Annotated[str, *_checked(units.known, {"enum": list(units.NAMES)})]


def _hex(text: str) -> None:
    try:
        bytes.fromhex(text)
    except ValueError:
        raise Invalid("E113", f"'{text}' is not hex", "write two digits for each byte, as in aa55") from None


Hex = Annotated[str, *_checked(_hex, {"pattern": "^([0-9A-Fa-f]{2})*$", "examples": ["aa55"]})]
"""Bytes, two digits each."""

Name = Annotated[str, StringConstraints(pattern=f"^{phrases.NAME}$", max_length=63)]
OWN = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py:[A-Za-z_][A-Za-z0-9_]*$"
"""`file.py:Class`, a person's own; the file relative to the app."""

Many = Annotated[tuple[T, ...], Field(strict=False)]
"""A list of any length."""


def _listed(names: object) -> object:
    return (names,) if isinstance(names, str) else tuple(names) if isinstance(names, list) else names


Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(_listed),
    PlainSerializer(lambda names: names[0] if len(names) == 1 else list(names)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
"""One name or a list of names."""


Columns = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    PlainSerializer(lambda names: names[0] if len(names) == 1 else list(names)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One column of a table or several."""


def one_of(names: tuple[str, ...], what: str) -> tuple[Any, ...]:
    """Validation of a name that must be one of these."""

    def check(name: str) -> None:
        if name not in names:
            raise Invalid("E131", f"'{name}' is no {what}", did_you_mean(name, names))

    return _checked(check, {"enum": list(names)})


FeatureNames = Annotated[Many[Annotated[str, *one_of(FEATURES, "feature")]], Field(min_length=1, max_length=12)]


def _interval(value: object) -> tuple[float, float]:
    """Two numbers; whole ones stay so, as they were written."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is_number(one) for one in value):
        raise Invalid("E113", f"'{value}' is no range", "write the lowest and the highest number, as in [-40, 85]")
    low, high = value
    if low >= high:
        raise Invalid("E113", f"the range [{low}, {high}] is empty", "write the lower number first")
    return low, high


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _ranges(value: object) -> object:
    return {PLAIN: _interval(value)} if isinstance(value, list | tuple) else value


def _plainly(ranges: dict[str, tuple[float, float]]) -> object:
    return list(ranges[PLAIN]) if ranges.keys() == {PLAIN} else {name: list(one) for name, one in ranges.items()}


PLAIN = "value"
"""The field of values that are no maps."""

_PAIR: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
Ranges = Annotated[
    dict[str, Annotated[tuple[float, float], PlainValidator(_interval)]],
    BeforeValidator(_ranges),
    PlainSerializer(_plainly),
    WithJsonSchema({"anyOf": [_PAIR, {"type": "object", "additionalProperties": _PAIR}], "examples": [[-40, 85], {"co2": [0, 5000]}]}),
]
"""Lowest and highest number: of plain values, or of each field of a map."""


def _level(value: object) -> bool | int | str:
    """`off` is a text in YAML 1.2 and false in YAML 1.1; here it is false in both, and may stand without quotes."""
    if not isinstance(value, bool | int | str):
        raise Invalid("E113", f"{value!r} is nothing to set a sink to", "write on, off, a whole number or a text")
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


SafeValue = Annotated[bool | int | str, PlainValidator(_level), WithJsonSchema({"type": ["boolean", "integer", "string"]})]
"""What a sink is set to."""
