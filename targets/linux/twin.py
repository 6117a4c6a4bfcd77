"""The device's files on CPython, for platforms without a MicroPython wheel: `python twin.py FOLDER PORT SCALE`. No heap limit."""

import json
import os
import select
import sys
import termios
import tty
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "micropython"))

import device
import replay

from eddy.kernel.clock import SystemClock


class TerminalLink:
    """A terminal in raw mode."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd, termios.TCSANOW)

    def read(self):
        return os.read(self.fd, 512) if select.select([self.fd], [], [], 0)[0] else b""

    def write(self, data):
        while data:
            data = data[os.write(self.fd, data) :]


class Sensor:
    """Standard input without a buffer that poll could not see."""

    def readinto(self, target):
        view = memoryview(target).cast("B")
        filled = 0
        while filled < len(view):
            filled += os.readv(0, [view[filled:]])


class Questions:
    """Standard output, written at once."""

    def write(self, data):
        os.write(1, data)


def start(folder, port, scale):
    link = TerminalLink(port)

    def wait(line_ms):
        if line_ms:
            select.select([link.fd, 0], [], [], line_ms / scale / 1000)

    driver = replay.Replay(Sensor(), Questions(), lambda: bool(select.select([0], [], [], 0)[0]))
    device.run(folder, link, driver, SystemClock(scale), wait, lambda figures: os.write(1, b"!" + json.dumps(figures).encode() + b"\n"))


if __name__ == "__main__":
    start(sys.argv[1], sys.argv[2], int(sys.argv[3]))
