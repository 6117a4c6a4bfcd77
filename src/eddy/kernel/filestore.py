"""A hop's store in a folder on littlefs or any POSIX file system; the contract is `eddy.kernel.store.Store`."""

import os
import struct
from binascii import crc32

from eddy.kernel.store import exists, full_or_same, make_folder, read_map, sync, sync_folder, write_map

MYPY = False
if MYPY:
    from collections.abc import Iterator

_HEAD = ">HI"  # of a record in a segment: bytes of data, seq minus the first seq of the segment; a CRC-32 and the data follow
_HEAD_SIZE = 10


class FileStore:
    """Records in append-only segment files of one folder, each file named after its first number in hexadecimal.

    A segment is never written again after a reboot, so a torn end stays where it is; it is removed as a whole when its last record
    may be forgotten. Segments are small because littlefs keeps a file of up to an eighth of a block in its folder's log, where a flushed
    record costs one or two writes; in a larger file it costs an erase and the copy of half a block.

    Args:
        folder: made when it is missing.
        segment: bytes after which the next segment is begun; a larger record has a segment of its own.

    Raises:
        StorageFull: no room for the folder.
    """

    def __init__(self, folder: str, segment: int = 512) -> None:
        self.folder = folder
        self.segment = segment
        self._firsts: list[int] = []
        self._room = 0  # bytes that the newest segment still takes
        make_folder(folder)

    def load(self) -> dict[object, object]:
        """The meta as last put, {} when there is none or it is damaged."""
        self._firsts = []
        for name in os.listdir(self.folder):
            try:
                self._firsts.append(int(name, 16))
            except ValueError:
                continue
        self._firsts.sort()
        return read_map(self.folder + "/meta") or {}

    def records(self, first: int) -> "Iterator[tuple[int, bytes]]":
        """(seq, data) from `first` on; a damaged record hides the rest of its segment."""
        firsts = self._firsts
        for index in range(len(firsts)):
            if index + 1 < len(firsts) and firsts[index + 1] <= first:
                continue
            for record in self._read(firsts[index]):
                if record[0] >= first:
                    yield record

    def append(self, seq: int, data: bytes) -> None:
        """Keep a record: one flush of the newest segment."""
        new = self._room < _HEAD_SIZE + len(data)
        first = seq if new else self._firsts[-1]
        if new and self._firsts[-1:] != [seq]:
            self._firsts.append(seq)
        try:
            with open(self._path(first), "wb" if new else "ab") as file:
                file.write(struct.pack(_HEAD, len(data), seq - first) + _checksum(seq, data) + data)
                sync(file)
            if new:
                sync_folder(self.folder)
        except OSError as error:
            self._room = 0  # what is half written stays behind as a torn end
            raise full_or_same(error, self.folder)
        self._room = (self.segment if new else self._room) - _HEAD_SIZE - len(data)

    def trim(self, seq: int) -> None:
        """Remove the segments that hold nothing above `seq`, but never the newest: it remembers the highest number."""
        while len(self._firsts) > 1 and self._firsts[1] <= seq + 1:
            path = self._path(self._firsts[0])
            try:
                os.remove(path)
            except OSError:  # one that found no room was never made; any other goes with a later trim
                if exists(path):
                    return
            del self._firsts[0]

    def put(self, meta: dict[object, object]) -> None:
        """Replace the meta."""
        write_map(self.folder + "/meta", meta)

    def settled(self) -> bool:
        """Always: `append` and `put` have synchronised what they wrote."""
        return True

    def _path(self, first: int) -> str:
        return self.folder + "/%x" % first

    def _read(self, first: int) -> "Iterator[tuple[int, bytes]]":
        try:
            with open(self._path(first), "rb") as file:
                raw = file.read()
        except OSError:
            return
        at = 0
        while at + _HEAD_SIZE <= len(raw):
            size, offset = struct.unpack_from(_HEAD, raw, at)
            data = raw[at + _HEAD_SIZE : at + _HEAD_SIZE + size]
            if len(data) != size or raw[at + 6 : at + 10] != _checksum(first + offset, data):
                return
            yield first + offset, data
            at += _HEAD_SIZE + size


def _checksum(seq: int, data: bytes) -> bytes:
    return crc32(data, crc32(b"%x" % seq)).to_bytes(4, "big")
