"""The whole device under the power cuts: learns, reports, takes two packages. The gateway is hub, consumer and judge.

The journal of its host has a campaign of its own (see `scenarios.py`); this one is about what the device as a node makes of it.
"""

import json
from array import array
from binascii import crc32

from eddy.kernel import comm, features, hop, station
from eddy.kernel.assignment import ACK, ASSIGN, BATCH, HUB, NEXT, OWNER, REPORT, Assignment, Held, message, read
from eddy.kernel.batch import Batch, Gap
from eddy.kernel.charter import Charter, unsigned
from eddy.kernel.clock import ManualClock
from eddy.kernel.codec import decode, encode
from eddy.kernel.courier import Courier
from eddy.kernel.engines import ANOMALOUS, TRAINING
from eddy.kernel.errors import CodecError
from eddy.kernel.forest import Forest
from eddy.kernel.functions.model import NEWS
from eddy.kernel.hop import Inbox, Outbox
from eddy.kernel.rng import Rng
from eddy.kernel.store import RamStore

NAME, CLASS = "pump-3", "pump"
FEATURES = ["rms", "mean_abs_difference", "peak_to_peak"]
WINDOW = 64
PERIOD_NS = 1000000
PACE_MS = 2500  # line time from window to window: some come while a package does
PIECE = 200  # bytes that the line hands over at a time, so that a package is unfinished for a while
AFTER_BOOT = 2  # windows that each start has to see, at least
ROWS = 6
AGAIN_MS = 1000
CHECKPOINT = 600  # bytes of log between two snapshots: some fall into the work
TURNS = 20000
_ROOM = "eddy.kernel.functions."
_SECOND = 1000000000


def samples(number):
    """Window `number` of the sensor: noise."""
    rng = Rng(number)
    return array("h", [rng.below(200) + rng.below(200) - 199 for _ in range(WINDOW)])


def assignments(key):
    """What the hub wants of the device, {instance: function of whether it was there before}."""
    stages = [[_ROOM + "window", "Window", {"size_ms": WINDOW}], [_ROOM + "features", "Features", {"compute": FEATURES}]]
    model = {"features": FEATURES, "trees": 4, "subsample": 4, "quantile": 980, "rows": ROWS, "seed": 1, "home": [CLASS, NAME], "key": key}
    hosted = (
        ("features", ["source", None, stages], [], ["detect"]),
        ("detect", [_ROOM + "model", "Model", model], ["features", "champion"], ["report"]),
        ("report", [_ROOM + "forward", "Forward", {"normal_every": 1}], ["detect"], ["reports!"]),
    )
    return {name: assigned(Charter(name, 1, program, {}, b"rig", name, takes, [], True), gives) for name, program, takes, gives in hosted}


def assigned(charter, gives):
    return lambda born: Assignment(charter.instance, 1, 1, NAME, [NAME], [NAME], False, born, gives, {}, charter.sealed)


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
        self.ended = False  # a source that has ended would never begin again

    def read(self, ready):
        known, now = self.scenario.known, self.scenario.clock.now_ms()
        if self.over() or now < self.due:
            return None
        self.due = now + PACE_MS
        self.given += 1
        known["tape"] += 1
        return memoryview(samples(known["tape"])), known["tape"] * _SECOND, PERIOD_NS

    def over(self):
        return self.scenario.known["heard"] == 2 and self.given >= AFTER_BOOT


