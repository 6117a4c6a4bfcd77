"""A device as a node: the same host as on a gateway, at the far end of a slow line.

What the sensor gives goes through the functions that run inside its source before anything is kept: raw samples are too many for flash
and line. What comes out is numbered, kept, and handed on like everything else.
"""

import gc

from eddy.kernel import seal
from eddy.kernel.assignment import ACK, message, read
from eddy.kernel.batch import Gap
from eddy.kernel.codec import decode
from eddy.kernel.comm import FABRIC, DataComm
from eddy.kernel.courier import AGAIN_MS, Courier
from eddy.kernel.errors import EddyError
from eddy.kernel.function import Function, Sample
from eddy.kernel.functions import load
from eddy.kernel.functions.same import Same
from eddy.kernel.hop import Inbox
from eddy.kernel.host import Host
from eddy.kernel.journal import FileJournal
from eddy.kernel.outlets import DOOR

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any, Protocol

    from eddy.kernel.charter import Verify
    from eddy.kernel.comm import Clock, Link

    class Driver(Protocol):
        """A sensor; real ones are in `targets`."""

        ended: bool

        def read(self, ready: bool) -> "tuple[memoryview[int], int, int] | None":
            """(int16 samples, time_ns, period_ns), or None; `ready` false asks for patience."""


MESSAGE = 400  # bytes at most: under two seconds of a 2,400-baud line
BEAT_MS = 30000
SILENCE_MS = 3 * BEAT_MS  # line time without a word from the gateway, after which sinks with a safe value take it
UNHEARD = 32  # entries of a log that a copy at the other end of the line does not have yet; they take heap
AHEAD = 16  # outputs that a consumer may be behind when a replay waits for it
CHECKPOINT = 8192  # bytes of log between two snapshots in flash
_MAX_OBJECT = 16384
_SOURCE = "source"
_SINK = "sink"


