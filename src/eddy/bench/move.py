"""`eddy bench move`: a counting function under load, moved among three node processes while they and the hub are killed.

What is counted is what the sink heard: numbers that it never heard, numbers that it heard twice with another content, and nodes that spoke
under one term. Blackout is the longest silence at the sink around a move. The baseline is the longest silence when nothing moves.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from eddy.errors import DeviceFailed
from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.hub import service
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import ACK, BATCH, HUB, message, read
from eddy.kernel.charter import Charter
from eddy.kernel.hop import Inbox, Outbox, Record, numbering
from eddy.kernel.outlets import Outlets
from eddy.kernel.store import RamStore

NODES = ("a", "b", "c")
INSTANCE = "count"
_INT_BYTES = 5  # of a list item beyond 65,535 in CBOR
_PATIENCE_S = 60.0
_DOWN_S = (0.3, 2.5)  # who was killed is back before it counts as silent, or after a copy has taken over


class Process:
    """A node or the hub; may be killed and started again where it was."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.start()

    def start(self) -> None:
        self.down_until: float | None = None
        self._process = subprocess.Popen(self._command)

    def kill(self, down_s: float) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.down_until = time.monotonic() + down_s

    def signal(self, number: int) -> None:
        """For example SIGSTOP."""
        os.kill(self._process.pid, number)

    def end(self) -> None:
        if self.down_until is None:
            self._process.terminate()
            self._process.wait(timeout=10)


class Ends:
    """The source and the sink, in this process."""

    def __init__(self, mesh: Mesh, rate: int) -> None:
        self.mesh = mesh
        self.history: list[Record] = []
        self.arrived: list[float] = []
        self.made = 0
        self.rate = rate
        store = RamStore()
        store.put(numbering(b"src"))
        self.box = Outbox("ticks", "source", store, capacity=1 << 20, max_bytes=1 << 30, block=1)
        self._outlets = Outlets({INSTANCE: self.box})
        self._inbox = Inbox()
        self._started = time.monotonic()

    def turn(self, sample: bool = True) -> None:
        """What is due: samples, batches, acknowledgements."""
        now = time.monotonic()
        while sample and self.made < (now - self._started) * self.rate:
            self.box.keep(time.time_ns(), self.made)
            self.made += 1
        for data in self.mesh.take(0.001):
            parts = read(data)
            if parts[0] == BATCH:
                self._hear(parts[2])
            elif parts[0] == ACK:
                self._outlets.acked(parts[1], parts[2])
            else:
                self._outlets.again(parts[2])
        for to, data in self._outlets.speak(int(now * 1000)):
            self.mesh.send(to, data)

    def _hear(self, data: bytes) -> None:
        records = self._inbox.offer(data)
        self._inbox.commit()
        self.history += records
        self.arrived += [time.monotonic()] * len(records)
        for ack in self._inbox.acks():
            self.mesh.send(INSTANCE, message(ACK, "sink", ack))


class Stage:
    """Three nodes and a hub as processes.

    Args:
        folder: Where they keep what they have.
        rate: Samples a second.
        way: Given who connects to whom and the endpoint, the one to use instead; `ends` are source and sink. None for straight ways.
    """

    def __init__(self, folder: Path, rate: int, way: Callable[[str, str, str], str] | None = None) -> None:
        names = [HUB, *NODES]
        at = {name: free_endpoint() for name in names}
        to = way or (lambda one, other, endpoint: endpoint)
        self.database = f"sqlite:///{folder / 'hub.db'}"
        self.processes: dict[str, Process] = {}
        for name in names:
            others = [to(name, other, at[other]) for other in names if other != name]
            own = ["--bare", "--database", self.database] if name == HUB else ["--name", name, "--dir", str(folder)]
            module = "eddy.hub.service" if name == HUB else "eddy.node.service"
            command = [sys.executable, "-m", module, *own, "--listen", at[name], "--connect", *others]
            self.processes[name] = Process([*command, *(["--only"] if way else [])])
        others = [to("ends", other, at[other]) for other in names]
        self.ends = Ends(Mesh(["source", "sink"], free_endpoint(), others, gossip=way is None), rate)
        self.terms = Terms(open_database(self.database))

    def owns(self, node: str) -> bool:
        """Whether the hub has it that the node owns the function."""
        return [assignment.owner for assignment, _, _ in self.terms.all()] == [node]

    def run(self, until: Callable[[], bool], order: bytes | None = None, patience_s: float = _PATIENCE_S) -> bool:
        """Let everything go on until something holds, giving an order now and then."""
        end, due = time.monotonic() + patience_s, 0.0
        while time.monotonic() < end:
            self.ends.turn()
            now = time.monotonic()
            for process in self.processes.values():
                if process.down_until is not None and now >= process.down_until:
                    process.start()
            if now >= due:
                if until():
                    return True
                if order:
                    self.ends.mesh.send(HUB, order)
                due = now + 0.02
        return False

    def wait(self, seconds: float, order: bytes | None = None) -> tuple[float, float]:
        """Let everything go on for so long; from when to when."""
        since = time.monotonic()
        self.run(lambda: time.monotonic() - since >= seconds, order)
        return since, time.monotonic()

    def close(self) -> None:
        for process in self.processes.values():
            process.end()
        self.ends.mesh.close()


