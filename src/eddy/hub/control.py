"""The hub's control loop: compares what is wanted with what nodes report, and changes assignments until both agree.

A state machine without I/O, as the host is. It keeps nothing but the table of assignments: a hub that was killed goes on from there, with
what nodes report next. What makes that safe is not here but in the assignment: only a node of `in_sync` becomes owner, only an owner's own
report about the very version adds one to it, and what is not on all of them was never heard.
"""

from dataclasses import dataclass

from eddy.errors import SettingError
from eddy.hub.terms import Terms
from eddy.kernel.assignment import ASSIGN, REPORT, Assignment, message, read

DEAD_MS = 1500
"""A node that was not heard for so long counts as silent: three beats."""

REPEAT_MS = 200


@dataclass(slots=True)
class _Held:
    """What a node reports of an instance: the fields of a report in their order."""

    instance: str
    term: int
    version: int
    role: int
    index: int
    stopped: bool
    synced: list[str]


@dataclass(slots=True)
class _Entry:
    assignment: Assignment
    wanted: str
    holders: list[str]


class Control:
    """The control loop of one hub.

    Args:
        terms: The table of assignments.
        dead_ms: Silence after which a node counts as gone.
    """

    def __init__(self, terms: Terms, dead_ms: int = DEAD_MS) -> None:
        self._terms = terms
        self._dead_ms = dead_ms
        self._heard: dict[str, int] = {}  # when
        self._held: dict[str, dict[str, _Held]] = {}  # instance → node
        self._told: dict[tuple[str, str], tuple[int, int]] = {}  # (instance, node) → version, when
        self._since: int | None = None
        self._load()

    def place(
        self, instance: str, program: object, stream: str, consumers: list[str], owner: str, holders: list[str], birth: bytes
    ) -> None:
        """A new instance.

        Args:
            instance, stream, consumers, birth, program: See `Assignment`.
            owner: Node that shall own it.
            holders: Nodes that shall hold a copy, so that it survives the loss of its owner; none for no such promise.

        Raises:
            SettingError: There is one of that name.
        """
        if instance in self._entries:
            raise SettingError(f"{instance} is placed already: move it, or give the new one another name")
        replicas = sorted({owner, *holders})
        assignment = Assignment(instance, 1, 1, owner, [owner], replicas, False, False, program, birth, stream, consumers)
        self._terms.create(assignment, holders, "asked for")
        self._entries[instance] = _Entry(assignment, owner, holders)

    def move(self, instance: str, node: str, why: str = "asked for") -> None:
        """Another node shall own an instance; done when `owner` says so.

        Raises:
            SettingError: No such instance.
        """
        if instance not in self._entries:
            raise SettingError(f"no {instance} is placed: there are {', '.join(self._entries) or 'none'}")
        entry = self._entries[instance]
        if entry.wanted != node:
            self._terms.want(entry.assignment, node, why)
            entry.wanted = node

    def owner(self, instance: str) -> tuple[str, int]:
        """(node, term) of an instance."""
        assignment = self._entries[instance].assignment
        return assignment.owner, assignment.term

    def in_sync(self, instance: str) -> list[str]:
        """Nodes that have everything of an instance that was ever heard."""
        return self._entries[instance].assignment.in_sync

    def receive(self, data: bytes, now_ms: int) -> None:
        """A node's report; raises CodecError, SampleError for anything else."""
        parts = read(data)
        if parts[0] != REPORT:
            return
        node, held = parts[1], [_Held(*fields) for fields in parts[2]]
        self._heard[node] = now_ms
        for name in self._held:
            self._held[name].pop(node, None)
        for one in held:
            self._held.setdefault(one.instance, {})[node] = one

    def poll(self, now_ms: int) -> list[tuple[str, bytes]]:
        """Decide what is to be decided, and tell whom it concerns: (to, message)."""
        if self._since is None:
            self._since = now_ms
        out = []
        for name, entry in self._entries.items():
            while self._reconcile(entry, now_ms):
                continue
            assignment, held = entry.assignment, self._held.get(name, {})
            for node in sorted({assignment.owner, *assignment.replicas, *held}):
                if node in held and held[node].version >= assignment.version:
                    continue
                version, when = self._told.get((name, node), (0, 0))
                if version < assignment.version or now_ms - when >= REPEAT_MS:
                    self._told[name, node] = (assignment.version, now_ms)
                    out.append(("@" + node, message(ASSIGN, assignment.plain())))
        return out

    def _reconcile(self, entry: _Entry, now_ms: int) -> bool:
        """One step towards what is wanted; whether there was one."""
        now, held = entry.assignment, self._held.get(entry.assignment.instance, {})
        new = Assignment.of(now.plain())
        said = held.get(now.owner)
        report = said if said and said.version == now.version else None
        if not self._alive(now.owner, now_ms) or (report and report.index < 0):
            able = [node for node in now.in_sync if node != now.owner and self._alive(node, now_ms)]
            if not able:
                return False
            owner = entry.wanted if entry.wanted in able else able[0]
            return self._promote(entry, new, owner, now_ms, f"{now.owner} is silent or has lost it")
        if report and report.stopped and entry.wanted in now.in_sync and entry.wanted != now.owner:
            return self._promote(entry, new, entry.wanted, now_ms, f"{now.owner} has stopped for it")
        new.born = now.born or report is not None
        joined = report.synced if report else []
        new.in_sync = [node for node in sorted({*now.in_sync, *joined}) if node == now.owner or self._alive(node, now_ms)]
        new.replicas = self._replicas(entry, now.owner, now_ms)
        new.in_sync = [node for node in new.in_sync if node in new.replicas]
        new.stop = entry.wanted != now.owner and entry.wanted in new.in_sync
        if new.plain() == now.plain():
            return False
        what = f"in sync: {', '.join(new.in_sync)}" + ("; stops" if new.stop else "")
        return self._swap(entry, new, what, "nodes came, went, or caught up")

    def _promote(self, entry: _Entry, new: Assignment, owner: str, now_ms: int, why: str) -> bool:
        new.term, new.owner, new.in_sync, new.stop, new.born = new.term + 1, owner, [owner], False, True
        new.replicas = self._replicas(entry, owner, now_ms)
        return self._swap(entry, new, f"owner is {owner}", why)

    def _replicas(self, entry: _Entry, owner: str, now_ms: int) -> list[str]:
        return sorted({owner} | {node for node in [*entry.holders, entry.wanted] if self._alive(node, now_ms)})

    def _swap(self, entry: _Entry, new: Assignment, what: str, why: str) -> bool:
        new.version += 1
        if self._terms.swap(new.version - 1, new, what, why):
            entry.assignment = new
        else:
            self._load()
        return True

    def _alive(self, node: str, now_ms: int) -> bool:
        """Heard lately; a hub that has just started waits for everybody once."""
        last = self._heard.get(node, self._since)
        return last is None or now_ms - last < self._dead_ms

    def _load(self) -> None:
        self._entries = {found[0].instance: _Entry(*found) for found in self._terms.all()}
