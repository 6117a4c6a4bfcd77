"""`eddy bench fabric`: samples from one process to another over TCP on loopback, each effectively once, beside bare Zenoh.

The sender keeps each record in an outbox until the receiver has acknowledged it; the receiver checks that running numbers come in order,
none missing and none twice. The baseline sends messages of the size of one sample over the same kind of session and counts those that come.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eddy.bench.sink import BARE
from eddy.errors import DeviceFailed
from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.fabric.session import open_session
from eddy.kernel.assignment import read
from eddy.kernel.codec import decode, encode
from eddy.kernel.hop import Outbox, numbering
from eddy.kernel.outlets import Outlets
from eddy.kernel.store import RamStore
from eddy.security.authority import Authority
from eddy.security.identity import Identity

BLOCK = 100  # samples of a record when they are sent in blocks
SLOWER = 10
_CAPACITY = 20_000  # records that may wait for the receiver
_AT_A_TIME = 500  # records kept before acknowledgements are looked at again
_PATIENCE_S = 120.0
_LATENCY_HZ = 500


class _Source:
    """The sending end, in this process."""

    def __init__(self, folder: Path | None) -> None:
        self.protocol = "tls" if folder else "tcp"
        self.identity = _joined(folder, "source") if folder else None
        self.meeting = free_endpoint(self.protocol)
        self.mesh = Mesh(["source"], self.meeting, [], self.identity)
        command = [sys.executable, "-m", "eddy.bench.sink", "--listen", free_endpoint(self.protocol), "--connect", self.meeting]
        if folder:
            command += ["--identity", str(_joined(folder, "sink").key_file.parent)]
        self.process = subprocess.Popen(command)
        self.batches = 0

    def ask(self, stream: str, slow_us: int = 0) -> dict[str, Any]:
        """How a stream was; from now on the receiver is so slow."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            said = self.mesh.ask("sink", encode([stream, slow_us]), 10.0)
            if said is not None:
                seen: Any = decode(said)
                return dict(seen)
            if self.process.poll() is not None:
                break
            self.mesh.take(0.05)
        raise DeviceFailed("the receiving process does not answer; run `python -m eddy.bench.sink --listen tcp/127.0.0.1:7447` to see why")

    def send(self, stream: str, count: int, make: Callable[[int], list[object]], rate_hz: int | None = None) -> float:
        """Keep so many records and see to it that all are acknowledged; seconds from first to last."""
        store = RamStore()
        store.put(numbering(b"src"))
        box = Outbox(stream, "source", store, capacity=2 * _CAPACITY, max_bytes=1 << 30, block=4096)
        outlets = Outlets({"sink": box})
        made, began = 0, time.monotonic()
        while made < count or box.floor() < count:
            now = time.monotonic()
            due = count if rate_hz is None else min(count, int((now - began) * rate_hz) + 1)
            until = min(due, made + _AT_A_TIME, made + _CAPACITY - box.pending())
            for number in range(made, until):
                box.keep(time.time_ns(), make(number))
            idle, made = until <= made, max(made, until)
            for data in self.mesh.take(0.0005 if idle else 0):
                outlets.acked("sink", read(data)[2])
            for to, data in outlets.speak(int(time.monotonic() * 1000)):
                self.batches += 1
                self.mesh.send(to, data)
            if now - began > _PATIENCE_S:
                raise DeviceFailed(f"stream {stream}: {box.floor()} of {count} records were acknowledged within {_PATIENCE_S:.0f} s")
        return time.monotonic() - began

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
        self.mesh.close()


def _joined(folder: Path, name: str) -> Identity:
    authority = Authority(folder / "hub")
    identity = Identity.load_or_create(folder / name, name)
    identity.accept(authority.sign(*identity.request(authority.issue_token(name))))
    authority.close()
    return identity


