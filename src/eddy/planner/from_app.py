"""From an app to a problem: its instances with what they need, and the flows between them with what they carry.

A sink without `at` is placed like a function, on a gateway or in the cloud.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from eddy.planner.defaults import LINKS, NODES, Needs, Stream, needs
from eddy.planner.problem import Flow, Function, Link, Node, Problem, Sink, Source
from eddy.spec import catalog
from eddy.spec.instances import Instance, expand, nodes, pairs
from eddy.spec.learning import Learned
from eddy.spec.model import App
from eddy.spec.programs import program
from eddy.spec.vocabulary import SAMPLE_BYTES, SampleType

_RATE_HZ = 1.0  # of a source that does not say so
_TYPE: SampleType = "float64"  # likewise
_SAID = {"private", "inputs", "merge", "releases", "copies", "on_partition", "effect"}  # of a thing, beside what it runs and where
_SINK_CPU_S = {"gateway": 1e-4, "cloud": 1e-4}


def problem(app: App, code: Mapping[str, bytes] | None = None) -> Problem:
    """The problem of a checked app.

    Args:
        code: {path beside the app's file: content} of people's own files, which tell one configuration from another, too.
    """
    digests = _digests(app, code or {})
    instances = expand(app)[0]
    streams: dict[str, Stream] = {}
    functions: list[Function] = []
    for instance in instances:
        match instance.kind:
            case "source":
                source = app.sources[instance.of]
                streams[instance.name] = Stream(source.rate_hz or _RATE_HZ, SAMPLE_BYTES[source.type or _TYPE])
            case "function":
                need = _needs(app, app.functions[instance.of], [streams[one] for one in instance.inputs])
                streams[instance.name] = need.out
                functions.append(_function(app, instance, need, digests[instance.of]))
            case "sink" if not instance.at:
                functions.append(Function(instance.name, _SINK_CPU_S, digest=digests[instance.of], driver=True))
    hosts = nodes(app)
    return Problem(
        tuple(functions),
        tuple(Source(one.name, one.at[0], app.sources[one.of].private, digests[one.of]) for one in instances if one.kind == "source"),
        tuple(Sink(one.name, one.at[0], digests[one.of]) for one in instances if one.kind == "sink" and one.at),
        tuple(_flow(producer, one.name, streams[producer]) for one in instances for producer in one.inputs),
        tuple(_node(app, name, host) for name, group in hosts.items() for host in group),
        tuple(link for name in app.links for link in _links(app, name)),
        app.place.minimise,
    )


def _function(app: App, instance: Instance, need: Needs, digest: str) -> Function:
    function = app.functions[instance.of]
    return Function(
        instance.name,
        need.cpu_s,
        need.ram_bytes,
        need.flash_bytes,
        at=instance.at,
        near=instance.near,
        beside=instance.beside,
        releases=function.releases,
        state_bytes=need.state_bytes,
        digest=digest,
    )


def _needs(app: App, function: catalog.Function, inputs: list[Stream]) -> Needs:
    """What one instance needs that takes in these streams."""
    rate = sum(stream.rate_hz for stream in inputs)
    size = sum(stream.rate_hz * stream.bytes for stream in inputs) / rate if rate else 0.0
    model = Learned()
    size_s, features, one_in = 1.0, 1, 1
    match function:
        case catalog.Window():
            size_s = function.size_ms / 1000
        case catalog.Features():
            features = len(function.compute)
        case catalog.Model() | catalog.Judge():
            model = app.models[function.model]
        case catalog.Forward():
            one_in = function.normal_every
    settings = {"size_s": size_s, "features": features, "one_in": one_in}
    return needs(function.use, settings, {"trees": model.trees, "subsample": model.subsample}, Stream(rate, size))


def _digests(app: App, code: Mapping[str, bytes]) -> dict[str, str]:
    """Of each source, function and sink, see `eddy.planner.problem.Function`."""
    found = {}
    for kind, items in (("source", app.sources), ("function", app.functions), ("sink", app.sinks)):
        for name, item in items.items():
            does = program(app, kind, name)
            runs = [does, sha256(code.get(does[0], b"")).hexdigest(), getattr(item, "safe", None)]
            model = app.models[item.model] if isinstance(item, catalog.Model | catalog.Judge) else None
            said = [item.model_dump(mode="json", include=_SAID), model and model.model_dump(mode="json", by_alias=True)]
            found[name] = f"{_digest(runs)}.{_digest(said)}"
    return found


def _digest(plain: Any) -> str:
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def _flow(producer: str, consumer: str, stream: Stream) -> Flow:
    return Flow(producer, consumer, stream.rate_hz * stream.bytes, stream.rate_hz)


def _node(app: App, name: str, host: str) -> Node:
    node = app.nodes[name]
    usual = NODES[node.tier]
    return Node(
        host,
        node.tier,
        cores=node.cores or usual["cores"],
        ram_bytes=node.memory_bytes or usual["memory"],
        flash_bytes=node.flash_bytes or usual["flash"],
        price_per_h=usual["price_per_h"] if node.price_per_h is None else node.price_per_h,
        energy_j_per_cpu_s=usual["energy_j_per_cpu_s"],
        battery_j=node.battery_j,
    )


def _links(app: App, name: str) -> list[Link]:
    link, usual = app.links[name], LINKS[app.links[name].kind]
    return [
        Link(
            a,
            b,
            link.bandwidth_bit_s or link.rate_bit_s or usual["bandwidth"],
            usual["latency"] if link.latency_s is None else link.latency_s,
            usual["price_per_gb"] if link.price_per_gb is None else link.price_per_gb,
            usual["energy_j_per_byte"],
        )
        for a, b in pairs(app, name)
    ]
