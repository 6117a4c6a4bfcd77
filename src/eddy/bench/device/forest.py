"""Measures Eddy's forest on the device: micropython forest.py <folder of job.json> <library>; prints one JSON line."""

import gc
import json
import sys
import time

folder, library = sys.argv[1:]
sys.path.insert(0, library)

from array import array  # noqa: E402 (the library's place has to be known first)

from eddy.kernel.forest import Forest  # noqa: E402
from eddy.kernel.trainer import Trainer  # noqa: E402

with open(folder + "/job.json") as file:
    job = json.load(file)


def median(values):
    return sorted(values)[len(values) // 2]


def inference_us(score, rows, repeats=100):
    """Median over the rows of the mean of as many calls, so that a tick of 1 us does not matter."""
    times = []
    for row in rows:
        start = time.ticks_us()
        for _ in range(repeats):
            score(row)
        times.append(time.ticks_diff(time.ticks_us(), start) / repeats)
    return median(times)


def load(path):
    with open(path, "rb") as file:
        return Forest.from_image(file.read())


def loading_ms(path):
    times = []
    for _ in range(21):
        start = time.ticks_us()
        load(path)
        times.append(time.ticks_diff(time.ticks_us(), start) / 1000)
    return median(times)


def train(rows):
    trainer = Trainer(rows, job["features"], job["trees"], job["subsample"], job["seed"])
    while trainer.step():
        pass
    return trainer.forest()


def training_ms(rows):
    times = []
    for _ in range(5):
        start = time.ticks_us()
        train(rows)
        times.append(time.ticks_diff(time.ticks_us(), start) / 1000)
    return median(times)


path = folder + "/forest.image"
rows = array("i", job["pool"])
trained = train(rows).to_image()
with open(path, "rb") as file:
    same = trained == file.read()
del trained
figures = {"same_bytes": same, "train_ms": training_ms(rows), "load_ms": loading_ms(path)}
gc.collect()
before = gc.mem_alloc()
forest = load(path)
gc.collect()
figures["ram_bytes"] = gc.mem_alloc() - before
figures["infer_us"] = inference_us(forest.score, job["normal"])
figures["infer_anomalous_us"] = inference_us(forest.score, job["anomalous"])
figures["scores"] = [forest.score(row) / 65536 for row in job["normal"] + job["anomalous"]]
print(json.dumps(figures))
