"""The engines as functions: moved half-way, they end with the same bits."""

from array import array
from typing import Any

import numpy as np
import pytest

from eddy.kernel import features
from eddy.kernel.engines import LocalInference, LocalTraining, columns
from eddy.kernel.errors import BadInput, ModelError, SampleError
from eddy.kernel.forest import Forest
from eddy.kernel.function import CONFIGURE, MODEL, SAMPLE, TICK, Instance, Sample

NAMES = ["rms", "mean_abs_difference", "peak_to_peak"]


def rows(count: int, seed: int = 1) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [features.compute(array("h", [int(x) for x in random.normal(0, 90, 64)])) for _ in range(count)]


@pytest.mark.parametrize("cut", [0, 3, 25, 33])
def test_a_half_trained_champion_moves_and_ends_with_the_same_bits(cut: int) -> None:
    data = rows(30)
    log: list[tuple[int, Any]] = [(SAMPLE, Sample("features", "pump-1", i, 0, row)) for i, row in enumerate(data)]
    log += [(TICK, 0)] * 12

    def made() -> Instance:
        return Instance(LocalTraining(NAMES, 25, 10, 16, 980, 7), "training")

    stayed, source, target = made(), made(), made()
    (forest,) = [out for entry in log for out in stayed.feed(*entry)][:1]
    for entry in log[:cut]:
        source.feed(*entry)
    target.restore(source.checkpoint())
    (moved,) = [out for entry in log[cut:] for out in target.feed(*entry)][:1]
    assert moved.to_image() == forest.to_image()


def test_the_threshold_calls_as_many_training_windows_normal_as_the_quantile_says() -> None:
    data = rows(100)
    training = LocalTraining(NAMES, 100, 20, 64, 900, 1)
    for i, row in enumerate(data):
        training.on(Sample("features", "pump-1", i, 0, row))
    forest: Forest = next(out[0] for out in iter(lambda: training.tick(0), None) if out)
    scores = [forest.score([row[i] for i in columns(NAMES)]) for row in data]
    assert sum(score <= forest.threshold for score in scores) >= 90
    assert sum(score < forest.threshold for score in scores) < 90


def test_inference_takes_its_threshold_from_the_model_until_another_is_configured() -> None:
    data = rows(40)
    training = LocalTraining(NAMES, 40, 10, 32, 980, 1)
    for i, row in enumerate(data):
        training.on(Sample("features", "pump-1", i, 0, row))
    forest: Forest = next(out[0] for out in iter(lambda: training.tick(0), None) if out)
    inference = Instance(LocalInference(NAMES), "inference")
    inference.feed(MODEL, forest.to_image())
    sample = Sample("features", "pump-1", 0, 0, data[0])
    ((score, label),) = inference.feed(SAMPLE, sample)
    assert label == (score > forest.threshold)
    inference.feed(CONFIGURE, {"threshold": score - 1})
    assert inference.feed(SAMPLE, sample) == [[score, 1]]
    moved = Instance(LocalInference(NAMES), "inference")
    moved.restore(inference.checkpoint())
    assert moved.feed(SAMPLE, sample) == [[score, 1]]


def test_without_a_champion_inference_says_so() -> None:
    with pytest.raises(SampleError, match="no champion yet"):
        LocalInference(NAMES).on(Sample("features", "pump-1", 0, 0, rows(1)[0]))


def test_an_unknown_feature_is_named_together_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"loudness.*rms"):
        LocalInference(["loudness"])


@pytest.mark.parametrize(("windows", "quantile"), [(1, 980), (300, 980), (100, 0), (100, 1001)])
def test_settings_that_cannot_train_are_refused(windows: int, quantile: int) -> None:
    with pytest.raises(BadInput, match="change"):
        LocalTraining(NAMES, windows, 10, 32, quantile, 1)
