"""A pump and its site, wired as an app is: the model on the pump and its forward, and the judge and the loop at the gateway."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eddy.kernel.codec import decode, encode
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.kernel.function import Sample
from eddy.kernel.functions.forward import Forward
from eddy.kernel.functions.model import NEWS, Model
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Search
from eddy.models.engine import Training
from eddy.models.package import pack, sign
from eddy.pool.judging import Judge
from eddy.security.signing import SigningKey

SECOND = 1_000_000_000
ELSEWHEN = 1_700_000_000 * SECOND  # the clock of the nodes; the windows have that of a recording
FEATURES = ["rms", "mean_abs_difference", "peak_to_peak"]
SMALL = Search(trees=(10, 20), subsample=(32, 64), features=(tuple(FEATURES), ("rms", "peak_to_peak")), size=5)
SETTINGS = LoopSettings(training=Training(search=SMALL, refresh=40, newcomers=2, memory=80))
TABLES = ["windows", "events", "gaps", "verdicts", "decisions", "models", "rankings", "champions", "deployments", "alarms", "states"]
TABLES += ["announcements", "taken"]
DEVICES: Mapping[str, str] = {f"report@pump-{number}": f"pump-{number}" for number in (1, 2, 3)}
ENERGY = [i for i, name in enumerate(NAMES) if name.startswith(("rms", "mean_abs", "peak", "band"))]


def contents(base: KnowledgeBase) -> dict[str, list[dict[str, Any]]]:
    """Everything in a knowledge base."""
    return {name: base.table(name) for name in TABLES}


class Pump:
    """Measures a window every ten seconds; a real model learns from the first `train`, and a real forward reports.

    Args:
        key: What its packages must be signed with.
        quantile: Of its calibration, per mille: a low one makes a champion that cries wolf.
        ticks: So many trees grow from window to window.

    Attributes:
        said: (time, output of the forward), all of them.
    """

    def __init__(
        self,
        key: SigningKey,
        name: str = "pump-1",
        seed: int = 1,
        train: int = 80,
        normal_every: int = 4,
        quantile: int = 950,
        ticks: int = 1001,
    ) -> None:
        self.name, self.key, self.train = name, key, train
        home, public = ["pump", name], key.public_bytes()
        self.model = Model(list(NAMES), 20, 48, quantile, train, 7, FEATURES, home, public)
        self.forward = Forward(normal_every)
        self.index, self._ticks = 0, ticks
        self.said: list[tuple[int, Any]] = []
        self.told = 0  # so many of them are on their way
        self.taken: list[bytes] = []  # packages
        self._random = np.random.default_rng(seed)

    @property
    def time_ns(self) -> int:
        return self.index * 10 * SECOND

    @property
    def forest(self) -> Forest:
        """The champion, from the state of the model."""
        return Forest.from_wire(self.model.state()[2][2])

    @property
    def threshold(self) -> int:
        threshold: int = self.model.state()[2][1]
        return threshold

    @property
    def sequence(self) -> int:
        """Of the last package that it took."""
        sequence: int = self.model.state()[3]
        return sequence

    def row(self, wear: float) -> list[int]:
        """All features of a window; energies grow with wear."""
        row = np.full(len(NAMES), 3000.0)
        row[ENERGY] = 1000 * wear * (1 + 0.05 * self._random.standard_normal())
        values: list[int] = (row * (1 + 0.02 * self._random.standard_normal(len(NAMES)))).astype(int).tolist()
        return values

    def run(self, windows: int, wear: float = 1.0) -> "Pump":
        """Measure some windows."""
        for _ in range(windows):
            self.window(self.row(wear))
        return self

    def window(self, row: list[int]) -> None:
        """Measure this one; trees grow until the next."""
        self._out(self.time_ns, self.model.on(Sample("features", self.name, self.index, self.time_ns, row)))
        self.index += 1
        for _ in range(self._ticks):
            if not self.model.every_ms:
                break
            self._out(ELSEWHEN, self.model.tick(ELSEWHEN))

    def take(self, package: bytes) -> dict[str, Any]:
        """Take a package in; what the model says about it."""
        self.taken.append(package)
        self._out(ELSEWHEN, self.model.on(Sample("champion", "champion", len(self.taken), ELSEWHEN, package)))
        return self.news()[-1]

    def foreign(self, sequence: int, threshold: int = 50_000) -> bytes:
        """A package that the site does not know, of a gateway that is no more."""
        return sign(pack("pump", self.name, sequence, configuration={"threshold": threshold}), self.key.sign)

    def news(self) -> list[dict[str, Any]]:
        """What the model has said about itself."""
        return [value[2] for _, value in self.said if value[1] == NEWS]

    def _out(self, time_ns: int, values: list[Any]) -> None:
        for value in values:
            self.said += [(time_ns, out) for out in self.forward.on(Sample("detect", self.name, 0, time_ns, value))]


class Site:
    """The judge and the loop of a model, in one process.

    Args:
        file: Of the knowledge base; the same one again after a restart.
        key: Signs packages, as the hub does.

    Attributes:
        outputs: Of the judge.
    """

    def __init__(self, file: Path, key: SigningKey, settings: LoopSettings = SETTINGS) -> None:
        self.file, self.key, self.settings = file, key, settings
        self.judge = Judge(list(settings.columns), dict(DEVICES), settings.strategy)
        self.outputs: list[tuple[str, int, Any]] = []
        self.announced = 0
        self._delivered: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self.loop = self._open()

    def restart(self) -> None:
        """The loop starts again from its file; the judge, a function that moves, goes on."""
        self.loop.base.close()
        self.loop = self._open()

    def _open(self) -> Loop:
        return Loop(KnowledgeBase(self.file, clock=lambda: 0), self.settings, DEVICES)

    def hear(self, *pumps: Pump) -> "Site":
        """Everything that these pumps have said, judged, taken in, and answered to the judge."""
        for pump in pumps:
            while pump.told < len(pump.said):
                self.step(pump)
        return self

    def step(self, pump: Pump) -> None:
        """The next thing that a pump has said."""
        time_ns, value = pump.said[pump.told]
        self.say(pump.name, value, time_ns)
        pump.told += 1

    def say(self, device: str, value: Any, time_ns: int = 0) -> None:
        """Let a pump say just this; it crosses the wire as bytes."""
        self.offer(self.ask(device, value, time_ns))

    def ask(self, device: str, value: Any, time_ns: int = 0) -> list[tuple[str, int, Any]]:
        """Let the judge judge what a pump says, and keep its outputs as the system does."""
        self._numbers[device] = number = self._numbers.get(device, -1) + 1
        said = self.judge.on(Sample("report", f"report@{device}", number, time_ns, decode(encode(value))))
        new = [(f"judge/judge/{len(self.outputs) + i}", time_ns, decode(encode(one))) for i, one in enumerate(said)]
        self.outputs += new
        return new

    def offer(self, outputs: list[tuple[str, int, Any]]) -> None:
        """Let the loop take these in, and tell the judge what it has to say."""
        for output in outputs:
            self.loop.take(*output)
        self.tell()

    def tell(self) -> None:
        """Bring the judge what the loop has announced."""
        while (said := self.loop.announcement(self.announced)) is not None:
            self.judge.on(Sample("pool", "bearing.pool", self.announced, ELSEWHEN, said))
            self.announced += 1

    def package(self, pump: Pump) -> bytes | None:
        """The next package for a pump, signed; None when there is none."""
        package = self.loop.package(pump.name, self._delivered.get(pump.name, 0))
        return None if package is None else sign(package, self.key.sign)

    def deliver(self, pump: Pump) -> list[dict[str, Any]]:
        """Send a pump every package that there is for it, and hear what it says about each."""
        said = []
        while (package := self.package(pump)) is not None:
            self._delivered[pump.name] = self._delivered.get(pump.name, 0) + 1
            said.append(pump.take(package))
            self.hear(pump)
        return said

    def status(self, device: str = "pump-1") -> dict[str, Any]:
        """Of a device."""
        status: dict[str, Any] = self.loop.status()[device]
        return status
