"""A pump with its device, as the gateway meets it: the kernel's own forest, outboxes and package check, without sensor and line."""

from typing import Any

import numpy as np

from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.kernel.hop import Outbox
from eddy.kernel.package import open_package
from eddy.kernel.store import RamStore
from eddy.kernel.trainer import Trainer
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Search
from eddy.models.engine import Training

SECOND = 1_000_000_000
FEATURES = ["rms", "mean_abs_difference", "peak_to_peak"]
SMALL = Search(trees=(10, 20), subsample=(32, 64), features=(tuple(FEATURES), ("rms", "peak_to_peak")), size=5)
SETTINGS = LoopSettings(training=Training(search=SMALL, refresh=40, newcomers=2, memory=80))
TABLES = ["windows", "events", "gaps", "verdicts", "decisions", "models", "rankings", "champions", "deployments", "alarms", "states"]
ENERGY = [i for i, name in enumerate(NAMES) if name.startswith(("rms", "mean_abs", "peak", "band"))]


def contents(base: KnowledgeBase) -> dict[str, list[dict[str, Any]]]:
    """Everything in a knowledge base, but whether a record came for the first time."""
    return {name: [{key: row[key] for key in row if key != "replayed"} for row in base.table(name)] for name in TABLES}


class Pump:
    """Measures a window every ten seconds, trains on the first `train`, then reports anomalies and every n-th normal window.

    Args:
        name: Of the device.
        key: Public key that its packages must be signed with.
        quantile: Of its calibration, per mille: a low one makes a champion that cries wolf.
    """

    def __init__(self, name: str, key: bytes, seed: int = 1, train: int = 80, normal_every: int = 4, quantile: int = 950) -> None:
        self.name, self.key, self.train, self.normal_every, self.quantile = name, key, train, normal_every, quantile
        self.windows = Outbox("windows", name, RamStore(), capacity=100_000, max_bytes=1 << 24)
        self.events = Outbox("events", name, RamStore(), capacity=1000)
        self.forest: Forest | None = None
        self.features = FEATURES
        self.sequence = self.accepted = 0
        self.before: tuple[Forest | None, list[str], int] = (None, FEATURES, 0)
        self.index = 0
        self.said: list[tuple[int, list[Any]]] = []  # (seq, value) of every reported window
        self.taken: list[bytes] = []  # packages
        self._random = np.random.default_rng(seed)
        self._rows: list[list[int]] = []
        self._quiet = 0

    @property
    def time_ns(self) -> int:
        return self.index * 10 * SECOND

    def row(self, wear: float) -> list[int]:
        """All features of a window; energies grow with wear."""
        row = np.full(len(NAMES), 3000.0)
        row[ENERGY] = 1000 * wear * (1 + 0.05 * self._random.standard_normal())
        return (row * (1 + 0.02 * self._random.standard_normal(len(NAMES)))).astype(int).tolist()

    def run(self, windows: int, wear: float = 1.0) -> "Pump":
        """Measure some windows."""
        for _ in range(windows):
            self.window(self.row(wear))
        return self

    def window(self, row: list[int]) -> None:
        if self.forest is None:
            self._rows.append(row)
            self._report([self.index, -1, 2, 0, row])
            if len(self._rows) == self.train:
                self._learn()
        else:
            score = self.forest.score([row[NAMES.index(name)] for name in self.features])
            label = int(score > self.forest.threshold)
            self._quiet += 1
            if label or self._quiet >= self.normal_every:
                self._quiet *= label
                self._report([self.index, score, label, self.sequence, row])
        self.index += 1

    def _report(self, value: list[Any]) -> None:
        self.said.append((self.windows.keep(self.time_ns, value), value))

    def _learn(self) -> None:
        flat = [row[NAMES.index(name)] for row in self._rows for name in FEATURES]
        trainer = Trainer(flat, len(FEATURES), trees=20, subsample=48, seed=7)
        while trainer.step():
            pass
        self.forest = trainer.forest()
        self.forest.calibrate(flat, self.quantile)
        told = {"trees": 20, "subsample": 48, "seed": 7, "rows": self.train, "features": FEATURES, "quantile": self.quantile}
        self.event("trained", threshold=self.forest.threshold, **told)

    def event(self, kind: str, **value: Any) -> None:
        self.events.keep(self.time_ns, {"e": kind, **value})

    def talk(self, loop: Loop, max_bytes: int = 900) -> "Pump":
        """Say everything, events first as the agent does, and take the acknowledgements."""
        for box in (self.events, self.windows):
            while (batch := box.batch(max_bytes)) is not None:
                for ack in loop.receive(batch):
                    box.acknowledge(ack)
        return self

    def install(self, data: bytes, cls: str = "pump") -> None:
        """Take a package as an agent does: verify everything, run it on trial."""
        manifest, body = open_package(data, self.key, self.name, cls, self.accepted)
        self.taken.append(data)
        self.before = self.forest, self.features, self.sequence
        self.accepted = self.sequence = manifest.sequence
        if "m" in body:
            self.forest, self.features = Forest.from_wire(body["m"]), body["f"]
        assert self.forest is not None
        self.forest.threshold = body.get("c", {}).get("threshold", self.forest.threshold)
        self.normal_every = body.get("c", {}).get("normal_every", self.normal_every)
        self.event("installed", sequence=self.sequence)

    def confirm(self) -> None:
        self.event("confirmed", sequence=self.sequence)

    def revert(self) -> None:
        self.forest, self.features, self.sequence = self.before
        self.event("reverted", sequence=self.sequence)
