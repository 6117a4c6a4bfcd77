"""The hub as others see and steer it: desired state on one side, what nodes report on the other. See `eddy.hub.view` for the contract."""

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import RLock
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from eddy.errors import EddyError, Outdated, Refused, SettingError
from eddy.fabric.mesh import Mesh
from eddy.hub.control import Control, Entry
from eddy.hub.deployment import Wanted, deploy
from eddy.hub.devices import Devices, Seen
from eddy.hub.names import unknown
from eddy.hub.register import Register
from eddy.hub.search import Words
from eddy.hub.terms import Terms
from eddy.hub.view import APP_FILE, Decision, DeviceView, Event, Found, FunctionView, NodeState, NodeView, Tier
from eddy.kernel.assignment import ENDED, HUB, OWNER, STOPPED
from eddy.kernel.charter import open_charter
from eddy.kernel.codec import decode, encode
from eddy.kernel.package import DOMAIN, Manifest
from eddy.links.senders import DEVICES, WAITING
from eddy.planner import explain
from eddy.planner.explain import Running
from eddy.planner.from_app import problem
from eddy.planner.privacy import check_move
from eddy.planner.problem import Problem
from eddy.planner.topology import Topology
from eddy.planner.wired import Wired
from eddy.planner.wiring import wiring
from eddy.security.authority import Authority
from eddy.security.signing import SigningKey
from eddy.spec.described import described
from eddy.spec.load import parse
from eddy.spec.measured import measured, unit_of
from eddy.spec.model import App

_ASK_S = 2.0
_PLAN = "the plan says so"


def now_ms() -> int:
    """Of the clock of the control loop."""
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True)
class _Known:
    """An app that runs, taken apart."""

    version: int
    text: str
    files: Mapping[str, bytes]
    app: App
    problem: Problem
    wired: Mapping[str, Wired]


def _told(settings: Mapping[str, Any]) -> str:
    """New settings in words; of an acknowledgement also who it is of, and whose."""
    text = "settings: " + ", ".join(sorted(settings))
    seen = settings.get("acknowledge")
    if isinstance(seen, dict) and all(isinstance(one, list) and len(one) == 4 for one in seen.values()):
        text += "".join(f"; {origin} by {one[2]}" + (f": {one[3]}" if one[3] else "") for origin, one in sorted(seen.items()))
    return text


def _copies(wanted: list[Wanted]) -> list[str]:
    """Who holds what, in words."""
    functions = [one for one in wanted if one.kind == "function" or one.holders]
    none = "none: no other node may hold it, or none is asked for"
    return [f"  {one.charter.instance}  {', '.join(one.holders) or none}" for one in functions]


def _take_apart(text: str, files: Mapping[str, bytes], version: int) -> _Known:
    """Raises SpecError for what is no app, SettingError for a file that does not lie beside it."""
    with tempfile.TemporaryDirectory(prefix="eddy-app-") as folder:  # the language looks for people's own code beside the app
        for path, content in files.items():
            file = Path(folder, path).resolve()
            if not file.is_relative_to(Path(folder).resolve()):
                raise SettingError(f"{path} does not lie beside the app")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        app = parse(text, APP_FILE, Path(folder))
        return _Known(version, text, files, app, problem(app, files), {one.instance: one for one in wiring(app)})


