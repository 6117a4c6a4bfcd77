"""The pool as a function: takes in what the champions of any number of devices report, and says what their own pools think of it.

Antonini et al., Tiny-MLOps (2022), section IV, steps 6 and 7. Runs at a gateway or in the cloud, moves and survives as any function does.
"""

from typing import Any

from eddy.kernel.engines import ANOMALOUS, NORMAL, TRAINING, unusable
from eddy.kernel.function import Function, Sample
from eddy.pool.ensemble import Ensemble, Recipe
from eddy.pool.judge import strategy
from eddy.pool.rank import Rank

_PEAK_TO_PEAK = "peak_to_peak"
_STEP_MS = 20  # between two trees: what else the node does goes on
_INT32 = range(-(1 << 31), 1 << 31)


class Judge(Function):
    """Reports of champions in, `[score Q16, label, row]`, behind a `forward` with how many normal ones were held back. Out, one for each,
    `[share Q16, verdict, row, held, origin, label, false positive]`.

    The share is that of the anomalous voices' weight, the verdict 1 for anomalous and 0 for normal; a false positive (1) is a row that the
    champion called anomalous and the pool calls normal. While the pool of a device is not grown yet, and for rows that the champion did not
    judge either (training, dead or overdriven sensor), the share is -1 and the verdict 2, as with `kernel.functions.model.Model`.

    Each origin of reports has a pool of its own, which learns from the champion's training rows and, where some of these were lost or went
    by before, from rows that the champion calls normal. A tick grows one tree, one pool after the other.

    Configure: `decide`. State: of a pool of 10, 20, 30, 40 and 50 trees on 3 features about 10 kB; nothing in it grows with time.

    Args:
        model: The champion and its judges: `name`, `features`, `subsample`, `quantile` (per mille), `rows`, `seed`, `pool_trees`.
        decide: How voices are weighed: `majority`, `rank` or `validation`, see `eddy.pool.judge`.

    Attributes:
        missed: Reports that are missing for good.
        malformed: Samples that were no reports on these features; they were left out.

    Raises:
        SettingError, ModelError: Something is missing, unknown or out of range.
    """

    def __init__(self, model: dict[str, Any], decide: str = "majority") -> None:
        self._name: str = model.get("name", "champion")
        self._recipe = Recipe.judging(model)
        self._strategy = strategy(decide)
        self._configured = ""  # the strategy that came by `configure` and overrules the one in the program
        self._ensembles: dict[str, Ensemble] = {}
        self._peak_to_peak = self._recipe.features.index(_PEAK_TO_PEAK) if _PEAK_TO_PEAK in self._recipe.features else -1
        self.missed = 0
        self.malformed = 0

    def on(self, sample: Sample) -> list[Any]:
        """Learn from a report, or judge it."""
        if not self._is_report(sample.value):
            self.malformed += 1
            return []
        _, label, row, held = [*sample.value, 0][:4]
        about = [held, sample.origin, label]
        if sample.origin not in self._ensembles:
            self._ensembles[sample.origin] = Ensemble(self._recipe)
        ensemble = self._ensembles[sample.origin]
        if not ensemble.ready() and label != ANOMALOUS and not self._unusable(row):
            ensemble.learn(row)
            self._pace()
        if not ensemble.ready() or label == TRAINING:
            return [[-1, TRAINING, row, *about, 0]]
        verdict = ensemble.judge(row, label == ANOMALOUS, self._strategy)
        outcome = ANOMALOUS if verdict.anomalous else NORMAL
        return [[(verdict.weight << 16) // verdict.total, outcome, row, *about, int(label == ANOMALOUS and outcome == NORMAL)]]

    def tick(self, time_ns: int) -> list[Any]:
        """One tree of the first pool that is not grown yet, in the order of the origins' names."""
        for _, ensemble in sorted(self._ensembles.items()):
            if ensemble.growing():
                ensemble.grow()
                break
        self._pace()
        return []

    def configure(self, settings: dict[str, Any]) -> list[Any]:
        """Another strategy."""
        if "decide" in settings:
            self._strategy, self._configured = strategy(settings["decide"]), settings["decide"]
        return []

    def gap(self, sample: Sample) -> list[Any]:
        """Reports are missing for good."""
        self.missed += sample.value.last - sample.seq + 1
        return []

    def ranking(self, origin: str) -> list[Rank]:
        """The models that say something about the rows of an origin, best first; none for an origin that is not known.

        They are called by their identity in the registry, the champion by the name of the model.
        """
        return self._ensembles[origin].ranking(self._name) if origin in self._ensembles else []

    def state(self) -> Any:
        """What was counted and configured, and the pool of each origin."""
        ensembles = [[origin, ensemble.state()] for origin, ensemble in sorted(self._ensembles.items())]
        return [self._recipe.plain(), self._configured, self.missed, self.malformed, ensembles]

    def restore(self, state: Any) -> None:
        """Gather, grow or judge on; pools of another recipe are given up, and new ones grow from what is reported next."""
        recipe, self._configured, self.missed, self.malformed, ensembles = state
        if self._configured:
            self._strategy = strategy(self._configured)
        same = recipe == self._recipe.plain()
        self._ensembles = {origin: Ensemble.restore(self._recipe, one) for origin, one in ensembles if same}
        self._pace()

    def _is_report(self, value: Any) -> bool:
        match value:
            case [int(), int(label), list(row), *held] if label in (NORMAL, ANOMALOUS, TRAINING) and len(row) == len(self._recipe.features):
                numbers = [*value[:2], *row, *held]
                return len(held) < 2 and not any(isinstance(x, bool) or not isinstance(x, int) or x not in _INT32 for x in numbers)
        return False

    def _unusable(self, row: list[int]) -> bool:
        return self._peak_to_peak >= 0 and unusable(row, self._peak_to_peak) != 0

    def _pace(self) -> None:
        """Ask for ticks only while trees grow: each one is an entry of the log."""
        self.every_ms = _STEP_MS if any(ensemble.growing() for ensemble in self._ensembles.values()) else 0
