"""A cluster in virtual time: the real hosts, hop and hub, on a network that loses, doubles and delays, with crashes at any step.

The same seed plays the same run. What is checked is what was heard: a sink's history, and everything that ever left a node.
"""

import heapq
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eddy.hub.control import Control
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import ACK, ASSIGN, BATCH, message, read
from eddy.kernel.batch import Batch
from eddy.kernel.function import Function
from eddy.kernel.hop import Gap, Inbox, Outbox, Record, numbering
from eddy.kernel.host import Host
from eddy.kernel.outlets import Outlets
from eddy.kernel.replica import Replica
from eddy.kernel.store import RamStore
from eddy.node.journal import SqliteJournal

if TYPE_CHECKING:
    from eddy.kernel.leading import Copy

HUB = "@"
POLL_MS = 20
_CLOSED = 99  # of this simulation only: a node's connection was closed


def closed(node: str) -> bytes:
    """What the hub is told when a node's connection is closed."""
    return message(_CLOSED, node)


@dataclass
class Faults:
    """What the network does to a message, by its running number; `chance` decides about all others.

    Attributes:
        lose, double, delay: Numbers of messages.
        chance: Share of messages to which one of the three happens.
        late_ms: How late a delayed message is.
    """

    lose: frozenset[int] = frozenset()
    double: frozenset[int] = frozenset()
    delay: frozenset[int] = frozenset()
    chance: float = 0.0
    late_ms: int = 700


class Source:
    """Numbers samples, and keeps them until each consumer has them."""

    def __init__(self, name: str, consumers: list[str]) -> None:
        self.name = name
        self.made = 0
        self._outlets = Outlets({})
        for consumer in consumers:
            store = RamStore()
            store.put(numbering(b"src"))
            self._outlets.boxes[consumer] = Outbox(name, name, store, capacity=1 << 20, max_bytes=1 << 30, block=1)

    def sample(self, now_ms: int) -> None:
        """One more."""
        for box in self._outlets.boxes.values():
            box.keep(now_ms * 1_000_000, self.made)
        self.made += 1

    def receive(self, data: bytes) -> None:
        """An acknowledgement, or news of a consumer."""
        parts = read(data)
        if parts[0] == ACK:
            self._outlets.acked(parts[1], parts[2])
        else:
            self._outlets.again(parts[2])

    def poll(self, now_ms: int) -> list[tuple[str, bytes]]:
        """Batches to send."""
        return self._outlets.speak(now_ms)

    def done(self) -> bool:
        """Whether everything was acknowledged."""
        return not any(box.pending() for box in self._outlets.boxes.values())


class Sink:
    """Writes down what it hears, each sample once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.history: list[Record] = []
        self._inbox = Inbox()

    def receive(self, data: bytes) -> list[tuple[str, bytes]]:
        """A batch; the acknowledgements."""
        batch = read(data)[2]
        self.history += self._inbox.offer(batch)
        self._inbox.commit()
        return [(Batch(batch).origin, message(ACK, self.name, ack)) for ack in self._inbox.acks()]


@dataclass
class _Machine:
    """A node's disk, and its process while it runs."""

    disk: sqlite3.Connection
    host: Host | None = None
    reachable: bool = True


