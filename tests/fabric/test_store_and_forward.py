"""A link is down, the producer dies meanwhile and comes back: everything arrives once, in order, with its own time."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import producer
import pytest
from company import repeat
from relay import Relay

from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.kernel.assignment import ACK, message, read
from eddy.kernel.hop import Inbox, Record


class Sink:
    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.heard: list[Record] = []
        self._inbox = Inbox()

    def turn(self) -> None:
        for data in self.mesh.take(0.01):
            self.heard += self._inbox.offer(read(data)[2])
            self._inbox.commit()
            for ack in self._inbox.acks():
                self.mesh.send("source", message(ACK, "sink", ack))


def kept(database: Path) -> int:
    """Highest number in the producer's store."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT coalesce(max(seq), -1) FROM hop_records").fetchone()[0])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1500, pytest.param(50_000, marks=pytest.mark.soak)])
def test_what_a_producer_kept_before_it_was_killed_arrives_when_the_link_is_back(tmp_path: Path, count: int) -> None:
    database, meeting = tmp_path / "spool.db", free_endpoint()
    relay = Relay(int(meeting.rpartition(":")[2]))
    sink = Sink(Mesh(["sink"], meeting))
    command = [sys.executable, producer.__file__, str(database), str(count), free_endpoint(), f"tcp/127.0.0.1:{relay.port}"]
    process = subprocess.Popen(command)
    try:
        assert repeat(sink.turn, lambda: len(sink.heard) > 50)
        relay.cut()
        cut_at = len(sink.heard)
        assert repeat(sink.turn, lambda: kept(database) > count // 3, 60)
        process.kill()
        process.wait()
        killed_at = kept(database)
        process = subprocess.Popen(command)
        assert repeat(sink.turn, lambda: kept(database) > 2 * count // 3, 60)
        assert len(sink.heard) < count // 3
        relay.heal()
        assert repeat(sink.turn, lambda: len(sink.heard) >= count, 60)
        assert repeat(sink.turn, lambda: process.poll() is not None) and process.returncode == 0
    finally:
        process.kill()
        process.wait()
        sink.mesh.close()
        relay.close()
    assert [record.value for record in sink.heard] == list(range(count))
    assert [record.seq for record in sink.heard] == list(range(count))
    assert {later.time_ns - earlier.time_ns for earlier, later in pairwise(sink.heard)} == {producer.STEP_NS}
    assert sink.heard[0].time_ns == producer.START_NS
    late = [record for record in sink.heard[cut_at:] if record.seq <= killed_at]
    assert len(late) > count // 6
    flags = [record.replayed for record in late]
    assert flags == sorted(flags) and flags[-1]  # first what the killed process had sent once and the link held back, then repeats
    assert not sink.heard[-1].replayed
