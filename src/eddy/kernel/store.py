"""Where a hop keeps what is not acknowledged yet, and files on littlefs or any POSIX file system that survive a power cut.

A store holds numbered records and one small map of plain data, its meta. The contract is `Store` below; `RamStore` is here, `FileStore` in
`eddy.kernel.filestore`, `SqliteStore` in `eddy.knowledge.spool`, and one conformance suite runs on all three.

A record that was lost or damaged is left out by `records`: the hop sees the hole in the numbers and reports it.
"""

import os
from binascii import crc32

from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import CodecError, StorageFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Protocol

    class Store(Protocol):
        """What a hop needs of a store."""

        def load(self) -> dict[object, object]:
            """The meta as last put, {} at first; called once, before everything else."""

        def records(self, first: int) -> Iterator[tuple[int, bytes]]:
            """(seq, data) of the records from `first` on, in order."""

        def append(self, seq: int, data: bytes) -> None:
            """Keep a record, its seq above all earlier ones: once this has returned, it survives a power cut. Raises StorageFull."""

        def trim(self, seq: int) -> None:
            """The records up to `seq` may be forgotten, now or later."""

        def put(self, meta: dict[object, object]) -> None:
            """Replace the meta: after a power cut the old or the new, never a mixture. Raises StorageFull."""

        def settled(self) -> bool:
            """Nothing that was appended or put could still be undone."""


MAX_RECORD = 0xFFFF  # bytes: the length is 16 bits wide

_FULL = (28, 36)  # ENOSPC; ENAMETOOLONG, which is littlefs's word for a folder log that finds no room for a new name


class RamStore:
    """Records in RAM.

    Args:
        durable: a store for the meta alone, so that the numbering survives a reboot although the records do not: no flash write per
            record, and what a reboot loses becomes a gap. Without it everything ends with the process, numbering and all.
    """

    def __init__(self, durable: "Store | None" = None) -> None:
        self._durable = durable
        self._meta: dict[object, object] = {}
        self._records: list[tuple[int, bytes]] = []

    def load(self) -> dict[object, object]:
        """The meta as last put."""
        return self._meta if self._durable is None else self._durable.load()

    def records(self, first: int) -> "Iterator[tuple[int, bytes]]":
        """(seq, data) from `first` on."""
        low, high = 0, len(self._records)
        while low < high:
            middle = (low + high) // 2
            if self._records[middle][0] < first:
                low = middle + 1
            else:
                high = middle
        for index in range(low, len(self._records)):
            yield self._records[index]

    def steps(self) -> list[object]:
        """All of them in one list, which is encoded in a third of the time of many: from seq to seq, and the data behind each step."""
        out: list[object] = []
        at = 0
        for seq, data in self._records:
            out.append(seq - at)
            out.append(data)
            at = seq
        return out

    def append(self, seq: int, data: bytes) -> None:
        """Keep a record."""
        self._records.append((seq, data))

    def trim(self, seq: int) -> None:
        """Forget the records up to `seq`."""
        gone = 0
        while gone < len(self._records) and self._records[gone][0] <= seq:
            gone += 1
        del self._records[:gone]

    def put(self, meta: dict[object, object]) -> None:
        """Replace the meta."""
        self._meta = meta
        if self._durable is not None:
            self._durable.put(meta)

    def settled(self) -> bool:
        """Whether the meta is."""
        return self._durable is None or self._durable.settled()


def read_map(path: str) -> dict[object, object] | None:
    """The map in the file `path`, None when the file is missing or damaged."""
    if not exists(path):
        return None
    with open(path, "rb") as file:
        raw = file.read()
    try:
        value = decode(raw[4:])
    except CodecError:
        return None
    return value if isinstance(value, dict) and raw[:4] == crc32(raw[4:]).to_bytes(4, "big") else None


def write_map(path: str, value: dict[object, object]) -> None:
    """Replace the map in the file `path`; raises StorageFull."""
    raw = encode(value)
    replace(path, crc32(raw).to_bytes(4, "big") + raw)


def replace(path: str, data: bytes) -> None:
    """Replace the file `path`: after a power cut the old contents or the new (write a new file, then rename it over the old one).

    Raises:
        StorageFull: no room; the old contents stay.
    """
    new = path + ".new"
    try:
        with open(new, "wb") as file:
            file.write(data)
            sync(file)
        os.rename(new, path)
        sync_folder(path.rpartition("/")[0])
    except OSError as error:
        try:
            os.remove(new)
        except OSError:  # it was not even begun
            pass
        raise full_or_same(error, path)


def sync(file: "BinaryIO") -> None:
    """Everything written to `file` so far survives a power cut (on MicroPython a flush is that)."""
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())


def sync_folder(path: str) -> None:
    """The names in the folder `path` survive a power cut."""
    if hasattr(os, "fsync"):  # a new name survives a power cut only when its folder does
        folder = os.open(path or ".", os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def make_folder(path: str) -> None:
    """Make the folder `path` and those above it where they are missing; raises StorageFull."""
    try:
        os.stat(path)
        return
    except OSError:
        above = path.rpartition("/")[0]
    if above:
        make_folder(above)
    try:
        os.mkdir(path)
        sync_folder(above)
    except OSError as error:
        raise full_or_same(error, path)


def exists(path: str) -> bool:
    """Whether the folder of `path` lists it. The numbers of errors differ between ports, and a failing flash must not look empty."""
    folder, _, name = path.rpartition("/")
    return name in os.listdir(folder or ".")


def full_or_same(error: OSError, path: str) -> Exception:
    """StorageFull for a full file system, any other error as it is."""
    if error.errno in _FULL:
        return StorageFull("no room at %s: remove files, or give the storage a larger share" % path)
    return error