class Cluster:
    """Nodes, a hub, sources and sinks.

    Args:
        nodes: Names.
        build: Makes a function from its program.
        seed: Of everything that is random.
        faults: Of the network.

    Attributes:
        now_ms: Virtual time.
        messages, steps: Messages sent, and steps of machines, so far.
        terms: The hub's table, which survives it.
        said: {(origin, consumer, number): value} of everything that ever left a node.
        incidents: What nodes told the hub: (node, kind, instance, text).
        contradictions: Outputs that left under one number with two values.
    """

    def __init__(self, nodes: list[str], build: Callable[[Any], Function], seed: int = 0, faults: Faults | None = None) -> None:
        self.now_ms = 0
        self.messages = 0
        self.steps = 0
        self.said: dict[tuple[str, str, int], Any] = {}
        self.contradictions: list[str] = []
        self.sources: dict[str, Source] = {}
        self.sinks: dict[str, Sink] = {}
        self.faults = faults or Faults()
        self.crash_at: dict[int, tuple[str, bool]] = {}  # step → (machine, whether what it wrote stays and what it said is lost)
        self.cut: set[tuple[str, str]] = set()  # (sender, to or @node): nothing of what the one says reaches the other
        self.deaf: set[str] = set()  # nodes that no assignment reaches
        self._build = build
        self._random = random.Random(seed)  # noqa: S311
        self._events: list[tuple[int, int, str, bytes | None, str]] = []
        self._number = 0
        self.incidents: list[tuple[str, str, str, str]] = []
        self.terms = Terms(open_database("sqlite://"), lambda: self.now_ms)
        self.hub: Control | None = self._control()
        self.machines = {name: _Machine(_disk()) for name in nodes}
        for name in nodes:
            self.start(name)
        self._schedule(0, HUB, None)

    def _control(self) -> Control:
        return Control(self.terms, tell=lambda *incident: self.incidents.append(incident))

    def start(self, name: str) -> None:
        """Start a node, or the hub, where its disk left it."""
        if name == HUB:
            self.hub = self._control()
            return
        machine = self.machines[name]
        machine.host = Host(name, SqliteJournal(machine.disk), self._build, copier=self._slowly)
        self._schedule(0, "@" + name, None)

    def _slowly(self, replica: Replica, size: int) -> "Copy":
        """A snapshot that takes its time, as one from a fork does, when the network has faults as well."""
        data, ready = replica.snapshot(), self.now_ms + (self._random.randint(0, 60) if self.faults.chance else 0)
        return lambda: data if self.now_ms >= ready else None

    def crash(self, name: str) -> None:
        """kill -9. The operating system closes the connections, which the hub notices if it is there and nothing is cut."""
        if name == HUB:
            self.hub = None
        else:
            self.machines[name].host = None
            if self.machines[name].reachable and (name, HUB) not in self.cut and not self._astray():
                self._schedule(self._random.randint(1, 4), HUB, closed(name))

    def _astray(self) -> bool:
        return self._random.random() < self.faults.chance

    def add_source(self, name: str, consumers: list[str]) -> Source:
        """A source; `sample` it as often as you like."""
        self.sources[name] = Source(name, consumers)
        self._schedule(0, name, None)
        return self.sources[name]

    def add_sink(self, name: str) -> Sink:
        """A sink."""
        self.sinks[name] = Sink(name)
        return self.sinks[name]

    def run(self, ms: int, each_ms: Callable[[int], None] | None = None) -> None:
        """Let time pass; `each_ms` is called once a millisecond."""
        end = self.now_ms + ms
        while self.now_ms < end:
            while self._events and self._events[0][0] <= self.now_ms:
                _, _, to, data, sender = heapq.heappop(self._events)
                self._happen(to, data, sender)
            self.now_ms += 1
            if each_ms:
                each_ms(self.now_ms)

    def _happen(self, to: str, data: bytes | None, sender: str) -> None:
        if to in self.sources:
            if data is not None:
                self.sources[to].receive(data)
            self._send(self.sources[to].poll(self.now_ms), to)
            if data is None:
                self._schedule(POLL_MS, to, None)
        elif to in self.sinks and data is not None:
            self._send(self.sinks[to].receive(data), to)
        elif to == HUB:
            self._step_hub(data)
        elif to.startswith("@"):
            self._step_node(to[1:], data)
        else:
            for name, machine in self.machines.items():
                if machine.host and machine.reachable and (sender, "@" + name) not in self.cut and to in machine.host.owns():
                    self._step_node(name, data)

    def _step_hub(self, data: bytes | None) -> None:
        if self.hub and not self._crashes(HUB, before=True):
            if data is not None:
                parts = read(data)
                if parts[0] == _CLOSED:
                    self.hub.closed(parts[1], self.now_ms)
                else:
                    self.hub.receive(data, self.now_ms)
            out = self.hub.poll(self.now_ms)
            if not self._crashes(HUB, before=False):
                self._send(out, HUB)
        if data is None:
            self._schedule(POLL_MS, HUB, None)

    def _step_node(self, name: str, data: bytes | None) -> None:
        host = self.machines[name].host
        if host is None or (data is not None and not self.machines[name].reachable):
            return
        if not self._crashes(name, before=True):
            if data is not None:
                host.receive(data, self.now_ms * 1_000_000)
                if self._random.random() < 3 * self.faults.chance:
                    return  # busy: it gets round to what it received later
            out = host.poll(self.now_ms, self.now_ms * 1_000_000)
            if not self._crashes(name, before=False):
                self._hear(out)
                self._send(out, name)
        if data is None and self.machines[name].host is host:
            self._schedule(POLL_MS, "@" + name, None)

    def _crashes(self, name: str, before: bool) -> bool:
        """Count a step of a machine, which may be its last."""
        self.steps += before
        if self.crash_at.get(self.steps) == (name, before):
            del self.crash_at[self.steps]
            self.crash(name)
            return True
        return False

    def _hear(self, out: list[tuple[str, bytes]]) -> None:
        """Nothing that leaves a node may contradict what has left any node before."""
        for to, data in out:
            if not to.startswith("@") and (parts := read(data))[0] == BATCH:
                for record in Batch(parts[2]).records:
                    if isinstance(record.value, Gap):
                        self.contradictions.append(f"{record.origin} to {to}: {record.value!r}")
                        continue
                    key = (record.origin, to, record.seq)
                    if self.said.setdefault(key, record.value) != record.value:
                        self.contradictions.append(f"{key}: {self.said[key]} and then {record.value}")

    def _send(self, out: list[tuple[str, bytes]], sender: str) -> None:
        for to, data in out:
            self.messages += 1
            delay = self._random.randint(1, 4)
            if to[1:] in self.deaf and sender == HUB and read(data)[0] == ASSIGN:
                continue
            if (sender, to) in self.cut or (sender in self.machines and not self.machines[sender].reachable):
                continue
            number, faults = self.messages, self.faults
            chosen = self._random.choice("ldt") if self._random.random() < faults.chance else ""
            if number in faults.lose or chosen == "l":
                continue
            if number in faults.double or chosen == "d":
                self._schedule(delay + self._random.randint(0, 400), to, data, sender)
            if number in faults.delay or chosen == "t":
                delay += faults.late_ms
            self._schedule(delay, to, data, sender)

    def _schedule(self, delay_ms: int, to: str, data: bytes | None, sender: str = "") -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now_ms + delay_ms, self._number, to, data, sender))


def _disk() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection
