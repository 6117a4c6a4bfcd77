"""Training engine of the gateway: searches tree count, subsample size and feature set, with validation that respects time.

Nobody labels vibration, so accuracy cannot be the objective. What can be had honestly, from the device's first windows in time order:

    fit            the first 60 %: the forest is grown and its threshold calibrated here
    validate       the next 20 %: chooses among the recipes
    held out       the last 20 %: looked at once, for the figure that `models/verify` checks

The objective (Q16 units, higher is better) of a recipe is

    notice - |shift| - excess

`notice`: how far above the threshold the validation windows would score if the machine had a fault: the better of two probes, one twice as
loud, one with twice the peaks. Far beyond its training range a forest cannot tell more, so this is about all that it will ever see.
`shift`: how far the median score of validation moved away from that of the fit part; a recipe that ages within the training hours will age
afterwards. `excess`: the share of validation windows above the threshold, less the share that the quantile allows. Feature selection
happens here too: feature sets compete like tree counts do.

The chosen recipes are then grown on all the rows, so every pool model shares the training set of the device's champion as in the paper
(Antonini et al., Tiny-MLOps, 2022, section V-C); the metrics stay those of the rehearsal and say so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from eddy.errors import ModelError, SettingError
from eddy.functions.forest import NumpyTrainer, score
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.models.derived import Columns, columns, on_device

AMPLITUDES = ("rms", "mean_abs_difference", "peak_to_peak", "band_1", "band_2", "band_3", "band_4", "band_5")
LEAST = 20  # rows below which a split into fit, validate and held out says nothing


@dataclass(frozen=True, slots=True)
class Search:
    """What to search, and how to calibrate what is found.

    Attributes:
        trees: Sizes of the forest (the paper's five).
        subsample: Rows that each tree is grown on.
        features: Feature sets; names of reported or derived features.
        quantile: Per mille of the training windows that lie at or below the threshold.
        margin: Added to the threshold, Q16.
        size: How many of the recipes are kept.
        seed: The n-th recipe grows with seed + n, so that members of a pool err differently.
    """

    trees: tuple[int, ...] = (10, 20, 30, 40, 50)
    subsample: tuple[int, ...] = (64, 100)
    features: tuple[tuple[str, ...], ...] = (
        ("rms", "mean_abs_difference", "peak_to_peak"),
        ("rms", "mean_abs_difference", "peak_to_peak", "kurtosis"),
        ("band_1", "band_2", "band_3", "rms"),
    )
    quantile: int = 980
    margin: int = 0
    size: int = 12
    seed: int = 1

    def count(self) -> int:
        """How many recipes there are."""
        return len(self.features) * len(self.subsample) * len(self.trees)

    def recipes(self) -> Iterator["Recipe"]:
        """Every combination, in a fixed order."""
        for n, (names, subsample, trees) in enumerate(product(self.features, self.subsample, self.trees)):
            yield Recipe(trees, subsample, names, self.seed + n, self.quantile, self.margin)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a model; the same recipe and rows give the same bytes on every interpreter."""

    trees: int
    subsample: int
    features: tuple[str, ...]
    seed: int
    quantile: int
    margin: int = 0

    def parameters(self) -> dict[str, Any]:
        """As plain data, without the features (a model names those itself)."""
        return {key: getattr(self, key) for key in ("trees", "subsample", "seed", "quantile", "margin")}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model with what the rehearsal measured: shares in per mille, scores in Q16."""

    forest: Forest
    recipe: Recipe
    metrics: dict[str, int]


def grow(rows: Columns, trees: int, subsample: int, seed: int) -> Forest:
    """Grow a forest, bit for bit as a device grows it.

    Args:
        rows: int64 [n, features], in the order in which the device saw them.
        trees, subsample, seed: As in the device's event `trained`.

    Returns:
        The forest, not calibrated.

    Raises:
        ModelError: Fewer than two rows, or numbers beyond the format.
    """
    trainer = NumpyTrainer(rows.ravel().tolist(), rows.shape[1], trees, subsample, seed)
    while trainer.step():
        pass
    return trainer.forest()


def threshold_of(forest: Forest, rows: Columns, quantile: int, margin: int) -> int:
    """The threshold, Q16, that `Forest.calibrate` finds; all rows are scored at once.

    Args:
        rows: int64 [n, features of the forest].
        quantile, margin: See `Search`.
    """
    ranked = np.sort(score(forest, rows))
    loudest = forest.score([high for _, high in forest.grid().bounds])
    return max(0, min(1 << 16, int(ranked[max(0, (len(ranked) * quantile + 999) // 1000 - 1)]) + margin, loudest - 1))


def train(recipe: Recipe, rows: Columns) -> Forest:
    """The forest of a recipe, calibrated.

    A forest scores nothing higher than the outermost leaves of its training range, and with few rows the quantile may lie just there: such
    a forest would be blind. So the threshold stays below what the better of the probes scores.

    Args:
        recipe: What to make.
        rows: int64 [n, len(NAMES)], in the order in which the device saw them.
    """
    table = columns(rows, recipe.features)
    forest = grow(table, recipe.trees, recipe.subsample, recipe.seed)
    forest.threshold = threshold_of(forest, table, recipe.quantile, recipe.margin)
    seen = notice(forest, recipe.features, rows)
    forest.threshold = max(0, min(forest.threshold, forest.threshold + seen - 1))
    return forest


def rehearse(recipe: Recipe, rows: Columns) -> dict[str, int]:
    """Train on the past, measure on the later part: the metrics of a recipe.

    Args:
        recipe: What to try.
        rows: int64 [n, len(NAMES)], in time order, at least `LEAST`.
    """
    cuts = [len(rows) * 3 // 5, len(rows) * 4 // 5]
    fit, validate, held_out = np.split(columns(rows, recipe.features), cuts)
    forest = train(recipe, rows[: cuts[0]])
    seen = notice(forest, recipe.features, rows[cuts[0] : cuts[1]])
    later = score(forest, validate)
    false_alarms = per_mille_above(later, forest.threshold)
    shift = int(np.median(later)) - int(np.median(score(forest, fit)))
    excess = max(0, false_alarms - (1000 - recipe.quantile))
    return {
        "objective": seen - abs(shift) - excess * 65536 // 1000,
        "notice": seen,
        "shift": shift,
        "validation_false_alarms": false_alarms,
        "held_out_false_alarms": per_mille_above(score(forest, held_out), forest.threshold),
        "rows_fit": len(fit),
        "rows_validate": len(validate),
        "rows_held_out": len(held_out),
    }


def louder(rows: Columns) -> Columns:
    """The windows with twice the amplitude: wear, imbalance, looseness."""
    louder: Columns = rows * np.array([2 if name in AMPLITUDES else 1 for name in NAMES])
    return louder


def sharper(rows: Columns) -> Columns:
    """The windows with peaks twice as high and little more energy: the first knocks of a damaged race. Fourth moments grow by 2^4, third
    by 2^3, here of the part that the peaks have in them, taken as a fifth."""
    factors = {"peak_to_peak": 2.0, "crest_factor": 2.0, "kurtosis": 1 + (2**4 - 1) / 5, "skewness": 1 + (2**3 - 1) / 5, "band_1": 1.2}
    sharper: Columns = (rows * np.array([factors.get(name, 1.0) for name in NAMES])).astype(np.int64)
    return sharper


PROBES = (louder, sharper)


def notice(forest: Forest, names: Sequence[str], rows: Columns) -> int:
    """How far above the threshold the median of normal windows would score under the better of the probes, Q16; negative: it is blind."""
    scores = [int(np.median(score(forest, columns(probe(rows), names)))) for probe in PROBES]
    return max(scores) - forest.threshold


def per_mille_above(scores: Columns, threshold: int) -> int:
    """Share of scores above the threshold, per mille, rounded up: one false alarm is never "none"."""
    return -(-1000 * int((scores > threshold).sum()) // max(1, len(scores)))


def search(rows: Sequence[Sequence[int]] | Columns, what: Search) -> list[Candidate]:
    """The best recipes on these rows, trained.

    Args:
        rows: int [n, len(NAMES)], all reported features, in time order.
        what: The search.

    Returns:
        At most `what.size` candidates, best objective first; equals in the order of the search.

    Raises:
        SettingError: Fewer than `LEAST` rows.
        ModelError: A feature that nobody knows.
    """
    if len(rows) < LEAST:
        raise SettingError(f"{len(rows)} training windows are too few to validate a model: gather at least {LEAST}")
    reported = np.asarray(rows, dtype=np.int64)
    rehearsed = [(recipe, rehearse(recipe, reported)) for recipe in what.recipes()]
    rehearsed.sort(key=lambda pair: -pair[1]["objective"])
    return [Candidate(train(recipe, reported), recipe, metrics) for recipe, metrics in rehearsed[: what.size]]


def reproduce(rows: Sequence[Sequence[int]] | Columns, features: Sequence[str], told: Mapping[str, Any]) -> Forest | None:
    """Grow the very champion that a device grew, from the windows it reported and what its event `trained` says.

    Args:
        rows: int [n, len(NAMES)], the device's training windows in its order.
        features: The device's feature set.
        told: trees, subsample, seed, threshold, rows, and quantile if the device calibrated by one.

    Returns:
        The forest with the device's threshold; None when that cannot be: windows are missing, or the calibration on these windows gives
        another threshold, so the device must have learned from others.

    Raises:
        ModelError: Numbers beyond the format, or a feature that devices do not have.
    """
    if len(rows) != told.get("rows"):
        return None
    if not on_device(features):
        raise ModelError(f"a device cannot have trained on {', '.join(features)}: it computes {', '.join(NAMES)}")
    table = columns(rows, features)
    forest = grow(table, told["trees"], told["subsample"], told["seed"])
    if "quantile" in told and threshold_of(forest, table, told["quantile"], told.get("margin", 0)) != told["threshold"]:
        return None
    forest.threshold = told["threshold"]
    return forest
