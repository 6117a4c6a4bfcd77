import gc
import os
from array import array

if hasattr(gc, "threshold"):
    gc.threshold(4096)  # as targets/micropython/device.py does

from eddy.kernel.assignment import ACK, ASSIGN, BATCH, HUB, OWNER, REPORT, Assignment, Held, message, read
from eddy.kernel.charter import Charter, unsigned
from eddy.kernel.clock import ManualClock
from eddy.kernel.codec import decode
from eddy.kernel.comm import DataComm
from eddy.kernel.courier import Courier
from eddy.kernel.functions import named, same
from eddy.kernel.hop import Gap, Inbox, Outbox
from eddy.kernel.journal import FileJournal
from eddy.kernel.rng import Rng
from eddy.kernel.station import Station
from eddy.kernel.store import RamStore

WINDOW = ["eddy.kernel.functions.window", "Window", {"size_ms": 64}]
FEATURES = ["eddy.kernel.functions.features", "Features", {"compute": ["mean", "peak_to_peak"]}]


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
    def __init__(self, chunks, first=0):
        self.left = chunks
        self.at = first
        self.ended = False

    def read(self, ready):
        if not ready or self.ended:
            return None
        if not self.left:
            self.ended = True
            return None
        self.left -= 1
        self.at += 1
        rng = Rng(self.at)
        return memoryview(array("h", [rng.below(201) - 100 for _ in range(64)])), self.at * 64000000, 1000000


class Gateway:
    """The other end of the line: hub and sink in one."""

    def __init__(self, assignment):
        self.clock = ManualClock()
        self.assignment = assignment
        self.inbox = Inbox()
        self.said = []
        self.owned = []
        self.pins = []

    def connect(self, folder, tape):
        here, there = Pipe(), Pipe()
        here.other, there.other = there, here
        self.comm = DataComm(there, True)
        self.courier = Courier(self.comm)
        self.station = Station(folder, {"device": "d", "key": bytes(32)}, here, tape, self.clock, self.act, unsigned)
        self.tell("@d", message(ASSIGN, self.assignment.plain()))

    def act(self, pin, level):
        self.pins.append((pin, level))

    def tell(self, to, data):
        self.courier.put(to, data)

    def turn(self):
        wait = self.station.step()
        now = self.clock.now_ms()
        self.comm.listen(now)
        while True:
            came = self.comm.take()
            if came is None:
                break
            to, data = decode(came[1])
            parts = read(data)
            if parts[0] == REPORT and to == HUB:
                self.owned = [held[0] for held in parts[2] if Held(*held).flags & OWNER]
            elif parts[0] == BATCH and to == "sink":
                self.said += self.inbox.offer(parts[2])
                self.inbox.commit()
                for ack in self.inbox.acks():
                    self.tell("rows", message(ACK, "sink", ack))
        self.courier.turn(now)
        self.clock.advance(max(1, min(wait, self.comm.speak(now))))


def check_a_device_is_a_node_and_goes_on_from_its_flash():
    os.mkdir("station")
    charter = Charter("rows", 1, ["source", None, [WINDOW, FEATURES]], {}, b"row", "rows", [], ["d"], True)
    gateway = Gateway(Assignment("rows", 1, 1, "d", ["d"], ["d"], False, False, ["sink"], {}, charter.sealed))
    gateway.connect("station", Tape(60))
    for _ in range(3000):
        gateway.turn()
        if len(gateway.said) == 5:
            break
    assert gateway.owned == ["rows"]
    gateway.connect("station", Tape(6, 20))  # its power goes, and comes back
    for _ in range(6000):
        if gateway.station.finished():
            break
        gateway.turn()
    assert gateway.station.finished()
    rows = [record for record in gateway.said if not isinstance(record.value, Gap)]
    assert [record.seq for record in rows] == list(range(len(rows))) and len(rows) >= 11
    assert all(len(record.value) == 2 and record.value[1] > 0 for record in rows)


