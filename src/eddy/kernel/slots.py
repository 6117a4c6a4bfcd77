"""Two slots for what a device runs: the confirmed artefact, and one on trial that is reverted unless it is confirmed in time.

Each artefact is a file of its own under a number that no state has named before. The one commit point is the replacement of the file
`state`, which names the files with their SHA-256: so a power cut at any moment of an update leaves the old or the new, complete, and files
that the state does not name are swept up at the next start. This is an A/B update with rollback protection as firmware has it (RFC 9019).
"""

import os
from hashlib import sha256

from eddy.kernel.errors import RollbackError, StorageFull
from eddy.kernel.store import full_or_same, make_folder, read_map, sync, write_map

MYPY = False
if MYPY:
    from array import array
    from io import BufferedReader

_PART = 1024  # bytes of an artefact that are hashed at a time

_ACTIVE, _PREVIOUS, _TRIAL = 1, 2, 3  # keys of the state; values: [number of the file, sequence, SHA-256]
_TRIES, _HIGHEST, _NUMBER = 4, 5, 6  # boots of the trial, highest sequence ever installed, number of the newest file


class Slots:
    """The slots in `folder`. Building one is the recovery after a reboot.

    Args:
        folder: made when it is missing.
        max_tries: boots that an artefact on trial gets before it is reverted.

    Raises:
        StorageFull: no room for the folder.
    """

    def __init__(self, folder: str, max_tries: int = 3) -> None:
        self._folder = folder
        self._max_tries = max_tries
        make_folder(folder)
        self._state: dict[object, object] = read_map(folder + "/state") or {}
        self._sweep()

    def install(self, sequence: int, *parts: "bytes | array[int]") -> None:
        """Store `parts`, one after the other, as the artefact on trial; it takes the place of an earlier one on trial.

        Args:
            sequence: above that of every artefact installed before; 0 for one that was made here, which is always taken.
            parts: of the artefact, as `boot` will return it in one piece; several, so that large ones need not be copied together.

        Raises:
            RollbackError: the sequence is not above the highest.
            StorageFull: no room; everything is as before.
        """
        highest = self.sequence()
        if 0 < sequence <= highest:
            raise RollbackError("sequence %d is not above %d: package it again under a higher one" % (sequence, highest))
        number = self._count(_NUMBER) + 1
        digest = sha256()
        try:
            with open(self._path(number), "wb") as file:
                for part in parts:
                    digest.update(part)
                    file.write(part)
                sync(file)
            trial = [number, sequence, digest.digest()]
            changes: dict[object, object] = {_TRIAL: trial, _TRIES: 0, _HIGHEST: max(sequence, highest), _NUMBER: number}
            self._change(changes, _PREVIOUS)  # two artefacts at rest are enough
        except (OSError, StorageFull) as error:
            self._sweep()
            raise full_or_same(error, self._folder) if isinstance(error, OSError) else error

    def boot(self) -> "tuple[int, BufferedReader] | None":
        """What to run now: (sequence, its verified file, open at the start), or None when there is nothing.

        The artefact on trial, as long as it has tries left, else the confirmed one. One that has been damaged is passed over. A start on
        trial that cannot be counted, because flash is full, might be repeated for ever: then the confirmed one runs as well.
        """
        tries = self._count(_TRIES)
        if self.trial():
            found = self._open(_TRIAL) if tries < self._max_tries else None
            if found and self._changed({_TRIES: tries + 1}):
                return found
            if found:
                found[1].close()
            self._changed({}, _TRIAL)
        found = self._open(_ACTIVE)
        if found is None and _PREVIOUS in self._state:
            self._changed({_ACTIVE: self._state[_PREVIOUS]}, _PREVIOUS)
            found = self._open(_ACTIVE)
        return found

    def confirm(self) -> None:
        """The artefact on trial has proved itself: it becomes the confirmed one, and the one before is kept for `revert`."""
        if self.trial():
            changes: dict[object, object] = {_ACTIVE: self._state[_TRIAL]}
            if _ACTIVE in self._state:
                changes[_PREVIOUS] = self._state[_ACTIVE]
            self._change(changes, _TRIAL)

    def revert(self) -> None:
        """Give up the artefact on trial; without one, go back from the confirmed artefact to the one before, if it is still there."""
        if self.trial():
            self._change({}, _TRIAL)
        elif _PREVIOUS in self._state:
            self._change({_ACTIVE: self._state[_PREVIOUS]}, _PREVIOUS)

    def trial(self) -> bool:
        """Whether an artefact is on trial."""
        return _TRIAL in self._state

    def active(self) -> int | None:
        """Sequence of the confirmed artefact, None when there is none."""
        entry = self._state.get(_ACTIVE)
        return entry[1] if isinstance(entry, list) else None

    def sequence(self) -> int:
        """Highest sequence ever installed, confirmed or not: nothing older is taken, reverts notwithstanding."""
        return self._count(_HIGHEST)

    def _count(self, key: int) -> int:
        value = self._state.get(key)
        return value if isinstance(value, int) else 0

    def _path(self, number: int) -> str:
        return self._folder + "/%d" % number

    def _open(self, key: int) -> "tuple[int, BufferedReader] | None":
        entry = self._state.get(key)
        if not isinstance(entry, list):
            return None
        number, sequence, digest = entry
        try:
            file = open(self._path(number), "rb")
        except OSError:
            return None
        found = sha256()
        part = bytearray(_PART)
        count = file.readinto(part)
        while count:
            found.update(memoryview(part)[:count])
            count = file.readinto(part)
        if found.digest() != digest:
            file.close()
            return None
        file.seek(0)
        return sequence, file

    def _changed(self, changes: dict[object, object], without: int | None = None) -> bool:
        """As `_change`; when flash is full the state changes for this start only. Returns whether it was written."""
        try:
            self._change(changes, without)
        except StorageFull:
            self._state = dict(self._state)
            self._state.pop(without, None)
            self._state.update(changes)
            return False
        return True

    def _change(self, changes: dict[object, object], without: int | None = None) -> None:
        """Commit the state with `changes`, and without one of its entries."""
        state = dict(self._state)
        state.pop(without, None)
        state.update(changes)
        write_map(self._folder + "/state", state)
        self._state = state
        self._sweep()

    def _sweep(self) -> None:
        """Remove the files that the state does not name: of updates that were cut off, and of artefacts that are no longer needed."""
        named = ["state"]
        for key in (_ACTIVE, _PREVIOUS, _TRIAL):
            entry = self._state.get(key)
            if isinstance(entry, list):
                named.append("%d" % entry[0])
        for name in os.listdir(self._folder):
            if name not in named:
                try:
                    os.remove(self._folder + "/" + name)
                except OSError:  # it goes with the next sweep
                    continue
