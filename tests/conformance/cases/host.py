from eddy.kernel import assignment, following, joining, leading, outlets, replica
from eddy.kernel.assignment import ASSIGN, HUB, STOPPED, Assignment, Held, message, read
from eddy.kernel.charter import Charter
from eddy.kernel.function import TICK, Function
from eddy.kernel.hop import Outbox, numbering
from eddy.kernel.host import Host
from eddy.kernel.rng import Rng
from eddy.kernel.store import RamStore
from eddy.kernel.trainer import Trainer


class Grower(Function):
    """Gathers rows, then grows one tree a tick: a long job that may move half-way."""

    every_ms = 10

    def __init__(self):
        self.rows = []
        self.trainer = None

    def on(self, sample):
        self.rows += sample.value
        if len(self.rows) == 3 * 40:
            self.trainer = Trainer(self.rows, 3, 8, 24, 7)
        return []

    def tick(self, time_ns):
        if self.trainer is None or self.trainer.step():
            return []
        image = self.trainer.forest().to_image()
        self.trainer = None
        return [image]

    def state(self):
        return [self.rows, self.trainer.state() if self.trainer else None]

    def restore(self, state):
        self.rows = state[0]
        self.trainer = Trainer.restore(state[1]) if state[1] is not None else None


class Journal:
    """In a dictionary: what a host writes is there for the next host of that name."""

    def __init__(self):
        self.kept = {}
        self.open = []

    def load(self):
        self.open = []
        return [(name, kept[0], kept[1], list(kept[2])) for name, kept in self.kept.items()]

    def meta(self, instance, data):
        self.open.append((instance, 0, data))

    def snapshot(self, instance, data):
        self.open.append((instance, 1, data))

    def append(self, instance, entries):
        self.open.append((instance, 2, entries))

    def remove(self, instance):
        self.open.append((instance, 3, None))

    def commit(self):
        for instance, what, data in self.open:
            kept = self.kept.setdefault(instance, [b"", None, []])
            if what == 0:
                kept[0] = data
            elif what == 1:
                kept[1:] = [data, []]
            elif what == 2:
                kept[2] += data
            else:
                del self.kept[instance]
        self.open = []


class World:
    """Two hosts, a source and a sink; messages arrive at once, and this class is the hub."""

    def __init__(self):
        self.journals = {"a": Journal(), "b": Journal()}
        self.hosts = {name: self.start(name) for name in ("a", "b")}
        store = RamStore()
        store.put(numbering(b"src"))
        self.source = Outbox("rows", "source", store, 256, 65536, 1)
        self.outlets = outlets.Outlets({"grow": self.source})
        self.heard = []
        self.reports = {}
        self.now = 0
        self.version = 0
        self.in_sync = ["a"]

    def start(self, name):
        return Host(name, self.journals[name], lambda program: Grower())

    def assign(self, term, owner, in_sync, replicas, stop=False):
        self.version += 1
        made = Charter("grow", 1, None, {}, b"grw", "forests", ["source"], [], True)
        one = Assignment("grow", term, self.version, owner, in_sync, replicas, stop, term > 1, ["sink"], {}, made.sealed)
        for host in self.hosts.values():
            host.receive(message(ASSIGN, one.plain()))

    def run(self, ms):
        for _ in range(ms):
            self.now += 1
            queue = self.outlets.speak(self.now)
            for host in self.hosts.values():
                queue += host.poll(self.now, self.now * 1000000)
            for to, data in queue:
                if to == HUB:
                    parts = read(data)
                    self.reports[parts[1]] = parts[2]
                elif to == "sink":
                    self.heard.append(data)
                elif to == "source":
                    self.outlets.acked(read(data)[1], read(data)[2]) if read(data)[0] == assignment.ACK else self.outlets.again("grow")
                elif to[0] == "@":
                    self.hosts[to[1:]].receive(data)
                else:
                    for host in self.hosts.values():
                        if to in host.owns():
                            host.receive(data)

    def sync(self):
        return Held(*self.reports["a"][0]).synced


def rows():
    rng = Rng(11)
    return [[rng.below(1000) for _ in range(30)] for _ in range(4)]


def grown():
    """What a function that was never moved says."""
    twin = Grower()
    for some in rows():
        twin.on(replica.Sample("rows", "source", 0, 0, some))
    out = []
    while not out:
        out = twin.tick(0)
    return out[0]


