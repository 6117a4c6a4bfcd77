"""Cuts the power at flash operations of a scenario, again and again: real littlefs in real MicroPython on a chip in a host file.

    micropython -X heapsize=256k campaign.py SCENARIO IMAGE EVERY OFFSET [CONTROL]

A scenario works on a freshly mounted flash and knows what may be found there after a cut. The campaign counts the flash operations (writes
and erases) of its work, then repeats the work with the power cut at each of them, with four torn fractions: 0, 1/3, 2/3 or all bytes of
the cut operation reach the flash. After each cut it boots and judges; then it repeats that boot with a second cut at each of its own
operations, four fractions again, boots once more and judges. EVERY and OFFSET take a sample of the first cuts and, each time, of the
second: the operations OFFSET, OFFSET + EVERY, ... A scenario with a constant AGAIN takes only every AGAIN-th operation for the second cut.
SCENARIO is a class of `scenarios.py`, or MODULE.CLASS. The last line printed is JSON with the figures.

CONTROL names a deliberate mistake (see `controls.py`), with which the campaign has to fail.
"""

import gc
import json
import os
import sys

import controls
import flash
import vfs

BLOCKS = 32
FOLDER = "/flash"
FRACTIONS = 4


class Countdown:
    """The cut: lets `left` flash operations through (all of them when it is None), then `thirds`/3 of one."""

    def __init__(self, left, thirds):
        self.left = left
        self.thirds = thirds
        self.operations = 0

    def __call__(self, size):
        if self.left == self.operations:
            return size * self.thirds // 3
        self.operations += 1
        return None


def copy(source, target):
    block = bytearray(4096)
    with open(source, "rb") as read, open(target, "wb") as write:
        while read.readinto(block):
            write.write(block)


def powered(image, work, cut):
    """Mount the flash, work until it is done or the power is cut; whether it was done."""
    chip = flash.HostFlash(image, BLOCKS, cut=cut)
    try:
        flash.mount(chip, FOLDER)
        work(FOLDER)
        return True
    except (flash.PowerCut, OSError):  # closing a file on the way out may fail in its own way
        if not chip.dead:
            raise
        return False
    finally:
        vfs.umount(FOLDER)
        chip.close()


def operations(image, work):
    """How many flash operations the work takes when nothing is cut."""
    cut = Countdown(None, 0)
    assert powered(image, work, cut)
    return cut.operations


class Campaign:
    """See the module; `image` is a host file, beside which the campaign makes others."""

    def __init__(self, scenario, image, every, offset):
        self.make = scenario
        self.every = every
        self.again = max(every, getattr(scenario, "AGAIN", every))
        self.offset = offset
        self.fresh, self.image, self.torn = image + ".fresh", image, image + ".torn"
        self.first_cuts = 0
        self.second_cuts = 0

    def run(self):
        try:
            os.remove(self.fresh)
        except OSError:
            pass
        prepared = self.make()
        powered(self.fresh, prepared.prepare, None)
        copy(self.fresh, self.image)
        scenario = self.make()
        total = operations(self.image, scenario.work)
        powered(self.image, scenario.judge, None)
        for first in range(self.offset % self.every, total, self.every):
            for thirds in range(FRACTIONS):
                self.cut(first, thirds)
        return {"operations": total, "first_cuts": self.first_cuts, "second_cuts": self.second_cuts}

    def cut(self, first, thirds):
        scenario = self.make()
        copy(self.fresh, self.image)
        if powered(self.image, scenario.work, Countdown(first, thirds)):
            raise AssertionError(f"operation {first} was not reached")
        self.first_cuts += 1
        copy(self.image, self.torn)
        known = scenario.snapshot()
        try:
            total = operations(self.image, scenario.recover)
            powered(self.image, scenario.judge, None)
        except AssertionError as broken:
            raise AssertionError(f"cut at operation {first}, {thirds}/3: {broken}")
        for second in range((self.offset + first) % self.again, total, self.again):
            for again in range(FRACTIONS):
                copy(self.torn, self.image)
                scenario.restore(known)
                try:
                    powered(self.image, scenario.recover, Countdown(second, again))
                    powered(self.image, scenario.recover, None)
                    powered(self.image, scenario.judge, None)
                except AssertionError as broken:
                    raise AssertionError(f"cut at operation {first}, {thirds}/3, then at {second}, {again}/3: {broken}")
                self.second_cuts += 1
        gc.collect()


if __name__ == "__main__":
    name, image, every, offset = sys.argv[1:5]
    if len(sys.argv) > 5:
        getattr(controls, sys.argv[5])()
    module, _, name = name.rpartition(".")
    scenario = getattr(__import__(module or "scenarios"), name)
    try:
        print(json.dumps(Campaign(scenario, image, int(every), int(offset)).run()))
    except AssertionError as broken:
        print(json.dumps({"broken": str(broken)}))
