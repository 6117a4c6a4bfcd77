"""A device and its gateway's end in one process and in virtual time: the real agent, proxy, arq and hop over two pipes."""

from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from eddy.kernel.agent import Agent
from eddy.node.proxy import DeviceProxy

from eddy.kernel import package
from eddy.kernel.clock import ManualClock
from eddy.kernel.hop import Gap, Inbox, Record
from eddy.security.signing import SigningKey

SECOND = 1_000_000_000
WINDOW = 256


class Pipe:
    """One end of a line that takes no time."""

    def __init__(self) -> None:
        self.coming = bytearray()
        self.other: Pipe

    def read(self) -> bytes:
        data = bytes(self.coming)
        self.coming.clear()
        return data

    def write(self, data: bytes) -> None:
        self.other.coming += data


def pipes() -> tuple[Pipe, Pipe]:
    one, two = Pipe(), Pipe()
    one.other, two.other = two, one
    return one, two


class Tape:
    """A sensor that plays windows: one chunk each, a second apart."""

    def __init__(self, windows: Iterable[Any], start: int = 0) -> None:
        self._windows = list(windows)
        self._at = 0
        self._start = start
        self.ended = False

    def read(self, ready: bool) -> tuple[memoryview, int, int] | None:
        if not ready or self.ended:
            return None
        if self._at == len(self._windows):
            self.ended = True
            return None
        samples = array("h", [int(x) for x in self._windows[self._at]])
        self._at += 1
        return memoryview(samples), (self._start + self._at) * SECOND, 1_000_000


class Gate:
    """A control that stores what comes and sends what it is told to."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.records: list[Record] = []
        self.package: Any = None
        self.refused: list[int] = []
        self.down = False

    def receive(self, data: bytes, device: str) -> list[bytes]:
        if self.down:
            return []
        self.records += self.inbox.offer(data)
        self.inbox.commit()
        return self.inbox.acks()

    def deployment(self, device: str) -> Any:
        return self.package

    def undeliverable(self, device: str, sequence: int) -> None:
        self.refused.append(sequence)
        self.package = None

    def windows(self) -> list[list[Any]]:
        return [r.value for r in self.records if r.stream == "windows" and not isinstance(r.value, Gap)]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [r.value for r in self.records if r.stream == "events" and not isinstance(r.value, Gap) and r.value["e"] == kind]


class Sent:
    """A package that should run."""

    def __init__(self, sequence: int, data: bytes) -> None:
        self.sequence = sequence
        self.data = data


class Rig:
    """One device on a folder that stands for its flash; it may be switched off and on again."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder / "flash"
        self.folder.mkdir()
        self.key = SigningKey.load_or_create(folder / "key.pem")
        self.settings = {
            "device": "pump-1",
            "class": "pump",
            "key": self.key.public_bytes(),
            "window": WINDOW,
            "train_windows": 40,
            "trees": 10,
            "subsample": 32,
            "normal_every": 5,
            **settings,
        }
        self.gate = Gate()
        self.clock = ManualClock()
        self.agent: Agent

    def boot(self, windows: Iterable[Any], start: int = 0) -> None:
        here, there = pipes()
        self.agent = Agent(str(self.folder), self.settings, here, Tape(windows, start), self.clock)
        self.proxy = DeviceProxy("pump-1", there, self.gate, self.clock)

    def run(self, until: Callable[[], bool] | None = None, turns: int = 200_000) -> None:
        """Until the data have ended and all is said, or `until` holds."""
        until = until or self.agent.finished
        for _ in range(turns):
            wait = min(self.agent.step(), self.proxy.service())
            if until():
                return
            self.clock.advance(max(1, wait))
        raise AssertionError("the device and its gateway do not come to an end")

    def deploy(
        self, sequence: int, sign: Callable[[bytes], bytes] | None = None, device: str = "pump-1", predecessor: bytes = b"", **body: Any
    ) -> None:
        data = package.build("pump", device, sequence, package.encode_body(**body), sign or self.key.sign, predecessor=predecessor)
        self.gate.package = Sent(sequence, data)


def healthy(count: int, seed: int = 1) -> list[Any]:
    """Windows of noise."""
    return list(np.random.default_rng(seed).normal(0, 80, (count, WINDOW)).round())


def worn(count: int, seed: int = 2) -> list[Any]:
    """Windows of louder noise."""
    return list(np.random.default_rng(seed).normal(0, 400, (count, WINDOW)).round())
