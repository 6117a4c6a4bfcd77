import gc
import os
from array import array

if hasattr(gc, "threshold"):
    gc.threshold(4096)  # as targets/micropython/device.py does: the modules alone fill half of the heap

from eddy.kernel.agent import Agent
from eddy.kernel.clock import ManualClock
from eddy.kernel.comm import ACK, HOP, DataComm
from eddy.kernel.hop import Inbox
from eddy.kernel.rng import Rng


class Pipe:
    def __init__(self):
        self.coming = b""
        self.other = None

    def read(self):
        data = self.coming
        self.coming = b""
        return data

    def write(self, data):
        self.other.coming += data


class Tape:
    def __init__(self, windows):
        self.left = windows
        self.ended = False
        self.rng = Rng(1)

    def read(self, ready):
        if not ready or self.ended:
            return None
        if not self.left:
            self.ended = True
            return None
        self.left -= 1
        loud = 8 if self.left < 3 else 1
        samples = array("h", [(self.rng.below(201) - 100) * loud for _ in range(64)])
        return memoryview(samples), (100 - self.left) * 1000000000, 1000


def check_a_device_trains_reports_and_finds_the_fault():
    os.mkdir("device")
    here, there = Pipe(), Pipe()
    here.other, there.other = there, here
    clock = ManualClock()
    settings = {"device": "d", "class": "pump", "key": bytes(32), "window": 64, "train_windows": 20, "quantile": 900}
    agent = Agent("device", settings, here, Tape(30), clock)
    gateway = DataComm(there, True)
    inbox = Inbox()
    said = []
    while not agent.finished():
        wait = agent.step()
        now = clock.now_ms()
        gateway.listen(now)
        while True:
            came = gateway.take()
            if came is None:
                break
            assert came[0] == HOP
            said += inbox.offer(came[1])
            inbox.commit()
            for ack in inbox.acks():
                gateway.send(ACK, ack)
        clock.advance(max(1, min(wait, gateway.speak(now))))
    windows = [r.value for r in said if r.stream == "windows"]
    assert [w[0] for w in windows if w[2] == 2] == list(range(20))
    assert [w[0] for w in windows if w[2] == 1][-3:] == [27, 28, 29]
    assert [r.value["e"] for r in said if r.stream == "events"] == ["boot", "trained"]
    assert agent.figures()["counts"]["windows"] == 30
