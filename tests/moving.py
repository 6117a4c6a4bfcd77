"""An app in a virtual cluster, and what must hold of it whatever happened: two sources, a counter with a timer, a filter, two sinks."""

import random
from typing import Any

from eddy.kernel.charter import Charter
from eddy.kernel.function import Function, Sample
from eddy.sim.cluster import HUB, Cluster, Faults

NODES = ["a", "b", "c"]


class Counter(Function):
    """Counts its inputs, and its ticks as well."""

    every_ms = 50

    def __init__(self) -> None:
        self.inputs = 0
        self.ticks = 0

    def on(self, sample: Sample) -> list[Any]:
        """[how many so far, whose, which]."""
        self.inputs += 1
        return [[self.inputs, sample.origin, sample.value]]

    def tick(self, time_ns: int) -> list[Any]:
        """Changes the state, says nothing."""
        self.ticks += 1
        return []

    def state(self) -> Any:
        """Both counts."""
        return [self.inputs, self.ticks]

    def restore(self, state: Any) -> None:
        """Both counts."""
        self.inputs, self.ticks = state


class Settable(Counter):
    """A later version, with something to set."""

    add = 0

    def configure(self, settings: dict[str, Any]) -> list[Any]:
        """`add` is added to what it says."""
        self.add = settings["add"]
        return []

    def on(self, sample: Sample) -> list[Any]:
        """As before, and more."""
        return [[value[0] + self.add, *value[1:]] for value in super().on(sample)]

    def state(self) -> Any:
        """Both counts, and what is set."""
        return [self.inputs, self.ticks, self.add]

    def restore(self, state: Any) -> None:
        """Of this version, or of the one before."""
        self.inputs, self.ticks, self.add = [*state, 0][:3]


class Even(Function):
    """Emits nothing for every other sample."""

    def on(self, sample: Sample) -> list[Any]:
        """Even counts only."""
        return [sample.value] if sample.value[0] % 2 == 0 else []


FUNCTIONS: dict[str, type[Function]] = {"counter": Counter, "settable": Settable, "even": Even}


def charter(instance: str, program: Any, stream: str, inputs: list[str], stay: bool = False) -> Charter:
    """One that may be anywhere."""
    return Charter(instance, 1, program, {}, instance[:3].encode(), stream, inputs, [], stay)


class App:
    """sources s1, s2 → count → even → sink k1, and count → sink k2."""

    def __init__(
        self,
        seed: int,
        faults: Faults | None = None,
        count_held: tuple[str, ...] = (),
        even_held: tuple[str, ...] = (),
        every_ms: tuple[int, int] = (2, 3),
        stay: bool = False,
    ) -> None:
        self._every_ms = every_ms
        self.cluster = Cluster(NODES, lambda program: FUNCTIONS[program](), seed, faults)
        self.sources = [self.cluster.add_source(name, ["count"]) for name in ("s1", "s2")]
        self.k1, self.k2 = self.cluster.add_sink("k1"), self.cluster.add_sink("k2")
        assert self.cluster.hub
        self.cluster.hub.place(charter("count", "counter", "counted", ["s1", "s2"], stay), ["even", "k2"], "a", list(count_held))
        self.cluster.hub.place(charter("even", "even", "evens", ["count"], stay), ["k1"], "c", list(even_held))

    def run(self, ms: int) -> None:
        """Time passes, and samples are taken."""
        self.cluster.run(ms, self._sample)

    def _sample(self, now_ms: int) -> None:
        for source, every_ms in zip(self.sources, self._every_ms, strict=True):
            if now_ms % every_ms == 0:
                source.sample(now_ms)

    def owner(self, instance: str) -> str:
        """Who owns it, as the hub sees it."""
        assert self.cluster.hub
        return self.cluster.hub.owner(instance)[0]

    def term(self, instance: str) -> int:
        """How often it changed its owner."""
        assert self.cluster.hub
        return self.cluster.hub.owner(instance)[1]

    def start_all(self) -> None:
        """Whoever crashed is started again."""
        if self.cluster.hub is None:
            self.cluster.start(HUB)
        for name, machine in self.cluster.machines.items():
            if machine.host is None:
                self.cluster.start(name)
            machine.reachable = True

    def settle(self) -> None:
        """No more faults, no more samples; everything that is on its way arrives, or this ends without."""
        self.cluster.faults, self.cluster.crash_at = Faults(), {}
        self.start_all()
        for _ in range(100):
            self.cluster.run(100)
            made = sum(source.made for source in self.sources)
            if all(source.done() for source in self.sources) and len(self.k2.history) == made and len(self.k1.history) == made // 2:
                return

    def check(self) -> None:
        """What the sinks heard: every sample once, in order, by one owner after the other."""
        assert not self.cluster.contradictions, self.cluster.contradictions[:3]
        heard = [record.value for record in self.k2.history]
        assert [record.seq for record in self.k2.history] == list(range(sum(source.made for source in self.sources)))
        assert [value[0] for value in heard] == [number + 1 for number in range(len(heard))]
        for source in self.sources:
            assert [value[2] for value in heard if value[1] == source.name] == list(range(source.made))
        assert [record.value for record in self.k1.history] == [value for value in heard if value[0] % 2 == 0]
        for sink in (self.k1, self.k2):
            terms = [record.term for record in sink.history]
            assert terms == sorted(terms)


