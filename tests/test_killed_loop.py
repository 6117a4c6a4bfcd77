"""`kill -9` of a process with a loop at random moments: nothing that it has taken is lost or doubled, and no decision changed by it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed_loop import DEVICES, MODEL, open_loop

from eddy.kernel.batch import Gap
from eddy.kernel.codec import encode
from eddy.kernel.features import NAMES
from eddy.kernel.function import Sample
from eddy.kernel.functions.forward import Forward
from eddy.kernel.functions.model import Model
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop
from eddy.models.package import sign
from eddy.pool.judging import Judge
from eddy.security.signing import SigningKey

CHILD = Path(__file__).with_name("killed_loop.py")
SECOND = 1_000_000_000
ENERGY = [i for i, name in enumerate(NAMES) if name.startswith(("rms", "mean_abs", "peak", "band"))]
TABLES = ["windows", "events", "gaps", "verdicts", "decisions", "models", "rankings", "champions", "deployments", "announcements", "alarms"]
TABLES += ["taken", "states"]
PHASES = {"plan", "create", "verify", "monitor", "package", "release", "configure"}
OVERLAP = 6  # outputs that come again after a kill: what was taken and not acknowledged


class Site:
    """Two pumps, a judge and a loop, without nodes: what a node does between them is nothing but order.

    Attributes:
        script: [key, time_ns, value] of everything that the judge said.
    """

    def __init__(self, loop: Loop, key: SigningKey) -> None:
        self.script: list[list[Any]] = []
        self._loop, self._key = loop, key
        self._judge = Judge(list(NAMES), DEVICES)
        shape: dict[str, Any] = {"features": list(NAMES), "trees": 20, "subsample": 48, "rows": 80, "seed": 7}
        shape |= {"uses": ["rms", "mean_abs_difference", "peak_to_peak"], "key": key.public_bytes()}
        # One that wears out, and one whose champion cries wolf: so that everything happens.
        self._models = {
            origin: Model(**shape, home=[MODEL, device], quantile=950 if device == "pump-1" else 700) for origin, device in DEVICES.items()
        }
        self._forwards = {origin: Forward(2) for origin in DEVICES}
        self._random = np.random.default_rng(1)
        self._heard = 0
        self._sent = dict.fromkeys(DEVICES, 0)
        self._time_ns = 0

    def run(self, windows: int, wear: float = 1.0) -> None:
        """Both measure some windows; only the first one wears."""
        for _ in range(windows):
            self._time_ns += 10 * SECOND
            for origin in DEVICES:
                row = np.full(len(NAMES), 3000.0)
                row[ENERGY] = 1000 * (wear if origin.endswith("1") else 1.0) * (1 + 0.05 * self._random.standard_normal())
                row *= 1 + 0.02 * self._random.standard_normal(len(NAMES))
                self._through(origin, self._models[origin].on(self._sample(row.astype(int).tolist())))
                while self._models[origin].every_ms:
                    self._through(origin, self._models[origin].tick(self._time_ns))
                self._back(origin)

    def lose(self, origin: str, first: int, last: int) -> None:
        """Reports that are missing for good."""
        self._say(self._judge.gap(Sample("report", origin, first, 0, Gap(first, last, "overflow"))))

    def _through(self, origin: str, values: list[Any]) -> None:
        for value in values:
            for report in self._forwards[origin].on(self._sample(value)):
                self._say(self._judge.on(Sample("report", origin, 0, self._time_ns, report)))

    def _say(self, values: list[Any]) -> None:
        for value in values:
            said = [f"judge/judge/{len(self.script)}", self._time_ns, value]
            self.script.append(said)
            self._loop.take(*said)

    def _back(self, origin: str) -> None:
        """What the loop has for judge and model."""
        while (said := self._loop.announcement(self._heard)) is not None:
            self._judge.on(Sample("pool", "pool", self._heard, 0, said))
            self._heard += 1
        while (data := self._loop.package(DEVICES[origin], self._sent[origin])) is not None:
            self._through(origin, self._models[origin].on(self._sample(sign(data, self._key.sign))))
            self._sent[origin] += 1

    def _sample(self, value: Any) -> Sample:
        return Sample("", "", 0, self._time_ns, value)


class Process:
    """The child, and the last output that it says to have."""

    def __init__(self, base: Path, script: Path, first: int) -> None:
        command = [sys.executable, str(CHILD), str(base), str(script), str(first)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def take(self, many: int) -> int | None:
        """Hear of so many more outputs; the last of them, None when there is none any more."""
        assert self.process.stdout
        last = None
        for _ in range(many):
            line = self.process.stdout.readline()
            if not line:
                break
            last = int(line)
        return last

    def kill(self) -> int | None:
        """Kill it; the last output that it has said to have meanwhile."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout
        said = self.process.stdout.read().splitlines()
        self.process.stdout.close()
        self.process.wait()
        return int(said[-1]) if said else None


def contents(base: KnowledgeBase) -> dict[str, list[dict[str, Any]]]:
    return {name: base.table(name) for name in TABLES}


def campaign(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    undisturbed = open_loop(folder / "undisturbed")
    site = Site(undisturbed, SigningKey.load_or_create(folder / "key.pem"))
    site.run(260)
    site.lose("report@pump-2", 400, 404)
    site.run(20, wear=2.0)
    site.run(80)
    expected = contents(undisturbed.base)
    assert {row["phase"] for row in expected["decisions"]} >= PHASES
    assert {row["state"] for row in expected["deployments"]} >= {"installed"}
    assert expected["alarms"]
    script, base = folder / "script", folder / "base"
    script.write_bytes(encode(site.script))
    total, taken = len(site.script), -1
    for left in range(kills, 0, -1):
        process = Process(base, script, max(0, taken + 1 - chance.randrange(OVERLAP)))
        share = max(2, (total - taken) // left)  # kills are spread over what is left
        heard = process.take(chance.randrange(1, share))
        end = time.monotonic() + chance.random() * share / 2000  # most outputs take a millisecond, those that make a pool a second
        while time.monotonic() < end:
            pass
        later = process.kill()
        taken = max(one for one in (taken, heard, later) if one is not None)
        killed = KnowledgeBase(base, clock=lambda: 0)
        numbers = [int(row["key"].rpartition("/")[2]) for row in killed.table("taken")]
        killed.close()
        assert numbers == list(range(len(numbers))), "what is there is a beginning of what was said: nothing doubled, no hole"
        assert taken < len(numbers) <= total, "what it said to have is there"
    last = Process(base, script, max(0, taken + 1 - OVERLAP))
    assert last.take(total) == total - 1
    last.kill()
    found = contents(KnowledgeBase(base, clock=lambda: 0))
    for name in TABLES:
        assert found[name] == expected[name], name
    rows = [(row["origin"], row["seq"]) for name in ("windows", "events") for row in found[name]]
    for device in DEVICES.values():
        assert sorted(seq for origin, seq in rows if origin == device) == list(range(sum(origin == device for origin, _ in rows)))


@pytest.mark.slow
def test_a_loop_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, kills=3, seed=1)


@pytest.mark.soak
def test_a_loop_that_is_killed_fifty_times_loses_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, kills=50, seed=2)