def check_a_forest_that_moves_half_grown_ends_with_the_same_bits():
    world = World()
    world.assign(1, "a", ["a"], ["a"])
    for some in rows():
        world.source.keep(0, some)
    world.run(45)  # the rows, and some trees
    assert world.hosts["a"].replica("grow").instance.function.trainer is not None
    world.assign(1, "a", ["a"], ["a", "b"])
    world.run(5)
    assert world.sync() == ["b"]
    world.assign(1, "a", ["a", "b"], ["a", "b"], True)
    world.run(3)
    assert Held(*world.reports["a"][0]).flags & STOPPED
    assert world.hosts["b"].replica("grow").snapshot() == world.hosts["a"].replica("grow").snapshot()
    world.assign(2, "b", ["b"], ["b"])
    world.run(2)
    assert world.hosts["a"].owns() == [] and world.hosts["b"].owns() == ["grow"]
    world.hosts["b"] = world.start("b")  # and its new node loses its power
    world.run(100)
    said = leading.Batch(read(world.heard[0])[2]).records[0]
    assert (said.seq, said.value) == (0, grown())


def check_a_tick_is_an_entry_and_what_is_no_message_is_counted():
    world = World()
    world.assign(1, "a", ["a"], ["a"])
    world.run(30)
    before = world.hosts["a"].replica("grow").index
    assert before >= 3
    for junk in (b"", b"\x00", message(99), message(assignment.BATCH, "grow", b"junk"), message(assignment.LOG), message(TICK, 1, 2)):
        world.hosts["a"].receive(junk)
    assert world.hosts["a"].counts["malformed"] >= 4
    assert following.log_of(1) != following.log_of(2)


def check_a_host_that_is_told_to_sums_its_journal_up():
    world = World()
    world.assign(1, "a", ["a"], ["a", "b"])
    for some in rows():
        world.source.keep(0, some)
    world.run(45)
    for name, host in world.hosts.items():
        kept = world.journals[name].kept["grow"]
        assert kept[2]
        host.checkpoint = 0
        host.poll(world.now)
        assert kept[2] == []
        assert world.start(name).replica("grow").snapshot() == host.replica("grow").snapshot() == kept[1]


def check_a_follower_is_given_the_snapshot_its_end_and_the_entries_since():
    join = joining.Join("hourly", 3, 7, lambda: b"snapshot", 5, 400)
    join.keep(b"entry")
    batch = leading.Batch(join.box.batch(400))
    assert [record.value for record in batch.records] == [b"snapshot", None, [b"entry"]]
    assert batch.birth == join.birth() and join.acked() == -1


def check_an_owner_takes_no_more_than_its_copy_can_be_behind():
    host = Host("a", Journal(), lambda program: Function(), pace=(200, 1000, 1000, 8))
    made = Charter("grow", 1, None, {}, b"grw", "forests", [], [], True)
    given = Assignment("grow", 1, 1, "a", ["a", "b"], ["a", "b"], False, True, [], {}, made.seal())
    first = Assignment("grow", 1, 0, "a", ["a"], ["a"], False, False, [], {}, made.sealed)
    host.receive(message(ASSIGN, first.plain()))
    host.poll(0)
    host.receive(message(ASSIGN, given.plain()))
    taken = 0
    for now in range(100):
        taken += host.feed("grow", [[now, now]], now)
        host.poll(now)
    assert 0 < taken <= 8, taken


class Echo(Function):
    def on(self, sample):
        return [sample.value]


def check_a_copy_that_the_hub_was_told_of_is_waited_for_after_a_restart_too():
    """The hub may count on it, although the assignment that says so has not come."""
    journal, now = Journal(), 0
    made = Charter("grow", 1, None, {}, b"grw", "echoes", [], [], True)
    given = Assignment("grow", 1, 1, "a", ["a"], ["a", "b"], False, False, ["k"], {}, made.seal())
    hosts = {"a": Host("a", journal, lambda program: Echo()), "b": Host("b", Journal(), lambda program: Echo())}
    for host in hosts.values():
        host.receive(message(ASSIGN, given.plain()))
    hosts["a"].feed("grow", [[0, 0]], 0)
    told = []
    while "b" not in told:
        now += 10
        for name in ("a", "b"):
            for to, data in hosts[name].poll(now):
                if to[1:] in hosts:
                    hosts[to[1:]].receive(data)
                elif to == HUB and name == "a":
                    for held in read(data)[2]:
                        told = Held(*held).synced
        assert now < 5000
    hosts["a"] = Host("a", journal, lambda program: Echo())
    assert hosts["a"].feed("grow", [[1, 1]], 1)
    said = []
    for later in range(now, now + 2000, 50):
        said += [read(data)[2] for to, data in hosts["a"].poll(later) if to == "k"]
    assert said == []
