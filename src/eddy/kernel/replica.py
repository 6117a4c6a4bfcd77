"""A replica: one instance of a function with everything that moves with it.

A function is deterministic, so its whole past is its input log: batches of its inputs as they came, ticks, settings, models, and what its
consumers acknowledged. Two replicas that applied the same log are equal bit for bit: state, input positions and unacknowledged outputs.
Restart, fail-over and migration are that and nothing else (state machine replication: Schneider, ACM Computing Surveys 22:4, 1990).

An entry of the log is `[kind, payload, time_ns]`. Outputs are numbered from 0 on by the log alone; each consumer has an outbox of its own,
with the same numbers.
"""

from eddy.kernel.batch import Batch, read_ack
from eddy.kernel.charter import open_charter, unsigned
from eddy.kernel.codec import decode, joined
from eddy.kernel.errors import SampleError
from eddy.kernel.function import CONFIGURE, GAP, MODEL, SAMPLE, TICK, Instance, Sample
from eddy.kernel.hop import Gap, Inbox, Outbox, numbering
from eddy.kernel.store import RamStore

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from eddy.kernel.charter import Charter, Verify
    from eddy.kernel.function import Function

# Kinds of entries beside those of a function, which keep their numbers.
INPUT = 8  # a batch of the hop
ACKED = 9  # an acknowledgement: [consumer, bytes]
CONSUMERS = 10  # who gets the outputs from now on: a list of names
READ = 11  # what a driver has read: [[time_ns, value] ...]; none for the end of its data
CHARTER = 12  # another revision of what it is: sealed bytes

CAPACITY = 65536  # records kept for a consumer; beyond, the oldest become a gap
MAX_BYTES = 16 << 20  # likewise, in bytes
FULL = 32768  # unacknowledged outputs at which no more inputs are taken
FULL_BYTES = MAX_BYTES // 2  # likewise, in bytes


