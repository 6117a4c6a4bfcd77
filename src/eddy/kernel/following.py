"""The follower of an instance: takes a snapshot and then the log from the owner, and is equal to it entry by entry.

What the owner sends is one stream of the hop for each join: the chunks of a snapshot, its end, entries. What it acknowledges is durable
here, so that this node could speak for the instance.
"""

from eddy.kernel.assignment import AGAIN, LOGGED, message
from eddy.kernel.batch import Batch
from eddy.kernel.codec import decode
from eddy.kernel.errors import SampleError
from eddy.kernel.hop import Gap, Inbox

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from eddy.kernel.replica import Replica

JOIN_BYTES = 3


def log_of(term: int) -> str:
    """Name of the stream of the log under a term: acknowledgements of one term must mean nothing under another."""
    return "log %d" % term


class Following:
    """One instance on a node that does not own it.

    Args:
        instance, node: Names.
        build: Makes an empty replica.
        replica: What the node has of it, None for nothing.
        join: [term, number of the join, records of its stream that came before the first entry] of the snapshot that it has; the term is
            0 for none.

    Attributes:
        replica, join: As above; they change together when a snapshot is complete.
        snapshot: Not None when it must be written to the journal, and the entries so far with it.
        entries: Encoded entries to be written.
    """

    def __init__(self, instance: str, node: str, build: "Callable[[], Replica]", replica: "Replica | None", join: "list[int]") -> None:
        self.replica = replica
        self.join = join
        self.snapshot: bytes | None = None
        self.entries: list[bytes] = []
        self._instance = instance
        self._node = node
        self._build = build
        self._chunks: list[bytes] = []
        self._incoming = [join[0], join[1]]
        self._lost = False
        self._inbox = Inbox()
        if replica is not None and join[0]:
            upto = join[2] + replica.index - 1
            self._inbox = Inbox({(log_of(join[0]), instance): (join[0], upto, join[1].to_bytes(JOIN_BYTES, "big"))})

    def receive(self, data: bytes) -> "list[bytes]":
        """A batch of the log, of the owner's term.

        Returns:
            Messages to the owner that need not wait; acknowledgements come from `written`.

        Raises:
            CodecError, SampleError, Refused: Not a batch of a log, or not one that can be followed.
        """
        batch = Batch(data)
        came = [batch.term, int.from_bytes(batch.birth, "big")]
        if came < self._incoming:
            return []  # of an earlier join
        if came > self._incoming:
            self._incoming, self._inbox, self._chunks, self._lost = came, Inbox(), [], False
        if not self._lost:
            for record in self._inbox.offer(data):
                if isinstance(record.value, Gap):
                    self._lost = True
                    break
                self._take(record.seq, record.value)
        return [message(AGAIN, self._instance, self._node, came[1])] if self._lost else []

    def written(self) -> "list[bytes]":
        """What was received is durable: the acknowledgements to the owner."""
        self._inbox.commit()
        if self._lost:
            return []
        return [message(LOGGED, self._instance, self._node, ack) for ack in self._inbox.acks()]

    def _take(self, seq: int, value: "Any") -> None:
        """A chunk of the snapshot is bytes, its end None, an entry the list of its bytes."""
        if isinstance(value, bytes):
            self._chunks.append(value)
        elif value is None:
            replica = self._build()
            replica.restore(b"".join(self._chunks))
            self.replica, self.snapshot, self.entries = replica, b"".join(self._chunks), []
            self.join = self._incoming + [seq + 1 - replica.index]
            self._chunks = []
        elif self.replica is not None and self._incoming == self.join[:2]:
            self.replica.apply(decode(value[0]))  # type: ignore[arg-type]
            self.entries.append(value[0])
        else:
            raise SampleError("an entry of the log of %s before the end of its snapshot" % self._instance)
