"""The hop: keep until acknowledged, acknowledge, drop duplicates, fence lower terms.

One end is an `Outbox`, the other an `Inbox`; whatever carries their bytes may lose, double, delay and reorder them. Restart, fail-over
and migration all rest on this: take the latest checkpoint, replay what was not acknowledged, drop what was already seen.

The origin numbers its samples densely, per stream. What the outbox has neither in its store nor acknowledged is a hole in its numbers,
and a hole *is* the gap record: gaps are found when a batch is built, never stored, so a number cannot go missing in silence, whatever
happened to the store. Numbers are reserved in the store in blocks before use; after a reboot the rest of the block is skipped, so no
number is ever used twice, and it appears as a gap.

The inbox takes numbers in order only. It clips a gap to what it has not accepted yet, so a gap may safely claim too much: that is why the
outbox need not write down every acknowledgement. The bytes are described in `eddy.kernel.batch`.
"""

import struct

from eddy.kernel.batch import (
    BIRTH_BYTES,
    LOST,
    MAX_TIME,
    MIN_TIME,
    OVERFLOW,
    REBOOT,
    TRIMMED,
    Batch,
    Gap,
    Packer,
    Record,
    encode_ack,
    read_ack,
)
from eddy.kernel.codec import encode
from eddy.kernel.errors import Fenced, SampleError, StorageFull, TooLarge
from eddy.kernel.rng import fresh
from eddy.kernel.store import MAX_RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from eddy.kernel.store import Store

__all__ = ("Gap", "Inbox", "Outbox", "Record", "numbering")

_RESERVED, _FLOOR, _DROPPED, _SHIFT, _BIRTH = 1, 2, 3, 4, 5  # keys of the meta


def numbering(birth: bytes, first: int = 0) -> dict[object, object]:
    """The meta of an empty store whose outbox begins at number `first`; two stores of one birth are the same store, here and elsewhere."""
    return {_RESERVED: first, _FLOOR: first, _BIRTH: birth}