class Station:
    """One device.

    Args:
        folder: Where its flash is mounted.
        settings: `device`, and `key`: the public key (Ed25519, 32 bytes) with which the hub signs.
        link: The line to the gateway.
        driver: The sensor.
        clock: Line time.
        act: Called with a pin and its level, 0 or 1.
        verify: Of charters; by the key without.
    """

    def __init__(
        self,
        folder: str,
        settings: "dict[str, Any]",
        link: "Link",
        driver: "Driver",
        clock: "Clock",
        act: "Callable[[int, int], None]" = lambda pin, level: None,
        verify: "Verify | None" = None,
    ) -> None:
        self._act = act
        self._inboxes: dict[str, Inbox] = {}  # of sinks
        self._heard_ms = clock.now_ms()
        self._silent = False
        key: bytes = settings["key"]
        self._driver = driver
        self._clock = clock
        self._comm = DataComm(link, primary=False, partial=folder + "/partial", max_object=_MAX_OBJECT)
        self._courier = Courier(self._comm)
        pace = (AGAIN_MS, MESSAGE, MESSAGE, UNHEARD)
        self._host = Host(
            settings["device"],
            FileJournal(folder + "/host"),
            _build,
            verify or (lambda data, signature: seal.verify(key, data, signature)),
            lambda charter: None,
            pace,
            BEAT_MS,
            checkpoint=CHECKPOINT,
        )
        self._near: list[bytes] = []  # to this device itself
        self._stages: dict[str, list[Function]] = {}
        self._readings: list[Any] = []
        self._time_ns = 0
        self._over = False
        self._told = False
        self.counts = {"chunks": 0, "outputs": 0, "faults": 0}

    def finished(self) -> bool:
        """The sensor's data have ended, and nothing more is to be said."""
        if not (self._over and self._courier.idle() and self._comm.quiet()) or self._pending(0) or self._near:
            return False
        if not self._told:  # what it said last was before its last words were acknowledged
            self._told = True
            self._host.tell()
            return False
        return True

    def step(self) -> int:
        """One turn: the line, the host, then one chunk of samples.

        Returns:
            Milliseconds of line time to wait for bytes; 0 when there is more to do.
        """
        now = self._clock.now_ms()
        self._comm.listen(now)
        while True:
            came = self._comm.take()
            if came is None:
                break
            self._heard_ms, self._silent = now, False
            if came[0] == FABRIC:
                self._hear(came[1])
            came = None  # it may be large, and what it brings wants the memory
        near, self._near = self._near, []
        for data in near:
            self._host.receive(data, self._time_ns)
        busy = self._read()
        mine = self._host.owns()
        for to, data in self._host.poll(now, self._time_ns):
            if to in mine:
                self._near.append(data)
            elif to[-1] == DOOR and to[:-1] in mine:
                self._write(to[:-1], data)
            else:
                self._courier.put(to, data)
        if now - self._heard_ms >= SILENCE_MS and not self._silent:
            self._silent = True
            self._be_safe()
        self._courier.turn(now)
        wait = self._comm.speak(self._clock.now_ms())
        return 0 if busy or self._near else wait

    def figures(self) -> "dict[str, Any]":
        """Counts of the host and of the line, and the heap as it is now, bytes."""
        gc.collect()
        used = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
        counts = dict(self.counts)
        counts.update(self._host.counts)
        return {"counts": counts, "line": dict(self._comm.arq.stats), "heap_used": used}

    def _hear(self, data: memoryview) -> None:
        try:
            whole: Any = decode(data, True)
            self._host.receive(whole[1], self._time_ns)
        except (EddyError, IndexError, TypeError):
            self.counts["faults"] += 1

    # The sensor

    def _read(self) -> bool:
        """Take a chunk from the sensor through its stages; whether there was anything to do."""
        for name in self._host.owns():
            replica = self._host.replica(name)
            if replica is None or replica.charter.program[0] != _SOURCE:
                continue
            if replica.ended:
                self._over = True
                continue
            if self._readings:
                if not self._host.feed(name, self._readings, self._time_ns):
                    return False
                self._readings = []
            if self._driver.ended:
                return self._host.feed(name, [], self._time_ns)
            chunk = self._driver.read(self._calm())
            if chunk is None:
                return False
            self._through(name, replica.charter.program[2], chunk)
            return True
        return False

    def _calm(self) -> bool:
        """Whether a replay may go on: what it gave before is through."""
        return not self._pending(AHEAD) and not self._near

    def _pending(self, most: int) -> bool:
        return any(replica.pending() > most for replica in [self._host.replica(name) for name in self._host.owns()] if replica)

    def _through(self, name: str, programs: "list[Any]", chunk: "Any") -> None:
        if name not in self._stages:
            self._stages = {name: _staged(programs)}
        samples, start_ns, period_ns = chunk
        self.counts["chunks"] += 1
        self._time_ns = start_ns
        self._readings = []
        self._pass(self._stages[name], Sample(name, name, 0, start_ns, [samples, period_ns]))
        self.counts["outputs"] += len(self._readings)

    def _pass(self, stages: list[Function], sample: Sample) -> None:
        """Through the stages that are left; a window goes all the way before the next one takes its place."""
        if not stages:
            value = sample.value
            if isinstance(value, list) and value and isinstance(value[0], memoryview):  # samples of a buffer that is filled again
                value = [bytes(value[0])] + value[1:]
            self._readings.append([sample.time_ns, value])
            return
        stage: Any = stages[0]
        try:
            for value in stage.views(sample) if hasattr(stage, "views") else stage.on(sample):
                self._pass(stages[1:], Sample(sample.stream, sample.origin, 0, sample.time_ns, value))
        except EddyError:
            self.counts["faults"] += 1

    # The actuators

    def _write(self, name: str, data: bytes) -> None:
        """What a sink has been told: its pin follows the newest."""
        batch: bytes = read(data)[2]
        replica = self._host.replica(name)
        inbox = self._inboxes.setdefault(name, Inbox())
        for record in inbox.offer(batch):
            if not isinstance(record.value, Gap) and replica:
                self._set(replica.charter.program, record.value[0] if isinstance(record.value, list) else record.value)
        inbox.commit()
        self._near += [message(ACK, name + DOOR, ack) for ack in inbox.acks()]

    def _be_safe(self) -> None:
        """Nobody speaks any more."""
        for name in self._host.owns():
            replica = self._host.replica(name)
            if replica and replica.charter.program[0] == _SINK and "safe" in replica.charter.program[2]:
                self._set(replica.charter.program, replica.charter.program[2]["safe"])

    def _set(self, program: "Any", value: "Any") -> None:
        if "pin" in program[1][2]:
            self._act(program[1][2]["pin"], 1 if value else 0)


def _staged(programs: "list[Any]") -> list[Function]:
    """The stages inside a source; features of windows are summed up as the samples come."""
    stages: list[Any] = []
    for program in programs:
        stage: Any = load(program)
        if stages and hasattr(stages[-1], "into") and hasattr(stage, "sums"):
            stages[-1].into(stage.sums())
        else:
            stages.append(stage)
    return stages


def _build(program: "Any") -> Function:
    """What a device hosts: functions that run on every tier. Its source and sinks pass on what their stages and drivers have done."""
    return Same() if program[0] in (_SOURCE, _SINK) else load(program)
