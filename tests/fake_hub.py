"""A hub in memory for tests of what stands on `HubView`: the contract without nodes, and without waiting."""

from dataclasses import replace
from threading import RLock
from typing import Any

from ruamel.yaml import YAML

from eddy.errors import NoPlan, Refused, SettingError
from eddy.hub.names import unknown
from eddy.hub.search import Words
from eddy.hub.view import APP_FILE, Decision, DeviceState, DeviceView, Document, Event, Found, FunctionView, NodeView


def node(name: str, **fields: Any) -> NodeView:
    return replace(NodeView(name, "gateway", "up", 120, [], [], f"tls/{name}:7447"), **fields)


def function(instance: str, **fields: Any) -> FunctionView:
    name = instance.partition("@")[0]
    plain = FunctionView(
        instance=instance,
        name=name,
        kind="function",
        app="pump-guard",
        node="gw",
        term=1,
        wanted="gw",
        in_sync=["gw"],
        replicas=["gw"],
        stream=name,
        consumers=[],
        inputs=["vibration"],
        program=["eddy.kernel.functions.rule", "Rule", {"key": b"\x00\xff"}],
        stopped=False,
        index=12,
        faults=0,
        fault="",
        labels=[],
        on_partition="stay",
        why="asked for",
    )
    return replace(plain, **fields)


def device(origin: str, **fields: Any) -> DeviceView:
    return replace(DeviceView("pump-guard", "room", origin, "waiting", 1_000, 2_000, 3, "", None), **fields)