class Outbox:
    """Keeps the samples of one stream of one origin until the other end has them. Building one is the recovery after a reboot.

    Args:
        stream: name of the stream.
        origin: name of the node that numbers the samples.
        store: what it keeps them in; no other outbox uses it.
        capacity: most records kept. When it is reached, the oldest quarter is given up for one gap record.
        max_bytes: most bytes kept, likewise.
        block: numbers reserved at a time: one write of the store's meta for each.
        term: term under which this owner speaks.

    Attributes:
        term: may be raised when the owner is given a higher one.
        overflowed, unstored: samples given up for newer ones, samples that found no room.
        renumbered: how often kept samples were moved above numbers that the other end had from an earlier store of this origin.
    """

    def __init__(
        self, stream: str, origin: str, store: "Store", capacity: int = 256, max_bytes: int = 65536, block: int = 64, term: int = 0
    ) -> None:
        self.stream = stream
        self.origin = origin
        self.term = term
        self.overflowed = 0
        self.unstored = 0
        self.renumbered = 0
        self._store = store
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._block = block
        self._heard = term  # highest term in any acknowledgement
        meta = store.load()
        self._floor = _count_in(meta, _FLOOR)  # oldest number that is not acknowledged
        self._dropped = _count_in(meta, _DROPPED)  # numbers below it are missing because of overflow, unless acknowledged
        self._shift = _count_in(meta, _SHIFT)  # number on the wire minus number in the store
        birth = meta.get(_BIRTH)
        mark = birth if isinstance(birth, bytes) else fresh(BIRTH_BYTES)
        self._birth = mark[:BIRTH_BYTES]  # tells this store from others of the same origin
        self._parent = mark[BIRTH_BYTES:]  # the one it takes over from, until the other end has agreed
        self._count = 0  # records kept
        self._bytes = 0
        self._owed = 0  # samples lost without a number: no room even for the reservation
        last = self._floor - 1  # highest number seen in the store
        for seq, data in self._kept():
            self._count += 1
            self._bytes += len(data)
            last = seq
        # The meta may have been damaged, so the stored numbers have a say as well.
        self._next = max(_count_in(meta, _RESERVED), self._block_end(last))
        self._reserved = self._next
        self._sent = self._next  # numbers below it are repeats: sent before, or kept before this start
        if birth != mark:  # the mark must be durable before anyone hears it
            self._put(self._reserved)

    def keep(self, time_ns: int, value: object) -> int:
        """Number and store a sample; once this has returned, it is delivered or else reported in a gap record.

        Args:
            time_ns: when it was taken, nanoseconds; 64 bits, signed.
            value: CBOR-able plain data.

        Returns:
            Its number.

        Raises:
            CodecError: the value has no CBOR form, or is too deep.
            SampleError: the time is beyond 64 bits.
            TooLarge: its CBOR form is longer than a store takes, or than the whole buffer.
            StorageFull: no room, although older samples were given up; a gap record will say so.
        """
        if not MIN_TIME <= time_ns <= MAX_TIME:
            raise SampleError("time %d ns of a sample on stream %s is beyond 64 bits" % (time_ns, self.stream))
        data = struct.pack(">q", time_ns) + encode([value])[1:]  # encoded as an item of a batch, so as deep as that may be
        limit = min(MAX_RECORD, self._max_bytes)
        if len(data) > limit:
            raise TooLarge("a sample of %d bytes on stream %s: at most %d are taken" % (len(data), self.stream, limit))
        if self._count >= self._capacity or self._bytes + len(data) > self._max_bytes:
            self._give_up_oldest(len(data))
        try:
            return self._append(data)
        except StorageFull:
            self._give_up_oldest(len(data))
        try:
            return self._append(data)  # the same content under the same number, should the first try have left something behind
        except StorageFull:
            self.unstored += 1
            if self._next < self._reserved:
                self._next += 1  # becomes a hole
            else:
                self._owed += 1
            raise

    def batch(self, max_bytes: int, below: int | None = None) -> bytes | None:
        """The oldest unacknowledged records, encoded; None when everything is acknowledged, or the store's transaction is still open.

        Args:
            max_bytes: not exceeded, unless a single record does so alone.
            below: only numbers below this one, not counting any renumbering, may leave yet; None for all.

        Raises:
            Fenced: another owner speaks for this stream now.
        """
        self._check_term()
        until = self._next if below is None else min(self._next, below)
        if self._floor >= until or not self._store.settled():
            return None
        head = [self.stream, self.origin, self.term, self._floor + self._shift]
        packer = Packer(head, self._birth + self._parent, max_bytes)
        replayed = 0
        end = self._floor
        for first, last, data in self._numbers():
            if first >= until or not (packer.add_gap(last - first + 1, self._why_missing(last)) if data is None else packer.add(data)):
                break
            if first < self._sent:
                replayed += 1
            end = last + 1
        self._sent = max(self._sent, end)
        return packer.pack(replayed)

    def acknowledge(self, data: bytes) -> bool:
        """Take an acknowledgement, and forget what it covers.

        Returns:
            False when it is meant for another outbox.

        Raises:
            CodecError, SampleError: malformed.
            Fenced: the other end has heard a higher term. This owner must stop; nothing is forgotten, the new owner resends it.
        """
        stream, origin, birth, term, upto = read_ack(data)
        if (stream, origin) != (self.stream, self.origin):
            return False
        self._heard = max(self._heard, term)
        self._check_term()
        floor = upto + 1 - self._shift
        if birth != self._birth:
            self._renumber(upto + 1, birth)
        elif floor > self._next:
            self._renumber(upto + 1, b"")
        else:
            self._parent = b""
            if floor > self._floor:
                self._forget(floor)
        return True

    def look(self, first: int, below: int, most: int) -> list[Record]:
        """What a consumer here takes without a batch: at most so many records from number `first` on, gaps included; `below` as in `batch`.

        Values are encoded: who takes them may hand them on as they are.

        Raises:
            Fenced: another owner speaks for this stream now.
        """
        self._check_term()
        out: list[Record] = []
        until = min(self._next, below) if self._store.settled() else 0
        for at, last, data in self._numbers(first - self._shift):
            if at >= until or len(out) >= most:
                break
            seq = at + self._shift
            if data is None:
                gap = Gap(seq, last + self._shift, self._why_missing(last))
                out.append(Record(self.stream, self.origin, seq, self.term, 0, False, gap))
            else:
                time_ns: int = struct.unpack_from(">q", data)[0]
                out.append(Record(self.stream, self.origin, seq, self.term, time_ns, False, data[8:]))
        return out

    def birth(self) -> bytes:
        """Tells its numbering from others of the same origin."""
        return self._birth

    def next(self) -> int:
        """The number that the next sample gets."""
        return self._next + self._shift

    def floor(self) -> int:
        """The oldest number that is not acknowledged; `next` when all are."""
        return self._floor + self._shift

    def pending(self) -> int:
        """How many numbers are not acknowledged: the samples kept, and the missing ones that a gap record will report."""
        return self._next - self._floor

    def size(self) -> int:
        """Bytes of the samples kept."""
        return self._bytes

    def meta(self) -> dict[object, object]:
        """The meta for a copy of the store; that in the store itself may know of fewer acknowledgements."""
        return self._meta(self._reserved)

    def _check_term(self) -> None:
        if self._heard > self.term:
            raise Fenced(
                "stream %s of %s has an owner of term %d: the one of term %d stops" % (self.stream, self.origin, self._heard, self.term)
            )

    def _kept(self, first: int = 0) -> "Iterator[tuple[int, bytes]]":
        """The stored records from `first` on that are still to be acknowledged; one that a failed write left twice comes once."""
        at = max(self._floor, self._dropped, first)
        for seq, data in self._store.records(at):
            if seq >= at:
                yield seq, data
                at = seq + 1

    def _numbers(self, first: int = 0) -> "Iterator[tuple[int, int, bytes | None]]":
        """(first, last, data) from there on, or the floor, without a break; data is None for a hole."""
        at = max(self._floor, first)
        if at < self._dropped:
            yield at, self._dropped - 1, None
            at = self._dropped
        for seq, data in self._kept(at):
            if seq > at:
                yield at, seq - 1, None
            yield seq, seq, data
            at = seq + 1
        if at < self._next:
            yield at, self._next - 1, None

    def _why_missing(self, last: int) -> str:
        if last < self._dropped:
            return OVERFLOW
        return REBOOT if self._block_end(last) == last + 1 else LOST

    def _block_end(self, seq: int) -> int:
        """First number of the block after that of `seq`; 0 before the first number."""
        return (seq // self._block + 1) * self._block

    def _append(self, data: bytes) -> int:
        if self._next == self._reserved:
            reserved = self._block_end(self._next + self._owed)
            self._put(reserved)
            self._reserved = reserved
            self._next += self._owed
            self._owed = 0
        self._store.append(self._next, data)
        self._next += 1
        self._count += 1
        self._bytes += len(data)
        return self._next - 1 + self._shift

    def _give_up_oldest(self, need: int) -> None:
        """Forget the oldest quarter, and more until `need` bytes fit: in one go, so that a full buffer does not cost a write each time."""
        goal = self._count * 3 // 4
        dropped = self._dropped
        for seq, data in self._kept():
            if self._count <= goal and self._bytes + need <= self._max_bytes:
                break
            self._count -= 1
            self._bytes -= len(data)
            self.overflowed += 1
            dropped = seq + 1
        self._dropped = dropped
        noted = self._try_put()
        self._store.trim(dropped - 1)
        if not noted:  # now there may be room; otherwise the gap is there after a reboot all the same, but its reason reads "lost"
            self._try_put()

    def _forget(self, floor: int) -> None:
        for seq, data in self._kept():
            if seq >= floor:
                break
            self._count -= 1
            self._bytes -= len(data)
        self._floor = floor
        self._store.trim(floor - 1)

    def _renumber(self, wire: int, parent: bytes) -> None:
        """Move everything kept to the numbers from `wire` on: those below belong to an earlier store of this origin, `parent`."""
        before = (self._shift, self._parent)
        self._shift = max(self._shift, wire - self._floor)
        self._parent = parent
        if (self._shift, parent) == before:
            return
        if not self._try_put():  # the next acknowledgement says it again
            self._shift, self._parent = before
        elif self._shift > before[0]:
            self.renumbered += 1

    def _try_put(self) -> bool:
        try:
            self._put(self._reserved)
        except StorageFull:
            return False
        return True

    def _put(self, reserved: int) -> None:
        self._store.put(self._meta(reserved))

    def _meta(self, reserved: int) -> dict[object, object]:
        return {_RESERVED: reserved, _FLOOR: self._floor, _DROPPED: self._dropped, _SHIFT: self._shift, _BIRTH: self._birth + self._parent}


class Inbox:
    """Takes the batches of any number of streams and origins, in any state of repair, and gives each sample exactly once, in order.

    The receiver stores the records and the positions in one transaction, then calls `commit`; only then does an acknowledgement name
    them. Any number of batches may share a transaction::

        records = inbox.offer(batch)
        with connection:
            store(records)
            for position in inbox.uncommitted():
                spool.advance(*position)
        inbox.commit()                       # or inbox.rollback()
        for ack in inbox.acks():
            send(ack)

    Args:
        positions: {(stream, origin): (term, upto, birth)} as last committed: highest term heard, highest number taken (-1 for none), and
            the mark of the origin's store that numbered it.

    Attributes:
        duplicates, fenced, foreign: records dropped as known, batches of lower terms, batches of an origin that has lost its numbering.
    """

    def __init__(self, positions: dict[tuple[str, str], tuple[int, int, bytes]] | None = None) -> None:
        self.duplicates = 0
        self.fenced = 0
        self.foreign = 0
        self._committed = dict(positions or {})
        self._open: dict[tuple[str, str], tuple[int, int, bytes]] = {}
        self._due: dict[tuple[str, str], bool] = {}  # acknowledgements to send

    def offer(self, data: "bytes | memoryview | Batch") -> list[Record]:
        """The records of a batch (its bytes, or what was read of them) that are new, in order, gaps included.

        A batch of a lower term, or of another store of the origin, gives none; its sender learns why from the acknowledgement. Another
        store is heard once it names the one before as its parent and begins above the numbers of that: a compare-and-swap, so that what
        is left of the old store's batches on the line cannot take the stream back.

        A batch that begins above the next number comes from a sender that has forgotten what lies between: the first record is a gap.

        Raises:
            CodecError, SampleError: malformed. Nothing has changed.
        """
        batch = data if isinstance(data, Batch) else Batch(data)
        key = (batch.stream, batch.origin)
        term, upto, birth = self._open.get(key) or self._committed.get(key) or (batch.term, -1, batch.birth)
        self._due[key] = True
        if batch.term < term:
            self.fenced += 1
            return []
        if batch.birth != birth and (batch.parent != birth or batch.first <= upto):
            self.foreign += 1
            self._move(key, (batch.term, upto, birth))
            return []
        records = []
        if batch.first > upto + 1:
            records.append(batch.record(upto + 1, 0, False, Gap(upto + 1, batch.first - 1, TRIMMED)))
        for record in batch.records:
            value = record.value
            last = value.last if isinstance(value, Gap) else record.seq
            if last <= upto:
                self.duplicates += 1
                continue
            if isinstance(value, Gap):
                value.first = record.seq = max(record.seq, upto + 1)
            records.append(record)
            upto = last
        self._move(key, (batch.term, max(upto, batch.first - 1), batch.birth))
        return records

    def uncommitted(self) -> list[tuple[str, str, int, int, bytes]]:
        """(stream, origin, term, upto, birth) of the positions to store together with the records offered since the last commit."""
        return [key + self._open[key] for key in self._open]

    def commit(self) -> None:
        """The records and positions are durable."""
        self._committed.update(self._open)
        self._open = {}

    def rollback(self) -> None:
        """They are not, and never will be: their senders will repeat them."""
        self._open = {}

    def positions(self) -> dict[tuple[str, str], tuple[int, int, bytes]]:
        """What is committed, as the constructor takes it."""
        return dict(self._committed)

    def acks(self) -> list[bytes]:
        """The acknowledgements that are due and name nothing uncommitted; to be sent to whom the batches came from."""
        out = []
        for key in list(self._due):
            if key in self._committed and key not in self._open:
                term, upto, birth = self._committed[key]
                out.append(encode_ack(key[0], key[1], birth, term, upto))
                del self._due[key]
        return out

    def _move(self, key: tuple[str, str], position: tuple[int, int, bytes]) -> None:
        if position != self._committed.get(key):
            self._open[key] = position


def _count_in(meta: dict[object, object], key: int) -> int:
    value = meta.get(key)
    return value if isinstance(value, int) else 0
