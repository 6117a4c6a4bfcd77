"""The receiving process of `eddy bench fabric`: takes what comes through a hop, checks it, and says on question how it was."""

import argparse
import resource
import signal
import time
from pathlib import Path
from typing import Any

from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.fabric.session import open_session
from eddy.kernel.assignment import ACK, message, read
from eddy.kernel.codec import decode, encode
from eddy.kernel.hop import Gap, Inbox, Record
from eddy.security.identity import Identity

BARE = "eddy/stream/bench"
"""Key of the baseline."""

_WAIT_S = 0.05


class Sink:
    """What has come of each stream.

    The first item of a record's value is its running number, the second (of `latency`) when it left, ns of the machine's monotonic clock.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.slow_us = 0
        self.bare = 0  # messages of the baseline
        self._inbox = Inbox()
        self._streams: dict[str, dict[str, Any]] = {}

    def hear(self, data: bytes) -> None:
        """One batch."""
        records = self._inbox.offer(read(data)[2])
        self._inbox.commit()
        for record in records:
            self._count(record)
        if self.slow_us:
            time.sleep(self.slow_us * len(records) / 1e6)
        for ack in self._inbox.acks():
            self.mesh.send("source", message(ACK, "sink", ack))

    def answer(self, question: bytes) -> bytes:
        """`[stream, slow_us]`: how the stream was, and how slow to be from now on, microseconds a record."""
        asked: Any = decode(question)
        self.slow_us = asked[1]
        seen = dict(self._streams.get(asked[0], _fresh()))
        rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return encode({**seen, "bare": self.bare, "duplicates": self._inbox.duplicates, "peak_rss_bytes": rss_bytes})

    def count_bare(self, sample: Any) -> None:
        """A message of the baseline, on a thread of Zenoh."""
        self.bare += 1

    def _count(self, record: Record) -> None:
        seen = self._streams.setdefault(record.stream, _fresh())
        value: Any = record.value
        if isinstance(value, Gap):
            seen["gaps"] += 1
            return
        seen["out_of_order"] += value[0] != seen["records"]
        seen["records"] += 1
        if record.stream == "latency":
            seen["latencies_ns"].append(time.monotonic_ns() - value[1])


def _fresh() -> dict[str, Any]:
    return {"records": 0, "out_of_order": 0, "gaps": 0, "latencies_ns": []}


def serve(listen: str, connect: list[str], identity: Identity | None) -> None:
    """Receive until SIGTERM."""
    going = True

    def stop(number: int, frame: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    mesh = Mesh(["sink"], listen, connect, identity)
    sink = Sink(mesh)
    mesh.answer(sink.answer)
    bare = open_session(free_endpoint(listen[:3]), connect, identity, None)
    bare.declare_subscriber(BARE, sink.count_bare)
    try:
        while going:
            for data in mesh.take(_WAIT_S):
                sink.hear(data)
    finally:
        bare.close()
        mesh.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="eddy.bench.sink")
    parser.add_argument("--listen", required=True)
    parser.add_argument("--connect", nargs="*", default=[])
    parser.add_argument("--identity", type=Path)
    given = parser.parse_args()
    serve(given.listen, given.connect, Identity.load_or_create(given.identity, "sink") if given.identity else None)


if __name__ == "__main__":
    main()
