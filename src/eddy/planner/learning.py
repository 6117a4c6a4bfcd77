"""The loop of a model as instances beside those that an app declares, for every model that a pool judges:

    MODEL.loop              a sink: takes in what the judges say
    MODEL.champion@DEVICE   a source: packages with other champions for the model on that device
    MODEL.pool              a source: who belongs to the pools, for the judges

A device is a node, or where several of the models are on one, an instance of the model. They share a folder (`eddy.loop.drivers`), so
they are at one node: where the first judge is pinned to, else the first that may see what the judges see, of the tier where pools are
trained before others.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from eddy.errors import SettingError
from eddy.planner.privacy import Labels
from eddy.planner.wired import Wired
from eddy.spec.catalog import Judge, Model
from eddy.spec.instances import Instance, nodes
from eddy.spec.model import App
from eddy.spec.programs import judged

DRIVERS = "eddy.loop.drivers"


def with_loops(app: App, wired: Sequence[Wired], instances: Sequence[Instance]) -> list[Wired]:
    """The instances of an app, and those of its models' loops; producers before consumers, except for what comes back from a loop."""
    judging = {name: function.model for name, function in app.functions.items() if isinstance(function, Judge)}
    known = {one.instance: one for one in wired}
    on = {one.name: one.on for one in instances}
    for model in dict.fromkeys(judging.values()):
        first = next(name for name, about in judging.items() if about == model)
        judges = [one for one in known.values() if one.kind == "function" and judging.get(one.name) == model]
        known |= {one.instance: one for one in _loop(app, model, [one for one in judges if one.name == first], judges, known, on)}
    return list(known.values())


def _loop(app: App, model: str, first: list[Wired], judges: list[Wired], known: dict[str, Wired], on: dict[str, str]) -> list[Wired]:
    learners = {name for name, function in app.functions.items() if isinstance(function, Model) and function.model == model}
    champions = {origin: _champion(origin, known, learners) for judge in judges for origin in judge.inputs}
    devices = _devices({origin: one for origin, one in champions.items() if one}, known, on)
    labels = frozenset(label for judge in judges for label in judge.labels)
    node = _home(app, model, first, labels)
    reports, pool = f"{model}.loop", f"{model}.pool"
    settings = {"model": model, "devices": devices, "settings": judged(app, model)}
    made = [
        _implicit("sink", reports, model, [DRIVERS, "Reports", settings], tuple(judge.instance for judge in first), labels, node),
        _implicit("source", pool, model, [DRIVERS, "Pool", {"model": model}], (), labels, node),
    ]
    for judge in judges:
        arguments = {**judge.program[2], "devices": {origin: devices[origin] for origin in judge.inputs if origin in devices}}
        made.append(replace(judge, program=[*judge.program[:2], arguments], inputs=(*judge.inputs, pool)))
    for origin, device in devices.items():
        champion, source = champions[origin], f"{model}.champion@{device}"
        assert champion
        made.append(_implicit("source", source, model, [DRIVERS, "Champions", {"model": model, "device": device}], (), labels, node))
        arguments = {**champion.program[2], "home": [model, device]}
        made.append(replace(champion, program=[*champion.program[:2], arguments], inputs=(*champion.inputs, source)))
    return made


def _implicit(kind: Any, instance: str, model: str, program: list[Any], inputs: tuple[str, ...], labels: Labels, node: str) -> Wired:
    return Wired(instance, kind, model, program, inputs, labels, 0, "stay", None, None, node, None)


def _champion(origin: str, known: dict[str, Wired], learners: set[str]) -> Wired | None:
    """The model whose outputs come to a judge by this way; None where there is none, or several."""
    one = known[origin]
    while one.name not in learners or one.kind != "function":
        if len(one.inputs) != 1:
            return None
        one = known[one.inputs[0]]
    return one


def _devices(champions: dict[str, Wired], known: dict[str, Wired], on: dict[str, str]) -> dict[str, str]:
    """{origin of reports: device}."""
    places = {one.instance: on[one.instance] or _born(one, known) for one in champions.values()}
    shared = {place for place in places.values() if list(places.values()).count(place) > 1}
    return {origin: one.instance if places[one.instance] in shared else places[one.instance] for origin, one in champions.items()}


def _born(one: Wired, known: dict[str, Wired]) -> str:
    """The node of the first source behind an instance."""
    while one.inputs:
        one = known[one.inputs[0]]
    return one.node or one.instance


def _home(app: App, model: str, first: list[Wired], labels: Labels) -> str:
    pinned = next((judge.node for judge in first if judge.node), None)
    if pinned:
        return pinned
    declared = app.models[model].pool
    tier = declared.train if declared else "gateway"
    tiers = {host: app.nodes[name].tier for name, group in nodes(app).items() for host in group}
    seeing = ["gateway", "cloud"] if not labels else ["gateway"] if {label.level for label in labels} == {"gateway"} else []
    able = [host for wanted in (tier, *seeing) if wanted in seeing for host in tiers if tiers[host] == wanted]
    if not able:
        what = ", ".join(sorted(f"{label.born} ({label.level})" for label in labels))
        raise SettingError(f"the pool of {model} needs a node that may see {what or 'its reports'}: declare a gateway, or release more")
    return able[0]
