from array import array

from eddy.kernel import features
from eddy.kernel.engines import LocalInference, LocalTraining, unusable
from eddy.kernel.function import SAMPLE, TICK, Instance, Sample
from eddy.kernel.rng import Rng

NAMES = ["rms", "mean_abs_difference", "peak_to_peak"]


def signal(rng, count, loudness):
    return array("h", [(rng.below(2001) - 1000) * loudness // 10 for _ in range(count)])


def rows(count, loudness=1):
    rng = Rng(3)
    return [features.compute(signal(rng, 64, loudness)) for _ in range(count)]


def check_training_moved_half_way_ends_with_the_same_image_and_inference_agrees():
    data = rows(24)
    stayed = Instance(LocalTraining(NAMES, 24, 6, 16, 800, 5), "training")
    moved = Instance(LocalTraining(NAMES, 24, 6, 16, 800, 5), "training")
    for i in range(24):
        stayed.feed(SAMPLE, Sample("f", "d", i, 0, data[i]))
        moved.feed(SAMPLE, Sample("f", "d", i, 0, data[i]))
    for _ in range(3):
        moved.feed(TICK, 0)
    target = Instance(LocalTraining(NAMES, 24, 6, 16, 800, 5), "training")
    target.restore(moved.checkpoint())
    forests = []
    for one in (stayed, target):
        out = []
        while not out:
            out = one.feed(TICK, 0)
        forests.append(out[0])
    assert forests[0].to_image() == forests[1].to_image()
    inference = LocalInference(NAMES)
    inference.model(forests[0].to_image())
    score, label = inference.on(Sample("f", "d", 0, 0, rows(1, 9)[0]))[0]
    assert score > forests[0].threshold and label == 1


def check_dead_and_overdriven_sensors_are_told_from_signals():
    stuck = features.compute(array("h", [5] * 8))
    clipped = features.compute(array("h", [-32768, 32767] * 4))
    assert [unusable(stuck), unusable(clipped), unusable(rows(1)[0])] == [1, 2, 0]