def run(
    moves: int, kills: int, state_bytes: int, rate: int = 1000, copies: int = 1, seed: int = 1, tell: Callable[[Any], None] | None = None
) -> dict[str, Any]:
    """Measure.

    Args:
        moves: Changes of owner to be made.
        kills: `kill -9` of a node or the hub, at random moments among them.
        state_bytes: About the size of the function's state.
        rate: Samples a second.
        copies: Nodes beside the owner that hold a copy.
        seed: Of what is chosen at random; not of the timing.
        tell: Is told how far it is.

    Returns:
        `moves`, `kills`, `lost`, `doubled`, `owners_max`, `blackout_ms` {p50, p99, max} and the same of `baseline_ms` (longest silences in
        as many equal stretches without a move), `state_bytes`, `rate`, `samples`, `seconds`.

    Raises:
        DeviceFailed: A move did not come to its end within a minute.
    """
    tell, rng = tell or (lambda step: None), random.Random(seed)  # noqa: S311 - what to kill, no secret
    with tempfile.TemporaryDirectory(prefix="eddy-move-") as folder:
        stage = Stage(Path(folder), rate)
        try:
            return _play(stage, moves, kills, state_bytes, copies, rng, tell)
        finally:
            stage.close()


def _play(
    stage: Stage, moves: int, kills: int, state_bytes: int, copies: int, rng: random.Random, tell: Callable[[Any], None]
) -> dict[str, Any]:
    program = ["eddy.functions.counter", "Counter", {"ballast": state_bytes // _INT_BYTES}]
    charter = Charter(INSTANCE, 1, program, {}, b"cnt", "counted", ["source"], [], False)
    order = service.place(charter, ["sink"], "a", list(NODES[1 : 1 + copies]))
    if not stage.run(lambda: len(stage.ends.history) > 200, order):
        raise DeviceFailed("the nodes did not come up within a minute")
    ends, started = stage.ends, time.monotonic()
    quiet = [_silence(ends, *stage.wait(0.2)) for _ in range(min(moves, 50))]
    victims = sorted(rng.sample(range(moves), min(kills, moves)))
    silences, killed = [], 0
    for number in range(moves):
        target = rng.choice([node for node in NODES if not stage.owns(node)])
        since = time.monotonic()
        if number in victims:
            killed += 1
            stage.wait(rng.uniform(0, 0.06), service.move(INSTANCE, target))
            alive = [process for process in stage.processes.values() if process.down_until is None]
            rng.choice(alive).kill(rng.choice(_DOWN_S))
        if not stage.run(partial(stage.owns, target), service.move(INSTANCE, target)):
            raise DeviceFailed(f"move {number + 1} to {target} did not end: {stage.terms.decisions(INSTANCE)[-4:]}")
        stage.wait(0.15)
        if number not in victims:
            silences.append(_silence(ends, since, time.monotonic()))
        tell({"done": number + 1, "total": moves, "doing": f"moving, {killed} killed"})
    seconds = time.monotonic() - started
    stage.run(lambda: all(process.down_until is None for process in stage.processes.values()))
    end = time.monotonic() + _PATIENCE_S
    while len(ends.history) < ends.made and time.monotonic() < end:
        ends.turn(sample=False)
    return {
        "moves": moves,
        "kills": killed,
        **check(ends.history, ends.made),
        "blackout_ms": _spread(silences),
        "baseline_ms": _spread(quiet),
        "state_bytes": state_bytes,
        "rate": ends.rate,
        "samples": ends.made,
        "seconds": round(seconds, 1),
    }


def check(history: list[Record], made: int) -> dict[str, int]:
    """What a sink heard of a counter, against what its source made.

    Returns:
        lost: Samples that were never counted. doubled: counts that stand for a sample that was counted before, or stand twice. restarts:
        counts that are not one more than the one before. owners_max: Most owners that were heard at a time: terms that overlap count.
    """
    values = [record.value for record in history]
    counted = [value[1] for value in values if isinstance(value, list)]
    terms = [record.term for record in history]
    return {
        "lost": made - len(set(counted)),
        "doubled": len(counted) - len(set(counted)),
        "restarts": sum(value != [number + 1, number] for number, value in enumerate(values)),
        "owners_max": 1 + sum(later < earlier for earlier, later in pairwise(terms)),
    }


def _silence(ends: Ends, since: float, until: float) -> float:
    """Longest time between two arrivals, s."""
    times = [at for at in ends.arrived[-20000:] if since <= at <= until]
    return max((later - earlier for earlier, later in pairwise(times)), default=until - since)


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(max(seconds) * 1000, 1)}
