"""The owner of an instance: orders its inputs into the log, and speaks when what it says cannot be lost any more.

An entry is written to this node's journal, applied, and sent to the followers. It is committed when every node that could become owner has
it; only then do the outputs and acknowledgements that it caused leave. So whoever becomes owner knows everything that was ever heard, and
an owner that was replaced without noticing is not heard: its successor no longer acknowledges its entries.
"""

from eddy.kernel.assignment import ACK, LOG, NEXT, message
from eddy.kernel.batch import Batch, read_ack
from eddy.kernel.codec import encode, joined
from eddy.kernel.errors import Fenced
from eddy.kernel.function import TICK
from eddy.kernel.outlets import BATCH_BYTES, RETRY_MS, Outlets
from eddy.kernel.replica import ACKED, CHARTER, CONSUMERS, INPUT, READ

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from eddy.kernel.assignment import Assignment
    from eddy.kernel.charter import Charter
    from eddy.kernel.hop import Record
    from eddy.kernel.joining import Join
    from eddy.kernel.replica import Replica

    Copy = Callable[[], bytes | None]
    Copier = Callable[[Replica, int], Copy]

LOG_BYTES = 262144
ALONE_MS = 3000  # without the hub and without its followers, after which an owner that stays goes on alone
AHEAD = 1024
NEAR = 64  # entries that a follower may be behind when it becomes one that must have everything
LAZY = 64  # acknowledgements of consumers that wait for an entry to travel with


def at_once(replica: "Replica", size: int) -> "Copy":
    """Take a snapshot now: what a host without processes does."""
    data = replica.snapshot()
    return lambda: data


class Leading:
    """One instance on the node that owns it.

    Args:
        node: This node.
        replica: The instance.
        assignment: Of this node as owner.
        join: Number of the last join that this node began as owner.
        synced: What `synced` was before a restart: the hub may count on these nodes, although the assignment here is older.
        left: What `left` was.
        pace: (ms after which what is not answered is sent again, most bytes of a batch of outputs, of a message of the log, and entries
            that are not committed yet at which no more inputs are taken).
        copier: Takes snapshots for followers, given the replica and about how large it is.
        size: That, bytes.
        doors: See `Outlets`.

    Attributes:
        entries: Encoded entries to be written to the journal before `written` is called.
        join: As above, to be written to the journal with them, and so are `synced` and `left`.
        left: Nodes in sync that this owner goes on without, because neither they nor the hub were heard: durable before it does.
        lagging: Nodes that this owner waits for in vain, and wants off the list.
        fenced: Somebody has heard of a later owner.
        kept: Samples that came from a driver here, of the replica's `taken`, which every node that could become owner has.
        refused: (stream, origin) of batches that this instance must not take.
    """

    def __init__(
        self,
        node: str,
        replica: "Replica",
        assignment: "Assignment",
        join: int,
        synced: list[str],
        left: list[str],
        pace: tuple[int, int, int, int] = (RETRY_MS, BATCH_BYTES, LOG_BYTES, AHEAD),
        copier: "Copier" = at_once,
        size: int = 0,
        doors: bool = True,
    ) -> None:
        self.replica = replica
        self.entries: list[bytes] = []
        self.join = join
        self.fenced = False
        self.kept = 0
        self.size = size
        self._copier = copier
        self._node = node
        self._instance = assignment.instance
        self._retry_ms, batch_bytes, self._log_bytes, self._ahead = pace
        self.left = left
        self.lagging: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self._waiting: list[list[Any]] = []  # entries to be
        self._load = (0, 0)  # samples and bytes of inputs in them
        self._lazy: list[list[Any]] = []
        self._writing: list[list[Any]] = []
        # Index, outputs up to it, acknowledgements that it causes, samples of a driver. At first nothing is known to be committed.
        self._effects: list[tuple[int, int, list[tuple[str, bytes]], int]] = [(replica.index, replica.emitted, [], replica.taken)]
        self._answers: list[tuple[str, bytes]] = []
        self._joins: dict[str, Join] = {}
        self._synced = synced
        self._near: list[str] = []
        self._committed = -1
        self._released = 0
        self._outlets = Outlets(replica.outboxes, self._retry_ms, batch_bytes, doors)
        self._sent: dict[str, int] = {}  # when, to a follower, ms
        self._due: int | None = None  # of the next tick, ms
        self._wanted: list[str] | None = None
        self._revision = replica.charter.revision
        self._stuck: int | None = None  # since when nothing was committed although something waits for it, ms
        replica.lead(assignment.term)
        self._follow(assignment)
        # What they have sent to an owner before this one may have been lost with it.
        self._answers += [(origin, message(NEXT, origin, self._instance)) for origin in replica.origins()]

    def assign(self, assignment: "Assignment") -> None:
        """A later assignment of the same term."""
        # Whom the hub has taken off the list is not counted on any more, whatever this owner has told it before.
        self._synced = [name for name in self._synced if name in assignment.in_sync]
        self.left = [name for name in self.left if name in assignment.in_sync]
        self._follow(assignment)

    def _follow(self, assignment: "Assignment") -> None:
        """Do as an assignment says. After a restart it is the one of before, and what was told to the hub since counts."""
        self._assignment = assignment
        charter = self.replica.charter
        nodes = [name for name in assignment.replicas + assignment.in_sync if name != self._node and charter.may_be_on(name)]
        self._outlets.narrow = assignment.narrow
        for name in list(self._joins):
            if name not in nodes:
                del self._joins[name]
        self._near = [name for name in self._near if name in nodes]
        for name in self.lagging:
            if name not in assignment.in_sync and name in self._joins:
                self._begin(name)
        self.lagging = [name for name in self.lagging if name in assignment.in_sync]
        for name in nodes:
            if name not in self._joins:
                self._begin(name)
        if sorted(assignment.consumers) != sorted(self._wanted if self._wanted is not None else self.replica.outboxes):
            self._wanted = assignment.consumers
            self._waiting.append([CONSUMERS, assignment.consumers, 0])
        self._commit()

    def become(self, charter: "Charter") -> None:
        """A later revision of what it is."""
        if charter.revision > self._revision:
            self._revision = charter.revision
            self._waiting.append([CHARTER, charter.sealed, 0])

    def feed(self, readings: "list[Any]", time_ns: int, encoded: bytes = b"") -> bool:
        """See `Host.feed`."""
        if self.fenced or self._assignment.stop or self._busy():
            return False
        self._waiting.append([READ, readings, time_ns, encoded] if encoded else [READ, readings, time_ns])
        self._load = (self._load[0] + len(readings), self._load[1] + len(encoded))
        return True

    def take(self, data: bytes | memoryview, time_ns: int) -> None:
        """A batch of an input. Ignored when it cannot be taken now: its sender repeats it.

        Raises:
            CodecError, SampleError: No batch.
        """
        batch = Batch(data, True)
        if batch.origin not in self.replica.charter.inputs:
            self.refused.append((batch.stream, batch.origin))
            return
        repeated = self.replica.repeated(batch, data)
        if repeated is not None:
            self._answer(batch.origin, repeated)
        elif not self._assignment.stop and not self._busy():
            self._waiting.append([INPUT, bytes(data), time_ns])
            self._load = (self._load[0] + len(batch.records), self._load[1] + len(data))

    def acked(self, consumer: str, ack: bytes) -> None:
        """A consumer has outputs. It takes effect at once, and is logged with the next entry: a follower may know less about this.

        Raises:
            CodecError, SampleError: No acknowledgement.
        """
        try:
            if self._outlets.acked(consumer, ack):
                self._lazy.append([ACKED, [consumer, ack], 0])
        except Fenced:
            self.fenced = True

    def next(self, consumer: str) -> None:
        """A consumer has another owner, or a follower (`@name`) has just learned that it is one."""
        self._outlets.again(consumer)
        self._sent.pop(consumer[1:], None)

    def logged(self, follower: str, ack: bytes) -> None:
        """A follower has entries; raises CodecError, SampleError."""
        join = self._joins.get(follower)
        if join is None or join.box is None:
            return
        before = join.box.floor()
        try:
            # One of an earlier join has another birth, or another term in its stream: it says nothing about this one.
            if read_ack(ack)[2] == join.birth():
                join.box.acknowledge(ack)
        except Fenced:
            self.fenced = True
        if join.box.floor() > before:
            if follower in self.left and join.acked() >= self._committed:
                self.left = [name for name in self.left if name != follower]  # heard again, and has everything: it counts again
            self._sent.pop(follower, None)
            self._commit()

    def again(self, follower: str, number: int) -> None:
        """A follower has lost what came before in a join."""
        if follower in self._joins and self._joins[follower].number == number:
            self._begin(follower)

    def wait(self, now_ms: int, heard_ms: int | None) -> None:
        """See for whom this owner waits in vain: the hub may take them off the list. Without the hub, one that stays goes on alone.

        Then the hub does not replace it meanwhile: it has not answered the hub for so long that even if its connection is closed, the
        hub cannot know whether it was alone before, and so does not take it for dead. One that has just started may have been taken for
        dead, and waits until it has heard the hub.

        Args:
            heard_ms: When this node heard the hub last; None: not since it was started.
        """
        if self._committed >= self.replica.index:
            self._stuck, self.lagging = None, []
        elif self._stuck is None:
            self._stuck = now_ms
        elif now_ms - self._stuck >= ALONE_MS:
            required = self._required()
            self.lagging = [name for name in self._joins if name in required and self._joins[name].acked() < self.replica.index]
            if self.replica.charter.stay and heard_ms is not None and now_ms - heard_ms >= ALONE_MS:
                self.left = self.left + self.lagging
                for name in self.lagging:
                    self._begin(name)
                self._synced = [name for name in self._synced if name not in self.left]
                self._stuck, self.lagging = None, []

    def order(self, now_ms: int, time_ns: int) -> None:
        """Turn what is waiting into `entries`; nothing any more once somebody has heard of a later owner."""
        if self.fenced:
            self._waiting, self._lazy, self._load = [], [], (0, 0)
            return
        every_ms = self.replica.instance.function.every_ms
        if every_ms and not self._assignment.stop and not self._busy() and (self._due is None or now_ms >= self._due):
            self._waiting.append([TICK, time_ns, time_ns])
            self._due = now_ms + every_ms
        if self._waiting or len(self._lazy) >= LAZY:
            self._writing = self._lazy + self._waiting
            self._lazy, self._waiting, self._load = [], [], (0, 0)
            self.entries = [_encoded(entry) for entry in self._writing]

    def written(self) -> None:
        """`entries` are durable: apply them, and hand them to the followers."""
        for join in self._joins.values():
            for data in self.entries:
                join.keep(data)
        self.entries = []  # before they are applied: what comes now may need the memory
        while self._writing:
            entry = self._writing.pop(0)
            acks = self.replica.apply(entry)
            self._effects.append((self.replica.index, self.replica.emitted, [], self.replica.taken))
            if acks:
                self._answer(read_ack(acks[0])[1], acks)
        self._commit()

    def speak(self, now_ms: int) -> "list[tuple[str, bytes]]":
        """(to, message) of everything that may leave now."""
        if self.fenced:
            return []
        self._commit()
        out = self._answers + self._outlets.speak(now_ms, self._released)
        self._answers = []
        for node, join in self._joins.items():
            if join.fill() and join.box and (node not in self._sent or now_ms - self._sent[node] >= self._retry_ms):
                batch = join.box.batch(join.max_bytes)
                if batch is not None:
                    self._sent[node] = now_ms
                    out.append(("@" + node, message(LOG, self._instance, batch)))
        return out

    def outputs(self, consumer: str, first: int, most: int) -> "tuple[bytes, list[Record]]":
        """What may leave for a consumer from number `first` on, at most so many; and the birth of the numbering."""
        box = self.replica.outboxes.get(consumer)
        if box is None or self.fenced:
            return b"", []
        try:
            return box.birth(), box.look(first, self._released, most)
        except Fenced:
            self.fenced = True
            return b"", []

    def stopped(self) -> bool:
        """Whether everything that was taken is committed, and no more is taken."""
        return self._assignment.stop and not self._waiting and not self._writing and self._committed == self.replica.index

    def synced(self) -> list[str]:
        """Followers without which nothing is committed any more; durable before the hub hears of it."""
        return self._synced

    def _begin(self, node: str) -> None:
        """Begin a join; its snapshot is of now."""
        from eddy.kernel.joining import Join  # most devices never have a follower, and a small heap is full of code

        self.join += 1
        self._near = [name for name in self._near if name != node]
        copy = self._copier(self.replica, self.size)
        most = min(self._log_bytes, self._assignment.narrow.get("@" + node, self._log_bytes))
        self._joins[node] = Join(self._instance, self._assignment.term, self.join, copy, self.replica.index, most)
        self._sent.pop(node, None)

    def _commit(self) -> None:
        for name, join in self._joins.items():
            # Under load a follower is always a little behind: nothing more is committed without it from here on, so that it catches up.
            if name not in self._near and join.acked() >= 0 and self.replica.index - join.acked() <= NEAR:
                self._near.append(name)
        safe = min([self.replica.index] + [self._joins[name].acked() for name in self._required()])
        if safe > self._committed:
            self._committed, self._stuck, self.lagging = safe, None, []
        for name in self._near:  # it has everything that anybody was ever told
            if name not in self._synced and self._joins[name].acked() >= self._committed:
                self._synced.append(name)
        done = 0
        while done < len(self._effects) and self._effects[done][0] <= self._committed:
            self._released = self._effects[done][1]
            self._answers.extend(self._effects[done][2])
            self.kept = self._effects[done][3]
            done += 1
        del self._effects[:done]

    def _required(self) -> list[str]:
        """Followers without which nothing is committed."""
        in_sync = [name for name in self._assignment.in_sync if name in self._joins and name not in self.left]
        return in_sync + self._synced + self._near

    def _answer(self, origin: str, acks: list[bytes]) -> None:
        """Acknowledge inputs, once what they follow from is committed."""
        messages = [(origin, message(ACK, self._instance, ack)) for ack in acks]
        if self._effects:
            self._effects[-1][2].extend(messages)
        else:
            self._answers.extend(messages)

    def _busy(self) -> bool:
        return self.replica.full(*self._load) or self.replica.index + len(self._waiting) - self._committed >= self._ahead


def _encoded(entry: "list[Any]") -> bytes:
    """An entry as it is logged; one that `feed` was given with its encoding loses that here."""
    if entry[0] == INPUT:
        return joined(entry, 1)
    return joined(entry, 1, entry.pop()) if len(entry) > 3 else encode(entry)
