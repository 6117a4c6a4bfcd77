"""What an app knows of a stream, for those who keep it: unit, rate, type, scale, what the parts of a sample are, how far it may go."""

from typing import Any, cast

from eddy.kernel.functions.alarm import compared
from eddy.spec import conditions
from eddy.spec.catalog import Alarm, Features, Filter, Forward, Function, Judge, Mean, Model, Rule, Source
from eddy.spec.model import App
from eddy.spec.vocabulary import LEVELS, Level

DECIDED = "decided"
"""Kind of a stream that says what models and rules made of others."""

_Q16 = 65536
_OF_A_MODEL = ("score", "label", "news", "held")
_OF_A_POOL = ("share", "verdict", "news", "held", "of", "label", "false_positive", "score", "ballot", "weight", "total")
_RATIOS = ("kurtosis", "skewness", "crest_factor")
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
    said |= _source(app.sources[name]) if name in app.sources else _function(app, name, ())
    return {what: about for what, about in said.items() if about}


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
        case Mean() | Filter() if born and function.inputs[0] in app.sources:
            said = {what: about for what, about in _source(born).items() if what in ("unit", "units", "range", "scale")}
        case Filter() | Forward() if name not in before:
            said = _function(app, function.inputs[0], (*before, name))
        case Model():
            said = _decided(app, function.model, _OF_A_MODEL, born)
        case Judge():
            said = _decided(app, function.model, _OF_A_POOL, born)
        case Rule():
            said = {"kind": DECIDED, "fields": {"0": "raised", "1": "at_ns"}}
        case Alarm() if name not in before:
            said = {"kind": DECIDED, **_watched(app, function, (*before, name))}
    return said


def _watched(app: App, alarm: Alarm, before: tuple[str, ...]) -> Described:
    """Of the `value` of an alarm what is known of the number that it compares; nothing when its inputs differ in that."""
    field = compared(conditions.parse(alarm.when))
    found: list[Described] = []
    for name in alarm.inputs if field is not None else ():
        of = _source(app.sources[name]) if name in app.sources else _function(app, name, before)
        known = of.get("fields", {}).get(field, field)
        per = of.get("per", {}).get(known) or int(of.get("scale") or 1)
        unit = of.get("units", {}).get(known) or of.get("unit")
        found.append({"per": {"value": per} if per > 1 else {}, "units": {"value": unit} if unit else {}})
    return found[0] if found and all(one == found[0] for one in found) else {}


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
