"""What is done while the power is cut, and what may be found afterwards."""

import os

from eddy.kernel.batch import Batch, Gap
from eddy.kernel.errors import StorageFull
from eddy.kernel.hop import Inbox, Outbox
from eddy.kernel.slots import Slots
from eddy.kernel.store import FileStore, RamStore


class Update:
    """Installs, boots, confirms, reverts. A model of the slots gives what they may hold: the old or the new state of a cut operation.

    A state is (confirmed, one before, on trial, its boots, highest sequence ever).
    """

    TRIES = 2

    def __init__(self):
        self.may = [(1, None, None, 0, 1)]
        self.slots = None
        self.next = 2

    def snapshot(self):
        return list(self.may), self.next

    def restore(self, known):
        self.may, self.next = list(known[0]), known[1]

    def prepare(self, folder):
        self.open(folder)
        self.slots.install(1, content(1))
        self.slots.confirm()

    def work(self, folder):
        self.open(folder)
        self.boot()
        self.install()
        self.boot()
        self.confirm()
        self.boot()
        self.install()  # on trial until its tries are used up
        for _ in range(self.TRIES + 1):
            self.boot()
        self.install()
        self.install()  # takes the place of the one on trial
        self.boot()
        self.revert()
        self.install()
        self.boot()
        self.confirm()
        self.revert()
        self.boot()

    def recover(self, folder):
        self.open(folder)
        self.observe()
        self.boot()
        self.install()
        self.boot()
        self.confirm()

    def judge(self, folder):
        self.open(folder)
        self.observe()
        self.boot()
        assert len(self.may) == 1, f"undecided: {self.may!r}"

    def open(self, folder):
        self.slots = Slots(folder + "/slots", max_tries=self.TRIES)

    def observe(self):
        """Of the states that may be, those that are."""
        found = (self.slots.active(), self.slots.trial(), self.slots.sequence())
        possible = [state for state in self.may if found == (state[0], state[2] is not None, state[4])]
        assert possible, f"neither old nor new: {found!r} of {self.may!r}"
        self.may = possible

    def do(self, operation, after):
        states = [after(state) for state in self.may]
        self.may = self.may + states
        result = operation()
        self.may = list(set(states))
        return result

    def boot(self):
        runs = {after_boot(state)[2] or after_boot(state)[0] for state in self.may}
        found = self.do(self.slots.boot, after_boot)
        assert found and found[0] in runs, f"boots {found and found[0]!r}, not one of {runs!r}"
        with found[1] as file:
            assert file.read() == content(found[0]), f"sequence {found[0]} is damaged"

    def install(self):
        sequence = self.next
        self.next += 1
        self.do(lambda: self.slots.install(sequence, content(sequence)), lambda state: (state[0], None, sequence, 0, sequence))

    def confirm(self):
        self.do(self.slots.confirm, lambda s: s if s[2] is None else (s[2], s[0], None, s[3], s[4]))

    def revert(self):
        self.do(self.slots.revert, after_revert)


def after_boot(state):
    confirmed, before, trial, boots, highest = state
    if trial is None:
        return state
    return (confirmed, before, trial, boots + 1, highest) if boots < Update.TRIES else (confirmed, before, None, boots, highest)


def after_revert(state):
    confirmed, before, trial, boots, highest = state
    if trial is not None:
        return (confirmed, before, None, boots, highest)
    return (before, None, None, boots, highest) if before else state


def content(sequence):
    """An artefact: small ones live in littlefs's folder log, larger ones in blocks."""
    return b"%d " % sequence * (2000 if sequence % 2 else 60)


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
