"""The journal of a host in files, for littlefs and POSIX; the contract is `eddy.kernel.host.Journal`.

An instance has three files: a head with its meta, a snapshot, and the entries since. The head names the other two, and is replaced as a
whole, so that a power cut leaves an old snapshot with its entries or a new one with those that came with it. What was appended last may be
torn; it ends the entries. A meta is never older than the entries beside it. Instances are written one after the other: what one has heard
and another has not comes again. Nothing of this stays in RAM but the heads.
"""

import os
from binascii import crc32, hexlify

from eddy.kernel.errors import CodecError
from eddy.kernel.store import full_or_same, make_folder, read_map, sync, write_map

MYPY = False
if MYPY:
    from collections.abc import Iterator
    from typing import Any

_META, _SNAPSHOT, _GENERATION, _NAME = "m", "s", "g", "n"  # _SNAPSHOT: whether there is one
_HEAD = 8  # bytes in front of an entry: its length and checksum


class FileJournal:
    """A journal in a folder.

    Args:
        folder: Of this journal alone; made when it is missing.

    Raises:
        StorageFull: No room for the folder.
    """

    def __init__(self, folder: str) -> None:
        make_folder(folder)
        self._folder = folder
        self._heads: dict[str, dict[object, Any]] = {}
        self._named: dict[str, int] = {}  # the generation that the head on the flash names; of another one nobody knows yet
        self._changed: list[str] = []  # heads to be written
        self._entries: dict[str, list[bytes]] = {}  # to be appended
        self._gone: list[str] = []

    def load(self) -> "Iterator[tuple[str, bytes, bytes | None, list[bytes]]]":
        """(instance, meta, snapshot, entries) as committed. What a power cut has left behind is cleared away."""
        self._heads, self._named, self._changed, self._entries, self._gone = {}, {}, [], {}, []
        files = sorted(os.listdir(self._folder))
        known = []
        for file in files:
            head: dict[object, Any] | None = read_map(self._folder + "/" + file) if file.endswith(".head") else None
            if head is not None:
                name = head[_NAME]
                self._heads[name], self._named[name] = head, head[_GENERATION]
                log = self._log(name)
                known += [self._path(name) + ".head", log, log + ".snap" if head[_SNAPSHOT] else log]
        for file in files:
            if self._folder + "/" + file not in known:
                _remove(self._folder + "/" + file)
        for name in sorted(self._heads):
            head = self._heads[name]
            yield name, head[_META], self._kept(name) if head[_SNAPSHOT] else None, list(self._read(self._log(name)))

    def meta(self, instance: str, data: bytes) -> None:
        """Replace the meta."""
        self._head(instance)[_META] = data

    def snapshot(self, instance: str, data: bytes) -> None:
        """Replace the snapshot, and forget all entries; raises StorageFull. It is written at once, and counts with the next commit."""
        head = self._head(instance)
        if self._named.get(instance) == head[_GENERATION]:
            head[_GENERATION] += 1
        head[_SNAPSHOT] = True
        try:
            with open(self._log(instance) + ".snap", "wb") as file:
                file.write(crc32(data).to_bytes(4, "big"))
                file.write(data)
                sync(file)
        except OSError as error:
            raise full_or_same(error, self._folder)
        self._entries.pop(instance, None)

    def append(self, instance: str, entries: list[bytes]) -> None:
        """Add entries."""
        self._entries.setdefault(instance, []).extend(entries)

    def remove(self, instance: str) -> None:
        """Forget an instance."""
        if instance not in self._heads:
            return
        if self._named.get(instance) != self._heads[instance][_GENERATION]:
            _remove(self._log(instance) + ".snap")
        if instance in self._named and instance not in self._gone:
            self._gone.append(instance)
        if instance in self._changed:
            self._changed.remove(instance)
        self._entries.pop(instance, None)
        del self._heads[instance]

    def commit(self) -> None:
        """Write what is open; raises StorageFull."""
        while self._gone:
            name = self._gone.pop()
            _remove(self._path(name) + ".head")
            self._clear(name, self._named.pop(name))
        for name in self._changed:
            generation = self._heads[name][_GENERATION]
            before = self._named.get(name)
            if before != generation:
                self._append(name)  # in front of the head: nobody knows that log yet
            write_map(self._path(name) + ".head", self._heads[name])
            self._named[name] = generation
            if before is not None and before != generation:
                self._clear(name, before)
        self._changed = []
        for name in list(self._entries):
            self._append(name)

    def _head(self, instance: str) -> "dict[object, Any]":
        if instance not in self._heads:
            generation = 0
            if instance in self._gone:  # it comes back before it has gone: the new head takes the place of the old one
                self._gone.remove(instance)
                generation = self._named[instance] + 1
            self._heads[instance] = {_NAME: instance, _META: b"", _SNAPSHOT: False, _GENERATION: generation}
        if instance not in self._changed:
            self._changed.append(instance)
        return self._heads[instance]

    def _path(self, instance: str) -> str:
        """A name's hash, since littlefs takes neither every character nor every length."""
        return self._folder + "/" + hexlify(crc32(instance.encode()).to_bytes(4, "big")).decode()

    def _log(self, instance: str) -> str:
        return self._path(instance) + ".%d" % self._heads[instance][_GENERATION]

    def _append(self, name: str) -> None:
        path, entries = self._log(name), self._entries.pop(name, [])
        if not entries:
            return
        try:
            with open(path, "ab") as file:
                for entry in entries:
                    file.write(len(entry).to_bytes(4, "big") + crc32(entry).to_bytes(4, "big"))
                    file.write(entry)
                sync(file)
        except OSError as error:
            raise full_or_same(error, path)

    def _clear(self, name: str, generation: int) -> None:
        log = self._path(name) + ".%d" % generation
        _remove(log)
        _remove(log + ".snap")

    def _kept(self, instance: str) -> bytes:
        try:
            with open(self._log(instance) + ".snap", "rb") as file:
                checksum, data = file.read(4), file.read()
        except OSError:  # a head never names what is not there yet: somebody has taken it away
            checksum, data = b"", b""
        if crc32(data).to_bytes(4, "big") != checksum:
            raise CodecError("the snapshot of %s in %s is damaged: remove the folder to begin anew" % (instance, self._folder))
        return data

    def _read(self, path: str) -> "Iterator[bytes]":
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return  # nothing since the snapshot
        at = 0
        while at + _HEAD <= len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            entry = data[at + _HEAD : at + _HEAD + size]
            if len(entry) < size or crc32(entry).to_bytes(4, "big") != data[at + 4 : at + _HEAD]:
                break
            yield entry
            at += _HEAD + size
        if at < len(data):  # torn by a power cut: what is appended now must not stand behind it
            _cut(path, at)


def _cut(path: str, size: int) -> None:
    with open(path, "rb") as file:
        kept = file.read(size)
    try:
        with open(path + ".new", "wb") as file:
            file.write(kept)
            sync(file)
        os.rename(path + ".new", path)
    except OSError as error:
        raise full_or_same(error, path)


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:  # was never made
        pass
