"""What is done while the power is cut, and what may be found afterwards."""

import os

from eddy.kernel.batch import Batch, Gap
from eddy.kernel.errors import CodecError, StorageFull
from eddy.kernel.filestore import FileStore
from eddy.kernel.hop import Inbox, Outbox
from eddy.kernel.journal import FileJournal
from eddy.kernel.store import RamStore


class Journal:
    """A host's journal of three instances: metas, snapshots, entries, removes. The judge knows what each of them may be.

    A state is None, or (meta, snapshot, entries). An instance is as it was before the commit that was cut off or as it is after it, never
    neither. Two things are left open: the meta goes first, so it may be newer than entries that came with it without a snapshot; and of
    entries that were appended together some first ones may be there.
    """

    NAMES = ("features", "detect@pump-3", "report")
    ROUNDS = 22
    AGAIN = 5

    def __init__(self):
        self.may = {name: [None] for name in self.NAMES}
        self.made = 0
        self.open_changes = {}
        self.journal = None

    def snapshot(self):
        return {name: list(states) for name, states in self.may.items()}, self.made

    def restore(self, known):
        self.may = {name: list(states) for name, states in known[0].items()}
        self.made = known[1]

    def prepare(self, folder):
        self.open(folder)

    def work(self, folder):
        self.open(folder)
        for number in range(self.ROUNDS):
            self.round(number)

    def recover(self, folder):
        self.open(folder)
        for number in (2, 5, 3):
            self.round(number)

    def judge(self, folder):
        self.open(folder)
        here = [name for name in self.NAMES if self.may[name] != [None]]
        files = os.listdir(folder + "/host")
        assert len(files) <= 3 * len(here), f"{len(here)} instances, and these files: {files!r}"

    def open(self, folder):
        self.journal = FileJournal(folder + "/host")
        self.open_changes = {}
        found = dict.fromkeys(self.NAMES)
        try:
            for name, meta, snapshot, entries in self.journal.load():
                assert name in found, f"an instance called {name!r}"
                found[name] = (meta, snapshot, entries)
        except CodecError as error:
            raise AssertionError(str(error))
        for name, state in found.items():
            assert state in self.may[name], f"{name} is {told(state)}, not one of {[told(may) for may in self.may[name]]}"
            self.may[name] = [state]

    def round(self, number):
        """One commit: as when an instance comes here, works, is checkpointed, goes, and comes back."""
        name = self.NAMES[number % 3]
        kind = number % 11
        if kind == 0:
            for each in self.NAMES:
                self.meta(each)
        elif kind == 1:
            for each in self.NAMES:
                self.snap(each)
                self.append(each, 1)
        elif kind == 3:
            self.snap(name)
        elif kind == 4:
            self.meta(name)
            self.snap(name)
            self.append(name, 2)
        elif kind == 5:
            self.meta(name)
            self.append(name, 2)
        elif kind == 7:
            self.remove(name)
            self.append(self.NAMES[(number + 1) % 3], 1)
        elif kind == 8:
            name = self.NAMES[(number + 2) % 3]  # the one that has just gone
            self.meta(name)
            self.append(name, 1)
        elif kind == 9:
            self.remove(name)
            self.meta(name)
            self.snap(name)
            self.append(name, 1)
        else:
            for each in self.NAMES:
                if self.may[each] != [None]:
                    self.append(each, 1 + number % 2)
        self.commit()

    def made_up(self):
        """Bytes like no others: small ones live in littlefs's folder log, larger ones in blocks."""
        self.made += 1
        return b"%d " % self.made * (300 if self.made % 5 == 0 else 15)

    def state(self, name):
        return self.open_changes[name][1] if name in self.open_changes else self.may[name][0]

    def change(self, name, state, before=None):
        """What the next commit makes of an instance, and what it may be while it is under way."""
        between = self.open_changes[name][0] if name in self.open_changes else []
        self.open_changes[name] = (between if before is None else between + before, state)

    def meta(self, name):
        data = self.made_up()
        state = self.state(name) or (b"", None, [])
        self.journal.meta(name, data)
        self.change(name, (data, state[1], state[2]))

    def snap(self, name):
        data = self.made_up()
        state = self.state(name) or (b"", None, [])
        self.journal.snapshot(name, data)
        self.change(name, (state[0], data, []))

    def append(self, name, count):
        entries = [self.made_up() for _ in range(count)]
        state = self.state(name) or (b"", None, [])
        self.journal.append(name, entries)
        before = self.may[name][0]
        fresh = state[1] != (before and before[1])
        between = [] if fresh else [(state[0], state[1], state[2] + entries[:some]) for some in range(count)]
        self.change(name, (state[0], state[1], state[2] + entries), between)

    def remove(self, name):
        self.journal.remove(name)
        self.open_changes[name] = ([], None)

    def commit(self):
        for name, (between, after) in self.open_changes.items():
            self.may[name] = self.may[name] + between + [after]
        self.journal.commit()
        for name, (_, after) in self.open_changes.items():
            self.may[name] = [after]
        self.open_changes = {}


def told(state):
    """A state in a few words."""
    if state is None:
        return "not there"
    meta, snapshot, entries = state
    return "(%r, %r, %r)" % (meta[:4], snapshot and snapshot[:4], [entry[:4] for entry in entries])


