"""From an app, as the language writes it, to a problem.

Instances: a node with `count: 4` is four, `pump-1` to `pump-4`. What hangs on a source of such a node exists once for each,
`features@pump-1`, until a function says `merge: pump`. A sink at such a node exists there on each. A sink without `at` is placed like a
function, on a gateway or in the cloud. A link of counted nodes joins equal numbers, and goes round when the counts differ.
"""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from eddy.errors import DataError, SettingError
from eddy.planner.defaults import LINKS, NODES, Stream, needs
from eddy.planner.problem import Flow, Function, Link, Node, Problem, Sink, Source

Tree = Mapping[str, Any]

_UNITS = {
    **{"": 1.0, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "Hz": 1.0, "kHz": 1e3, "MHz": 1e6},
    **{"B": 1.0, "KiB": 1024.0, "MiB": 2.0**20, "GiB": 2.0**30, "kB": 1e3, "MB": 1e6, "GB": 1e9, "J": 1.0, "Wh": 3600.0},
    **{"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9, "baud": 0.8},  # of the 10 bits of a serial character 8 are data
}
_SIZES = {"int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "float32": 4, "int64": 8, "float64": 8}
_TREES, _SUBSAMPLE, _FEATURES = 50, 100, 3  # what the language assumes of a model


def read(file: Path) -> Problem:
    """The problem of an app in a file.

    Raises:
        DataError: It cannot be read, or is no app.
        SettingError: A value or a name in it is wrong.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        app = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
        return problem(app)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DataError(f"cannot read {file}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is no app ({error!r}): it needs nodes, sources and functions as in the documentation") from None


def problem(app: Tree) -> Problem:
    """The problem of an app, as the mapping that its file is.

    Raises:
        SettingError: A quantity, name or shape in it is wrong.
    """
    return _Builder(app).problem()


def quantity(text: str | float) -> float:
    """`500ms`, `256KiB`, `2Mbit/s`, `20kHz`: in s, bytes, bit/s, Hz.

    Raises:
        SettingError: It is none.
    """
    match = re.fullmatch(r"([0-9.]+)\s*([A-Za-z/]*)", str(text))
    if match is None or match[2] not in _UNITS:
        raise SettingError(f"{text!r} is no quantity: write a number and one of {', '.join(filter(None, _UNITS))}")
    return float(match[1]) * _UNITS[match[2]]


class _Builder:
    """Instances and their wiring, grown from the sources on."""

    def __init__(self, app: Tree) -> None:
        self._app = app
        self._nodes: dict[str, list[str]] = {
            name: [f"{name}-{number + 1}" for number in range(node["count"])] if node.get("count", 1) > 1 else [name]
            for name, node in app["nodes"].items()
        }
        self._streams: dict[str, dict[str, tuple[str, Stream]]] = {}  # name: {node it hangs on, or nothing: (instance, stream)}
        self._functions: list[Function] = []
        self._sources: list[Source] = []
        self._sinks: list[Sink] = []
        self._flows: list[Flow] = []

    def problem(self) -> Problem:
        for name, source in self._app.get("sources", {}).items():
            self._source(name, source)
        waiting = dict(self._app.get("functions", {}))
        while waiting:
            ready = [name for name, function in waiting.items() if all(one in self._streams for one in _names(function["from"]))]
            if not ready:
                raise SettingError(f"{', '.join(waiting)} wait for each other, or for a name that is not there: look at 'from'")
            for name in ready:
                self._function(name, waiting.pop(name))
        for name, sink in self._app.get("sinks", {}).items():
            self._sink(name, sink)
        nodes = tuple(self._node(instance, name) for name, instances in self._nodes.items() for instance in instances)
        links = tuple(link for name, link in self._app.get("links", {}).items() for link in self._links(name, link))
        minimise = tuple(self._app.get("place", {}).get("minimise", ("latency", "energy", "traffic")))
        return Problem(
            tuple(self._functions), tuple(self._sources), tuple(self._sinks), tuple(self._flows), nodes, links, minimise
        )  # fmt: skip

    def _node(self, instance: str, name: str) -> Node:
        node = self._app["nodes"][name]
        usual = NODES[node["tier"]]
        return Node(
            instance,
            node["tier"],
            cores=float(node.get("cores", usual["cores"])),
            ram_bytes=quantity(node.get("memory", usual["memory"])),
            flash_bytes=quantity(node.get("flash", usual["flash"])),
            price_per_h=float(node.get("price", usual["price_per_h"])),
            energy_j_per_cpu_s=usual["energy_j_per_cpu_s"],
            battery_j=quantity(node["battery"]) if "battery" in node else None,
        )

    def _links(self, name: str, link: Tree) -> list[Link]:
        parts = name.split("-")
        splits = [("-".join(parts[:cut]), "-".join(parts[cut:])) for cut in range(1, len(parts))]
        ends = next((split for split in splits if split[0] in self._nodes and split[1] in self._nodes), None)
        if ends is None:
            raise SettingError(f"link {name} joins no two nodes: name it after both, as in {'-'.join(list(self._nodes)[:2])}")
        usual = LINKS["serial" if link.get("kind") == "serial" else "ip"]
        a, b = (self._nodes[end] for end in ends)
        return [
            Link(
                a[number % len(a)],
                b[number % len(b)],
                quantity(link.get("bandwidth", link.get("rate", usual["bandwidth"]))),
                quantity(link.get("latency", usual["latency"])),
                float(link.get("price_per_gb", usual["price_per_gb"])),
                usual["energy_j_per_byte"],
            )
            for number in range(max(len(a), len(b)))
        ]

    def _at(self, where: str | None) -> list[str]:
        """The nodes that a name in `at` stands for; a tier stands for itself."""
        return [] if where is None else self._nodes.get(where, [where])

    def _source(self, name: str, source: Tree) -> None:
        nodes = self._at(source["at"])
        stream = Stream(quantity(source.get("rate", 1)), _SIZES.get(source.get("type", "float64"), 8))
        self._streams[name] = {}
        for node in nodes:
            on, instance = (node, f"{name}@{node}") if len(nodes) > 1 else ("", name)
            self._sources.append(Source(instance, node, source.get("private", "cloud")))
            self._streams[name][on] = (instance, stream)

    def _inputs(self, item: Tree) -> dict[str, list[tuple[str, Stream]]]:
        """For each instance that is needed, the streams that come in; `merge` makes one of all."""
        names = _names(item["from"])
        for name in names:
            if name not in self._streams:
                raise SettingError(f"'from: {name}' names nothing: name one of {', '.join(self._streams)}")
        on = {node for name in names for node in self._streams[name]} - {""}
        if "merge" in item or not on:
            return {"": [stream for name in names for stream in self._streams[name].values()]}
        ordered = [node for nodes in self._nodes.values() for node in nodes if node in on]
        return {node: [self._streams[name].get(node) or self._one(name) for name in names] for node in ordered}

    def _one(self, name: str) -> tuple[str, Stream]:
        if "" not in self._streams[name]:
            raise SettingError(f"{name} exists on other nodes than what it is used with: say 'merge' first")
        return self._streams[name][""]

    def _function(self, name: str, function: Tree) -> None:
        model = self._app.get("models", {}).get(function.get("model"), {})
        settings = {
            "size_s": quantity(function.get("size", 1)),
            "features": len(function.get("compute", range(_FEATURES))),
            "one_in": int(str(function.get("normal", "1 in 1")).rpartition(" ")[2]),
        }
        digest = sha256(json.dumps([function, model], sort_keys=True, default=str).encode()).hexdigest()[:12]
        self._streams[name] = {}
        for on, inputs in self._inputs(function).items():
            instance = f"{name}@{on}" if on else name
            rate = sum(stream.rate_hz for _, stream in inputs)
            size = sum(stream.rate_hz * stream.bytes for _, stream in inputs) / rate if rate else 0.0
            trees = {"trees": model.get("trees", _TREES), "subsample": model.get("subsample", _SUBSAMPLE)}
            need = needs(function["use"], settings, trees, Stream(rate, size))
            at = self._at(function.get("at"))
            self._functions.append(
                Function(
                    instance,
                    need.cpu_s,
                    need.ram_bytes,
                    need.flash_bytes,
                    at=(on,) if on in at else tuple(at),
                    near=self._beside(function.get("near"), on),
                    beside=self._beside(function.get("with"), on),
                    releases=function.get("releases"),
                    state_bytes=need.state_bytes,
                    digest=digest,
                )
            )
            self._streams[name][on] = (instance, need.out)
            self._flow(inputs, instance)

    def _beside(self, name: str | None, on: str) -> str | None:
        """The instance of that name that belongs to the same node."""
        if name is None:
            return None
        instances = self._streams.get(name, {})
        return instances[on][0] if on in instances else next((one for one, _ in instances.values()), name)

    def _flow(self, inputs: list[tuple[str, Stream]], consumer: str) -> None:
        self._flows += [Flow(producer, consumer, stream.rate_hz * stream.bytes, stream.rate_hz) for producer, stream in inputs]

    def _sink(self, name: str, sink: Tree) -> None:
        nodes = self._at(sink.get("at"))
        for on, inputs in self._inputs(sink).items():
            if not nodes:
                instance = f"{name}@{on}" if on else name
                self._functions.append(Function(instance, {"gateway": 1e-4, "cloud": 1e-4}, digest=str(sink.get("driver", ""))))
                self._flow(inputs, instance)
            for node in [on] if on in nodes else nodes:
                parts = dict.fromkeys(filter(None, (name, on, node if len(nodes) > 1 else "")))
                self._sinks.append(Sink("@".join(parts), node))
                self._flow(inputs, self._sinks[-1].name)


def _names(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
