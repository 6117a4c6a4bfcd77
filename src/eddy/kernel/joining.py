"""What an owner has for a node that begins to follow it: the other end is `eddy.kernel.following`."""

from eddy.kernel.following import JOIN_BYTES, log_of
from eddy.kernel.hop import Outbox, numbering
from eddy.kernel.outlets import BATCH_BYTES
from eddy.kernel.store import RamStore

MYPY = False
if MYPY:
    from eddy.kernel.leading import Copy


class Join:
    """A follower's copy: a stream of the hop with the snapshot, its end, and every entry since.

    Args:
        instance, term: Whose.
        number: Of the join.
        copy: Gives the snapshot when it is complete, None before.
        index: Entries in the snapshot.
        max_bytes: Of a message of this stream.
    """

    def __init__(self, instance: str, term: int, number: int, copy: "Copy", index: int, max_bytes: int) -> None:
        self.number = number
        self.max_bytes = max_bytes
        self.box: Outbox | None = None
        self._instance = instance
        self._term = term
        self._copy = copy
        self._index = index
        self._later: list[bytes] = []  # entries since, while the snapshot is not complete
        self._first = 0  # number of the first entry
        self.fill()

    def birth(self) -> bytes:
        """Tells the stream of this join from those of others."""
        return self.number.to_bytes(JOIN_BYTES, "big")

    def fill(self) -> bool:
        """Put the snapshot into the stream when it is complete; whether it is there."""
        if self.box is None:
            snapshot = self._copy()
            if snapshot is None:
                return False
            store = RamStore()
            store.put(numbering(self.birth()))
            self.box = Outbox(log_of(self._term), self._instance, store, 1 << 16, len(snapshot) + (16 << 20), 1, self._term)
            piece = min(self.max_bytes, BATCH_BYTES)
            for at in range(0, len(snapshot), piece):
                self.box.keep(0, snapshot[at : at + piece])
            self.box.keep(0, None)
            self._first = self.box.next()
            for entry in self._later:
                self.box.keep(0, [entry])
            self._later = []
        return True

    def keep(self, entry: bytes) -> None:
        """One more entry."""
        if self.box is None:
            self._later.append(entry)
        else:
            self.box.keep(0, [entry])

    def acked(self) -> int:
        """Entries that the follower has, -1 while it has no snapshot."""
        more = self.box.floor() - self._first if self.box else -1
        return self._index + more if more >= 0 else -1
