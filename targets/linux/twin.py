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
        if not select.select([self.fd], [], [], 0)[0]:
            return b""
        data = os.read(self.fd, 512)
        if not data:
            raise OSError("the line has gone")
        return data

    def write(self, data):
        while data:
            data = data[os.write(self.fd, data) :]


class Pipes:
    """Standard input without a buffer that poll could not see, and standard output, written at once."""

    def readinto(self, target):
        return os.readv(0, [target])

    def write(self, data):
        os.write(1, data)


def start(folder, port, scale):
    link = TerminalLink(port)

    def wait(line_ms):
        if line_ms:
            select.select([link.fd, 0], [], [], line_ms / scale / 1000)

    driver = replay.Replay(Pipes(), Pipes(), lambda: bool(select.select([0], [], [], 0)[0]))

    def tell(figures):
        os.write(1, b"!" + json.dumps(figures).encode() + b"\n")

    device.run(folder, link, driver, SystemClock(scale), wait, tell, lambda pin, level: os.write(1, b"=%d %d\n" % (pin, level)))


if __name__ == "__main__":
    start(sys.argv[1], sys.argv[2], int(sys.argv[3]))
