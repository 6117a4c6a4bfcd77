"""A station for MicroPython: `micropython line_station.py PORT SPEED FILE`.

Answers every object that it takes with its SHA-256 and keeps the part of an unfinished one in FILE across restarts.
MicroPython has no pathlib, and the line stays open as long as the program.
"""

# ruff: noqa: PTH123, PTH104, SIM115

import hashlib
import os
import select
import struct
import sys
import termios

from eddy.kernel.arq import Arq
from eddy.kernel.clock import SystemClock

STEP = 128  # bytes between two writes to the file


def kept(path):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    key, size = struct.unpack("<II", data[:8])
    return key, size, data[8:]


def keep(path, partial):
    with open(path + ".new", "wb") as file:
        file.write(struct.pack("<II", partial[0], partial[1]))
        file.write(partial[3])
    os.rename(path + ".new", path)


def run(port, speed, path):
    line = open(port, "r+b", 0)
    termios.setraw(line.fileno())
    poller = select.poll()
    poller.register(line, select.POLLIN)
    clock = SystemClock(speed)
    resume = kept(path)
    length = len(resume[2]) if resume else 0
    arq = Arq(False, int.from_bytes(os.urandom(4), "big"), resume=resume)
    while True:
        heard = bytearray()
        while poller.poll(0):
            heard.extend(line.read(1))
        arq.receive(heard, clock.now_ms())
        data = arq.take()
        if data is not None:
            arq.send(hashlib.sha256(data).digest())
            length = 0
        partial = arq.partial()
        if partial is not None and partial[2] >= length + STEP:
            length = partial[2]
            keep(path, partial)
        burst = arq.poll(clock.now_ms())
        if burst is not None:
            line.write(burst)
        now = clock.now_ms()
        deadline = arq.deadline(now)
        for _, event in poller.poll(1000 if deadline is None else max(0, deadline - now) // speed):
            if event & select.POLLHUP:
                return  # the line has gone


run(sys.argv[1], int(sys.argv[2]), sys.argv[3])
