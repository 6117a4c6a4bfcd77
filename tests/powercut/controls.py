"""Deliberate mistakes, each put into the kernel's place before a campaign: it has to notice them, or it proves nothing."""

import os

from eddy.kernel import journal, store


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
    append, records = store.FileStore.append, store.FileStore.records
    waiting = {}

    def late(self, seq, data):
        if self in waiting:
            append(self, *waiting[self])
        waiting[self] = (seq, data)

    def all_records(self, first):
        yield from records(self, first)
        if self in waiting and waiting[self][0] >= first:
            yield waiting[self]

    store.FileStore.append, store.FileStore.records = late, all_records


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


def late_progress():
    """The agent's progress on flash is that of one write ago: it is written down after the fact instead of before."""
    from eddy.kernel import agent

    write_map = agent.write_map
    waiting = {}

    def late(path, value):
        if path in waiting:
            write_map(path, waiting[path])
        waiting[path] = value

    agent.write_map = late


def no_skip():
    """After a start the agent goes on with the window that was to come, as if its progress told the last one exactly."""
    from eddy.kernel import agent

    read_map = agent.read_map

    def exact(path):
        value = read_map(path)
        if value:
            value["reserved"] -= agent._BLOCK
        return value

    agent.read_map = exact


def champion_in_ram():
    """The device says that it has trained before its champion is on flash."""
    from eddy.kernel.deployment import ModelDeployment

    def package_local(self, forest, names):
        self.sequence, self.forest, self.head = 0, forest, {"f": names, "c": {}}

    ModelDeployment.package_local = package_local


def confirmed_in_ram():
    """A package is said to be confirmed and is still on trial."""
    from eddy.kernel.slots import Slots

    confirm = Slots.confirm
    Slots.confirm = lambda self: confirm(self) if self.sequence() == 0 else None
