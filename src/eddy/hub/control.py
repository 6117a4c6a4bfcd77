"""The hub's control loop: compares what is wanted with what nodes report, and changes assignments until both agree.

A state machine without I/O, as the host is. It keeps nothing but the table of assignments: a hub that was killed goes on from there, with
what nodes report next. What makes that safe is not here but in the assignment: only a node of `in_sync` becomes owner, only an owner's own
report about the very version adds one to it, and what is not on all of them was never heard.

Unreachable is not dead. A function that yields gets another owner when its own is silent: the old one cannot be heard any more, since its
successor no longer acknowledges its log. A function that stays goes on alone when neither hub nor copies are heard, so it gets another
owner only when its own is known to be dead: its connection was closed by the operating system, not merely quiet, and so soon after it had
heard this hub that it cannot have gone on alone before. A person may also say that it is gone.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from eddy.errors import Refused, SettingError
from eddy.hub.terms import Terms
from eddy.kernel.assignment import ASSIGN, ENDED, HEARD, OWNER, REPORT, STOPPED, Assignment, Held, message, read
from eddy.kernel.charter import Charter, open_charter
from eddy.kernel.leading import ALONE_MS

DEAD_MS = 1500
"""A node that was not heard for so long counts as silent: three beats."""

REPEAT_MS = 200
_CLOCK_BITS = 44  # of a stamp; above them is what tells this hub from others


@dataclass(slots=True)
class Peer:
    """What the hub knows of a node.

    Attributes:
        heard_ms: When it was heard last.
        stamp_ms: The hub's time that the node had heard at last when it said so; None for no time of this hub.
        dead: Known to be dead: closed its connection so soon that it cannot have gone on alone, or a person says so.
        held: What it has, by instance.
        incident: Number of its last incident that was written down.
    """

    heard_ms: int
    stamp_ms: int | None = None
    dead: bool = False
    held: dict[str, Held] = field(default_factory=dict)
    incident: int = 0


@dataclass(slots=True)
class Entry:
    """One instance: what is decided, and what is wanted."""

    assignment: Assignment
    wanted: str
    holders: list[str]
    charter: Charter


class Control:
    """The control loop of one hub.

    Args:
        terms: The table of assignments.
        dead_ms: Silence after which a node counts as silent.
        sign: Signs charters.
        tell: Called with (node, kind, instance, text) of each incident on a node.

    Attributes:
        peers: Every node that was ever heard by this hub.
        entries: Every instance.
    """

    def __init__(
        self,
        terms: Terms,
        dead_ms: int = DEAD_MS,
        sign: Callable[[bytes], bytes] = lambda data: b"",
        tell: Callable[[str, str, str, str], None] = lambda node, kind, instance, text: None,
    ) -> None:
        self.peers: dict[str, Peer] = {}
        self.entries: dict[str, Entry] = {}
        self._terms = terms
        self._dead_ms = dead_ms
        self._sign = sign
        self._tell = tell
        self._session = random.getrandbits(16)
        self._told: dict[tuple[str, str], tuple[int, int]] = {}  # (instance, node) → version, when
        self._answers: list[str] = []  # nodes whose reports are to be answered
        self._since: int | None = None
        self._load()

    # What people ask for

    def place(
        self, charter: Charter, consumers: list[str], owner: str, holders: list[str], narrow: dict[str, int] | None = None, why: str = ""
    ) -> None:
        """A new instance.

        Args:
            charter: What it is; signed here.
            consumers, narrow: See `Assignment`.
            owner: Node that shall own it.
            holders: Nodes that shall hold a copy, so that it survives the loss of its owner; none for no such promise.
            why: Goes into the ledger.

        Raises:
            SettingError: There is one of that name.
            Refused: It must not be on one of these nodes.
        """
        name = charter.instance
        if name in self.entries:
            raise SettingError(f"{name} is placed already: move it, or give the new one another name")
        for node in (owner, *holders):
            self._check_label(charter, node)
        charter.seal(self._sign)
        replicas = sorted({owner, *holders})
        assignment = Assignment(name, 1, 1, owner, [owner], replicas, False, False, consumers, narrow or {}, charter.sealed)
        self._terms.create(assignment, holders, why or "asked for")
        self.entries[name] = Entry(assignment, owner, holders, charter)

    def move(self, instance: str, node: str, why: str = "asked for") -> None:
        """Another node shall own an instance; done when `owner` says so.

        Raises:
            SettingError: No such instance.
            Refused: What comes in must not be on that node.
        """
        entry = self._entry(instance)
        self._check_label(entry.charter, node)
        if entry.wanted != node:
            if node in entry.holders:  # they change places: there are as many copies as before
                self.hold(instance, sorted({*entry.holders, entry.assignment.owner} - {node}), why)
            self._terms.want(entry.assignment, node, why)
            entry.wanted = node

    def hold(self, instance: str, holders: list[str], why: str) -> None:
        """Other nodes shall hold copies; raises as `move`."""
        entry = self._entry(instance)
        for node in holders:
            self._check_label(entry.charter, node)
        if entry.holders != holders:
            self._terms.hold(entry.assignment, holders, why)
            entry.holders = holders

    def change(self, charter: Charter, consumers: list[str], narrow: dict[str, int], why: str) -> bool:
        """Another revision of an instance: its state stays. Whether anything was different; raises SettingError for an unknown one."""
        entry = self._entry(charter.instance)
        charter.birth, charter.revision = entry.charter.birth, entry.charter.revision
        new = Assignment.of(entry.assignment.plain())
        new.consumers, new.narrow = consumers, narrow
        if charter.seal(self._sign) != entry.charter.sealed:
            charter.revision += 1
            new.charter = charter.seal(self._sign)
        if new.plain() == entry.assignment.plain():
            return False
        self._swap(entry, new, f"revision {charter.revision}, outputs to {', '.join(consumers) or 'nobody'}", why)
        return True

    def remove(self, instance: str, why: str) -> None:
        """An instance shall be no more: nodes forget it, then so does the table; raises SettingError for an unknown one."""
        entry = self._entry(instance)
        new = Assignment.of(entry.assignment.plain())
        new.owner, new.in_sync, new.replicas, entry.holders, entry.wanted = "", [], [], [], ""
        self._swap(entry, new, "removed", why)

    def restart(self, charter: Charter, owner: str, why: str) -> None:
        """An instance whose state is lost begins anew elsewhere, under a new birth; raises as `move`."""
        entry = self._entry(charter.instance)
        self._check_label(charter, owner)
        charter.revision = entry.charter.revision + 1
        new = Assignment.of(entry.assignment.plain())
        new.term, new.owner, new.in_sync, new.replicas, new.stop, new.born = new.term + 1, owner, [owner], [owner], False, False
        new.charter, entry.wanted = charter.seal(self._sign), owner
        self._swap(entry, new, f"begins anew on {owner}", why)

    def declare_gone(self, node: str, why: str) -> None:
        """A person says that a node is gone for good: its functions may go on elsewhere; raises SettingError for one never heard of."""
        if node not in self.peers and not any(node in (e.assignment.owner, *e.assignment.replicas) for e in self.entries.values()):
            raise SettingError(f"no node {node}: there are {', '.join(sorted(self.peers)) or 'none'}")
        peer = self.peers.setdefault(node, Peer(self._since or 0))
        peer.dead = True
        self._tell(node, "gone", "", f"declared gone: {why}")

    def owner(self, instance: str) -> tuple[str, int]:
        """(node, term) of an instance."""
        assignment = self.entries[instance].assignment
        return assignment.owner, assignment.term

    def in_sync(self, instance: str) -> list[str]:
        """Nodes that have everything of an instance that was ever heard."""
        return self.entries[instance].assignment.in_sync

    def report(self, instance: str) -> Held | None:
        """What its owner said last about an instance."""
        peer = self.peers.get(self.entries[instance].assignment.owner)
        return peer.held.get(instance) if peer else None

    def alive(self, node: str, now_ms: int) -> bool:
        """Heard lately; a hub that has just started waits for everybody once."""
        peer = self.peers.get(node)
        last = peer.heard_ms if peer else self._since
        return last is None or now_ms - last < self._dead_ms

    # What comes from nodes

    def receive(self, data: bytes, now_ms: int) -> None:
        """A node's report; raises CodecError, SampleError for anything else."""
        parts = read(data)
        if parts[0] != REPORT:
            return
        _, node, held, stamp, incidents = parts
        peer = self.peers.setdefault(node, Peer(now_ms))
        if peer.dead:
            self._tell(node, "back", "", "was taken for dead, and is heard again")
        peer.heard_ms, peer.dead = now_ms, False
        peer.stamp_ms = stamp & ((1 << _CLOCK_BITS) - 1) if stamp >> _CLOCK_BITS == self._session else None
        peer.held = {one.instance: one for one in (Held(*fields) for fields in held)}
        for number, kind, instance, text in incidents:
            if number > peer.incident:
                self._tell(node, kind, instance, text)
            peer.incident = max(peer.incident, number)
        if not incidents:
            peer.incident = 0  # a node that has started anew counts anew
        self._answers.append(node)

    def closed(self, node: str, now_ms: int) -> None:
        """The connection of a node was closed. It is dead, unless it may have gone on alone before, unheard."""
        peer = self.peers.get(node)
        if peer and peer.stamp_ms is not None and now_ms - peer.stamp_ms < ALONE_MS:
            peer.dead = True

    def poll(self, now_ms: int) -> list[tuple[str, bytes]]:
        """Decide what is to be decided, and tell whom it concerns: (to, message)."""
        if self._since is None:
            self._since = now_ms
        stamp = (self._session << _CLOCK_BITS) | now_ms
        heard = [node for node in dict.fromkeys(self._answers) if not self._mistaken(self.peers[node])]
        out = [("@" + node, message(HEARD, stamp, self.peers[node].incident)) for node in heard]
        self._answers = []
        for name, entry in list(self.entries.items()):
            while self._reconcile(entry, now_ms):
                continue
            assignment, holding = entry.assignment, [node for node, peer in self.peers.items() if name in peer.held]
            for node in sorted({assignment.owner, *assignment.replicas, *holding} - {""}):
                held = self.peers[node].held.get(name) if node in self.peers else None
                if held and held.version >= assignment.version:
                    continue
                version, when = self._told.get((name, node), (0, 0))
                if version < assignment.version or now_ms - when >= REPEAT_MS:
                    self._told[name, node] = (assignment.version, now_ms)
                    out.append(("@" + node, message(ASSIGN, assignment.plain())))
            if not assignment.owner and not holding:
                self._terms.forget(name)
                del self.entries[name]
        return out

    def _reconcile(self, entry: Entry, now_ms: int) -> bool:
        """One step towards what is wanted; whether there was one."""
        now = entry.assignment
        if not now.owner:
            return False
        new = Assignment.of(now.plain())
        said = self.report(now.instance)
        report = said if said and said.version == now.version else None
        gone = self._gone(entry, now_ms)
        if gone or (report and report.index < 0):
            left = said.left if said and said.term == now.term else []
            able = [node for node in now.in_sync if node not in (now.owner, *left) and self.alive(node, now_ms)]
            if not able:
                return False
            owner = entry.wanted if entry.wanted in able else able[0]
            # It stays where it has gone to, and the old owner holds a copy once it is back: no second move for nothing.
            entry.holders = sorted({*entry.holders, now.owner} - {owner})
            entry.wanted = owner
            return self._promote(entry, new, owner, now_ms, gone or f"{now.owner} has lost it")
        stopped = report is not None and report.flags & STOPPED and entry.wanted not in report.left  # without it, it stopped too late
        if stopped and entry.wanted in now.in_sync and entry.wanted != now.owner:
            return self._promote(entry, new, entry.wanted, now_ms, f"{now.owner} has stopped for it")
        new.born = now.born or report is not None
        joined, left = (report.synced, report.left + report.lagging) if report else ([], [])
        # Nobody is dropped while the owner itself is not heard: it may be the one that is cut off, and has gone on without hearing this.
        alive = [node for node in sorted({*now.in_sync, *joined}) if self.alive(node, now_ms) or not self.alive(now.owner, now_ms)]
        new.in_sync = sorted({now.owner, *(node for node in alive if node not in left)})
        new.replicas = self._replicas(entry, now.owner, now_ms)
        if report is None:
            # Nobody is added whom the owner may still count on from before: it must have heard first that their copy was given up.
            new.replicas = [node for node in new.replicas if node in now.replicas]
        new.in_sync = [node for node in new.in_sync if node in new.replicas]
        new.stop = entry.wanted != now.owner and entry.wanted in new.in_sync
        if new.plain() == now.plain():
            return False
        what = f"in sync: {', '.join(new.in_sync)}" + ("; stops" if new.stop else "")
        return self._swap(entry, new, what, "nodes came, went, or caught up")

    def _mistaken(self, peer: Peer) -> bool:
        """Whether a node takes itself for an owner that was replaced: it does not count as heard, or it might go on alone as that."""
        owned = [held for held in peer.held.values() if held.flags & OWNER and held.instance in self.entries]
        return any(held.term < self.entries[held.instance].assignment.term for held in owned)

    def _gone(self, entry: Entry, now_ms: int) -> str:
        """Why the owner of an instance may be replaced without having stopped; empty when it may not."""
        owner = entry.assignment.owner
        if owner in self.peers and self.peers[owner].dead:
            return f"{owner} is dead"
        if not entry.charter.stay and not self.alive(owner, now_ms):
            return f"{owner} is silent, and yields"
        return ""

    def _promote(self, entry: Entry, new: Assignment, owner: str, now_ms: int, why: str) -> bool:
        new.term, new.owner, new.in_sync, new.stop, new.born = new.term + 1, owner, [owner], False, True
        new.replicas = self._replicas(entry, owner, now_ms)
        return self._swap(entry, new, f"owner is {owner}", why)

    def _replicas(self, entry: Entry, owner: str, now_ms: int) -> list[str]:
        kept = entry.assignment.in_sync if not self.alive(owner, now_ms) else []
        return sorted({owner, *kept} | {node for node in [*entry.holders, entry.wanted] if self.alive(node, now_ms)})

    def _swap(self, entry: Entry, new: Assignment, what: str, why: str) -> bool:
        new.version += 1
        if self._terms.swap(new.version - 1, new, what, why, entry.wanted, entry.holders):
            if new.charter != entry.assignment.charter:
                entry.charter = open_charter(new.charter)
            entry.assignment = new
        else:
            self._load()
        return True

    def _entry(self, instance: str) -> Entry:
        if instance not in self.entries:
            raise SettingError(f"no {instance} is placed: there are {', '.join(self.entries) or 'none'}")
        return self.entries[instance]

    def _check_label(self, charter: Charter, node: str) -> None:
        if not charter.may_be_on(node):
            raise Refused(f"{charter.instance} must not be on {node}: what comes in may be on {', '.join(charter.confined)} only")

    def _load(self) -> None:
        self.entries = {found[0].instance: Entry(*found, open_charter(found[0].charter)) for found in self._terms.all()}


def state_of(held: Held | None) -> str:
    """What an owner's report says, in a word."""
    if held is None or not held.flags & OWNER:
        return "starting"
    return "ended" if held.flags & ENDED else "stopping" if held.flags & STOPPED else "running"
