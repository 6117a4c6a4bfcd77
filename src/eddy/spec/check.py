"""What names mean: the checks of an app whose form is sound, in small steps, none of which stops the others."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Any

from eddy.spec import conditions, own, phrases
from eddy.spec.catalog import Alarm, Filter, Judge, Model, Rule, Simulated
from eddy.spec.described import columns, numbers
from eddy.spec.diagnostics import Finding, Invalid, did_you_mean
from eddy.spec.instances import ends, expand, nodes, pairs
from eddy.spec.model import App
from eddy.spec.vocabulary import LEVELS

Findings = Iterator[Finding]


@dataclass(frozen=True)
class Known:
    """The names of an app, also of what is too broken to be looked at: who names it has made no mistake."""

    nodes: Collection[str]
    links: Collection[str]
    sources: Collection[str]
    functions: Collection[str]
    sinks: Collection[str]
    models: Collection[str]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Known":
        """The names in plain data as in a file; those of a section with a typo in its name are there all the same."""
        names: dict[str, list[str]] = {section: [] for section in cls.__dataclass_fields__}
        for key, content in data.items():
            meant = get_close_matches(str(key), names, n=1, cutoff=0.8)
            if meant and isinstance(content, dict):
                names[meant[0]] += map(str, content)
        return cls(**names)

    @property
    def streams(self) -> list[str]:
        """What can be taken in."""
        return [*self.sources, *self.functions]


def check(app: App, declared: Known) -> list[Finding]:
    """Everything that is wrong with what names mean, step by step."""
    steps = (_twice, _inputs, _places, _rates, _company, _models, _conditions, _cycles, _links, _reach, _adaptations, _verifications)
    findings = [finding for step in steps for finding in step(app, declared)]
    return findings + expand(app)[1] + list(own.check(app))


def _unknown(path: tuple[str | int, ...], name: str, known: Collection[str], what: str, column: int = 0) -> Findings:
    if name not in known:
        yield Finding(path, "E131", f"there is no {what} '{name}'", did_you_mean(name, known), column=column)


def _twice(app: App, declared: Known) -> Findings:
    """Sources, functions and sinks share one set of names; so do nodes and those that counted ones stand for."""
    seen: dict[str, str] = {}
    for section in ("sources", "functions", "sinks"):
        for name in getattr(declared, section):
            if name in seen:
                yield Finding((section, name), "E132", f"'{name}' is in {seen[name]} too", "give each its own name", key=True)
            seen.setdefault(name, section)
    hosts: dict[str, str] = {}
    for name, group in nodes(app).items():
        for host in group:
            if host in hosts:
                yield Finding(("nodes", name), "E132", f"'{host}' is one of the nodes '{hosts[host]}' too", "rename one", key=True)
            hosts[host] = name


def _inputs(app: App, declared: Known) -> Findings:
    """What functions and sinks take in is there, and something comes out of it."""
    for section, items in (("functions", app.functions), ("sinks", app.sinks)):
        for name, item in items.items():
            for number, one in enumerate(item.inputs):
                path = (section, name, "from", number)
                if one in declared.sinks and one not in declared.streams:
                    yield Finding(path, "E131", f"'{one}' is a sink, nothing comes out of it", did_you_mean(one, declared.streams))
                else:
                    yield from _unknown(path, one, declared.streams, "source or function")


def _places(app: App, declared: Known) -> Findings:
    """`at` and `merge` name nodes."""
    for name, source in app.sources.items():
        yield from _unknown(("sources", name, "at"), source.at, declared.nodes, "node")
    for name, function in app.functions.items():
        for number, place in enumerate(function.at):
            yield from _unknown(("functions", name, "at", number), place, [*declared.nodes, *LEVELS], "node or tier")
    for name, sink in app.sinks.items():
        if sink.at is not None:
            yield from _unknown(("sinks", name, "at"), sink.at, declared.nodes, "node")
    for section, items in (("functions", app.functions), ("sinks", app.sinks)):
        for name, item in items.items():
            if item.merge is not None:
                yield from _unknown((section, name, "merge"), item.merge, declared.nodes, "node")


def _rates(app: App, declared: Known) -> Findings:
    """A simulated source makes whole numbers of samples a second."""
    for name, source in app.sources.items():
        if isinstance(source, Simulated) and not source.rate_hz.is_integer():
            reason = "the simulated driver makes a whole number of samples a second"
            yield Finding(("sources", name, "rate"), "E136", reason, "write a rate as in 1Hz; 'speed' makes time pass faster")


def _company(app: App, declared: Known) -> Findings:
    """`near` and `with` name something to be close to."""
    for name, function in app.functions.items():
        if function.near is not None:
            everything = [*declared.streams, *declared.sinks]
            yield from _unknown(("functions", name, "near"), function.near, everything, "source, function or sink")
        if function.beside is not None:
            yield from _unknown(("functions", name, "with"), function.beside, declared.functions, "function")


def _models(app: App, declared: Known) -> Findings:
    """Models are declared, and what their rows hold is known."""
    for name, function in app.functions.items():
        if isinstance(function, Model | Judge):
            yield from _unknown(("functions", name, "model"), function.model, declared.models, "model")
        if isinstance(function, Model) and function.features is None and not columns(app, name):
            if any(one in declared.functions and one not in app.functions for one in function.inputs):
                continue  # that one is broken, and told already
            reason = f"what the rows hold that '{name}' takes in is not known"
            way_out = "let it take in one features function, or name the columns with 'features:'"
            yield Finding(("functions", name, "from"), "E136", reason, way_out)


def _conditions(app: App, declared: Known) -> Findings:
    """What conditions compare is the same number in all that comes in, and its unit is known."""
    for name, function in app.functions.items():
        if not isinstance(function, Alarm | Filter | Rule) or any(one not in {*app.sources, *app.functions} for one in function.inputs):
            continue
        for field in ("when", "clear"):
            try:
                if text := getattr(function, field, None):
                    conditions.parse(text, known=numbers(app, function))
            except Invalid as error:
                path = ("functions", name, type(function).model_fields[field].alias or field)
                yield Finding(path, error.code, error.reason, error.way_out, column=error.column)


def _cycles(app: App, declared: Known) -> Findings:
    """Nothing waits for itself."""
    graph = {name: [one for one in function.inputs if one in app.functions] for name, function in app.functions.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle = list(error.args[1])
            start = min(cycle, key=list(graph).index)
            at = cycle[:-1].index(start)
            way = [*cycle[at:-1], *cycle[:at], start]
            reason = f"functions wait for each other: {' → '.join(way)}"
            yield Finding(("functions", start, "from"), "E133", reason, "let one of them take in something else")
            for name in cycle[:-1]:
                graph[name] = []
        else:
            return


def _links(app: App, declared: Known) -> Findings:
    """Links are named after two nodes and say their bandwidth once."""
    for name, link in app.links.items():
        if ends(name, dict.fromkeys(declared.nodes)) is None:
            others = (f"{a}-{b}" for a in declared.nodes for b in declared.nodes if a != b)
            way_out = did_you_mean(name, others, "name it after both, as in pump-gw")
            yield Finding(("links", name), "E134", f"link '{name}' joins no two nodes", way_out, key=True)
        if link.rate_bit_s is not None and link.bandwidth_bit_s is not None:
            yield Finding(("links", name, "rate"), "E136", "'rate' and 'bandwidth' say the same", "leave one out", key=True)


def _reach(app: App, declared: Known) -> Findings:
    """Links lead from each node to all others."""
    if any(ends(name, dict.fromkeys(declared.nodes)) is None for name in declared.links) or app.links.keys() != set(declared.links):
        return  # that is told already, and what it meant to join is not known
    beside: dict[str, set[str]] = {host: set() for group in nodes(app).values() for host in group}
    for a, b in (pair for name in app.links for pair in pairs(app, name)):
        beside[a].add(b)
        beside[b].add(a)
    start = next(iter(beside))
    reached, edge = {start}, [start]
    while edge:
        beyond = beside[edge.pop()] - reached
        reached |= beyond
        edge += beyond
    for name, group in nodes(app).items():
        lonely = next((host for host in group if host not in reached), None)
        if lonely is not None:
            way_out = "add a link under 'links', named after both ends, as in pump-gw"
            yield Finding(("nodes", name), "E134", f"no link leads from '{lonely}' to '{start}'", way_out, key=True)


def _adaptations(app: App, declared: Known) -> Findings:
    """Conditions and tasks of `adapt` name what is there."""
    known = {"drift": (declared.streams, "source or function"), "battery": (declared.nodes, "node")}
    for number, adaptation in enumerate(app.adapt):
        for call, argument in conditions.called(conditions.parse(adaptation.when, calls=True)):
            names, what = known[call]
            yield from _unknown(("adapt", number, "when"), argument, names, what, adaptation.when.index(argument))
        parts = phrases.task(adaptation.do)
        yield from _parts(("adapt", number, "do"), adaptation.do, parts, declared)


def _verifications(app: App, declared: Known) -> Findings:
    """Expectations of `verify` name what is there."""
    for number, verification in enumerate(app.verify):
        yield from _parts(("verify", number, "expect"), verification.expect, phrases.expectation(verification.expect), declared)


def _parts(path: tuple[str | int, ...], text: str, parts: Mapping[str, str], declared: Known) -> Findings:
    """Names in a phrase, by what they are."""
    known: dict[str, tuple[Collection[str], str]] = {
        "model": (declared.models, "model"),
        "function": (declared.functions, "function"),
        "node": (declared.nodes, "node"),
        "start": (declared.streams, "source or function"),
        "end": ([*declared.streams, *declared.sinks], "function or sink"),
        "stream": (declared.streams, "source or function"),
        "place": ([*declared.nodes, *LEVELS], "node or tier"),
    }
    for part, name in parts.items():
        if part in known:
            names, what = known[part]
            yield from _unknown(path, name, names, what, text.rindex(name) if part in ("node", "end", "place") else text.index(name))
