"""The host: what every node runs, from microcontroller to cloud.

It holds replicas of instances, owns some of them and follows others, as the hub assigns. It is a state machine without I/O: bytes and the
time go in, messages come out, and what must survive goes into a journal. `receive` only takes; `poll` writes everything that came since
the last one with one commit of the journal, and then says what may be said.

A journal keeps for each instance a map of plain data (meta), a snapshot, and the entries since; see `Journal`.
"""

from eddy.kernel.assignment import (
    ACK,
    AGAIN,
    ASSIGN,
    BATCH,
    ENDED,
    HEARD,
    HUB,
    LOG,
    LOGGED,
    NEXT,
    OWNER,
    REPORT,
    STOPPED,
    Assignment,
    kind,
    message,
    read,
)
from eddy.kernel.batch import Batch, read_ack
from eddy.kernel.charter import Charter, open_charter, unsigned
from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import BadInput, EddyError, Refused
from eddy.kernel.function import Function
from eddy.kernel.leading import AHEAD, LOG_BYTES, Leading, at_once
from eddy.kernel.outlets import BATCH_BYTES, RETRY_MS
from eddy.kernel.replica import Replica

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    from eddy.kernel.charter import Verify
    from eddy.kernel.following import Following
    from eddy.kernel.hop import Record
    from eddy.kernel.leading import Copier

    class Journal(Protocol):
        """What a host needs to survive. Nothing is durable before `commit`, and all of it together then."""

        def load(self) -> Iterator[tuple[str, bytes, bytes | None, list[bytes]]]:
            """(instance, meta, snapshot, entries) as committed; what was not is gone."""

        def meta(self, instance: str, data: bytes) -> None:
            """Replace the meta."""

        def snapshot(self, instance: str, data: bytes) -> None:
            """Replace the snapshot, and forget all entries."""

        def append(self, instance: str, entries: list[bytes]) -> None:
            """Add entries."""

        def remove(self, instance: str) -> None:
            """Forget an instance."""

        def commit(self) -> None:
            """Raises StorageFull: nothing since the last commit is durable."""


BEAT_MS = 500
INCIDENTS = 16  # kept until the hub has them; more are only counted
CHECKPOINT = 65536


class _Slot:
    """One instance on this node."""

    def __init__(self, assignment: "Assignment", charter: Charter) -> None:
        self.assignment = assignment
        self.charter = charter
        self.leading: Leading | None = None
        self.following: Following | None = None
        self.replica: Replica | None = None  # as it is between two roles
        self.joined = [0, 0, 0]  # see Following
        self.join = 0  # see Leading
        self.synced: list[str] = []  # likewise, under the term of the assignment
        self.left: list[str] = []  # likewise
        self.logged = 0  # bytes of entries in the journal since its snapshot
        self.size = 0  # of that snapshot, or what was logged when there was no room for one
        self.fresh = False  # the journal does not have its replica as it is
        self.noted: list[Any] | None = None  # what the meta in the journal says

    def held(self) -> "Replica | None":
        """The replica, whoever works on it."""
        role = self.leading or self.following
        return role.replica if role else self.replica

    def note(self) -> "list[Any]":
        """What the journal keeps beside the replica."""
        if self.following:
            self.joined = self.following.join
        if self.leading:
            self.join, self.synced, self.left = self.leading.join, self.leading.synced()[:], self.leading.left[:]
        return [self.assignment.plain(), self.joined, self.join, self.synced, self.left]


class _NotHere(Exception):
    """For an instance that this node does not own."""


