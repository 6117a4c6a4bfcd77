"""`kill -9` of a real gateway process at random moments: no acknowledged window lost, none doubled, and no decision changed by it."""

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pumps import SETTINGS, Pump, contents

from eddy.kernel.codec import decode
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop
from eddy.security.signing import SigningKey

CHILD = Path(__file__).with_name("killed_gateway.py")


class Gateway:
    """The child process, and what it has acknowledged."""

    def __init__(self, base: Path, key: Path) -> None:
        command = [sys.executable, str(CHILD), str(base), str(key)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        assert self.stdout.readline() == b"up\n"

    def receive(self, batch: bytes, patience_s: float | None) -> list[bytes] | None:
        """The acknowledgements; None when they have not come within the patience, and the process is killed."""
        self.stdin.write(len(batch).to_bytes(4) + batch)
        self.stdin.flush()
        if patience_s is not None and not select.select([self.stdout], [], [], patience_s)[0]:
            self.kill()
            return None
        acks = decode(self.stdout.read(int.from_bytes(self.stdout.read(4))))
        assert isinstance(acks, list)
        return acks

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


def pumps(key: SigningKey) -> list[Pump]:
    """One that wears out and one whose champion cries wolf, so that everything happens: training, alarms, replacement."""
    worn = Pump("pump-1", key.public_bytes(), normal_every=2).run(300).run(40, wear=2.0).run(160)
    return [worn, Pump("pump-2", key.public_bytes(), seed=2, quantile=700, normal_every=2).run(500)]


def stored(base: Path, device: str) -> list[tuple[int, list[int]]]:
    connection = sqlite3.connect(base)
    rows = connection.execute("SELECT seq, features FROM windows WHERE origin = ? ORDER BY seq", (device,)).fetchall()
    connection.close()
    return [(seq, json.loads(features)) for seq, features in rows]


def campaign(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    key = SigningKey.load_or_create(folder / "key.pem")
    base = folder / "base"
    gateway = Gateway(base, folder / "key.pem")
    left = kills
    boxes = [(pump, box) for pump in pumps(key) for box in (pump.events, pump.windows)]
    acknowledged = {box: 0 for _, box in boxes}
    while any(box.pending() for _, box in boxes):
        pump, box = next(pair for pair in boxes if pair[1].pending())
        batch = box.batch(chance.randint(100, 900))
        assert batch is not None
        # Strikes are spread over what is left, the patience over the time that a batch takes and a little more.
        strike = left > 0 and chance.random() < 9 * left / sum(box.pending() for _, box in boxes)
        acks = gateway.receive(batch, chance.uniform(0, 0.012) if strike else None)
        if strike and acks is not None:
            gateway.kill()  # stored, acknowledged and dead before the device heard of it
            acks = None
        if acks is None:
            left -= 1
            windows = stored(base, pump.name)
            said = [(seq, value[4]) for seq, value in pump.said]
            assert windows == said[: len(windows)], "what is there is a beginning of what was said: nothing doubled, no hole"
            assert len(windows) >= acknowledged[pump.windows], "what was acknowledged is there"
            gateway = Gateway(base, folder / "key.pem")
            continue
        for ack in acks:
            box.acknowledge(ack)
        acknowledged[box] = int(decode(acks[0])[4]) + 1
    gateway.kill()
    for pump, _ in boxes:
        assert stored(base, pump.name) == [(seq, value[4]) for seq, value in pump.said]
    undisturbed = Loop(KnowledgeBase(folder / "undisturbed", clock=lambda: 0), key, SETTINGS)
    for pump in pumps(key):
        pump.talk(undisturbed)
    killed = KnowledgeBase(base, clock=lambda: 0)
    assert killed.table("gaps") == []
    assert {row["phase"] for row in killed.table("decisions")} >= {"plan", "create", "verify", "monitor", "package", "release"}
    expected, found = contents(undisturbed.base), contents(killed)
    for name in expected:
        assert found[name] == expected[name], name
    assert left == 0


@pytest.mark.slow
def test_a_gateway_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, kills=3, seed=1)


@pytest.mark.soak
def test_a_gateway_that_is_killed_fifty_times_loses_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, kills=50, seed=2)
