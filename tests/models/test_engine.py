"""What the training engine searches where devices report less than the kernel can compute."""

import numpy as np

from eddy.kernel.features import NAMES
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import NORMAL, Window
from eddy.knowledge.registry import Registry
from eddy.models.create import Search
from eddy.models.engine import Training, TrainingEngine
from eddy.models.verify import Target

REPORTED = ("skewness", "rms", "kurtosis", "crest_factor")


def found(features: tuple[tuple[str, ...], ...]) -> set[tuple[str, ...]]:
    """Feature sets of the pool that is made of such a search."""
    base = KnowledgeBase(":memory:")
    registry = Registry(base)
    search = Search(trees=(5,), subsample=(32,), features=features, size=4)
    engine = TrainingEngine(base, registry, Training(search=search), Target(), REPORTED)
    rows = np.random.default_rng(1).integers(900, 1100, (60, len(NAMES)))
    rows[:, [i for i, name in enumerate(NAMES) if name not in REPORTED]] = 0
    windows = [Window("pump", number, number, number, 0, NORMAL, 0, tuple(row)) for number, row in enumerate(rows.tolist())]
    with base.transaction():
        assert engine.found("pump", windows, None)
    return {entry.model.features for entry in registry.entries("pump")}


def test_feature_sets_of_what_is_not_reported_are_left_out() -> None:
    assert found((("rms", "kurtosis"), ("rms", "peak_to_peak"), ("ratio(rms, band_1)",))) == {("rms", "kurtosis")}


def test_where_none_is_left_all_that_is_reported_is_one_in_its_order() -> None:
    assert found((("rms", "peak_to_peak"),)) == {REPORTED}