class Stream:
    """Keeps samples, sends batches, loses some of them and of their acknowledgements, runs over. The receiver is the judge.

    The receiver and this book-keeping are at the other end of the line, so they outlive the cuts: a sample is a number that is counted up
    and never repeated, `kept` says which sample has which number because `keep` returned it, `taken` what the receiver has for a number.
    """

    CAPACITY = 12
    BLOCK = 8
    ROUNDS = 40

    def __init__(self):
        self.kept = {}  # seq: sample
        self.taken = {}  # seq: sample, or the reason of its gap
        self.samples = {}  # sample: seq, of those in `taken`
        self.made = 0
        self.trying = []  # samples whose keep was cut off
        self.inbox = Inbox()
        self.outbox = None

    def snapshot(self):
        return dict(self.kept), dict(self.taken), dict(self.samples), self.made, list(self.trying), self.inbox.positions()

    def restore(self, known):
        kept, taken, samples, self.made, trying, positions = known
        self.kept, self.taken, self.samples, self.trying = dict(kept), dict(taken), dict(samples), list(trying)
        self.inbox = Inbox(positions)

    def store(self, folder):
        return FileStore(folder + "/hop", segment=128)

    def open(self, folder):
        self.outbox = Outbox("windows", "pump-3", self.store(folder), capacity=self.CAPACITY, block=self.BLOCK)

    def prepare(self, folder):
        self.open(folder)

    def work(self, folder):
        self.open(folder)
        for index in range(self.ROUNDS):
            self.keep()
            if 12 <= index < 30:  # the line is down: the buffer runs over
                continue
            if index % 3 == 2:
                self.send(answered=index % 4 != 3)

    def recover(self, folder):
        self.open(folder)
        for _ in range(3):
            self.keep()
        self.send(answered=False)
        self.keep()
        self.send(answered=True)
        self.keep()

    def judge(self, folder):
        self.open(folder)
        while self.outbox.pending():
            self.send(answered=True)
        for seq in self.kept:
            self.judge_kept(seq, self.taken.get(seq))
        assert sorted(self.taken) == list(range(len(self.taken))), "numbers in neither a record nor a gap"

    def judge_kept(self, seq, taken):
        if taken == "overflow":
            newer = [other for other in self.kept if other > seq]
            assert len(newer) + 1 >= self.CAPACITY * 3 // 4, f"{seq} was given up without need"
        else:
            assert taken == self.kept[seq], f"{seq} was kept as sample {self.kept[seq]}, and is {taken!r} at the receiver"

    def keep(self):
        sample = self.made
        self.made += 1
        self.trying.append(sample)
        seq = self.outbox.keep(sample * 500000000, [sample, 30000, 0, 3])
        self.trying.pop()
        assert seq not in self.kept and seq not in self.taken, f"number {seq} is used again"
        self.kept[seq] = sample

    def send(self, answered):
        batch = self.outbox.batch(150)
        if batch is None:
            return
        for record in Batch(batch).records:  # what the receiver has under these numbers must be the same
            if not isinstance(record.value, Gap) and record.seq in self.taken:
                had = self.taken[record.seq]
                assert self.same(had, record.value[0]), f"sample {record.value[0]} is taken for a duplicate of {had!r}"
        for record in self.inbox.offer(batch):
            self.take(record)
        self.inbox.commit()
        ack = self.inbox.acks()[0]
        if answered:
            self.outbox.acknowledge(ack)

    def same(self, had, sample):
        return had == sample

    def take(self, record):
        assert record.seq == len(self.taken), f"{record.seq} came after {len(self.taken) - 1}"
        if isinstance(record.value, Gap):
            for seq in range(record.value.first, record.value.last + 1):
                self.taken[seq] = record.value.reason
            return
        sample = record.value[0]
        assert self.kept.get(record.seq, sample) == sample, f"{record.seq} is sample {self.kept[record.seq]}, not {sample}"
        assert record.seq in self.kept or sample in self.trying, f"sample {sample} comes under {record.seq}"
        assert sample not in self.samples, f"sample {sample} comes twice"
        assert record.time_ns == sample * 500000000
        self.taken[record.seq] = sample
        self.samples[sample] = record.seq


class StreamInRam(Stream):
    """The same with the records in RAM and only the numbering on flash: a cut loses samples, but none of them without a gap record."""

    def store(self, folder):
        return RamStore(FileStore(folder + "/hop"))

    def judge_kept(self, seq, taken):
        if taken not in ("reboot", "lost"):
            super().judge_kept(seq, taken)


class Crowded(Stream):
    """The same on a flash that others have filled up: samples without room are in a gap record, too."""

    CAPACITY = 1000
    ROUNDS = 12

    def prepare(self, folder):
        super().prepare(folder)
        fill(folder + "/ballast", 200)
        for index in range(100):  # what is left of the folder's log, but for some records
            fill(folder + f"/hop/other-{index}", 0)
        for index in range(1):
            os.remove(folder + f"/hop/other-{index}")

    def work(self, folder):
        super().work(folder)
        assert self.outbox.overflowed, "there was room for everything"

    def keep(self):
        try:
            super().keep()
        except StorageFull:
            self.trying.pop()

    def same(self, had, sample):
        """What was given up, and reported so, without room to write that down, may come again after a reboot: it stays missing."""
        return had in ("overflow", "lost") or super().same(had, sample)

    def judge_kept(self, seq, taken):
        if taken not in ("overflow", "lost"):
            super().judge_kept(seq, taken)


def fill(path, blocks):
    """Write a file of `blocks` blocks and some bytes, or as much of it as there is room for."""
    try:
        with open(path, "wb") as file:
            for _ in range(blocks):
                file.write(bytes(4096))
                file.flush()
            file.write(bytes(100))
    except OSError:
        return
