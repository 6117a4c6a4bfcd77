"""What runs, as plain data: `[module, class, {arguments}]`, or `[file, class, {arguments}]` for people's own."""

from typing import Any

from eddy.spec import conditions
from eddy.spec.catalog import (
    Alarm,
    Email,
    Filter,
    Forward,
    Function,
    Judge,
    Lake,
    Log,
    Model,
    Own,
    Publish,
    Rule,
    Sink,
    Source,
    Subscribe,
    Taken,
    Webhook,
)
from eddy.spec.described import columns, described, learner, numbers
from eddy.spec.learning import Learned
from eddy.spec.model import App

Program = list[Any]

DISCOVERED = ("eddy.links.homeassistant", "HomeAssistant")
"""What publishes for those who have to be told what there is."""


def program(app: App, kind: str, name: str) -> Program:
    """The program of a declared source, function or sink; of sources and sinks, that of the driver.

    Args:
        kind: `source`, `function` or `sink`.
    """
    item: Function | Source | Sink
    match kind:
        case "function":
            item, does = app.functions[name], app.functions[name].use
        case "source":
            item, does = app.sources[name], app.sources[name].driver
        case _:
            item, does = app.sinks[name], app.sinks[name].driver
    if isinstance(item, Own):
        file, _, own = does.partition(":")
        return [file, own, dict(item.model_extra or {})]
    made = DISCOVERED if isinstance(item, Publish) and item.discovery else item.program
    return [*made, _arguments(app, item, name)]


def for_node(does: Program, number: int) -> Program:
    """The program of a source on the n-th node of its kind: of several recordings each node gets one, in turn."""
    kind, _, which = str(does[2].get("data", "")).partition("#")
    several = which.split(",")
    if len(several) < 2 or kind.startswith("csv:"):
        return does
    return [*does[:2], {**does[2], "data": f"{kind}#{several[number % len(several)].strip()}"}]


def _arguments(app: App, item: Function | Source | Sink, name: str) -> dict[str, Any]:
    """What the class is built from: the fields of its own, as it names them."""
    shared = (Function if isinstance(item, Function) else Source if isinstance(item, Source) else Sink).model_fields
    arguments = {field: getattr(item, field) for field in type(item).model_fields if field not in shared}
    match item:
        case Model():
            return _learning(app.models[item.model], columns(app, name))
        case Judge():
            return {"columns": judged(app, item.model)["features"], "devices": {}, "decide": item.decide}
        case Forward():
            return {"normal_every": item.normal_every}
        case Alarm():
            return {"name": name} | _conditions(app, item, when=item.when, clear=item.clear)
        case Rule() | Filter():
            return _conditions(app, item, when=item.when)
        case Subscribe():
            del arguments["copies"]
        case Publish(discovery=discovery):
            del arguments["discovery"]
            if discovery:
                arguments["streams"] = {one: described(app, one) for one in item.inputs}
        case Lake():
            for tier, said in (("warm", item.warm), ("cold", item.cold)):
                arguments[tier] = {name: value for name, value in said if value is not None} if said else None
            arguments["streams"] = {one: described(app, one) for one in item.inputs}
        case Source() if not isinstance(item, Taken):  # others say themselves how often they send
            arguments |= _pace(item)
    if isinstance(item, Email | Log | Publish | Webhook) and "streams" not in arguments:
        arguments["alarms"] = _alarms(app, item) or None
    return {field: list(value) if isinstance(value, tuple) else value for field, value in arguments.items() if value is not None}


def _conditions(app: App, function: Function, **written: str | None) -> dict[str, Any]:
    """Conditions as they are evaluated: on what is stored, whatever the unit in which they are written."""
    return {name: conditions.parse(text, known=numbers(app, function)) for name, text in written.items() if text is not None}


def _alarms(app: App, sink: Sink) -> dict[str, Any]:
    """What those who are told of alarms have to know of their values."""
    found = {one: described(app, one) for one in sink.inputs if isinstance(app.functions.get(one), Alarm)}
    known = {name: {what: said[what] for what in ("per", "units") if what in said} for name, said in found.items()}
    return {name: said for name, said in known.items() if said}


def _pace(source: Source) -> dict[str, int]:
    """How often samples come, in the integers that a driver takes: those of a slow table as the time between two."""
    if source.rate_hz is None:
        return {}
    return {"rate_hz": int(source.rate_hz)} if source.rate_hz.is_integer() else {"period_ms": round(1000 / source.rate_hz)}


def judged(app: App, model: str) -> dict[str, Any]:
    """What judge and loop have to know of a model; its columns are those of the function that learns it."""
    learns = learner(app, model)
    decide = next((one.decide for one in app.functions.values() if isinstance(one, Judge) and one.model == model), "majority")
    learned = app.models[model]
    trees = learned.pool.trees if learned.pool else (learned.trees,)
    replace = [learned.replace.when.alarms, learned.replace.when.within_ms] if learned.replace else []
    return {
        **_learning(learned, columns(app, learns) if learns else None),
        "pool_trees": list(trees),
        "pool_quantile": learned.pool.threshold_permille if learned.pool else learned.threshold_permille,
        "replace": replace,
        "decide": decide,
    }


def _learning(learned: Learned, features: tuple[str, ...] | None) -> dict[str, Any]:
    return {
        "features": list(features or ()),
        "uses": list(learned.features or features or ()),
        "trees": learned.trees,
        "subsample": learned.subsample,
        "quantile": learned.threshold_permille,
        "rows": learned.train.first_rows,
        "seed": learned.seed,
    }