class House:
    """A hub: its control loop, its tables, its keys. Every method may be called from any thread.

    Args:
        engine: The database.
        key: Signs charters.
        authority: Lets nodes in; None where nobody can join.
        mesh: As the hub is called on it.
        fabric: Endpoint at which nodes reach that mesh.
    """

    def __init__(self, engine: sql.Engine, key: SigningKey, authority: Authority | None, mesh: Mesh, fabric: str) -> None:
        self._fabric = fabric
        self._key = key
        self._authority = authority
        self._mesh = mesh
        self._register = Register(engine)
        self._terms = Terms(engine)
        self._devices = Devices(engine)
        self._reported: dict[str, int] = {}  # source → number of the last report about its devices
        self._lock = RLock()
        self._tiers: dict[str, tuple[Tier, str]] = {}  # what nodes say of themselves: tier, address
        self._silent: set[str] = set()
        self._control = Control(self._terms, sign=key.sign, tell=self._register.note)
        self._known: dict[str, _Known] = {}
        for app in self._register.apps():
            self._known[app.name] = _take_apart(app.text, app.files, app.version)
        mesh.answer(self._answer)

    # The control loop

    def turn(self, wait_s: float) -> None:
        """Take what came, decide, and tell whom it concerns."""
        came = self._mesh.take(wait_s)
        with self._lock:
            now = now_ms()
            for data in came:
                self._receive(data, now)
            for address in self._mesh.gone():
                if address.startswith(HUB) and address != HUB:
                    self._control.closed(address[1:], now)
            self._watch(now)
            said = self._control.poll(now)
        for to, data in said:
            self._mesh.send(to, data)

    def _receive(self, data: bytes, now: int) -> None:
        try:
            self._control.receive(data, now)
        except (EddyError, TypeError, ValueError):
            return  # no report: whoever sent it learns nothing

    def _watch(self, now: int) -> None:
        """Tell when a node falls silent, and when it is back."""
        silent = {name for name in self._control.peers if not self._control.alive(name, now)}
        for name in sorted(silent - self._silent):
            self._register.note(name, "silent", "", "is not heard any more")
        for name in sorted(self._silent - silent):
            self._register.note(name, "back", "", "is heard again")
        self._silent = silent

    def _answer(self, question: bytes) -> bytes | None:
        """What nodes ask: the key that charters are signed with, code by its SHA-256, who may send; and what they say of themselves."""
        try:
            asked: Any = decode(question)
            what, about = asked
        except (EddyError, TypeError, ValueError):
            return None
        with self._lock:
            if what == "hello":
                name, tier, address = about
                self._tiers[name] = (tier, address)
                return self._key.public_bytes()
            if what == "code":
                return next((code for app in self._known.values() for code in app.files.values() if sha256(code).digest() == about), None)
            if what == "sign":
                return self._release(about)
            if what == DEVICES:
                return self._admitted(about)
        return None

    def _admitted(self, about: Any) -> bytes | None:
        """What was decided about the devices of a source, once it is noted who waits there; see `eddy.links.senders.DEVICES`."""
        try:
            instance, number, version, told = about
            seen = [Seen.of(one) for one in told]
        except (TypeError, ValueError):
            return None
        app, wired = self._belongs(instance) if isinstance(instance, str) else ("", None)
        if wired is None or wired.kind != "source" or len(seen) > WAITING + 1:
            return None
        try:
            if seen and self._reported.get(instance) != number:
                self._devices.saw(app, wired.name, seen)
                self._reported[instance] = number
            if self._devices.version(app, wired.name) == version:
                return encode([version, None])
            now, rules = self._devices.rules(app, wired.name)
        except SQLAlchemyError:  # the database is away: the node asks again
            return None
        return encode([now, rules])

    def _release(self, manifest: bytes) -> bytes | None:
        """The signature of a package for a model of an app; the loop that has made it keeps the package to itself."""
        try:
            asked = Manifest.decode(manifest)
        except (EddyError, TypeError, ValueError):
            return None
        learners = [one for app in self._known.values() for one in app.wired.values() if one.kind == "function"]
        home = [asked.cls, asked.device]
        model = next((one.instance for one in learners if isinstance(one.program[2], dict) and one.program[2].get("home") == home), None)
        if model is None:
            return None
        self._register.note(HUB, "release", model, f"package {asked.sequence} of {asked.cls}, {asked.size:,} bytes, is signed")
        return encode(self._key.sign(DOMAIN + manifest))

    # What can be seen

    @property
    def fabric(self) -> str:
        """See `HubView`."""
        return self._fabric

    def nodes(self) -> list[NodeView]:
        """See `HubView`."""
        with self._lock:
            declared = {node.name: node.tier for app in self._known.values() for node in app.problem.nodes}
            names = {*declared, *self._control.peers, *self._tiers}
            return [self._node(name, declared.get(name) or self._tiers.get(name, ("gateway", ""))[0]) for name in sorted(names)]

    def _node(self, name: str, tier: Tier) -> NodeView:
        peer = self._control.peers.get(name)
        state: NodeState = "gone" if peer and peer.dead else "up" if peer and self._control.alive(name, now_ms()) else "silent"
        held = peer.held.values() if peer else ()
        owns = sorted(one.instance for one in held if one.flags & OWNER)
        follows = sorted(one.instance for one in held if not one.flags & OWNER)
        return NodeView(name, tier, state, now_ms() - peer.heard_ms if peer else None, owns, follows, self._tiers.get(name, ("", ""))[1])

    def functions(self) -> list[FunctionView]:
        """See `HubView`."""
        with self._lock:
            return [self._function(entry) for _, entry in sorted(self._control.entries.items())]

    def _function(self, entry: Entry) -> FunctionView:
        assignment, charter = entry.assignment, entry.charter
        said = self._control.report(assignment.instance)
        app, wired = self._belongs(assignment.instance)
        decided = self._terms.ledger(assignment.instance, None, 1)
        return FunctionView(
            instance=assignment.instance,
            name=wired.name if wired else assignment.instance,
            kind=wired.kind if wired else "function",
            app=app,
            node=assignment.owner,
            term=assignment.term,
            wanted=entry.wanted,
            in_sync=assignment.in_sync,
            replicas=assignment.replicas,
            stream=charter.stream,
            consumers=assignment.consumers,
            inputs=charter.inputs,
            program=charter.program,
            stopped=bool(said and said.flags & STOPPED),
            index=said.index if said else -1,
            faults=said.faults if said else 0,
            fault=said.fault if said else "",
            labels=sorted({f"{label.level}: {label.born}" for label in wired.labels}) if wired else [],
            on_partition="stay" if charter.stay else "yield",
            why=decided[0].why if decided else "",
        )

    def progress(self, app: str) -> dict[str, int]:
        """How far an app is: `instances`, those `running`, sources that `ended`, and outputs `pending` somewhere."""
        with self._lock:
            reports = [self._control.report(name) for name in self._instances(app)]
        running = [said for said in reports if said and said.flags & OWNER and said.index >= 0]
        return {
            "instances": len(reports),
            "running": len(running),
            "ended": sum(bool(said.flags & ENDED) for said in running),
            "pending": sum(said.pending for said in running),
        }

    def decisions(self, instance: str | None, after: int | None, limit: int) -> list[Decision]:
        """See `HubView`."""
        if instance is not None:
            with self._lock:
                known = {*self._control.entries}
            if instance not in known and not self._terms.ledger(instance, None, 1):
                raise unknown("function", instance, known)
        return self._terms.ledger(instance, after, limit)

    def events(self, after: int | None, limit: int) -> list[Event]:
        """See `HubView`."""
        return self._register.events(after, limit)

    def search(self, text: str, limit: int) -> Found:
        """See `HubView`."""
        words = Words.of(text)
        events, documents = self._register.search(words, limit)
        return Found(documents, self._terms.search(words, limit), events)

    def devices(self) -> list[DeviceView]:
        """See `HubView`."""
        return self._devices.all()

    def apps(self) -> list[str]:
        """See `HubView`."""
        with self._lock:
            return sorted(self._known)

    def app(self, name: str) -> str:
        """See `HubView`."""
        with self._lock:
            return self._app(name).text

    def ask(self, instance: str, what: str) -> Any:
        """See `HubView`."""
        self._entry(instance)
        said = self._mesh.ask(instance, encode([what, instance]), _ASK_S)
        answer: Any = None if said is None else decode(said)
        if what == "driver" and answer:  # of this revision, or it is as good as none
            return answer[1:] if answer[0] == self._entry(instance).charter.revision else None
        return self._measured(instance, answer) if answer and what == "alarms" else answer

    def _measured(self, instance: str, raised: list[list[Any]]) -> list[list[Any]]:
        """What an alarm has raised: the values as they were measured, and their unit behind them."""
        with self._lock:
            app, wired = self._belongs(instance)
            said = described(self._known[app].app, wired.name) if wired else {}
        return [[*one[:2], measured({"value": one[2]}, said)["value"], *one[3:], unit_of(said, "value")] for one in raised]

    # What can be ordered

    def apply(self, text: str, files: dict[str, bytes], dry: bool) -> dict[str, Any]:
        """See `HubView`."""
        new = _take_apart(text, files, 0)
        name = new.app.name
        with self._lock:
            before = self._known.get(name)
            taken = {other for app, known in self._known.items() if app != name for other in known.wired}
            if clash := sorted(taken & set(new.wired)):
                raise SettingError(f"{clash[0]} runs already as part of another app: give one of them another name")
            where, lost = self._where(before) if before else {}, self._lost(new.problem)
        plan, wanted = deploy(new.app, files, where, lost, key=self._key.public_bytes())  # takes seconds, in which the control loop goes on
        where |= {part: where[one.charter.instance] for one in wanted for part in one.parts if one.charter.instance in where}
        digests = before.problem.digests() if before else {}
        running = {one: Running(node, digests[one]) for one, node in where.items() if one in digests}
        result = explain.result(plan, explain.changes(plan, running))
        result["copies"] = {one.charter.instance: one.holders for one in wanted if one.kind == "function" or one.holders}
        result["text"] += ["Copies, each up to date before anything that it would have to repeat is heard", *_copies(wanted)]
        if dry:
            return result
        with self._lock:
            version = before.version if before else 0
            if self._known.get(name) is not before or not self._register.save_app(name, text, files, version):
                raise Outdated(f"somebody else has changed {name} in the meantime: look at it, then apply again")
            self._known[name] = replace(new, version=version + 1)
            reasons = {one.function: str(one).partition(one.node)[2].strip() for one in explain.reasons(plan)}
            self._carry_out(name, wanted, before, reasons)
        return result

    def _carry_out(self, app: str, wanted: list[Wanted], before: "_Known | None", reasons: Mapping[str, str]) -> None:
        """Bring desired state to what is wanted."""
        there = {one.charter.instance for one in wanted}
        for instance in before.wired if before else ():
            if instance not in there and instance in self._control.entries:
                self._control.remove(instance, f"no longer part of {app}")
        for one in wanted:
            instance = one.charter.instance
            entry = self._control.entries.get(instance)
            why = reasons.get(instance, _PLAN if one.kind == "function" else f"the {one.kind} is there")
            if entry is None or not entry.assignment.owner:
                self._place(one, why)
                continue
            self._control.change(one.charter, one.consumers, one.narrow, "the app has changed")
            if one.owner and one.owner != entry.wanted:
                self._control.move(instance, one.owner, why)
            self._control.hold(instance, one.holders, _PLAN)

    def _place(self, one: Wanted, why: str) -> None:
        if one.owner:
            one.charter.birth = os.urandom(3)
            self._control.place(one.charter, one.consumers, one.owner, one.holders, one.narrow, why)

    def remove(self, app: str) -> None:
        """See `HubView`."""
        with self._lock:
            self._app(app)
            for instance in self._instances(app):
                self._control.remove(instance, f"{app} was stopped")
            self._register.remove_app(app)
            self._devices.remove_app(app)
            del self._known[app]

    def move(self, instance: str, node: str, why: str) -> None:
        """See `HubView`."""
        with self._lock:
            entry = self._entry(instance)
            names = [one.name for one in self.nodes()]
            if node not in names:
                raise unknown("node", node, names)
            app, wired = self._belongs(instance)
            if wired and wired.kind == "source" and node not in {entry.wanted, *entry.holders}:
                raise Refused(f"{instance} is a source: it is where its sensor is, or where it has a copy")
            if wired and wired.kind == "sink" and wired.node:
                raise Refused(f"{instance} is a sink at {wired.node}: it is where its actuator is")
            if wired and wired.kind != "source":
                self._check_way(self._known[app].problem, instance, entry.assignment.owner, node)
            self._control.move(instance, node, why)

    def _check_way(self, whole: Problem, instance: str, owner: str, node: str) -> None:
        """Refuses a move on whose way, or at whose end, somebody would see what they must not, or that cannot run there."""
        there = {one.name: one for one in whole.nodes}
        function = next((one for one in whole.functions if one.name == instance), None)
        if node not in there or function is None:
            raise Refused(f"{node} is not part of the app of {instance}: add it to the app's nodes")
        if function.at and not {node, there[node].tier} & set(function.at):
            raise Refused(f"{instance} is to be at {' or '.join(function.at)}: change `at` in the app, then apply it")
        if function.cpu_s_on(there[node]) is None:
            raise Refused(f"{instance} cannot run on {node}: it needs what a {there[node].tier} does not have")
        leaks = check_move(whole, Topology(whole.nodes, whole.links), {**self._where(None), instance: owner}, instance, node)
        if leaks:
            raise Refused(str(leaks[0]))

    def configure(self, instance: str, settings: dict[str, Any]) -> None:
        """See `HubView`."""
        with self._lock:
            entry = self._entry(instance)
            charter = open_charter(entry.charter.sealed)
            charter.settings = {**charter.settings, **settings}
            self._control.change(charter, entry.assignment.consumers, entry.assignment.narrow, _told(settings))

    def admit(self, app: str, source: str, origin: str, approved: bool, by: str) -> None:
        """See `HubView`."""
        with self._lock:
            known = self._app(app)
            if source not in known.app.sources:
                raise unknown("source", source, known.app.sources)
            if getattr(known.app.sources[source], "unknown", None) != "wait":
                raise SettingError(f"nobody waits for approval at {source}: write `unknown: wait` in the app, or who may send in `allow`")
            self._devices.decide(app, source, origin, approved, by)
            for instance, wired in known.wired.items():
                entry = self._control.entries.get(instance)
                if wired.name == source and entry:
                    self._terms.note(entry.assignment, f"{'approve' if approved else 'refuse'} the device {origin}", f"{by} says so")

    def enrol(self, csr_pem: str, proof: str) -> str:
        """See `HubView`."""
        return self._authorised().sign(csr_pem.encode(), proof).decode()

    def token(self, node: str | None, expires_s: int) -> str:
        """See `HubView`."""
        return self._authorised().issue_token(node, expires_s)

    def declare_gone(self, node: str, why: str) -> None:
        """See `HubView`."""
        with self._lock:
            names = [one.name for one in self.nodes()]
            if node not in names:
                raise unknown("node", node, names)
            self._control.declare_gone(node, why)
            unplaced: list[EddyError] = []
            for app in self._known:
                try:
                    self._repair(app, node)
                except EddyError as error:  # of this app; the others go on
                    unplaced.append(error)
        if unplaced:
            raise unplaced[0]

    def _repair(self, app: str, gone: str) -> None:
        """What was on a node that is gone begins anew elsewhere, unless a copy takes over; copies get other holders."""
        known = self._known[app]
        if gone not in {one.name for one in known.problem.nodes}:
            return
        _, wanted = deploy(
            known.app, dict(known.files), self._where(known), {*self._lost(known.problem), gone}, key=self._key.public_bytes()
        )
        for one in wanted:
            entry = self._control.entries.get(one.charter.instance)
            if entry is None:
                self._place(one, _PLAN)
                continue
            others = [name for name in entry.assignment.in_sync if name != gone]
            if entry.assignment.owner == gone and one.owner not in ("", gone) and not others:
                one.charter.birth = os.urandom(3)
                self._control.restart(one.charter, one.owner, f"{gone} is gone, and nobody had a copy")
            self._control.hold(one.charter.instance, [name for name in one.holders if name != entry.wanted], f"{gone} is gone")

    # What this rests on

    def _lost(self, whole: Problem) -> list[str]:
        """Nodes of an app that were heard once and are not any more."""
        return [node.name for node in whole.nodes if node.name in self._control.peers and not self._control.alive(node.name, now_ms())]

    def _where(self, app: "_Known | None") -> dict[str, str]:
        """The node of each instance, of one app or of all; what runs inside a source is where that is."""
        names = app.wired if app else [name for known in self._known.values() for name in known.wired]
        return {name: entry.wanted for name in names if (entry := self._control.entries.get(name)) and entry.assignment.owner}

    def _instances(self, app: str) -> list[str]:
        return [name for name in self._app(app).wired if name in self._control.entries]

    def _belongs(self, instance: str) -> tuple[str, Wired | None]:
        for app, known in self._known.items():
            if instance in known.wired:
                return app, known.wired[instance]
        return "", None

    def _entry(self, instance: str) -> Entry:
        with self._lock:
            if instance not in self._control.entries:
                raise unknown("function", instance, self._control.entries)
            return self._control.entries[instance]

    def _app(self, name: str) -> _Known:
        if name not in self._known:
            raise unknown("app", name, self._known)
        return self._known[name]

    def _authorised(self) -> Authority:
        if self._authority is None:
            raise Refused("this hub lets nobody in: start it with a folder for its certificate authority")
        return self._authority
