"""The drivers of a node: those of the sources and sinks that it owns now, each in a thread of its own."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

from eddy.errors import EddyError, SampleError, TooLarge
from eddy.kernel.assignment import ACK, message
from eddy.kernel.batch import LOST, MAX_TIME, MIN_TIME, OVERFLOW, Gap, encode_ack
from eddy.kernel.codec import decode, encode
from eddy.kernel.hop import Record
from eddy.kernel.host import Host
from eddy.kernel.outlets import DOOR
from eddy.links.decoders import quarantined
from eddy.links.driver import Home, takes_all
from eddy.node.programs import SINK, SOURCE, start
from eddy.node.sinks import BATCH as WRITTEN_AT_ONCE
from eddy.node.sinks import BOUND, SinkRunner
from eddy.node.sources import SourceThread

DRIVER = "driver"
"""What the hub asks of a source or sink, see `Drivers.state`."""

ENTRY_BYTES = 32768
"""What a driver has read at once: an entry of a log holds it, and a record of the hop at most 65,535 bytes."""

_HEAD_BYTES = 5  # of a list
_SHARE = 2  # entries of all sources in a turn, of each at least one: so long the others wait, and all of them for the commit
_AT_ONCE = 128  # samples in one
_TAKEN = 512  # samples for one sink in a turn
_LET_GO = 1024  # samples that are out, of which the log of a sink lets go in a turn


def door(instance: str) -> str:
    """The consumer of a sink: its driver, on the node that owns it."""
    return instance + DOOR


@dataclass
class _Source:
    program: Any
    thread: SourceThread
    fed: int  # samples that the host has been given, those of earlier included
    waiting: list[tuple[list[Any], bytes]] = field(default_factory=list)  # readings of an entry, and these encoded
    told: str = ""
    over: bool = False


@dataclass
class _Sink:
    program: Any
    runner: SinkRunner
    born: bool  # keys have the birth in them
    birth: bytes = b""  # of the numbering
    next: int = 0  # number of the first sample that the driver has not been given
    out: deque[Record] = field(default_factory=deque)  # what is with the driver, and what is done of it
    done: int = 0
    told: str = ""


class Drivers:
    """Starts drivers when this node becomes owner of a source or sink, stops them when it no longer is.

    Args:
        host: Of this node.
        code: {SHA-256: source} of people's own files.
        home: What this node offers them.

    Attributes:
        more: A source or sink had more than its share of the last turn: the next one should not wait.
    """

    def __init__(self, host: Host, code: Mapping[bytes, bytes], home: Home | None = None) -> None:
        self._host = host
        self._home = home
        self._code = code
        self._sources: dict[str, _Source] = {}
        self._sinks: dict[str, _Sink] = {}
        self.more = False

    def turn(self) -> list[tuple[str, bytes]]:
        """Follow what the node owns; feed what was read, and acknowledge what is out. Returns (to, message)."""
        self.confirm()
        owned = {name: program for name in self._host.owns() if (program := self._program(name))[0] in (SOURCE, SINK)}
        # A driver whose program is another one now, since its app has changed, begins anew as one of another node does.
        for name in [name for name, source in self._sources.items() if source.program != owned.get(name)]:
            self._sources.pop(name).thread.close()
        for name in [name for name, sink in self._sinks.items() if sink.program != owned.get(name)]:
            self._sinks.pop(name).runner.close()
        for name, program in owned.items():
            if program[0] == SOURCE and name not in self._sources:
                self._sources[name] = self._read(name, program)
            elif program[0] == SINK and name not in self._sinks:
                self._sinks[name] = self._write(program)
        self.more = False
        for name, source in self._sources.items():
            self._feed(name, source)
        return [said for name, sink in list(self._sinks.items()) for said in self._out(name, sink)]

    def confirm(self) -> None:
        """Tell those who wait for it what is kept by now."""
        for name, source in list(self._sources.items()):
            self._confirm(name, source)

    def up(self, name: str) -> bool:
        """Whether the driver of a source works."""
        return name in self._sources and self._sources[name].thread.up

    def state(self, name: str) -> list[Any] | None:
        """Of a source or sink: the revision of its charter, whether its driver works, and what that said if it failed last.

        None when it is not owned here, or its driver is still that of an older revision.
        """
        replica, driver = self._host.replica(name), self._sources.get(name) or self._sinks.get(name)
        if replica is None or driver is None or driver.program != replica.charter.program:
            return None
        runs = driver.thread if isinstance(driver, _Source) else driver.runner
        return [replica.charter.revision, runs.works, runs.fault]

    def close(self) -> None:
        """Stop all of them."""
        self.confirm()
        for source in self._sources.values():
            source.thread.close()
        for sink in self._sinks.values():
            sink.runner.close()

    def _program(self, name: str) -> Any:
        replica = self._host.replica(name)
        assert replica
        return replica.charter.program

    def _read(self, name: str, program: Any) -> _Source:
        replica = self._host.replica(name)
        assert replica
        home = self._home and replace(self._home, instance=name)
        driver: Callable[[int], Any] = lambda kept: start(program[1], self._code, home, resume=kept)  # noqa: E731
        return _Source(program, SourceThread(driver, replica.taken).begin(), replica.taken, over=replica.ended)

    def _write(self, program: Any) -> _Sink:
        options = program[2]
        driver = lambda: start(program[1], self._code, self._home)  # noqa: E731
        born = len(program[1]) == 3 and takes_all(program[1])
        bound = 2 * WRITTEN_AT_ONCE if born else BOUND
        return _Sink(program, SinkRunner(driver, options.get("safe"), options.get("silence_ms", 0) / 1000, bound).begin(), born=born)

    def _confirm(self, name: str, source: _Source) -> None:
        """Tell a driver what is kept of what the host was given before its last poll.

        A host that another one replaces drops what it has not written. If it is the owner again later, its numbers are no longer those of
        the driver: a new one starts where the log ends.
        """
        replica = self._host.replica(name)
        if replica is None or replica.taken != source.fed:
            self._sources.pop(name).thread.close()
        else:
            source.thread.keep(self._host.kept(name))

    def _feed(self, name: str, source: _Source) -> None:
        for _ in range(max(1, _SHARE // len(self._sources))):
            if not source.waiting:
                source.waiting = _fitting(source.thread.take(_AT_ONCE))
            if not source.waiting or not self._host.feed(name, source.waiting[0][0], time.time_ns(), source.waiting[0][1]):
                break
            source.fed += len(source.waiting.pop(0)[0])
        else:
            self.more = True
        if source.thread.ended and not source.waiting and not source.over:
            source.over = self._host.feed(name, [], time.time_ns())
        self._complain(name, source, source.thread.fault)

    def _out(self, name: str, sink: _Sink) -> list[tuple[str, bytes]]:
        birth, records = self._host.outputs(name, door(name), sink.next, min(sink.runner.room(), _TAKEN))
        if birth and birth != sink.birth:
            if sink.birth:  # it has begun anew, and so must its driver
                self._sinks.pop(name).runner.close()
                return []
            sink.birth = birth
        self.more = self.more or len(records) == _TAKEN
        born = f"{birth.hex()}/" if sink.born else ""
        samples = []
        for record in records:
            value = record.value
            if isinstance(value, Gap):
                sink.next = value.last + 1
                if value.reason in (OVERFLOW, LOST):
                    self._host.incident("lost", name, f"samples {value.first} to {value.last}: {value.reason}")
                continue
            sink.next = record.seq + 1
            key = f"{record.stream}/{record.origin}/{born}{record.seq}"
            sink.out.append(record)
            samples.append((key, record.time_ns, value if sink.born else decode(cast("bytes", value))))  # a store decodes apart
        sink.runner.offer_all(samples)
        done, refused = sink.runner.done()
        for key, why in refused:
            self._host.incident("refused", name, f"sample {key} was not taken by the driver: {why}")
        self._complain(name, sink, sink.runner.fault)
        sink.done += done
        if not sink.done:
            return []
        upto = [sink.out.popleft() for _ in range(min(sink.done, _LET_GO))][-1]
        sink.done = max(0, sink.done - _LET_GO)
        self.more = self.more or sink.done > 0
        return [(upto.origin, message(ACK, door(name), encode_ack(upto.stream, upto.origin, sink.birth, upto.term, upto.seq)))]

    def _complain(self, name: str, driver: _Source | _Sink, fault: str) -> None:
        if fault and fault != driver.told:
            self._host.incident("fault", name, fault)
        driver.told = fault


def _fitting(readings: list[tuple[int, Any]]) -> list[tuple[list[Any], bytes]]:
    """Lists of readings that fit into an entry each, and these encoded. One that no log can hold becomes one that says so."""
    with suppress(EddyError):  # all at once, where they are small; else whose fault is it?
        whole = [[time_ns, value] for time_ns, value in readings]
        if whole and len(whole) * _size(whole[0]) <= ENTRY_BYTES and all(_timed(time_ns) for time_ns, _ in readings):
            encoded = encode([whole])[1:]
            if len(encoded) <= ENTRY_BYTES:
                return [(whole, encoded)]
    out: list[tuple[list[Any], int]] = []
    for time_ns, value in readings:
        reading = [time_ns, value]
        try:
            size = _size(reading)
        except EddyError as error:
            reading = [time.time_ns(), quarantined(repr(value).encode(errors="replace"), f"no sample: {error}", None)]
            size = _size(reading)
        if not out or size + out[-1][1] > ENTRY_BYTES - _HEAD_BYTES:
            out.append(([], 0))
        last, before = out.pop()
        last.append(reading)
        out.append((last, before + size))
    return [(some, encode([some])[1:]) for some, _ in out]


def _size(reading: list[Any]) -> int:
    """Bytes of a reading in an entry; raises CodecError, SampleError, TooLarge for one that cannot be in any."""
    size = len(encode([[reading]])) - 2  # as deep as there
    if size > ENTRY_BYTES - _HEAD_BYTES:
        raise TooLarge(f"it has {size} bytes, and an entry of a log holds {ENTRY_BYTES}")
    if not _timed(reading[0]):
        raise SampleError("its time is no integer of 64 bits")
    return size


def _timed(time_ns: Any) -> bool:
    return type(time_ns) is int and MIN_TIME <= time_ns <= MAX_TIME