def journey(faults: Faults | None = None, crash: tuple[int, str, bool] | None = None, stay: bool = False) -> App:
    """Two moves and a fail-over, with at most one thing that goes wrong.

    Args:
        faults: What the network does.
        stay: What the functions do on a partition.
        crash: (step, machine, whether before it did anything) of a crash.
    """
    app = App(1, faults, count_held=("b",), every_ms=(7, 11), stay=stay)
    cluster = app.cluster
    if crash:
        cluster.crash_at[crash[0]] = (crash[1], crash[2])
    app.run(40)
    for instance, node in (("count", "c"), ("even", "b")):
        if cluster.hub:
            cluster.hub.move(instance, node)
        app.run(80)
    cluster.crash("c")
    app.run(1700)
    app.settle()
    return app


def one_way(cut_ms: int = 300) -> App:
    """The owner is heard by everybody but the node that has a copy, and then dies; the same with the node to which it shall move.

    Args:
        cut_ms: How long it is so; beyond 3,000 the hub no longer counts on the copy.
    """
    app = App(2, count_held=("b",), even_held=("a",))
    cluster = app.cluster
    assert cluster.hub
    app.run(100)
    cluster.cut = {("a", "@b"), ("c", "@b")}
    cluster.hub.move("even", "b")
    app.run(cut_ms)
    cluster.crash("a")
    app.run(2000)
    cluster.crash("c")
    cluster.cut = set()
    app.run(2000)
    app.settle()
    return app


def wander(seed: int, moves: int, chance: float = 0.02) -> App:
    """Moves at random, while machines crash and links are cut at random, and messages go astray."""
    rng = random.Random(seed)
    held = [(), ("b",), ("b", "c")]
    app = App(seed, Faults(chance=chance), held[seed % 3], held[seed // 3 % 3], stay=seed % 2 == 0)
    cluster = app.cluster
    while sum(cluster_terms(app)) < moves + 2 and cluster.now_ms < 2000 * moves + 5000:
        app.run(rng.randint(50, 500))
        if rng.random() < 0.3:
            cluster.crash_at[cluster.steps + rng.randint(1, 100)] = (rng.choice([*NODES, HUB]), rng.random() < 0.5)
        if rng.random() < 0.05:
            cluster.machines[rng.choice(NODES)].reachable = False
        if rng.random() < 0.25:
            app.start_all()
        if cluster.hub:
            cluster.hub.move(rng.choice(["count", "even"]), rng.choice(NODES))
    app.settle()
    return app


def cluster_terms(app: App) -> list[int]:
    """Terms of all instances, as stored."""
    return [assignment.term for assignment, _, _ in app.cluster.terms.all()]