class Host:
    """One node.

    Args:
        node: Its name.
        journal: Keeps the replicas. Building a host is the recovery after a restart.
        build: Makes a function from the program of a charter.
        admit: Raises Refused for a charter that must not be here, LinkError for one that cannot be here yet.
        verify: Whether a charter is signed by the hub that this node trusts; see `open_charter`.
        pace: See `Leading`.
        beat_ms: The hub hears of this node at least so often.
        copier: See `Leading`.
        doors: Whether drivers of sinks are told with messages; else they look with `outputs`.
        checkpoint: Bytes of log, and twice the last snapshot, after which the journal gets a new one.

    Attributes:
        counts: `malformed` messages, `refused` roles and samples.
        checkpoint: As above; 0 for a new one with the next poll, whatever there is.
    """

    def __init__(
        self,
        node: str,
        journal: "Journal",
        build: "Callable[[Any], Function]",
        verify: "Verify" = unsigned,
        admit: "Callable[[Charter], None]" = lambda charter: None,
        pace: tuple[int, int, int, int] = (RETRY_MS, BATCH_BYTES, LOG_BYTES, AHEAD),
        beat_ms: int = BEAT_MS,
        copier: "Copier" = at_once,
        checkpoint: int = CHECKPOINT,
        doors: bool = True,
    ) -> None:
        self.node = node
        self.counts = {"malformed": 0, "refused": 0}
        self._journal = journal
        self._build = build
        self._verify = verify
        self._admit = admit
        self._pace = pace
        self._beat_ms = beat_ms
        self._copier = copier
        self.checkpoint = checkpoint
        self._doors = doors
        self._slots: dict[str, _Slot] = {}
        self._out: list[tuple[str, bytes]] = []
        self._removed = False
        self._said: list[Any] | None = None  # the last report
        self._beat: int | None = None  # when
        self._stamp = 0  # of the hub's clock, in the last HEARD
        self._news = False  # that came since the last poll
        self._heard_ms: int | None = None  # when it came; None: not since the start of this process
        self._incidents: list[list[Any]] = []  # [number, kind, instance, text] that the hub does not have yet
        self._number = 0  # of the last one
        self._known: list[tuple[str, str]] = []  # (instance, text) of those told lately: none is told twice in a row
        for instance, meta, snapshot, entries in journal.load():
            noted: Any = decode(meta)
            assignment = Assignment.of(noted[0])
            slot = self._slots[instance] = _Slot(assignment, open_charter(assignment.charter, verify))
            slot.noted, slot.joined, slot.join, slot.synced, slot.left = noted, noted[1], noted[2], noted[3], noted[4]
            if snapshot is not None:
                slot.replica = self._empty(slot.charter)
                slot.replica.restore(snapshot)
                slot.size = len(snapshot)
                for entry in entries:
                    slot.replica.apply(decode(entry))  # type: ignore[arg-type]
                    slot.logged += len(entry)
            self._play(slot)

    def owns(self) -> list[str]:
        """Instances that this node believes to own: messages to them are for this node."""
        return [name for name in self._slots if self._slots[name].leading]

    def replica(self, instance: str) -> "Replica | None":
        """What this node has of an instance."""
        return self._slots[instance].held() if instance in self._slots else None

    def receive(self, data: bytes | memoryview, time_ns: int = 0) -> None:
        """A message to this node, or to an instance that it owns. What cannot be used is counted and dropped.

        Args:
            data: One message.
            time_ns: Now, since 1970; goes into the log with what came.
        """
        try:
            parts = read(data, kind(data) == BATCH)  # a batch is copied when it is taken, not before
            if parts[0] == ASSIGN:
                self._assign(Assignment.of(parts[1]))
            elif parts[0] == BATCH:
                self._take(parts[1], parts[2], time_ns)
            elif parts[0] == HEARD:
                self._heard(parts[1], parts[2])
            elif parts[0] == ACK:
                self._leader(read_ack(parts[2])[1]).acked(parts[1], parts[2])
            elif parts[0] == NEXT:
                self._leader(parts[1]).next(parts[2])
            elif parts[0] == LOG:
                self._log(parts[1], parts[2])
            elif parts[0] == LOGGED:
                self._leader(parts[1]).logged(parts[2], parts[3])
            elif parts[0] == AGAIN:
                self._leader(parts[1]).again(parts[2], parts[3])
            else:
                raise BadInput("a message of kind %d" % parts[0])
        except _NotHere:
            pass  # its sender finds the owner with the next repeat
        except (EddyError, IndexError, TypeError, ValueError):
            self.counts["malformed"] += 1

    def poll(self, now_ms: int, time_ns: int = 0) -> "list[tuple[str, bytes]]":
        """Write what came, and say what may be said.

        Args:
            now_ms: Of a clock that does not run backwards.
            time_ns: Now, since 1970; what ticks are told.

        Returns:
            (to, message): to `@name` for a node, `@` for the hub, any other name for who is that now.

        Raises:
            StorageFull: Nothing was written and nothing will be said: make room, then build the host anew.
        """
        if self._news:
            self._news, self._heard_ms = False, now_ms
        written = [self._write(slot, now_ms, time_ns) for slot in self._slots.values()]
        if any(written) or self._removed:
            self._removed = False
            self._journal.commit()
        out, self._out = self._out, []
        for slot in self._slots.values():
            if slot.leading:
                if slot.leading.entries:
                    slot.leading.written()
                out.extend(slot.leading.speak(now_ms))
            elif slot.following:
                out.extend([("@" + slot.assignment.owner, said) for said in slot.following.written()])
        self._report(now_ms, out)
        return out

    def _write(self, slot: _Slot, now_ms: int, time_ns: int) -> bool:
        """Put what is new of an instance into the journal; whether there was anything."""
        name = slot.assignment.instance
        entries: list[bytes] = []
        snapshot = None
        if slot.leading:
            slot.leading.wait(now_ms, self._heard_ms)
            slot.leading.order(now_ms, time_ns)
            entries = slot.leading.entries
            if slot.fresh:
                snapshot = slot.leading.replica.snapshot()
            elif self._due(slot, bool(entries)):
                try:
                    snapshot = slot.leading.replica.snapshot()
                except MemoryError:  # the state of a long job may be large, and a small heap has room for it later: the log goes on
                    slot.size = slot.logged
        elif slot.following:
            entries, slot.following.entries = slot.following.entries, []
            snapshot, slot.following.snapshot = slot.following.snapshot, None
            if snapshot is None and slot.following.replica and self._due(slot, False):
                snapshot, entries = slot.following.replica.snapshot(), []
        note = slot.note()
        if note != slot.noted:
            self._journal.meta(name, encode(note))
        elif snapshot is None and not entries:
            return False
        slot.noted = note
        if snapshot is not None:
            self._journal.snapshot(name, snapshot)
            slot.size, slot.logged, slot.fresh = len(snapshot), 0, False
            if slot.leading:
                slot.leading.size = slot.size
        if entries:
            self._journal.append(name, entries)
            slot.logged += sum([len(entry) for entry in entries])
        return True

    def _due(self, slot: _Slot, busy: bool) -> bool:
        """Whether the journal needs a new snapshot; rather while nothing else wants the memory."""
        return slot.logged > (max(self.checkpoint, 2 * slot.size) * (2 if busy else 1) if self.checkpoint else 0)

    def feed(self, instance: str, readings: "list[Any]", time_ns: int, encoded: bytes = b"") -> bool:
        """What a driver on this node has read for an instance that it owns.

        Args:
            readings: [[time_ns, value] ...]; none for the end of its data.
            time_ns: Now.
            encoded: The readings, if they are at hand encoded; a log that is limited in bytes counts these.

        Returns:
            False when it cannot be taken now: offer it again.
        """
        slot = self._slots.get(instance)
        return bool(slot and slot.leading and slot.leading.feed(readings, time_ns, encoded))

    def kept(self, instance: str) -> int:
        """Samples that drivers have given to an instance and that can no longer be lost: in this journal, and with every follower in sync.

        They are counted from the birth of the instance on. 0 for one that this node does not own.
        """
        slot = self._slots.get(instance)
        return slot.leading.kept if slot and slot.leading else 0

    def outputs(self, instance: str, consumer: str, first: int, most: int) -> "tuple[bytes, list[Record]]":
        """What a consumer on this node may take: (birth of the numbering, records from number `first` on, at most so many)."""
        slot = self._slots.get(instance)
        return slot.leading.outputs(consumer, first, most) if slot and slot.leading else (b"", [])

    def look(self, instance: str, what: str) -> "Any":
        """What somebody asks about an instance that this node owns; None when it does not, or the question is not known.

        Args:
            what: `last`: [seq, time_ns, value] of its last output, or none; `state-size`: bytes of its state; `alarms`: what it has
                raised, see `eddy.kernel.functions.alarm`.
        """
        slot = self._slots.get(instance)
        if slot is None or slot.leading is None:
            return None
        replica = slot.leading.replica
        if what == "alarms":
            function = replica.instance.function
            return function.alarms() if hasattr(function, "alarms") else []
        return replica.last if what == "last" else len(replica.instance.checkpoint()) if what == "state-size" else None

    def incident(self, kind: str, instance: str, text: str) -> None:
        """Something that the hub should write down; what was told lately is not told again."""
        if (instance, text) in self._known:
            return
        self._known = self._known[-INCIDENTS:] + [(instance, text)]
        if len(self._incidents) < INCIDENTS:
            self._number += 1
            self._incidents.append([self._number, kind, instance, text])

    def tell(self) -> None:
        """Report with the next poll, whatever has changed."""
        self._beat = None

    def _heard(self, stamp: int, number: int) -> None:
        """The hub has heard this node."""
        self._stamp, self._news = stamp, True
        self._incidents = [incident for incident in self._incidents if incident[0] > number]

    def _take(self, name: str, data: bytes | memoryview, time_ns: int) -> None:
        leading = self._leader(name)
        leading.take(data, time_ns)
        while leading.refused:
            stream, origin = leading.refused.pop()
            self._refuse(name, "samples of %s from %s: it takes %s" % (stream, origin, ", ".join(leading.replica.charter.inputs) or "none"))

    def _refuse(self, name: str, what: str) -> None:
        self.counts["refused"] += 1
        self.incident("refused", name, "%s refuses %s" % (self.node, what))

    def _assign(self, assignment: Assignment) -> None:
        name = assignment.instance
        slot = self._slots.get(name)
        if slot and assignment.version <= slot.assignment.version:
            return
        if self.node != assignment.owner and self.node not in assignment.replicas:
            if slot:  # retired: whoever follows in its place has all of it
                del self._slots[name]
                self._journal.remove(name)
                self._removed = True
            return
        charter = slot.charter if slot and slot.charter.sealed == assignment.charter else self._open(assignment)
        if slot is None:
            slot = self._slots[name] = _Slot(assignment, charter)
        before, slot.assignment, slot.charter = slot.assignment, assignment, charter
        if assignment.term == before.term:
            if slot.leading:
                slot.leading.assign(assignment)
                slot.leading.become(charter)
            if slot.leading or slot.following:
                return
        if slot.following and (slot.following.snapshot or slot.following.entries):
            slot.fresh = True  # what it has just followed is not in the journal yet
        slot.replica = slot.held()
        slot.leading, slot.following, slot.synced, slot.left = None, None, [], []
        self._play(slot)

    def _open(self, assignment: "Assignment") -> Charter:
        """The charter of an assignment, when this node may play a part in it; raises ManifestError, Refused, LinkError."""
        try:
            charter = open_charter(assignment.charter, self._verify)
            if charter.instance != assignment.instance or not charter.may_be_on(self.node):
                raise Refused("it: what comes in may be on %s only" % ", ".join(charter.confined))
            self._admit(charter)
        except Refused as error:
            self._refuse(assignment.instance, str(error))
            raise
        return charter

    def _play(self, slot: _Slot) -> None:
        """Take up the role that the assignment gives."""
        assignment = slot.assignment
        if assignment.owner != self.node:
            from eddy.kernel.following import Following  # see `Leading`

            slot.following = Following(assignment.instance, self.node, lambda: self._empty(slot.charter), slot.replica, slot.joined)
            self._out.append(("@" + assignment.owner, message(NEXT, assignment.instance, "@" + self.node)))
            return
        if slot.replica is None and not assignment.born:
            slot.replica, slot.fresh = self._empty(slot.charter), True
        if slot.replica is not None:
            slot.joined = [0, 0, 0]
            slot.leading = Leading(
                self.node, slot.replica, assignment, slot.join, slot.synced, slot.left, self._pace, self._copier, slot.size, self._doors
            )
            slot.leading.become(slot.charter)
        else:
            self.counts["refused"] += 1

    def _log(self, name: str, data: bytes) -> None:
        slot = self._slots.get(name)
        if slot is None or slot.following is None or Batch(data, True).term != slot.assignment.term:
            raise _NotHere
        self._out.extend([("@" + slot.assignment.owner, said) for said in slot.following.receive(data)])

    def _leader(self, name: str) -> Leading:
        slot = self._slots.get(name)
        if slot is None or slot.leading is None:
            raise _NotHere
        return slot.leading

    def _empty(self, charter: Charter) -> Replica:
        return Replica(charter, self._build, self._verify)

    def _report(self, now_ms: int, out: "list[tuple[str, bytes]]") -> None:
        """Tell the hub at once what changed, and now and then that this node is alive."""
        held: list[Any] = []
        changed: list[Any] = []
        for name in sorted(self._slots):
            slot = self._slots[name]
            replica, leading = slot.held(), slot.leading
            flags = (OWNER | (STOPPED if leading.stopped() else 0)) if leading else 0
            flags |= ENDED if replica and replica.ended else 0
            synced, left, lagging = (slot.synced, slot.left, leading.lagging) if leading else ([], [], [])
            index, faults, fault, pending = (replica.index, replica.faults, replica.fault, replica.pending()) if replica else (-1, 0, "", 0)
            assignment = slot.assignment
            state = [name, assignment.term, assignment.version, flags, index, synced, left, lagging, faults, fault, pending]
            held.append(state)
            changed.append(state[:4] + [index >= 0] + state[5:9])
        changed.append(self._number)
        if changed != self._said or self._beat is None or now_ms - self._beat >= self._beat_ms:
            self._said, self._beat = changed, now_ms
            out.append((HUB, message(REPORT, self.node, held, self._stamp, self._incidents)))