def check_a_pin_follows_what_its_sink_is_told_and_is_safe_when_nobody_speaks():
    os.mkdir("relay")
    charter = Charter("relay", 1, ["sink", ["", "Pin", {"pin": 5}], {"safe": 0}], {}, b"rel", "relay", ["alarm"], [], True)
    gateway = Gateway(Assignment("relay", 1, 1, "d", ["d"], ["d"], False, False, ["relay!"], {}, charter.sealed))
    gateway.connect("relay", Tape(0))
    alarm = Outbox("alarm", "alarm", RamStore())
    alarm.keep(1, [1, 7])
    gateway.tell("relay", message(BATCH, "relay", alarm.batch(200)))
    for _ in range(2000):
        gateway.turn()
        if len(gateway.pins) == 2:
            break
        gateway.clock.advance(200)
    assert gateway.pins == [(5, 1), (5, 0)]


def check_what_a_source_does_is_to_pass_on():
    assert same.Same().on(same.Sample("s", "o", 0, 0, 7)) == [7]


def check_a_journal_gives_back_what_was_committed_and_nothing_torn():
    journal = FileJournal("journal")
    assert list(journal.load()) == []
    journal.meta("a@b", b"meta")
    journal.append("a@b", [b"one", b"two"])
    journal.commit()
    journal.append("a@b", [b"lost"])
    assert list(FileJournal("journal").load()) == [("a@b", b"meta", None, [b"one", b"two"])]
    journal = FileJournal("journal")
    assert len(list(journal.load())) == 1
    journal.snapshot("a@b", b"state")
    journal.append("a@b", [b"after"])
    journal.commit()
    log = [name for name in os.listdir("journal") if not name.endswith(".head") and not name.endswith(".snap")]
    assert len(log) == 1
    with open("journal/" + log[0], "ab") as file:
        file.write(b"\x00\x00\x00\x09torn")
    journal = FileJournal("journal")
    assert list(journal.load()) == [("a@b", b"meta", b"state", [b"after"])]
    journal.append("a@b", [b"more"])
    journal.commit()
    journal = FileJournal("journal")
    assert list(journal.load()) == [("a@b", b"meta", b"state", [b"after", b"more"])]
    journal.remove("a@b")
    journal.commit()
    assert list(FileJournal("journal").load()) == [] and os.listdir("journal") == []


def check_what_leaves_a_journal_and_comes_back_at_once_begins_anew():
    journal = FileJournal("back")
    journal.meta("a", b"old")
    journal.snapshot("a", b"state")
    journal.append("a", [b"one"])
    journal.commit()
    journal.remove("a")
    journal.meta("a", b"new")
    journal.append("a", [b"two"])
    assert list(FileJournal("back").load()) == [("a", b"old", b"state", [b"one"])]
    journal.commit()
    assert list(FileJournal("back").load()) == [("a", b"new", None, [b"two"])] and len(os.listdir("back")) == 2
    journal.snapshot("a", b"never committed")
    journal.remove("a")
    journal.commit()
    assert list(FileJournal("back").load()) == [] and os.listdir("back") == []


def check_what_a_power_cut_leaves_behind_in_a_journal_is_cleared_and_never_read():
    journal = FileJournal("cleared")
    journal.meta("a", b"meta")
    journal.append("a", [b"one"])
    journal.commit()
    (head,) = [name for name in os.listdir("cleared") if name.endswith(".head")]
    os.remove("cleared/" + head)  # the power went when it was about to forget the rest
    journal = FileJournal("cleared")
    assert list(journal.load()) == [] and os.listdir("cleared") == []
    journal.meta("a", b"later")
    journal.append("a", [b"two"])
    journal.commit()
    assert list(FileJournal("cleared").load()) == [("a", b"later", None, [b"two"])]


def check_what_a_sink_for_many_does_is_to_say_whose_it_is():
    sample = same.Sample("s", "o", 5, 0, 7)
    assert named.Named().on(sample) == [["s", "o", 5, 7]]
    assert named.Named().on(same.Sample("s", "o", 5, 0, 7, True)) == [["s", "o", 5, 7, True]]
    assert named.Named().gap(same.Sample("s", "o", 5, 0, Gap(5, 9, "overflow"))) == [["s", "o", 5, "overflow", 9]]
