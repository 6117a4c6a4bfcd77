"""The whole device under the power cuts: learns, reports, takes two packages, tries and confirms them. The gateway is the judge.

Slots and hop have campaigns of their own (see `scenarios.py`); this one is about what the agent makes of them, with `progress` and
`partial` beside them.
"""

import json
from array import array

from eddy.kernel import agent, comm, hop
from eddy.kernel.clock import ManualClock
from eddy.kernel.codec import encode
from eddy.kernel.engines import TRAINING
from eddy.kernel.errors import RollbackError
from eddy.kernel.hop import Gap, Inbox, Outbox
from eddy.kernel.rng import Rng

NAME, CLASS = "pump-3", "pump"
WINDOW = 64
PERIOD_NS = 1000000
PACE_MS = 2500  # line time from window to window: some come while a package does
PIECE = 200  # bytes that the line hands over at a time, so that a package is unfinished for a while
AFTER_BOOT = 2  # windows that each start has to see, at least
TURNS = 20000


def samples(number):
    """Window `number` of the sensor: noise."""
    rng = Rng(number)
    return array("h", [rng.below(200) + rng.below(200) - 199 for _ in range(WINDOW)])


class Pipe:
    """One end of a line; what is on the line is lost when the power fails."""

    def __init__(self):
        self.coming = b""
        self.other = None

    def read(self):
        data, self.coming = self.coming[:PIECE], self.coming[PIECE:]
        return data

    def write(self, data):
        self.other.coming += data


