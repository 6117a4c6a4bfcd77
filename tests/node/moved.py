"""What moves, and the program of a device that hosts it: in the kernel's dialect, for CPython and MicroPython.

As a program: `moved.py NAME` serves a host. It reads lines `now message message ...`, the messages in hexadecimal, and answers each with
lines `>to message` and a last one `owns instance ...`.
"""

import sys
from array import array
from binascii import hexlify, unhexlify

from eddy.kernel.engines import LocalInference
from eddy.kernel.features import NAMES
from eddy.kernel.function import Function, Sample
from eddy.kernel.host import Host
from eddy.kernel.rng import Rng
from eddy.kernel.trainer import Trainer

ROWS = 40
TREES = 30
USED = ["rms", "mean_abs_difference", "peak_to_peak"]


def row(number):
    """Three features; every tenth window is loud."""
    rng = Rng(number)
    loud = 6 if number % 10 == 9 else 1
    return [(500 + rng.below(200)) * loud for _ in range(3)]


class Grow(Function):
    """Grows a forest on the rows of the first samples, one tree a tick."""

    every_ms = 20

    def __init__(self):
        self.rows = array("i")
        self.trainer = None
        self.trees = 0

    def on(self, sample):
        self.rows.extend(array("i", row(sample.value)))
        if len(self.rows) == 3 * ROWS:
            self.trainer = Trainer(self.rows, 3, TREES, 32, 7)
        return []

    def tick(self, time_ns):
        if self.trainer is None:
            return []
        self.trees += 1
        if self.trainer.step():
            return []
        forest = self.trainer.forest()
        forest.calibrate(self.rows)
        self.trainer = None
        return [forest.to_image()]

    def state(self):
        return [bytes(self.rows), self.trainer.state() if self.trainer else None, self.trees]

    def restore(self, state):
        self.rows = array("i", state[0])
        self.trainer = Trainer.restore(state[1]) if state[1] is not None else None
        self.trees = state[2]


class Detect(Function):
    """The pump's detector, on made-up windows."""

    def __init__(self, names, image):
        self.inner = LocalInference(names)
        self.inner.model(image)

    def on(self, sample):
        values = [0] * len(NAMES)
        for name, value in zip(USED, row(sample.value)):
            values[NAMES.index(name)] = value
        return self.inner.on(Sample("w", "w", sample.seq, 0, values))

    def state(self):
        return self.inner.state()

    def restore(self, state):
        self.inner.restore(state)


def champion():
    grow = Grow()
    for number in range(ROWS):
        grow.on(Sample("rows", "rows", number, 0, number - number % 10))  # healthy ones only
    out = []
    while not out:
        out = grow.tick(0)
    return out[0]


def build(program):
    return Grow() if program[0] == "grow" else Detect(program[1], program[2])


class Journal:
    """In RAM: a device without flash."""

    def load(self):
        return []

    def meta(self, instance, data):
        pass

    def snapshot(self, instance, data):
        pass

    def append(self, instance, entries):
        pass

    def remove(self, instance):
        pass

    def commit(self):
        pass


def serve(name):
    host = Host(name, Journal(), build)
    while True:
        words = sys.stdin.readline().split()
        if not words:
            return
        for word in words[1:]:
            host.receive(unhexlify(word))
        for to, data in host.poll(int(words[0]), int(words[0]) * 1000000):
            print(">" + to + " " + hexlify(data).decode())
        print(" ".join(["owns"] + host.owns()))


if __name__ == "__main__":
    serve(sys.argv[1])
