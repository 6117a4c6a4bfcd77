"""`kill -9` of a real process with a loop at random moments: no output of a judge lost, none doubled, and no decision changed by it."""

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pumps import Pump, Site, contents

from eddy.kernel.codec import encode
from eddy.knowledge.base import KnowledgeBase
from eddy.security.signing import SigningKey

CHILD = Path(__file__).with_name("killed_gateway.py")
Output = tuple[str, int, Any]


class Gateway:
    """The child process."""

    def __init__(self, base: Path) -> None:
        self.process = subprocess.Popen([sys.executable, str(CHILD), str(base)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        assert self.stdout.readline() == b"up\n"

    def take(self, output: Output, patience_s: float | None) -> bool:
        """Whether it was kept; False when that was not said within the patience, and the process is killed."""
        data = encode(list(output))
        self.stdin.write(len(data).to_bytes(4) + data)
        self.stdin.flush()
        if patience_s is not None and not select.select([self.stdout], [], [], patience_s)[0]:
            self.kill()
            return False
        return self.stdout.read(4) == bytes(4)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


def undisturbed(folder: Path) -> Site:
    """One pump that wears out and one whose champion cries wolf, so that everything happens: training, alarms, replacement, newcomers."""
    key = SigningKey.load_or_create(folder / "key.pem")
    site, worn = Site(folder / "undisturbed", key), Pump(key, normal_every=2)
    wolf = Pump(key, "pump-2", seed=2, quantile=700, normal_every=2)
    for round_ in range(25):
        site.hear(worn.run(20, wear=2.0 if round_ in (15, 16) else 1.0), wolf.run(20))
        site.deliver(wolf)
    return site


def campaign(folder: Path, kills: int, seed: int) -> None:
    chance, site, base = random.Random(seed), undisturbed(folder), folder / "base"
    outputs, at, most, left = site.outputs, 0, 0, kills
    gateway = Gateway(base)
    while at < len(outputs):
        # Strikes are spread over what is left, the patience over the time that an output takes and a little more.
        strike = left > 0 and chance.random() < 1.5 * left / (len(outputs) - at)
        kept = gateway.take(outputs[at], chance.uniform(0, 0.004) if strike else None)
        if strike and kept:
            gateway.kill()  # stored and dead before anybody heard of it
        if not strike:
            at += 1
            most = max(most, at)
            continue
        left -= 1
        there = len(KnowledgeBase(base, clock=lambda: 0).table("taken"))
        assert most <= there <= max(most, at + 1), "what was acknowledged is there, and nothing else than what comes now"
        most = there
        at = max(0, at - chance.randint(0, 5))  # acknowledgements of the system go astray too
        gateway = Gateway(base)
    gateway.kill()
    killed = KnowledgeBase(base, clock=lambda: 0)
    decided = killed.table("decisions")
    assert {row["phase"] for row in decided} >= {"plan", "create", "verify", "monitor", "package", "release", "configure"}
    assert {"alarm raised", "alarm cleared", "make newcomers"} <= {row["what"] for row in decided}
    expected, found = contents(site.loop.base), contents(killed)
    for name in expected:
        assert found[name] == expected[name], name
    assert left == 0


@pytest.mark.slow
def test_a_gateway_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, kills=4, seed=1)


@pytest.mark.soak
def test_a_gateway_that_is_killed_fifty_times_loses_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, kills=50, seed=2)
