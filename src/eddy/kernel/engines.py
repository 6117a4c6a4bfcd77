"""The engines of the far edge, as functions: Local Training Engine, Local Inference Engine (Tiny-MLOps, section IV).

Each is a `Function`: plain-data state, no clock, no I/O. What comes in is windowed by `eddy.kernel.functions.window` and `features`.
"""

from array import array

from eddy.kernel import features
from eddy.kernel.errors import BadInput, ModelError, SampleError
from eddy.kernel.forest import MAX_NODES, Forest
from eddy.kernel.function import Function, Sample
from eddy.kernel.trainer import Trainer

MYPY = False
if MYPY:
    from typing import Any

NORMAL = 0
ANOMALOUS = 1
TRAINING = 2

STUCK = 1  # every sample of the window is the same: the sensor or its cable is dead
SATURATED = 2  # the window spans the whole range of the converter: its features would be those of the clipping

_FULL_SPAN = 16 * 65535  # peak_to_peak of a window that reaches both ends of int16
_PEAK_TO_PEAK = features.NAMES.index("peak_to_peak")


def unusable(row: list[int], peak_to_peak: int = _PEAK_TO_PEAK) -> int:
    """STUCK, SATURATED, or 0 for a row that can be scored and learned from.

    Args:
        row: Features.
        peak_to_peak: Where that one stands; by default as in a row of all.
    """
    if row[peak_to_peak] == 0:
        return STUCK
    return SATURATED if row[peak_to_peak] >= _FULL_SPAN else 0


class LocalTraining(Function):
    """Local Training Engine: gathers the first windows, then builds the champion, one tree per tick, and calibrates its threshold.

    In: rows. Out of the last tick: the forest.

    The threshold is the score that `quantile` per mille of the training windows do not exceed: a fixed 0.6, as in the paper, suits no
    bearing that was tried.

    Args:
        names: Features to learn from.
        rows: Windows to gather before training starts, 2 to 256.
        trees, subsample, seed: Of the isolation forest.
        quantile: Per mille of the training windows that shall be normal.
        among: What the columns of a row are.
    """

    def __init__(
        self,
        names: list[str],
        rows: int,
        trees: int,
        subsample: int,
        quantile: int,
        seed: int,
        among: "tuple[str, ...] | list[str]" = features.NAMES,
    ) -> None:
        if not 2 <= rows <= 256:
            raise BadInput("a champion is trained on 2 to 256 windows, not %d: change `train_windows`" % rows)
        if not 0 < quantile <= 1000:
            raise BadInput("the quantile is %d per mille: change it to 1 to 1000" % quantile)
        self._columns = columns(names, among)
        self._wanted = rows
        self._shape = (trees, min(subsample, rows), seed)
        self._quantile = quantile
        self._rows = array("i")
        self._trainer: Trainer | None = None

    def gathered(self) -> int:
        """Windows held so far."""
        return len(self._rows) // len(self._columns)

    def complete(self) -> bool:
        """Whether the next ticks train."""
        return self.gathered() >= self._wanted

    def on(self, sample: Sample) -> "list[Any]":
        """One more row; more than wanted are ignored."""
        if not self.complete():
            self._rows.extend(array("i", [sample.value[i] for i in self._columns]))
        return []

    def tick(self, time_ns: int) -> "list[Any]":
        """One tree; the forest when it was the last one."""
        if not self.complete():
            return []
        if self._trainer is None:
            trees, subsample, seed = self._shape
            self._trainer = Trainer(self._rows, len(self._columns), trees, subsample, seed)
        if self._trainer.step():
            return []
        forest = self._trainer.forest()
        forest.calibrate(self._rows, self._quantile)
        return [forest]

    def state(self) -> "Any":
        """Rows and, in the middle of training, the half-built forest."""
        return [bytes(self._rows), self._trainer.state() if self._trainer else None]

    def restore(self, state: "Any") -> None:
        """Gather or train on; ends with the same bits as if it had never stopped."""
        rows, trainer = state
        self._rows = array("i", rows)
        self._trainer = Trainer.restore(trainer) if trainer is not None else None


class LocalInference(Function):
    """Local Inference Engine: scores rows of all features with the champion.

    In: rows. Out: `[score Q16, label]`. Configure: `threshold` (Q16). Model: a runtime image.

    Args:
        names: Features that the champion uses, in its order.
        among: What the columns of a row are.
    """

    def __init__(self, names: list[str], among: "tuple[str, ...] | list[str]" = features.NAMES) -> None:
        self._columns = columns(names, among)
        self.threshold = 0
        self._forest: Forest | None = None

    def model(self, data: bytes) -> "list[Any]":
        """Put a champion into execution; its own threshold applies until another is configured."""
        self.use(Forest.from_image(data))
        return []

    def use(self, forest: Forest) -> None:
        """As `model`, without a copy."""
        if forest.features != len(self._columns):
            raise ModelError("the model takes %d features, its pipeline names %d" % (forest.features, len(self._columns)))
        self._forest = forest
        self.threshold = forest.threshold

    def image(self) -> "array[int] | None":
        """That of the champion, for one that takes its place."""
        return self._forest.image if self._forest else None

    def ready(self) -> bool:
        """Whether there is a champion."""
        return self._forest is not None

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """Another threshold without another deployment."""
        self.threshold = settings.get("threshold", self.threshold)
        return []

    def on(self, sample: Sample) -> "list[Any]":
        """Score one window."""
        if self._forest is None:
            raise SampleError("no champion yet: train or deploy one first")
        row = sample.value
        score = self._forest.score([row[i] for i in self._columns])
        return [[score, ANOMALOUS if score > self.threshold else NORMAL]]

    def state(self) -> "Any":
        """Pipeline, threshold, and the champion in its wire form, a quarter of what it takes when it runs."""
        return [self._columns, self.threshold, self._forest.to_wire() if self._forest else None]

    def restore(self, state: "Any") -> None:
        """Infer on elsewhere."""
        self._columns, self.threshold, wire = state
        self._forest = Forest.from_wire(wire, MAX_NODES) if wire is not None else None


def columns(names: list[str], among: "tuple[str, ...] | list[str]" = features.NAMES) -> list[int]:
    """Where the named features stand in a row.

    Args:
        names: Features that are wanted.
        among: What the columns of the row are.

    Raises:
        ModelError: A feature that this kernel does not compute, or that is not among those of the row.
    """
    for name in names:
        if name not in features.NAMES:
            raise ModelError("feature %s is not known here; known are %s" % (name, ", ".join(features.NAMES)))
        if name not in among:
            raise ModelError("feature %s is not in the rows; they hold %s" % (name, ", ".join(among)))
    return [list(among).index(name) for name in names]