class Tape:
    """A sensor that does not wait: it goes on behind the windows that it has given, whatever has become of them."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.given = 0
        self.due = scenario.clock.now_ms()
        self.ended = False

    def read(self, ready):
        known, now = self.scenario.known, self.scenario.clock.now_ms()
        self.ended = known["agreed"] == 2 and self.given >= AFTER_BOOT
        if self.ended or now < self.due:
            return None
        self.due = now + PACE_MS
        self.given += 1
        known["tape"] += 1
        return memoryview(samples(known["tape"])), known["tape"] * 1000000000, PERIOD_NS


class Watched(Outbox):
    """Notes what was kept under which number, and what the device says it runs at the moment when it says so."""

    scenario = None

    def keep(self, time_ns, value):
        return self.scenario.keep(super().keep, self.stream, time_ns, value)


class Device:
    """The agent, a sensor, a line, and a gateway; all but the agent outlive the cuts.

    What is known is plain data: `kept` and `trying` as the agent's outboxes have it, `level` what the agent runs (-1: it learns, 0: its own
    champion, else the sequence of a package), `sure` the highest level that it has confirmed; `taken` what the gateway has, `next` the
    numbers it expects, `index` the last window, `sent` the package that is wanted, `installed` and `agreed` those it has heard of.
    """

    AGAIN = 130  # the recovery takes as many operations as the work, so that all second cuts would be hours

    def __init__(self):
        with open("device.json") as file:
            given = json.load(file)
        self.packages = [bytes.fromhex(package) for package in given["packages"]]
        self.settings = {"device": NAME, "class": CLASS, "key": bytes.fromhex(given["key"]), "window": WINDOW, "normal_every": 1}
        self.settings.update({"train_windows": 12, "trees": 4, "subsample": 8})
        self.clock = ManualClock()
        self.known = {"kept": {}, "taken": {}, "trying": {}, "next": {"windows": 0, "events": 0}, "tape": 0, "level": -1, "sure": 0}
        self.known.update({"index": -1, "trained": 0, "champion": False, "installed": 0, "agreed": 0, "starts": 0})
        self.meet({})
        Watched.scenario = self
        agent.Outbox = Watched
        comm.fresh = hop.fresh = self.fresh  # so that a campaign can be repeated
        self.agent = self.tape = None

    def meet(self, positions):
        """The gateway's end of the line, as after a start of its own."""
        self.inbox = Inbox(positions)
        self.here, self.there = Pipe(), Pipe()
        self.here.other, self.there.other = self.there, self.here
        self.comm = comm.DataComm(self.there, primary=True)
        self.sent = 0  # sequence of the package that was sent last
        self.handle = None

    def fresh(self, count):
        self.known["starts"] += 1
        rng = Rng(self.known["starts"])
        return bytes([rng.below(256) for _ in range(count)])

    def snapshot(self):
        return copied(self.known), self.inbox.positions()

    def restore(self, known):
        self.known = copied(known[0])
        self.meet(known[1])

    def prepare(self, folder):
        pass

    def work(self, folder):
        self.start(folder)
        for _ in range(TURNS):
            wait = min(self.agent.step(), self.serve())
            if self.agent.finished() and self.comm.quiet():
                return
            self.clock.advance(max(1, min(wait, PACE_MS)))
        raise AssertionError(f"the device and its gateway do not come to an end: {self.known!r}")

    def recover(self, folder):
        self.work(folder)

    def judge(self, folder):
        self.work(folder)
        known, slots = self.known, self.agent._deployment.slots
        assert (slots.active(), slots.trial(), known["level"], known["installed"]) == (2, False, 2, 2), "not the last package runs"
        assert self.agent._settings["normal_every"] == 2, "the package's configuration is not in force"
        missing = [key for key in known["kept"] if key not in known["taken"]]
        assert not missing, f"kept and never delivered: {missing!r}"
        assert known["champion"], "the gateway has not heard of a champion"

    def start(self, folder):
        self.agent = None
        self.tape = Tape(self)
        self.here.coming = self.there.coming = b""
        self.agent = agent.Agent(folder, self.settings, self.here, self.tape, self.clock)

    # --- what the device says, at the moment when it does ---

    def keep(self, keep, stream, time_ns, value):
        known = self.known
        content = encode([time_ns, value])
        self.listen(value)
        known["trying"][content] = known["trying"].get(content, 0) + 1
        seq = keep(time_ns, value)
        assert (stream, seq) not in known["kept"] and seq >= known["next"][stream], f"number {seq} of {stream} is used again"
        known["kept"][stream, seq] = content
        known["trying"][content] -= 1  # what stays above 0 was cut off: it may be on flash or not
        return seq

    def listen(self, value):
        known = self.known
        if isinstance(value, list):
            level = -1 if value[2] == TRAINING else value[3]
            assert level < 0 or known["level"] >= 0 or self.tape.given == 1, "has a champion and has not said so, nor started since"
            self.runs(level, f"window {value[0]}")
            return
        kind = value["e"]
        sequence = value.get("sequence", 0)
        if kind == "boot":
            assert sequence >= max(known["level"], 0), f"boots {sequence} after {known['level']}"
            assert sequence > known["sure"] or not value["trial"] or not known["sure"], f"{sequence} is on trial again"
        elif kind == "installed":
            self.runs(sequence, kind)
        elif kind == "confirmed":
            self.runs(sequence, kind)
            known["sure"] = sequence
        elif kind == "refused":
            assert value["code"] == RollbackError.code and value["sequence"] >= self.sent, f"refuses package {self.sent}: {value!r}"
        else:
            assert kind == "trained", f"says {value!r}"
            assert known["level"] == -1, "trains after it had a champion"
            known["level"] = 0

    def runs(self, level, what):
        assert level >= self.known["level"], f"{what} is of {level}, after {self.known['level']}"
        self.known["level"] = level

    # --- the gateway ---

    def serve(self):
        now = self.clock.now_ms()
        self.comm.listen(now)
        while True:
            came = self.comm.take()
            if came is None:
                break
            assert came[0] == comm.HOP
            for record in self.inbox.offer(bytes(came[1])):
                self.take(record)
            self.inbox.commit()
            for ack in self.inbox.acks():
                self.comm.send(comm.ACK, ack)
        for handle, outcome in self.comm.arq.finished():
            assert outcome == "delivered"
            if handle == self.handle:
                self.handle = None
        self.release()
        return self.comm.speak(now)

    def release(self):
        """The first package follows the champion, the second, which only configures, the first when it has been confirmed."""
        known = self.known
        wanted = known["agreed"] + 1
        if known["champion"] and wanted <= 2 and known["installed"] < wanted and self.sent < wanted:
            self.sent = wanted
            self.handle = self.comm.send(comm.PACKAGE, self.packages[wanted - 1])

    def take(self, record):
        known, stream, value = self.known, record.stream, record.value
        assert record.seq == known["next"][stream], f"{record.seq} of {stream} comes after {known['next'][stream] - 1}"
        if isinstance(value, Gap):
            assert value.reason == "reboot", f"{value!r} of {stream}"
            for seq in range(value.first, value.last + 1):
                assert (stream, seq) not in known["kept"], f"{seq} of {stream} was kept, and is in a gap"
            known["next"][stream] = value.last + 1
            return
        known["next"][stream] = record.seq + 1
        content = encode([record.time_ns, value])
        if (stream, record.seq) in known["kept"]:
            assert known["kept"][stream, record.seq] == content, f"{record.seq} of {stream} was kept as something else"
        else:
            assert known["trying"].get(content), f"{value!r} comes under {record.seq} and was never kept"
        known["taken"][stream, record.seq] = True
        if stream == "windows":
            assert value[0] > known["index"], f"window {value[0]} comes after window {known['index']}"
            known["index"] = value[0]
            known["champion"] = known["champion"] or value[2] != TRAINING  # the power went between storing it and saying so
        else:
            self.hear(value)

    def hear(self, value):
        known = self.known
        kind, sequence = value["e"], value.get("sequence", 0)
        if kind == "trained":
            known["trained"] += 1
            assert known["trained"] == 1, "the device has trained twice"
            known["champion"] = True
        elif kind in ("boot", "installed", "confirmed"):
            known["installed"] = max(known["installed"], sequence)
            if sequence and (kind == "confirmed" or (kind == "boot" and not value["trial"])):
                known["agreed"] = max(known["agreed"], sequence)
            if kind == "boot" and self.handle is None:
                self.sent = known["installed"]  # what was delivered and is not there may go again


def copied(known):
    return {key: dict(value) if isinstance(value, dict) else value for key, value in known.items()}
