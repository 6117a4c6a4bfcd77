"""A flash chip in a host file: the block device under littlefs where there is no real flash.

MicroPython's extended block-device interface (``readblocks``/``writeblocks`` with an offset, ``ioctl`` 1 to 6; see the
MicroPython documentation, "Working with filesystems"). It behaves like NOR flash: an erase sets a block to 0xff, a write only
clears bits, so a file system that writes where it has not erased is found out here and not on the first real board.

Example::

    mount(HostFlash("/tmp/pump-3.flash", blocks=64), "/flash")
"""

import os

import vfs

ERASED = b"\xff"
_PIECE = 256  # bytes; a whole block of blank ones would come out of the device's own heap
# littlefs keeps files up to its cache (4 x readsize) and an eighth of a block inside the folder's own log, where an appended record
# costs one or two small writes; a larger file costs an erase and the copy of half a block for each flushed record.
LITTLEFS = {"readsize": 128, "progsize": 32}
NO_POWER = -5  # EIO, as a value: finalisers of files come here with the heap locked, when nothing can be raised
INIT, DEINIT, SYNC, BLOCK_COUNT, BLOCK_SIZE, ERASE_BLOCK = 1, 2, 3, 4, 5, 6


class PowerCut(BaseException):
    """The supply failed in the middle of a flash operation. No error handler of the code under test may catch it."""


class HostFlash:
    """A block device of `blocks` blocks over the host file `path`.

    Args:
        path: the host file; created block by block, all erased, when it is missing or too short.
        blocks: number of erase blocks.
        block_size: bytes of one erase block.
        cut: None, or a callable ``cut(size) -> int | None`` asked before each write and each erase of `size` bytes. None lets the
            operation through; an integer lets that many of its first bytes reach the flash and then raises `PowerCut`.

    Attributes:
        dead: the power was cut, or the device closed: every operation fails and nothing reaches the flash any more.
    """

    def __init__(self, path: str, blocks: int, block_size: int = 4096, cut=None):
        self.blocks = blocks
        self.block_size = block_size
        self.cut = cut
        self.dead = False
        try:
            present = os.stat(path)[6]
        except OSError:
            present = 0
        self._file = open(path, "r+b" if present else "w+b")
        self._file.seek(present // block_size * block_size)
        for _ in range(present // block_size, blocks):
            self._fill(block_size)

    def readblocks(self, block: int, buffer, offset: int = 0):
        """Fill `buffer` from `offset` bytes into `block`."""
        if self.dead:
            return NO_POWER
        self._file.seek(block * self.block_size + offset)
        self._file.readinto(buffer)
        return 0

    def writeblocks(self, block: int, buffer, offset=None):
        """Program `buffer` at `offset` into `block`; without an offset the blocks it covers are erased first."""
        if self.dead:
            return NO_POWER
        if offset is None:
            offset = 0
            for covered in range(block, block + (len(buffer) + self.block_size - 1) // self.block_size):
                self._erase(covered)
        reaches = self._reaches(len(buffer))
        position = block * self.block_size + offset
        self._file.seek(position)
        before = self._file.read(reaches)
        after = int.from_bytes(before, "little") & int.from_bytes(memoryview(buffer)[:reaches], "little")
        self._file.seek(position)
        self._file.write(after.to_bytes(reaches, "little"))
        self._end()
        return 0

    def ioctl(self, operation: int, argument: int):
        """Answer the file system: 0 for done, a number for a question, None for what this device does not know."""
        if self.dead:
            return NO_POWER
        if operation == BLOCK_COUNT:
            return self.blocks
        if operation == BLOCK_SIZE:
            return self.block_size
        if operation == ERASE_BLOCK:
            self._erase(argument)
        elif operation not in (INIT, DEINIT, SYNC):
            return None
        return 0

    def close(self) -> None:
        """Close the host file."""
        self.dead = True
        self._file.close()

    def _erase(self, block: int) -> None:
        reaches = self._reaches(self.block_size)
        self._file.seek(block * self.block_size)
        self._fill(reaches)
        self._end()

    def _fill(self, size: int) -> None:
        """Blank bytes from where the file stands."""
        blank = ERASED * _PIECE
        while size > 0:
            self._file.write(memoryview(blank)[: min(size, _PIECE)])
            size -= _PIECE

    def _reaches(self, size: int) -> int:
        """How many bytes of an operation reach the flash; after fewer, or as many with the power cut, the device is dead."""
        reaches = None if self.cut is None else self.cut(size)
        if reaches is None:
            return size
        self.dead = True
        return reaches

    def _end(self) -> None:
        if self.dead:
            raise PowerCut


def mount(flash: HostFlash, folder: str) -> None:
    """Mount littlefs from `flash` at `folder`; a new chip, or one whose very first formatting was cut off, is formatted.

    Raises:
        OSError: the flash holds something, but no littlefs: its contents are left as they are.
    """
    try:
        vfs.mount(vfs.VfsLfs2(flash, **LITTLEFS), folder)
    except OSError:
        if not _blank_but_for_superblocks(flash):
            raise
        vfs.VfsLfs2.mkfs(flash, **LITTLEFS)
        vfs.mount(vfs.VfsLfs2(flash, **LITTLEFS), folder)


def _blank_but_for_superblocks(flash: HostFlash) -> bool:
    blank = ERASED * flash.block_size
    found = bytearray(flash.block_size)
    for block in range(2, flash.blocks):
        flash.readblocks(block, found)
        if found != blank:
            return False
    return True