class FakeHub:
    """Implements `HubView`. A move is done when a test calls `finish`.

    Attributes:
        settings: {instance: settings} as configured.
        last: {instance: [seq, time_ns, value]}; None for an owner that does not answer.
        raised: {instance: what is raised}; None likewise.
        waiting: Devices, the way they are shown.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._nodes = {name: node(name) for name in ("cloud", "gw")} | {
            "pump-3": node("pump-3", tier="device", state="silent", heard_ms=9000)
        }
        names = ("features@pump-3", "detect@pump-3", "judge")
        where = {name: "pump-3" if "@" in name else "gw" for name in names}
        self._functions = {name: function(name, node=at, wanted=at, in_sync=[at], replicas=[at]) for name, at in where.items()}
        self._apps = {"pump-guard": "app: pump-guard\n"}
        self._decisions: list[Decision] = []
        self._events: list[Event] = []
        self.settings: dict[str, dict[str, Any]] = {}
        self.last: dict[str, Any] = {name: [] for name in names}
        self.raised: dict[str, Any] = {}
        self.waiting: list[DeviceView] = []

    fabric = "tls/127.0.0.1:7447"

    # What tests do to it

    def finish(self, instance: str) -> None:
        with self._lock:
            one = self._functions[instance]
            if one.node != one.wanted:
                why = f"{one.node} has stopped for it"
                self._functions[instance] = replace(
                    one, node=one.wanted, term=one.term + 1, in_sync=[one.wanted], replicas=[one.wanted], why=why
                )
                self.decide(instance, f"owner is {one.wanted}", why)

    def reach(self, instance: str, **fields: Any) -> None:
        with self._lock:
            self._functions[instance] = replace(self._functions[instance], **fields)

    def decide(self, instance: str, what: str, why: str) -> None:
        with self._lock:
            number = len(self._decisions) + 1
            term = self._functions[instance].term if instance in self._functions else 1
            self._decisions.append(Decision(number, 1_000 * (len(self._decisions) + len(self._events)), instance, term, what, why))

    def happen(self, node: str, kind: str, instance: str = "", text: str = "so it is") -> None:
        with self._lock:
            self._events.append(
                Event(len(self._events) + 1, 1_000 * (len(self._decisions) + len(self._events)), node, kind, instance, text)
            )

    def fail(self, instance: str, fault: str) -> None:
        with self._lock:
            one = self._functions[instance]
            self._functions[instance] = replace(one, faults=one.faults + 1, fault=fault)

    # HubView

    def nodes(self) -> list[NodeView]:
        with self._lock:
            functions = self._functions.values()
            return [
                replace(
                    one,
                    functions=[f.instance for f in functions if f.node == name],
                    copies=[f.instance for f in functions if f.node != name and name in f.replicas],
                )
                for name, one in sorted(self._nodes.items())
            ]

    def functions(self) -> list[FunctionView]:
        with self._lock:
            return [self._functions[name] for name in sorted(self._functions)]

    def decisions(self, instance: str | None, after: int | None, limit: int) -> list[Decision]:
        with self._lock:
            found = [one for one in self._decisions if instance in (None, one.instance)]
        return found[-limit:] if after is None else [one for one in found if one.number > after][:limit]

    def events(self, after: int | None, limit: int) -> list[Event]:
        with self._lock:
            found = self._events[:]
        return found[-limit:] if after is None else [one for one in found if one.number > after][:limit]

    def search(self, text: str, limit: int) -> Found:
        wanted = Words.of(text)

        def has(*parts: str) -> bool:
            return all(phrase.casefold() in " ".join(parts).casefold() for phrase, _ in wanted.phrases)

        with self._lock:
            decisions = [one for one in self._decisions if has(one.instance, one.what, one.why)]
            events = [one for one in self._events if has(one.node, one.kind, one.instance, one.text)]
            documents = [Document(app, APP_FILE, *wanted.line(text)) for app, text in sorted(self._apps.items()) if has(text)]
        return Found(documents[:limit], decisions[-limit:], events[-limit:])

    def progress(self, app: str) -> dict[str, int]:
        with self._lock:
            count = len(self._functions)
        return {"instances": count, "running": count, "ended": 0, "pending": 0}

    def apps(self) -> list[str]:
        with self._lock:
            return sorted(self._apps)

    def app(self, name: str) -> str:
        with self._lock:
            if name not in self._apps:
                raise unknown("app", name, self._apps)
            return self._apps[name]

    def apply(self, text: str, files: dict[str, bytes], dry: bool) -> dict[str, Any]:
        if "impossible" in text:
            raise NoPlan([("", "raw samples would leave pump-3: keep detect there")])
        name = str(YAML(typ="safe").load(text)["app"])
        with self._lock:
            change = "change" if name in self._apps else "create"
            if not dry:
                self._apps[name] = text
        return {"placement": {"judge": {"node": "gw"}}, "changes": [{"kind": change}], "reasons": [], "figures": {"files": len(files)}}

    def remove(self, app: str) -> None:
        with self._lock:
            del self._apps[app]

    def move(self, instance: str, node: str, why: str) -> None:
        with self._lock:
            if instance not in self._functions:
                raise unknown("function", instance, self._functions)
            if node not in self._nodes:
                raise unknown("node", node, self._nodes)
            one = self._functions[instance]
            if one.name == "features" and node != "pump-3":
                raise Refused(f"{instance} may not leave pump-3: its input is private there")
            if one.wanted != node:
                self._functions[instance] = replace(one, wanted=node, replicas=sorted({one.node, node}), why=why)
                self.decide(instance, f"want it on {node}", why)

    def configure(self, instance: str, settings: dict[str, Any]) -> None:
        with self._lock:
            self.settings[instance] = settings

    def ask(self, instance: str, what: str) -> Any:
        with self._lock:
            if what == "driver":
                return [True, ""]
            return self.raised.get(instance, []) if what == "alarms" else self.last[instance] if what == "last" else 4711

    def devices(self) -> list[DeviceView]:
        with self._lock:
            return self.waiting[:]

    def admit(self, app: str, source: str, origin: str, approved: bool, by: str) -> None:
        state: DeviceState = "approved" if approved else "refused"
        with self._lock:
            others = [one for one in self.waiting if (one.app, one.source, one.origin) != (app, source, origin)]
            self.waiting = [*others, DeviceView(app, source, origin, state, None, None, 0, by, 42)]

    def enrol(self, csr_pem: str, proof: str) -> str:
        if proof != "proof of the token":
            raise Refused("the join token has expired: ask for another one")
        return f"-----BEGIN CERTIFICATE-----\n{len(csr_pem)}\n-----END CERTIFICATE-----\n"

    def token(self, node: str | None, expires_s: int) -> str:
        return f"join-{node or 'any'}-{expires_s}"

    def declare_gone(self, node: str, why: str) -> None:
        with self._lock:
            if node not in self._nodes:
                raise SettingError(f"no {node}")
            self._nodes[node] = replace(self._nodes[node], state="gone")
            self.happen(node, "gone", text=why)
