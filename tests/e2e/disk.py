"""A disk whose power is cut: ext4 in a file. What is only in the memory of its file system is not in the file."""

import os
import subprocess
from pathlib import Path
from types import TracebackType

import pytest


class Disk:
    """A context manager. Skips the test where it cannot be: it takes root, and a kernel with loop devices.

    Args:
        folder: Where the image is, and where it is mounted.
        mebibytes: Its size; the file has holes.

    Attributes:
        root: Where its files are.
    """

    def __init__(self, folder: Path, mebibytes: int = 256) -> None:
        if os.geteuid() != 0:
            pytest.skip("an image is mounted by root only")
        folder.mkdir(exist_ok=True)
        self._image, self.root = folder / "image", folder / "disk"
        self.root.mkdir()
        with self._image.open("wb") as file:
            file.truncate(mebibytes << 20)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-N", "32768", str(self._image)], check=True, capture_output=True)
            self._mount()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no image can be mounted here ({error})")

    def __enter__(self) -> "Disk":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        subprocess.run(["umount", "-l", str(self.root)], check=False, capture_output=True)

    def copy(self) -> bytes:
        """What is on the disk, while nobody writes. The kernel may: it is read until it is the same twice, so it was like this at once."""
        before, now = b"", self._image.read_bytes()
        while before != now:
            before, now = now, self._image.read_bytes()
        return now

    def replace(self, content: bytes) -> None:
        """The power is back: what was on the disk then is what there is now. Nobody may have a file open."""
        subprocess.run(["umount", str(self.root)], check=True, capture_output=True)
        with self._image.open("wb") as file:
            for at in range(0, len(content), 1 << 20):
                block = content[at : at + (1 << 20)]
                if block.count(0) == len(block):
                    file.seek(len(block), os.SEEK_CUR)
                else:
                    file.write(block)
            file.truncate(len(content))
        self._mount()

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self._image), str(self.root)], check=True, capture_output=True)
