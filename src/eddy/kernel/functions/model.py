"""An isolation forest that is born where it works: it gathers its first rows, trains, calibrates its threshold, and scores from then on.

Another champion comes as a sample too: a signed package (`eddy.kernel.package`) in a stream that the charter names as an input. What it
says about itself stands in its own outputs, in order with what it scored: whoever reads them knows which model spoke.
"""

import gc

from eddy.kernel import package
from eddy.kernel.engines import TRAINING, LocalInference, LocalTraining, unusable
from eddy.kernel.errors import BadInput, EddyError, OutOfMemory, Refused, SampleError
from eddy.kernel.forest import Forest
from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any

NEWS = 3  # label of an output in which the model speaks about itself
CONFIGURABLE = {"threshold": (0, 65536)}
"""What a package may configure beside or without a model: (lowest, highest). Threshold Q16."""

_PEAK_TO_PEAK = "peak_to_peak"
_STEP_MS = 20  # between two trees: what else the node does goes on


class Model(Function):
    """Rows in; `[score Q16, label, row]` out: label 0 for normal, 1 for anomalous, 2 with score -1 for rows that are not judged.

    Not judged are rows that come before the forest is trained, and those of a dead or overdriven sensor, where `peak_to_peak` tells; of the
    latter nothing is learned either. A tick grows one tree. Label 3 with score -1 is news, a map with `e` in the place of the row:

        trained     how: `trees`, `subsample`, `seed`, `rows`, `quantile`, `features`, and the `threshold` that came of it
        installed   `sequence` of the package that is in force from here on
        refused     `sequence`, `code` and `why` of one that was not taken, and `runs`, the sequence of what runs on

    Configure: `threshold` (Q16); `retrain` (a seed) gathers and trains anew, while the forest that is there goes on scoring.

    Args:
        features: What the columns of a row are, names of `eddy.kernel.features.NAMES`.
        trees: Of the forest, 1 to 1000.
        subsample: Rows that each tree sees.
        quantile: Per mille of the training rows that the threshold calls normal.
        rows: Rows to gather before training, 2 to 256.
        seed: Of the training.
        uses: Those of the features that it learns from; all without.
        home: Class and device that packages must be for; without, none is taken.
        key: Public key (Ed25519, 32 bytes) that they must be signed with.

    Raises:
        BadInput: `rows` or `quantile` out of range.
        ModelError: A feature that this kernel does not compute, or that is not in the rows.
    """

    def __init__(
        self,
        features: list[str],
        trees: int,
        subsample: int,
        quantile: int,
        rows: int,
        seed: int,
        uses: "list[str] | None" = None,
        home: "list[str] | None" = None,
        key: bytes = b"",
    ) -> None:
        self._names = features
        self._uses = uses or features
        self._shape = (rows, trees, subsample, quantile)
        self._home = home
        self._key = key
        self._seed = seed
        self._sequence = 0  # of the last package that was taken
        self._body = b""  # fingerprint of its body
        self._training: LocalTraining | None = self._learner(seed)
        self._inference = LocalInference(self._uses, features)
        self._peak_to_peak = features.index(_PEAK_TO_PEAK) if _PEAK_TO_PEAK in features else -1

    def on(self, sample: Sample) -> "list[Any]":
        """Learn from a row, judge it, or take a package."""
        row = sample.value
        if isinstance(row, bytes):
            return self._package(row)
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
        if not forests:
            self._pace()
            return []
        self._training = None
        self._inference = LocalInference(self._uses, self._names)
        self._inference.use(forests[0])
        self._pace()
        rows, trees, subsample, quantile = self._shape
        told = {"trees": trees, "subsample": min(subsample, rows), "rows": rows, "quantile": quantile, "seed": self._seed}
        return [_news("trained", threshold=self._inference.threshold, features=self._uses, **told)]

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """Another threshold, or a new training."""
        self._inference.configure(settings)
        if "retrain" in settings and settings["retrain"] != self._seed:
            self._seed = settings["retrain"]
            self._training = self._learner(self._seed)
        self._pace()
        return []

    def _package(self, data: bytes) -> "list[Any]":
        """Verify a package whole before anything of it is used; it ends the training (Tiny-MLOps, section IV, steps 10, 3 and 4)."""
        sequence = 0
        try:
            sequence = package.read(data)[0].sequence
            self._install(data)
        except MemoryError:
            return [self._refused(sequence, OutOfMemory.code, "it does not fit on the heap: deploy fewer trees")]
        except EddyError as error:
            return [self._refused(sequence, error.code, str(error)[:80])]
        self._pace()
        return [_news("installed", sequence=self._sequence)]

    def _refused(self, sequence: int, code: int, why: str) -> "list[Any]":
        return _news("refused", sequence=sequence, code=code, why=why, runs=self._sequence)

    def _install(self, data: bytes) -> None:
        if self._home is None:
            raise Refused("this model takes no packages")
        manifest, parts = package.open_package(data, self._key, self._home[1], self._home[0], self._sequence)
        body: dict[str, Any] = parts
        settings = body.get("c", {})
        for name in settings:
            low, high = CONFIGURABLE.get(name, (1, 0))
            if not isinstance(settings[name], int) or not low <= settings[name] <= high:
                raise BadInput("setting %s = %r is not for a running model: %s" % (name, settings[name], ", ".join(sorted(CONFIGURABLE))))
        if "m" in body:
            if not body.get("f"):
                raise BadInput("the package names no features: send the model together with them")
            self._take(body["f"], body["m"])
        elif manifest.predecessor != self._body:
            raise Refused("the package configures another one than what runs here: ask for it again")
        elif not self._inference.ready():
            raise Refused("a package without a model came before the first champion: train or deploy one first")
        self._inference.configure(settings)
        self._sequence, self._body = manifest.sequence, manifest.digest[:8]

    def _take(self, uses: list[str], wire: bytes | memoryview) -> None:
        """Another forest in the place of the one that runs, also on the heap: there is room for one."""
        inference = LocalInference(uses, self._names)
        gc.collect()
        inference.use(Forest.from_wire(wire, image=self._inference.image(), features=len(uses)))
        self._inference = inference
        self._training = None

    def _learner(self, seed: int) -> LocalTraining:
        rows, trees, subsample, quantile = self._shape
        return LocalTraining(self._uses, rows, trees, subsample, quantile, seed, self._names)

    def _pace(self) -> None:
        """Ask for ticks only while trees grow: each one is an entry of the log."""
        self.every_ms = _STEP_MS if self._training is not None and self._training.complete() else 0

    def state(self) -> "Any":
        """Rows and half-built forest while it trains, the forest that judges, and which package it is of."""
        training = self._training.state() if self._training is not None else None
        return [self._seed, training, self._inference.state(), self._sequence, self._body]

    def restore(self, state: "Any") -> None:
        """Go on gathering, training or judging."""
        self._seed, training, inference, self._sequence, self._body = state
        self._inference.restore(inference)
        self._training = None
        if training is not None:
            self._training = self._learner(self._seed)
            self._training.restore(training)
        self._pace()


def _news(kind: str, **told: "Any") -> "list[Any]":
    told["e"] = kind
    return [-1, NEWS, told]
