"""An isolation forest that is born where it works: it gathers its first rows, trains, calibrates its threshold, and scores from then on."""

from eddy.kernel.engines import TRAINING, LocalInference, LocalTraining, unusable
from eddy.kernel.errors import SampleError
from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any

_PEAK_TO_PEAK = "peak_to_peak"
_STEP_MS = 20  # between two trees: what else the node does goes on


class Model(Function):
    """Rows in; `[score Q16, label, row]` out: label 0 for normal, 1 for anomalous, 2 with score -1 for rows that are not judged.

    Not judged are rows that come before the forest is trained, and those of a dead or overdriven sensor, where `peak_to_peak` tells; of the
    latter nothing is learned either. A tick grows one tree. Model: the runtime image of another forest on the same features; it ends the
    training. Configure: `threshold` (Q16); `retrain` (a seed) gathers and trains anew, while the forest that is there goes on scoring.

    Args:
        features: What the columns of a row are, names of `eddy.kernel.features.NAMES`.
        trees: Of the forest, 1 to 1000.
        subsample: Rows that each tree sees.
        quantile: Per mille of the training rows that the threshold calls normal.
        rows: Rows to gather before training, 2 to 256.
        seed: Of the training.

    Raises:
        BadInput: `rows` or `quantile` out of range.
        ModelError: A feature that this kernel does not compute.
    """

    def __init__(self, features: list[str], trees: int, subsample: int, quantile: int, rows: int, seed: int) -> None:
        self._names = features
        self._shape = (rows, trees, subsample, quantile)
        self._seed = seed
        self._training: LocalTraining | None = self._learner(seed)
        self._inference = LocalInference(features, features)
        self._peak_to_peak = features.index(_PEAK_TO_PEAK) if _PEAK_TO_PEAK in features else -1

    def on(self, sample: Sample) -> "list[Any]":
        """Learn from a row, or judge it."""
        row = sample.value
        if not isinstance(row, list) or len(row) != len(self._names):
            raise SampleError("the model takes rows of %d features (%s), not %r" % (len(self._names), ", ".join(self._names), row))
        if self._peak_to_peak >= 0 and unusable(row, self._peak_to_peak):
            return [[-1, TRAINING, row]]
        if self._training is not None:
            self._training.on(sample)
            self._pace()
        if not self._inference.ready():
            return [[-1, TRAINING, row]]
        return [self._inference.on(sample)[0] + [row]]

    def tick(self, time_ns: int) -> "list[Any]":
        """One tree; with the last one scoring starts."""
        forests = self._training.tick(time_ns) if self._training is not None else []
        if forests:
            self._inference.use(forests[0])
            self._training = None
        self._pace()
        return []

    def model(self, data: bytes) -> "list[Any]":
        """Judge by this forest from now on."""
        self._inference.model(data)
        self._training = None
        self._pace()
        return []

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """Another threshold, or a new training."""
        self._inference.configure(settings)
        if "retrain" in settings:
            self._seed = settings["retrain"]
            self._training = self._learner(self._seed)
        self._pace()
        return []

    def _learner(self, seed: int) -> LocalTraining:
        rows, trees, subsample, quantile = self._shape
        return LocalTraining(self._names, rows, trees, subsample, quantile, seed, self._names)

    def _pace(self) -> None:
        """Ask for ticks only while trees grow: each one is an entry of the log."""
        self.every_ms = _STEP_MS if self._training is not None and self._training.complete() else 0

    def state(self) -> "Any":
        """Rows and half-built forest while it trains, and the forest that judges."""
        return [self._seed, self._training.state() if self._training is not None else None, self._inference.state()]

    def restore(self, state: "Any") -> None:
        """Go on gathering, training or judging."""
        self._seed, training, inference = state
        self._inference.restore(inference)
        self._training = None
        if training is not None:
            self._training = self._learner(self._seed)
            self._training.restore(training)
        self._pace()