class Device:
    """The station, a sensor, a line, and a gateway; all but the station outlive the cuts.

    What is known is plain data. A level is what the model runs: -1 while it learns, 0 its own forest, else the sequence of a package.
    `heard` is the highest level that has been reported, `own` the threshold that was reported with the own forest, `sent` the number of
    packages that have been offered, `ack` the last acknowledgement of those; `tape` the last window that the sensor gave, `kept` those
    that the source has taken, `row` the last that was reported, and `taken` {number of a report: checksum}; `born` the instances that
    were reported.
    """

    AGAIN = 130  # the recovery takes as many operations as the work, so that all second cuts would be hours

    def __init__(self):
        with open("device.json") as file:
            given = json.load(file)
        self.packages = [bytes.fromhex(package) for package in given["packages"]]
        self.thresholds = given["thresholds"]  # in force with each package
        self.forest = Forest.from_wire(bytes.fromhex(given["wire"]))
        self.wire = self.forest.to_wire()
        self.settings = {"device": NAME, "key": bytes(32)}
        self.wanted = assignments(bytes.fromhex(given["key"]))
        self.clock = ManualClock()
        self.known = {"heard": -1, "own": 0, "sent": 0, "ack": b"", "tape": 0, "row": 0, "kept": {}, "taken": {}, "born": {}, "starts": 0}
        station.CHECKPOINT = CHECKPOINT
        comm.fresh = hop.fresh = self.fresh  # so that a campaign can be repeated
        self.meet({})
        self.station = self.tape = None

    def meet(self, positions):
        """The gateway's end of the line, as after a start of its own."""
        known = self.known
        self.inbox = Inbox(positions)
        store = RamStore()
        store.put(hop.numbering(b"box"))
        self.box = Outbox("champion", "champion", store, block=1)
        self.due = 0  # when packages are offered again, ms
        for package in self.packages[: known["sent"]]:
            self.box.keep(0, package)
        if known["ack"]:
            self.box.acknowledge(known["ack"])
        self.here, self.there = Pipe(), Pipe()
        self.here.other, self.there.other = self.there, self.here
        self.comm = comm.DataComm(self.there, True)
        self.courier = Courier(self.comm)

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
            wait = min(self.station.step(), self.serve())
            self.watch()
            if self.done():
                return
            self.clock.advance(max(1, min(wait, PACE_MS)))
        raise AssertionError(f"the device and its gateway do not come to an end: {self.known!r}")

    def recover(self, folder):
        self.work(folder)

    def judge(self, folder):
        self.work(folder)
        known = self.known
        assert self.level() == known["heard"] == 2, "not the last package runs"
        assert sorted(known["taken"]) == list(range(len(known["taken"]))), "numbers that were never reported"

    def start(self, folder):
        self.station = None
        self.tape = Tape(self)
        self.here.coming = self.there.coming = b""
        try:
            self.station = station.Station(folder, self.settings, self.here, self.tape, self.clock, verify=unsigned)
        except CodecError as error:
            raise AssertionError(f"it does not start any more: {error}")
        for name in self.known["born"]:
            assert self.replica(name), f"{name} is not there any more"
        self.level()
        self.watch()

    def done(self):
        device = self.station
        if not self.tape.over():
            return False
        quiet = device._courier.idle() and device._comm.quiet() and not device._near and self.comm.quiet() and self.courier.idle()
        return quiet and not self.box.pending() and not self.known["kept"] and not self.replica("report").pending()

    # --- what is so on the device ---

    def replica(self, name):
        return self.station._host.replica(name)

    def watch(self):
        """What the source has taken is durable by the end of a turn, and must be reported."""
        replica = self.replica("features")
        if replica and replica.last:
            number = replica.last[1] // _SECOND
            if number > self.known["row"]:
                self.known["kept"][number] = True

    def level(self):
        """What the model runs: what was reported or something later, and that whole."""
        replica = self.replica("detect")
        model = replica and replica.instance.function
        level = model._sequence if model and model._inference.ready() else -1
        assert self.known["heard"] <= level <= self.known["sent"], f"runs {level}, heard of was {self.known['heard']}"
        if level > 0:
            _, threshold, wire = model._inference.state()
            assert (wire, threshold) == (self.wire, self.thresholds[level - 1]), f"what runs is not package {level}"
        return level

    # --- the gateway ---

    def serve(self):
        now = self.clock.now_ms()
        self.comm.listen(now)
        while True:
            came = self.comm.take()
            if came is None:
                break
            assert came[0] == comm.FABRIC
            to, data = decode(came[1])
            self.hear(to, read(data))
        self.offer(now)
        self.courier.turn(now)
        return self.comm.speak(now)

    def hear(self, to, parts):
        if parts[0] == REPORT:
            assert to == HUB
            held = [Held(*fields) for fields in parts[2]]
            for one in held:
                assert one.flags & OWNER and not one.faults, f"{one.instance} fails: {one.fault}"
                if one.index >= 0:
                    self.known["born"][one.instance] = True
            here = [one.instance for one in held]
            for name, assignment in self.wanted.items():
                if name not in here:
                    self.courier.put("@" + NAME, message(ASSIGN, assignment(name in self.known["born"]).plain()))
        elif to in self.wanted:
            pass  # to an instance that is not there yet: nobody hears it
        elif parts[0] == BATCH:
            assert to == "reports!"
            for record in Batch(parts[2]).records:
                self.compare(record)
            for record in self.inbox.offer(parts[2]):
                self.take(record)
            self.inbox.commit()
            for ack in self.inbox.acks():
                self.courier.put("report", message(ACK, "reports!", ack))
        elif parts[0] == ACK:
            assert to == "champion"
            self.known["ack"] = parts[2]
            self.box.acknowledge(parts[2])
        else:
            assert (parts[0], to) == (NEXT, "champion"), f"says {parts!r} to {to}"
            self.due = 0

    def offer(self, now):
        """The first package follows the champion that was born there, the second, which only configures, the first."""
        known = self.known
        if known["heard"] == known["sent"] < 2:
            self.box.keep(0, self.packages[known["sent"]])
            known["sent"] += 1
            self.due = 0
        if now >= self.due:
            batch = self.box.batch(400)
            self.due = now + AGAIN_MS
            if batch is not None:
                self.courier.put("detect", message(BATCH, "detect", batch))

    def compare(self, record):
        """What has once left under a number is durable there: it never says anything else."""
        if record.seq in self.known["taken"]:
            assert self.known["taken"][record.seq] == content(record), f"{record.seq} was something else before: now {record!r}"

    def take(self, record):
        known, value = self.known, record.value
        assert not isinstance(value, Gap), f"there is no reason for {value!r}"
        assert record.seq == len(known["taken"]), f"{record.seq} comes after {len(known['taken']) - 1}"
        known["taken"][record.seq] = content(record)
        score, label, row, held = value
        assert held == 0
        if label == NEWS:
            self.news(row)
            return
        number = record.time_ns // _SECOND
        assert number > known["row"], f"window {number} comes after window {known['row']}"
        missing = [kept for kept in known["kept"] if kept < number]
        assert not missing, f"windows {missing!r} were kept, and window {number} comes without them"
        known["kept"].pop(number, None)
        known["row"] = number
        assert row == list(features.compute(samples(number), FEATURES)), f"window {number} is another one"
        level = known["heard"]
        assert (label == TRAINING) == (level < 0), f"label {label} of a model of level {level}"
        if level >= 0:
            assert (label == ANOMALOUS) == (score > (self.thresholds[level - 1] if level else known["own"])), "another threshold"
        if level > 0:
            assert score == self.forest.score(row), f"another forest than that of package {level}"

    def news(self, said):
        known = self.known
        level = 0 if said["e"] == "trained" else said.get("sequence", -1)
        assert said["e"] in ("trained", "installed") and level == known["heard"] + 1, f"{said!r} after level {known['heard']}"
        assert level <= known["sent"]
        known["heard"] = level
        if level == 0:
            known["own"] = said["threshold"]


def content(record):
    return crc32(encode([record.time_ns, record.value]))


def copied(known):
    return {key: dict(value) if isinstance(value, dict) else value for key, value in known.items()}
