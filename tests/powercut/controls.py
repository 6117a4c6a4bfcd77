"""Deliberate mistakes, each put into the kernel's place before a campaign: it has to notice them, or it proves nothing."""

import os

from eddy.kernel import store


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
