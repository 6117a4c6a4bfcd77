"""What the mesh notices, and when: a process that is killed, one that hangs, a link that is cut without a word and healed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from company import repeat
from relay import Relay

from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.fabric.session import LEASE_MS

LEASE_S = LEASE_MS / 1000


@contextmanager
def node_process(folder: Path, meeting: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "eddy.node.service", "--name", "gw", "--dir", str(folder)]
    process = subprocess.Popen([*command, "--listen", free_endpoint(), "--connect", meeting])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def noticed(mesh: Mesh, patience_s: float) -> tuple[list[str], float]:
    """Who has gone, and after how many seconds."""
    began = time.monotonic()
    gone = repeat(lambda: mesh.take(0.01), mesh.gone, patience_s)
    return gone, time.monotonic() - began


@pytest.mark.slow
def test_a_killed_process_is_missed_at_once_and_a_hung_one_after_the_lease(tmp_path: Path) -> None:
    meeting = free_endpoint()
    hub = Mesh(["@"], meeting)
    with node_process(tmp_path, meeting) as process:
        assert repeat(lambda: hub.take(0.01), hub.alive) == ["@gw"]
        os.kill(process.pid, signal.SIGKILL)
        gone, seconds = noticed(hub, 10)
        assert gone == ["@gw"]
        assert seconds < 0.5
    with node_process(tmp_path, meeting) as process:
        assert repeat(lambda: hub.take(0.01), hub.alive) == ["@gw"]
        os.kill(process.pid, signal.SIGSTOP)
        gone, seconds = noticed(hub, 2 * LEASE_S)
        assert gone == ["@gw"]
        assert LEASE_S / 2 < seconds < 1.5 * LEASE_S
    hub.close()


@pytest.mark.slow
@pytest.mark.parametrize("cut_s", [12, pytest.param(60, marks=pytest.mark.soak)])
def test_a_cut_link_is_missed_after_the_lease_and_carries_again_soon_after_it_is_healed(cut_s: float) -> None:
    meeting = free_endpoint()
    relay = Relay(int(meeting.rpartition(":")[2]))
    hub = Mesh(["@"], meeting)
    far = Mesh(["@gw"], free_endpoint(), [f"tcp/127.0.0.1:{relay.port}"])
    try:
        assert repeat(lambda: far.send("@", b"before"), lambda: hub.take(0.02))
        assert repeat(lambda: hub.take(0.01), lambda: far.alive() + hub.alive()) != []
        relay.cut()
        cut = time.monotonic()
        gone, seconds = noticed(hub, 2 * LEASE_S)
        assert gone == ["@gw"]
        assert LEASE_S / 2 < seconds < 1.5 * LEASE_S
        assert not repeat(lambda: far.send("@", b"lost"), lambda: b"lost" in hub.take(0.05), cut + cut_s - time.monotonic())
        relay.heal()
        healed = time.monotonic()
        assert repeat(lambda: far.send("@", b"after"), lambda: b"after" in hub.take(0.02), 30)
        assert time.monotonic() - healed < 3
        assert repeat(lambda: hub.send("@gw", b"back"), lambda: b"back" in far.take(0.02), 3)
    finally:
        far.close()
        hub.close()
        relay.close()
