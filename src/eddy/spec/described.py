"""What an app knows of a stream, for those who keep it: unit, rate, type, scale, what the parts of a sample are, how far it may go."""

from typing import Any, NamedTuple, cast

from eddy.kernel.functions.alarm import compared
from eddy.spec import conditions
from eddy.spec.catalog import Alarm, Features, Filter, Forward, Function, Judge, Mean, Model, Rule, Source
from eddy.spec.diagnostics import Invalid, did_you_mean
from eddy.spec.model import App
from eddy.spec.vocabulary import LEVELS, Level

DECIDED = "decided"
"""Kind of a stream that says what models and rules made of others."""

_Q16 = 65536
_OF_A_MODEL = ("score", "label", "news", "held")
_OF_A_POOL = ("share", "verdict", "news", "held", "of", "label", "false_positive", "score", "ballot", "weight", "total")
_RATIOS = ("kurtosis", "skewness", "crest_factor")
_PASSED = ("unit", "units", "range", "scale", "kind", "fields", "per", "absent")  # of what is known of a stream
_ROW = 2  # where the row is, in what a model and a pool put out

Described = dict[str, Any]


def described(app: App, name: str) -> Described:
    """What is known of a stream, as plain data.

    Returns:
        Of these what there is: `unit`, `units` {field: unit}, `range` {field: [lowest, highest]}, `type`, `rate_hz`, `scale`, `owner`,
        `private`, `kind` (`decided`). For lists of parts `fields` {path: name}, `absent` {name: the number that stands for
        none}; of these and of maps `per` {name: what a number is to be divided by}.
    """
    said: Described = {"private": _level(app, name, ())}
    said |= _said(app, name, ())
    return {what: about for what, about in said.items() if about}


def numbers(app: App, function: Function) -> conditions.Known:
    """What the conditions of a function compare; it raises Invalid for what is in none of its inputs, or not in all of them alike."""

    def known(field: str) -> tuple[str, int]:
        first, *others = ((name, _number(app, name, field, ())) for name in function.inputs)
        for name, other in others:
            if first[1][:2] != other[:2]:
                reason = f"'{_written(field)}' means {first[1]} of '{first[0]}', and {other} of '{name}'"
                raise Invalid("E136", reason, "let a function of its own take in each of them, or give sources the same 'scale'")
        return first[1].field, first[1].per

    return known


def columns(app: App, name: str) -> tuple[str, ...] | None:
    """The names of the numbers in the rows that a model takes in; None when they are not known, or not the same from everywhere."""
    function = app.functions[name]
    if isinstance(function, Model) and function.features is not None:
        return function.features
    found = {_emitted(app, one, ()) for one in function.inputs}
    return found.pop() if len(found) == 1 else None


def learner(app: App, model: str) -> str | None:
    """The function that learns a model."""
    return next((name for name, one in app.functions.items() if isinstance(one, Model) and one.model == model), None)


def _emitted(app: App, name: str, before: tuple[str, ...]) -> tuple[str, ...] | None:
    """The columns of what a function puts out; filters pass them on."""
    function = app.functions.get(name)
    if isinstance(function, Features):
        return function.compute
    if isinstance(function, Filter | Forward) and name not in before:
        found = {_emitted(app, one, (*before, name)) for one in function.inputs}
        return found.pop() if len(found) == 1 else None
    return None


class _Number(NamedTuple):
    """A number in the samples of a stream.

    Attributes:
        field: Where the kernel finds it.
        per: What it is to be divided by.
        unit: Of what comes out then.
    """

    field: str
    per: int
    unit: str | None

    def __str__(self) -> str:
        return _written(self.field) + (f" / {self.per:,}" if self.per > 1 else "")


def _number(app: App, name: str, field: str, before: tuple[str, ...]) -> _Number:
    """A number of a stream; raises Invalid when the parts of its samples are known, and this is none of them."""
    said = _said(app, name, before)
    fields = said.get("fields", {})
    at = next((path for path, part in fields.items() if part == field), field)
    if fields and (at not in fields or "." in at):
        reach = [part for path, part in fields.items() if "." not in path]
        otherwise = f"compare one of {', '.join(reach)}"
        if "." in at:
            raise Invalid("E136", f"'{field}' is within a row in the samples of '{name}', where no condition reaches", otherwise)
        reason = f"there is no number '{_written(field)}' in the samples of '{name}'"
        raise Invalid("E131", reason, did_you_mean(field, reach, otherwise) if field else otherwise)
    part = fields.get(at, at)
    per = said.get("per", {}).get(part) or int(said.get("scale") or 1)
    return _Number(at, per, said.get("units", {}).get(part) or said.get("unit"))


