"""Deliberate mistakes, each put into the kernel's place before a campaign: it has to notice them, or it proves nothing."""

import os

from eddy.kernel import filestore, journal, store


def remove_then_rename():
    """A replacement with a moment in which there is neither the old file nor the new."""

    def replace(path, data):
        with open(path + ".new", "wb") as file:
            file.write(data)
        try:
            os.remove(path)
        except OSError:
            pass
        os.rename(path + ".new", path)

    store.replace = replace


def write_in_place():
    """No second file: on littlefs old or new all the same, as long as the file is closed."""

    def replace(path, data):
        with open(path, "wb") as file:
            file.write(data[:1])
            file.flush()
            file.write(data[1:])

    store.replace = replace


def late_append():
    """`append` returns before its record is on flash: the record waits for the next one."""
    append, records = filestore.FileStore.append, filestore.FileStore.records
    waiting = {}

    def late(self, seq, data):
        if self in waiting:
            append(self, *waiting[self])
        waiting[self] = (seq, data)

    def all_records(self, first):
        yield from records(self, first)
        if self in waiting and waiting[self][0] >= first:
            yield waiting[self]

    filestore.FileStore.append, filestore.FileStore.records = late, all_records


def no_reservation():
    """Numbers are used before their block is written down."""
    store.replace = lambda path, data: None


def early_removal():
    """A checkpoint forgets the old snapshot and log before a head names the new ones."""
    snapshot = journal.FileJournal.snapshot

    def early(self, instance, data):
        before = self._named.get(instance)
        snapshot(self, instance, data)
        if before is not None:
            self._clear(instance, before)

    journal.FileJournal.snapshot = early


def head_first():
    """A new snapshot counts before the entries that came with it are there."""
    append = journal.FileJournal._append

    def later(self, name):
        if self._named.get(name) == self._heads[name][journal._GENERATION]:
            append(self, name)

    journal.FileJournal._append = later


def nothing_cleared():
    """What the power cut left behind stays, and is found by whoever takes the same name."""
    load = journal.FileJournal.load

    def all_kept(self):
        remove, journal._remove = journal._remove, lambda path: None
        try:
            yield from load(self)
        finally:
            journal._remove = remove

    journal.FileJournal.load = all_kept


def late_commit():
    """Every other commit is only written with the next one, although the host speaks as if it were."""
    commit = journal.FileJournal.commit

    def late(self):
        self.late = not getattr(self, "late", False)
        if not self.late:
            commit(self)

    journal.FileJournal.commit = late


def package_in_ram():
    """A model runs a package that is not in its log; no checkpoint comes to its help."""
    import device

    append = journal.FileJournal.append
    journal.FileJournal.append = lambda self, name, entries: append(self, name, [entry for entry in entries if len(entry) < 1000])
    device.CHECKPOINT = 8192


def package_not_in_snapshot():
    """A checkpoint of a model forgets which package it runs."""
    from eddy.kernel.functions.model import Model

    state = Model.state
    Model.state = lambda self: state(self)[:3] + [0, b""]
