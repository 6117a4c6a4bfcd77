"""One device at the end of its line, with a gateway and a hub in this process: what a test bench on a desk is to a fleet.

The device is the real one, and so are line, hosts and hub; only the mesh between gateway and hub is missing.
"""

import select
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eddy.errors import DeviceFailed
from eddy.hub.control import Control
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import ACK, HUB, message, read
from eddy.kernel.charter import Charter
from eddy.kernel.engines import TRAINING
from eddy.kernel.features import NAMES
from eddy.kernel.function import Function
from eddy.kernel.functions.model import NEWS
from eddy.kernel.functions.same import Same
from eddy.kernel.hop import Gap, Inbox
from eddy.kernel.host import Host
from eddy.links import micropython
from eddy.models.create import grow
from eddy.models.package import pack, sign
from eddy.node.journal import SqliteJournal
from eddy.node.line import Line
from eddy.security.signing import SigningKey
from eddy.sim.heap import smallest
from eddy.sim.line import start_line

DEVICE, GATEWAY, CLASS = "pump-1", "gw", "bearing"
_NARROW = 400
_FUNCTIONS = "eddy.kernel.functions."

# What the smallest heap is found with: the champion of the paper, then the largest that a gateway sends.
_TREES, _SUBSAMPLE, _ROWS = 50, 100, 120
_FEW = ["rms", "mean_abs_difference", "peak_to_peak"]
_MANY = ["rms", "mean_abs_difference", "peak_to_peak", "kurtosis"]
_PATIENCE_S = 10.0


def pipeline(size_ms: int, features: list[str], model: dict[str, Any], normal_every: int) -> dict[str, list[Any]]:
    """What a device of the pump application hosts: {instance: program}.

    Args:
        size_ms: Length of a window.
        features: What is computed of each.
        model: Further arguments of `eddy.kernel.functions.model.Model`.
        normal_every: Of the normal windows, every so many-th is reported.
    """
    return {
        "features": [
            "source",
            ["", "", {}],
            [[_FUNCTIONS + "window", "Window", {"size_ms": size_ms}], [_FUNCTIONS + "features", "Features", {"compute": features}]],
        ],
        "detect": [_FUNCTIONS + "model", "Model", {"features": features, **model}],
        "report": [_FUNCTIONS + "forward", "Forward", {"normal_every": normal_every}],
    }


class Rig:
    """A context manager: the device is switched on, and does what it is told from the first turn on.

    Args:
        folder: Of the device; its flash stays there.
        hosted: See `pipeline`.
        speed: How many times faster than real the line runs.
        heap_bytes: Limit of the device's heap.
        line: Further options of `start_line`.

    Attributes:
        said: What was reported, in order.
        line: The line emulator.
        device: The interpreter.
        sequence: Of the last package.
    """

    def __init__(
        self, folder: Path, hosted: dict[str, list[Any]], speed: int = 1, heap_bytes: int = micropython.HEAP_BYTES, **line: Any
    ) -> None:
        self.said: list[Any] = []
        self.sequence = 0
        self._folder, self._speed, self._heap_bytes = folder, speed, heap_bytes
        self._key = SigningKey.load_or_create(folder / "signing.key")
        self._inbox = Inbox()
        self._asked = False
        self._near: list[tuple[str, bytes]] = []
        self.line = start_line(speed=speed, **line)
        self._end = Line(DEVICE, self.line.gateway_port, speed)
        self._control = Control(Terms(open_database("sqlite://")), sign=self._key.sign)
        self._host = Host(GATEWAY, SqliteJournal(sqlite3.connect(":memory:", isolation_level=None)), _build)
        model = hosted["detect"][2]
        hosted["detect"][2] = {**model, "home": [CLASS, DEVICE], "key": self._key.public_bytes()}
        for instance, takes, gives, node in (
            ("reports", ["report"], ["reports!"], GATEWAY),
            ("champion", [], ["detect"], GATEWAY),
            ("report", ["detect"], ["reports"], DEVICE),
            ("detect", ["features", "champion"], ["report"], DEVICE),
            ("features", [], ["detect"], DEVICE),
        ):
            charter = Charter(instance, 1, hosted.get(instance, ["source", ["", "", {}], []]), {}, b"rig", instance, takes, [], True)
            self._control.place(charter, gives, node, [], {"detect": _NARROW, "@" + DEVICE: _NARROW})
        self.switch_on()

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *error: object) -> None:
        self.device.kill()
        self._end.close()
        self.line.close()

    def switch_on(self) -> None:
        """Start the device, or start it again: it goes on from its flash."""
        image = micropython.provision(self._folder, {"device": DEVICE, "key": self._key.public_bytes()})
        self.device = micropython.start(image, self.line.device_port, self._speed, self._heap_bytes)
        self._asked = False

    def send(self, wire: bytes | None, features: list[str] | None, configuration: dict[str, Any] | None = None) -> bytes:
        """Send the model another champion; the package."""
        self.sequence += 1
        data = sign(pack(CLASS, DEVICE, self.sequence, wire, features, configuration), self._key.sign)
        self.bring(data)
        return data

    def bring(self, data: bytes) -> None:
        """Send the model these bytes."""
        self.until(lambda: self._host.feed("champion", [[0, data]], 0))

    def until(self, done: Callable[[], Any], patience_s: float = 120.0) -> None:
        """Turn until something is so.

        Raises:
            DeviceFailed: The device has ended.
            TimeoutError: It does not come to be.
        """
        end = time.monotonic() + patience_s
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"after {patience_s:.0f} s it is not so; the last words were {self.said[-3:]}")
            self.turn()

    def play(self, samples: bytes, time_ns: int, period_ns: int) -> None:
        """Let the sensor hear something, once the device asks; none for the end."""
        self.until(lambda: self._asked)
        self._asked = False
        self.device.play(samples, time_ns, period_ns)

    def turn(self) -> None:
        """Everybody once."""
        while self.device.figures is None and select.select([self.device], [], [], 0.0)[0]:
            self._asked = self.device.asks() or self._asked
        now_ms = time.monotonic_ns() // 1_000_000
        out = self._near + self._end.turn() + self._host.poll(now_ms) + self._control.poll(now_ms)
        self._near = []
        for to, data in out:
            if to == HUB:
                self._control.receive(data, now_ms)
            elif to == "reports!":
                self._take(read(data)[2])
            elif to == "@" + GATEWAY or to in self._host.owns():
                self._host.receive(data)
            elif to in self._end.addresses():
                self._end.receive(to, data)
        if not out:
            time.sleep(0.002)

    def _take(self, batch: bytes) -> None:
        self.said += [record.value for record in self._inbox.offer(batch) if not isinstance(record.value, Gap)]
        self._inbox.commit()
        self._near += [("reports", message(ACK, "reports!", ack)) for ack in self._inbox.acks()]


def smallest_heap(folder: Path, progress: Callable[[str], None]) -> int | None:
    """The smallest heap in which a device trains, takes the largest champion, and scores with it; None when that of a board is too small.

    Args:
        folder: For the flash of those that are tried.
        progress: Told each result.

    Returns:
        Bytes, a multiple of 4,096.
    """

    def completes(heap_bytes: int) -> bool:
        done = _lives(folder / f"heap-{heap_bytes // 1024}", heap_bytes)
        progress(f"{heap_bytes // 1024} KiB: {'enough' if done else 'too little'}")
        return done

    return smallest(micropython.HEAP_BYTES, completes)


def _lives(folder: Path, heap_bytes: int) -> bool:
    """Whether a device with such a heap does all that one ever does."""
    model = {"trees": _TREES, "subsample": _SUBSAMPLE, "quantile": 980, "rows": _ROWS, "seed": 1, "uses": _FEW}
    random = np.random.default_rng(1)
    try:
        with Rig(folder, pipeline(10, list(NAMES), model, 1), speed=50, heap_bytes=heap_bytes) as rig:

            def play(windows: int, start: int) -> None:
                for i in range(start, start + windows):
                    rig.play(random.normal(0, 200, 200).round().astype("<i2").tobytes(), i * 10**9, 50_000)

            play(_ROWS + 1, 0)
            rig.until(lambda: any(value[1] == NEWS for value in rig.said), _PATIENCE_S)
            rows = np.array([value[2] for value in rig.said if value[1] == TRAINING])[:, [NAMES.index(name) for name in _MANY]]
            rig.send(grow(rows, _TREES, _SUBSAMPLE, 7).to_wire(), _MANY)
            rig.until(lambda: sum(value[1] == NEWS for value in rig.said) > 1, _PATIENCE_S)
            if rig.said[-1][2].get("e") != "installed":
                return False
            at = len(rig.said)
            play(3, _ROWS + 1)
            rig.until(lambda: len(rig.said) >= at + 3, _PATIENCE_S)
            return True
    except (DeviceFailed, TimeoutError):
        return False


def _build(program: Any) -> Function:
    return Same()