def run(records: int = 100_000, tell: Callable[[Any], None] | None = None, tls: bool = False) -> dict[str, Any]:
    """Measure.

    Args:
        records: Of one sample each; a twentieth as many blocks of 100 samples, and as many bare messages.
        tell: Is told how far it is.
        tls: Over mutual TLS, the baseline as well.

    Returns:
        `single` {messages_per_s, of_baseline, records}, `batched` {samples_per_s, of_baseline, batch}, `baseline` {zenoh_put_per_s},
        `slow_receiver` {slower, records_per_s, peak_rss_bytes, growth_bytes, repeated}, `latency_us` {p50, p99, rate_hz}, and over all of
        it `lost`, `doubled`, `out_of_order`.

    Raises:
        DeviceFailed: The receiving process failed, or did not get everything within two minutes.
    """
    tell = tell or (lambda step: None)
    steps = [_single, _batched, _baseline, _latency, _slow]
    result: dict[str, Any] = {"tls": tls, "faults": []}
    with tempfile.TemporaryDirectory(prefix="eddy-fabric-") as folder:
        source = _Source(Path(folder) if tls else None)
        try:
            source.ask("")
            for number, step in enumerate(steps):
                tell({"done": number, "total": len(steps), "doing": step.__name__.strip("_")})
                step(source, records, result)
        finally:
            source.close()
    faults = result.pop("faults")
    return result | {name: sum(fault[name] for fault in faults) for name in ("lost", "doubled", "out_of_order")}


def _single(source: _Source, records: int, result: dict[str, Any]) -> None:
    seconds = source.send("single", records, lambda number: [number, 0])
    _check(source, "single", records, result)
    result["single"] = {"messages_per_s": round(records / seconds), "records": records}


def _batched(source: _Source, records: int, result: dict[str, Any]) -> None:
    blocks = max(1, records // 20)
    samples = [500 + (7919 * number) % 3000 for number in range(BLOCK)]  # vibration in raw units: two bytes each
    seconds = source.send("batched", blocks, lambda number: [number, samples])
    _check(source, "batched", blocks, result)
    result["batched"] = {"samples_per_s": round(blocks * BLOCK / seconds), "batch": BLOCK}


def _baseline(source: _Source, records: int, result: dict[str, Any]) -> None:
    import zenoh

    session = open_session(free_endpoint(source.protocol), [source.meeting], source.identity, None)
    publisher = session.declare_publisher(BARE, congestion_control=zenoh.CongestionControl.BLOCK)
    end = time.monotonic() + _PATIENCE_S
    while not publisher.matching_status.matching and time.monotonic() < end:
        source.mesh.take(0.05)
    payload, began = bytes(16), time.monotonic()
    for _ in range(records):
        publisher.put(payload)
    while (came := source.ask("")["bare"]) < records and time.monotonic() < end:
        continue
    per_s = came / (time.monotonic() - began)
    session.close()
    result["baseline"] = {"zenoh_put_per_s": round(per_s)}
    result["single"]["of_baseline"] = round(result["single"]["messages_per_s"] / per_s, 3)
    result["batched"]["of_baseline"] = round(result["batched"]["samples_per_s"] / per_s, 3)


def _latency(source: _Source, records: int, result: dict[str, Any]) -> None:
    count = min(2000, records)
    source.send("latency", count, lambda number: [number, time.monotonic_ns()], _LATENCY_HZ)
    seen = _check(source, "latency", count, result)
    p50, p99 = np.percentile(np.array(seen["latencies_ns"]) / 1000, [50, 99])
    result["latency_us"] = {"p50": round(float(p50)), "p99": round(float(p99)), "rate_hz": _LATENCY_HZ}


def _slow(source: _Source, records: int, result: dict[str, Any]) -> None:
    """A receiver that needs ten times as long for a record as both ends together did before."""
    count = max(1, records // 4)
    before = source.ask("", round(SLOWER * 1e6 / result["single"]["messages_per_s"]))
    own_bytes = _peak_rss_bytes()
    seconds = source.send("slow", count, lambda number: [number, 0])
    after = _check(source, "slow", count, result)
    growth = [_peak_rss_bytes() - own_bytes, after["peak_rss_bytes"] - before["peak_rss_bytes"]]
    result["slow_receiver"] = {
        "slower": SLOWER,
        "records_per_s": round(count / seconds),
        "peak_rss_bytes": max(_peak_rss_bytes(), after["peak_rss_bytes"]),
        "growth_bytes": {"sender": growth[0], "receiver": growth[1]},
        "repeated": after["duplicates"] - before["duplicates"],
    }


def _check(source: _Source, stream: str, count: int, result: dict[str, Any]) -> dict[str, Any]:
    seen = source.ask(stream)
    fault = {"lost": max(0, count - seen["records"]), "doubled": max(0, seen["records"] - count), "out_of_order": seen["out_of_order"]}
    result["faults"].append(fault)
    return seen


def _peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