def _written(field: str) -> str:
    return f"value[{field}]" if field.isdigit() else field or "value"


def _said(app: App, name: str, before: tuple[str, ...]) -> Described:
    return _source(app.sources[name]) if name in app.sources else _function(app, name, before)


def _source(source: Source) -> Described:
    rate = f"{source.rate_hz:g}" if source.rate_hz else ""
    scale = getattr(source, "scale", None) or 1
    return {
        "unit": source.unit,
        "units": source.units,
        "range": {name: list(one) for name, one in source.range.items()},
        "type": source.type,
        "rate_hz": rate,
        "owner": source.owner,
        "scale": str(scale) if scale > 1 else "",
    }


def _function(app: App, name: str, before: tuple[str, ...]) -> Described:
    function = app.functions.get(name)
    born, said = _born(app, function) if function else None, Described()
    match function:
        case Features():
            said = _row(function.compute, born, "")
        case Mean() | Filter() | Forward() if name not in before:
            said = _passed([_said(app, one, (*before, name)) for one in function.inputs if one not in (*before, name)])
        case Model():
            said = _decided(app, function.model, _OF_A_MODEL, born)
        case Judge():
            said = _decided(app, function.model, _OF_A_POOL, born)
        case Rule():
            said = {"kind": DECIDED, "fields": {"0": "raised", "1": "at_ns"}}
        case Alarm() if name not in before:
            said = {"kind": DECIDED, **_watched(app, function, (*before, name))}
    return said


def _passed(found: list[Described]) -> Described:
    """Of what passes samples on, or means of them: that in which all that come in are alike."""
    first, *others = found or [{}]
    return {what: about for what, about in first.items() if what in _PASSED and all(one.get(what) == about for one in others)}


def _watched(app: App, alarm: Alarm, before: tuple[str, ...]) -> Described:
    """Of the `value` of an alarm what is known of the number that it compares, as far as its inputs do not differ in that."""
    field = compared(conditions.parse(alarm.when))
    try:
        found = [_number(app, name, field, before) for name in alarm.inputs] if field is not None else []
    except Invalid:
        return {}
    pers, units = {one.per for one in found}, {one.unit for one in found}
    per, unit = pers.pop() if len(pers) == 1 else 1, units.pop() if len(units) == 1 else None
    return {"per": {"value": per} if per > 1 else {}, "units": {"value": unit} if unit else {}}


def _decided(app: App, model: str, names: tuple[str, ...], born: Source | None) -> Described:
    learns = learner(app, model)
    row = _row((columns(app, learns) if learns else None) or (), born, f"{_ROW}.")
    scores = {name: _Q16 for name in ("score", "share") if name in names}
    return {
        "kind": DECIDED,
        "fields": {str(at): name for at, name in enumerate(names)} | row["fields"],
        "per": scores | row["per"],
        "absent": dict.fromkeys(scores, -1),
        "units": row["units"],
    }


def _row(names: tuple[str, ...], born: Source | None, before: str) -> Described:
    """Features, see `eddy.kernel.features`: ratios in thousandths, everything else in sixteenths of a count of the source."""
    counts = getattr(born, "scale", None) or 1
    unit = born.unit if born else None
    return {
        "fields": {f"{before}{at}": name for at, name in enumerate(names)},
        "per": {name: 1000 if name in _RATIOS else 16 * counts for name in names},
        "units": {name: "/" if name in _RATIOS else unit for name in names if name in _RATIOS or unit},
    }


def _born(app: App, function: Function) -> Source | None:
    """The source behind a function; None when there are several."""
    seen: set[str] = set()
    names = list(function.inputs)
    while names:
        name = names.pop()
        if name not in seen and name in app.functions:
            names += app.functions[name].inputs
        seen.add(name)
    found = [app.sources[name] for name in seen if name in app.sources]
    return found[0] if len(found) == 1 else None


def _level(app: App, name: str, before: tuple[str, ...]) -> str:
    """How far what comes out of a source or function may go: as far as its inputs, unless it releases more."""
    if name in app.sources:
        return app.sources[name].private
    function = app.functions[name]
    if function.releases or name in before:
        return function.releases or LEVELS[-1]
    return min((_level(app, one, (*before, name)) for one in function.inputs), key=lambda level: LEVELS.index(cast(Level, level)))