class Replica:
    """An instance, its input positions and its outputs.

    Args:
        charter: What it is; its outputs are of its stream, and their origin is its name.
        build: Makes a function from the program of a charter.
        verify: Of later revisions; see `open_charter`.

    Attributes:
        charter: The revision that is in force.
        index: Entries applied.
        emitted: Number of the next output, before any renumbering of its consumers.
        taken: Samples that came from a driver here.
        ended: The driver's data have ended.
        last: [number, time_ns, value] of the last output, for those who look on; not part of the state.
        outboxes: {consumer: outbox}.
        faults, fault: How often the function raised an error, and the last one. The entry counts as applied and emits nothing.
    """

    def __init__(self, charter: "Charter", build: "Callable[[Any], Function]", verify: "Verify" = unsigned) -> None:
        self.charter = charter
        self.instance = Instance(build(charter.program), charter.instance, charter.digest())
        self.index = 0
        self.taken = 0
        self.ended = False
        self.last: list[Any] = []
        self.outboxes: dict[str, Outbox] = {}
        self.faults = 0
        self.fault = ""
        self._build = build
        self._verify = verify
        self._term = 0
        self._inbox = Inbox()
        self._stores: dict[str, RamStore] = {}
        self.emitted = 0

    def apply(self, entry: "list[Any]") -> list[bytes]:
        """The next entry of the log.

        Returns:
            Acknowledgements for its inputs, to leave when the entry is safe; empty for anything but a batch.

        Raises:
            SampleError: No entry; nothing has changed.
        """
        kind, payload, time_ns = _checked(entry)
        self.index += 1
        if kind == INPUT:
            for record in self._inbox.offer(payload):
                sample = Sample(record.stream, record.origin, record.seq, record.time_ns, record.value, record.replayed)
                if isinstance(record.value, Gap):
                    self._feed(GAP, sample, time_ns)
                else:
                    self._feed(SAMPLE, sample, record.time_ns)
            self._inbox.commit()
            return self._inbox.acks()
        if kind == ACKED:
            if payload[0] in self.outboxes:
                self.lead(max(self._term, read_ack(payload[1])[3]))  # its owner had that term, or it would not stand in the log
                self.outboxes[payload[0]].acknowledge(payload[1])
        elif kind == CONSUMERS:
            self._connect(payload)
        elif kind == READ:
            self.ended = not payload
            for read_ns, value in payload:
                self.taken += 1
                name = self.instance.name
                self._feed(SAMPLE, Sample(name, name, self.taken - 1, read_ns, value), read_ns)
        elif kind == CHARTER:
            self._become(payload)
        else:
            self._feed(kind, payload, time_ns)
        return []

    def repeated(self, batch: Batch, data: bytes | memoryview) -> list[bytes] | None:
        """The acknowledgements to repeat for a batch that says nothing new; None when it must become an entry."""
        term, upto, birth = self._inbox.positions().get((batch.stream, batch.origin), (-1, -1, b""))
        known = batch.first - 1
        if batch.records:
            last = batch.records[-1]
            known = last.value.last if isinstance(last.value, Gap) else last.seq
        if birth and (batch.term < term or (batch.birth == birth and batch.term == term and known <= upto)):
            self._inbox.offer(data)
            return self._inbox.acks()
        return None

    def lead(self, term: int) -> None:
        """Outputs go out under this term."""
        self._term = term
        for box in self.outboxes.values():
            box.term = term

    def origins(self) -> list[str]:
        """Who has sent inputs."""
        return sorted({key[1] for key in self._inbox.positions()})

    def full(self, samples: int = 0, size: int = 0) -> bool:
        """Whether a consumer is so far behind that no more inputs should be taken, when so many samples and bytes wait to be applied."""
        return any(box.pending() + samples >= FULL or box.size() + size >= FULL_BYTES for box in self.outboxes.values())

    def pending(self) -> int:
        """Outputs that some consumer has not acknowledged yet."""
        return max([box.pending() for box in self.outboxes.values()], default=0)

    def snapshot(self) -> bytes:
        """Everything, as bytes that are equal for equal logs."""
        positions = [[key[0], key[1], list(value)] for key, value in sorted(self._inbox.positions().items())]
        kept = [[name, self.outboxes[name].meta(), self._stores[name].steps()] for name in sorted(self._stores)]
        counts = [self.index, self.emitted, self.taken, self.ended, self.faults]
        return joined([self.charter.sealed, counts, positions, kept, self.instance.checkpoint()], 4)

    def restore(self, data: bytes) -> None:
        """Become the replica that `snapshot` described.

        Raises:
            CodecError, SampleError, Refused: No snapshot, or of another function; this replica is to be thrown away.
        """
        parts = decode(data)
        if not isinstance(parts, list) or len(parts) != 5:
            raise SampleError("not a snapshot: expected charter, counts, positions, outputs and checkpoint")
        sealed, counts, positions, kept, checkpoint = parts
        if sealed != self.charter.sealed:  # it was made before the revision that this node was told of: that one stands in the log
            charter = open_charter(sealed, self._verify)
            self.charter, self.instance = charter, Instance(self._build(charter.program), charter.instance, charter.digest())
        self.index, self.emitted, self.taken, self.ended, self.faults = counts
        self._inbox = Inbox({(stream, origin): tuple(at) for stream, origin, at in positions})
        self._connect([])
        for name, meta, records in kept:
            store, seq = RamStore(), 0
            for at in range(0, len(records), 2):
                seq += records[at]
                store.append(seq, records[at + 1])
            self._open(name, store, meta)
        self.instance.restore(checkpoint)

    def _feed(self, kind: int, payload: "Any", time_ns: int) -> None:
        try:
            for value in self.instance.feed(kind, payload):
                for box in self.outboxes.values():
                    box.keep(time_ns, value)
                self.last = [self.emitted, time_ns, value]
                self.emitted += 1
        except MemoryError:
            raise
        except Exception as error:  # the same on every replica: a function that fails must not end the node that hosts it
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        self.faults += 1
        self.fault = "%s: %s" % (type(error).__name__, error)

    def _become(self, sealed: bytes) -> None:
        """Take another revision: the code changes, the state stays. One that cannot take the state is a fault, and the old one goes on."""
        charter = open_charter(sealed, self._verify)
        if charter.revision <= self.charter.revision:
            return
        try:
            if charter.program != self.charter.program:
                old, new = self.instance, Instance(self._build(charter.program), charter.instance, charter.digest())
                state = old.function.state()
                if old.function.schema != new.function.schema:
                    state = new.function.upgrade(state, old.function.schema)
                new.function.restore(state)
                new.position = old.position
                self.instance = new
            self.charter = charter
            if charter.settings:
                self._feed(CONFIGURE, charter.settings, self.last[1] if self.last else 0)
        except Exception as error:
            self._fault(error)

    def _connect(self, consumers: list[str]) -> None:
        for name in consumers:
            if name not in self.outboxes:
                self._open(name, RamStore(), numbering(self.charter.birth, self.emitted))
        for name in list(self.outboxes):
            if name not in consumers:
                del self.outboxes[name], self._stores[name]

    def _open(self, name: str, store: RamStore, meta: dict[object, object]) -> None:
        store.put(meta)
        self._stores[name] = store
        self.outboxes[name] = Outbox(self.charter.stream, self.instance.name, store, CAPACITY, MAX_BYTES, 1, self._term)


def _checked(entry: "Any") -> "tuple[int, Any, int]":
    if isinstance(entry, list) and len(entry) == 3:
        kind, payload, time_ns = entry
        if isinstance(time_ns, int) and (
            (kind == INPUT and isinstance(payload, bytes))
            or (kind == ACKED and isinstance(payload, list) and len(payload) == 2)
            or (kind in (CONSUMERS, READ) and isinstance(payload, list))
            or (kind == CHARTER and isinstance(payload, bytes))
            or kind in (TICK, CONFIGURE, MODEL)
        ):
            return kind, payload, time_ns
    raise SampleError("not an entry of an input log: %r" % (entry,))
