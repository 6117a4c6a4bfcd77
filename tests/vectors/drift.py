"""Vectors for `eddy.kernel.drift`: where river's PageHinkley without forgetting raises its alarms."""

import random

from river.drift import PageHinkley


def vectors() -> list[object]:
    rng = random.Random(2)
    cases = []
    for delta, threshold, minimum in [(5, 500, 30), (0, 2000, 10), (40, 1000, 1)]:
        test = PageHinkley(min_instances=minimum, delta=delta, threshold=threshold, alpha=1)
        mean = 0
        samples, alarms = [], []
        for at in range(300):
            if rng.random() < 0.02:
                mean = rng.randrange(-500, 500)
            samples.append(mean + rng.randrange(-60, 60))
            test.update(samples[-1])
            if test.drift_detected:
                alarms.append(at)
        cases.append({"delta": delta, "threshold": threshold, "minimum": minimum, "samples": samples, "alarms": alarms})
    return cases
