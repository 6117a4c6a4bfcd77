"""From an app to what shall run: the charter of each instance, its consumers, its node and who holds copies.

On a device, what only ever sees raw samples runs inside their source: the first thing worth keeping is what comes out of it, since flash
could not keep the raw samples and the line could not carry them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from eddy.errors import SettingError
from eddy.kernel.charter import Charter
from eddy.planner.from_app import problem
from eddy.planner.plan import Plan
from eddy.planner.plan import plan as make_plan
from eddy.planner.privacy import Label, may_be
from eddy.planner.problem import Node, Problem
from eddy.planner.wired import Wired
from eddy.planner.wiring import wiring
from eddy.spec.model import App

LINE_BYTES = 400
"""Of a message to a device: under two seconds of a 2,400-baud line."""

SILENCE_MS = 5000
"""After which a sink with a safe value takes it."""


@dataclass
class Wanted:
    """One instance as it shall be.

    Attributes:
        charter: What it is; birth and revision are the hub's.
        consumers: Who gets its outputs.
        owner: Its node.
        holders: Nodes with copies.
        narrow: See `Assignment`.
        kind, name: Source, function or sink, and what the app calls it.
        labels: Of what comes in, as people read them.
        parts: Instances that run inside it.
        digest: Of its configuration, as the planner compares it.
    """

    charter: Charter
    consumers: list[str]
    owner: str
    holders: list[str]
    narrow: dict[str, int]
    kind: str
    name: str
    labels: list[str]
    parts: list[str] = field(default_factory=list)
    digest: str = ""


def deploy(
    app: App,
    files: Mapping[str, bytes],
    running: Mapping[str, str],
    lost: Collection[str] = (),
    kept: Collection[str] = (),
    key: bytes = b"",
) -> tuple[Plan, list[Wanted]]:
    """Place an app.

    Args:
        app: Checked.
        files: {path beside the app's file: content} of the person's own code.
        running: Where its instances are now.
        lost: Nodes that are not there.
        kept: Instances that stay where they are.
        key: Public key that packages for models must be signed with.

    Raises:
        NoPlan: No placement satisfies every constraint.
        SettingError: Code of the app's own did not come with it.
    """
    whole = problem(app, files)
    there = whole.without(lost) if lost else whole
    known = {function.name for function in whole.functions}
    # What runs inside a source has no node of its own: it is where its source is.
    plan = make_plan(there, {name: node for name, node in running.items() if name in known}, kept)
    made = _Deployment(whole, plan, files, set(lost), key)
    return plan, made.wanted(wiring(app))


class _Deployment:
    def __init__(self, whole: Problem, plan: Plan, files: Mapping[str, bytes], lost: set[str], key: bytes) -> None:
        self._key = key
        self._problem = whole
        self._nodes: dict[str, Node] = {node.name: node for node in whole.nodes}
        self._files = files
        self._lost = lost
        self._at = {**whole.pinned(), **plan.placement}
        self._digests = {function.name: function.digest for function in whole.functions}
        self._cpu = {function.name: function for function in whole.functions}

    def wanted(self, wired: list[Wired]) -> list[Wanted]:
        by_name = {one.instance: one for one in wired}
        self._at = {one.instance: one.node for one in wired if one.node} | self._at
        takers: dict[str, list[str]] = {one.instance: [] for one in wired}
        for one in wired:
            for producer in one.inputs:
                takers[producer].append(one.instance)
        for one in wired:
            if one.kind == "source" and self._at[one.instance] in self._lost:
                self._stay(one, by_name, takers)
        inside: dict[str, list[str]] = {}  # the last of those that run inside a source → all of them, the source first
        for one in wired:
            if one.kind == "source":
                chain = self._chain(one, by_name, takers)
                inside[chain[-1]] = chain
        hidden = {name for chain in inside.values() for name in chain[:-1]}
        return [self._one(one, by_name, takers, inside.get(one.instance, [])) for one in wired if one.instance not in hidden]

    def _stay(self, one: Wired, by_name: Mapping[str, Wired], takers: Mapping[str, list[str]]) -> None:
        """What nobody else can do while a node is lost is where its input is: it is the same as before when the node is back."""
        for following in (by_name[name] for name in takers[one.instance]):
            if following.instance not in self._at and following.inputs == (one.instance,):
                self._at[following.instance] = self._at[one.instance]
                self._stay(following, by_name, takers)

    def _chain(self, source: Wired, by_name: Mapping[str, Wired], takers: Mapping[str, list[str]]) -> list[str]:
        """A source with what runs inside it."""
        chain, node = [source.instance], self._at[source.instance]
        while self._nodes[node].tier == "device":
            following = [by_name[name] for name in takers[chain[-1]]]
            if len(following) != 1 or following[0].kind != "function" or self._at.get(following[0].instance) != node:
                break
            if following[0].inputs != (chain[-1],) or self._confined(following[0].labels) != [node]:
                break
            chain.append(following[0].instance)
        return chain

    def _one(self, one: Wired, by_name: Mapping[str, Wired], takers: Mapping[str, list[str]], chain: list[str]) -> Wanted:
        owner = self._at.get(one.instance, "")
        first = by_name[chain[0]] if chain else one
        confined = [owner] if first.kind == "source" and first.private == "device" else self._confined(one.labels)
        program: list[Any]
        if first.kind == "source":
            program = ["source", self._program(first), [self._program(by_name[name]) for name in chain[1:]]]
            confined = self._confined_source(first, owner)
        elif one.kind == "sink":
            program = ["sink", self._program(one), {"safe": one.safe, "silence_ms": SILENCE_MS} if one.safe is not None else {}]
        else:
            program = self._program(one)
        consumers = [one.instance + "!"] if one.kind == "sink" else takers[one.instance]
        stay = one.on_partition == "stay"
        charter = Charter(one.instance, 1, program, {}, b"new", one.name, [] if chain else list(one.inputs), confined, stay)
        holders = self._holders(one, owner, charter)
        far = [name for name in consumers if self._is_narrow(self._at.get(name, ""), owner)]
        narrow = dict.fromkeys(far, LINE_BYTES) | {
            "@" + node.name: LINE_BYTES for node in self._nodes.values() if node.tier == "device" and charter.may_be_on(node.name)
        }
        labels = [f"{label.level}: {label.born}" for label in sorted(one.labels)]
        digest = self._digests.get(one.instance, "")
        return Wanted(charter, consumers, owner, holders, narrow, one.kind, one.name, labels, chain[:-1], digest)

    def _is_narrow(self, node: str, owner: str) -> bool:
        return node != owner and node in self._nodes and self._nodes[node].tier == "device"

    def _program(self, one: Wired) -> list[Any]:
        file, name, arguments = one.program
        if "home" in arguments:
            arguments = {**arguments, "key": self._key}
        if not str(file).endswith(".py"):
            return [file, name, arguments]
        if file not in self._files:
            raise SettingError(f"{one.name} uses {file}, which did not come with the app: it must lie beside it")
        return [file, name, arguments, sha256(self._files[file]).digest()]

    def _confined(self, labels: Collection[Label]) -> list[str]:
        """Nodes that may hold what carries these labels; empty for any."""
        if not labels:
            return []
        allowed = [
            node.name for node in self._problem.nodes if all(may_be(label.level, node, self._at.get(label.born)) for label in labels)
        ]
        return allowed or ["nowhere"]

    def _confined_source(self, source: Wired, owner: str) -> list[str]:
        """What a source has read is as private as what it puts out, and is born where it is."""
        if source.private is None:
            return self._confined(source.labels)
        return [node.name for node in self._problem.nodes if may_be(source.private, node, owner)]

    def _holders(self, one: Wired, owner: str, charter: Charter) -> list[str]:
        """Where copies are: where it may run, of the same tier before others; never on a device, whose flash and line are too small."""
        if not one.copies or owner not in self._nodes:
            return []
        function = self._cpu.get(one.instance)  # None: a source, which costs next to nothing
        able = [
            node
            for node in self._problem.nodes
            if node.name != owner
            and node.tier != "device"
            and node.name not in self._lost
            and charter.may_be_on(node.name)
            and (not function or (function.cpu_s_on(node) is not None and (not function.at or {node.name, node.tier} & set(function.at))))
        ]
        able.sort(key=lambda node: (node.tier != self._nodes[owner].tier, -node.ram_bytes, node.name))
        return [node.name for node in able[: one.copies]]
