"""Measures Eddy's forest on the device: micropython forest.py <folder of job.json>; prints one JSON line."""

import gc
import json
import sys
import time
from array import array

from eddy.kernel.deployment import ModelDeployment
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.kernel.trainer import Trainer

# MicroPython's own; type checkers know CPython's modules.
mem_alloc = getattr(gc, "mem_alloc", int)

folder = sys.argv[1]
with open(folder + "/job.json") as file:
    job = json.load(file)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def inference_us(forest: Forest, rows: list[list[int]], repeats: int = 100) -> float:
    """Median over the rows of the mean of so many calls."""
    times = []
    for row in rows:
        start = time.time_ns()
        for _ in range(repeats):
            forest.score(row)
        times.append((time.time_ns() - start) / repeats / 1000)
    return median(times)


def load(path: str) -> Forest:
    with open(path, "rb") as file:
        return Forest.read(file)


def loading_ms(path: str) -> float:
    times = []
    for _ in range(21):
        gc.collect()
        start = time.time_ns()
        load(path)
        times.append((time.time_ns() - start) / 1e6)
    return median(times)


def booting_ms(forest: Forest) -> float:
    """What a device does at its start: find the slot, verify it by its SHA-256, load the model and put it in execution."""
    deployment = ModelDeployment(sys.argv[1] + "/slots", {})
    deployment.package_local(forest, [NAMES[i] for i in range(forest.features)])
    times = []
    for _ in range(21):
        gc.collect()
        start = time.time_ns()
        deployment.boot()
        times.append((time.time_ns() - start) / 1e6)
    return median(times)


def train(rows: "array[int]") -> Forest:
    trainer = Trainer(rows, job["features"], job["trees"], job["subsample"], job["seed"])
    while trainer.step():
        pass
    return trainer.forest()


def training_ms(rows: "array[int]") -> float:
    times = []
    for _ in range(5):
        gc.collect()
        start = time.time_ns()
        train(rows)
        times.append((time.time_ns() - start) / 1e6)
    return median(times)


def same_bytes(rows: "array[int]", path: str) -> bool:
    with open(path, "rb") as file:
        return train(rows).to_image() == file.read()


def measure(path: str) -> dict[str, object]:
    rows = array("i", job["pool"])
    figures: dict[str, object] = {"same_bytes": same_bytes(rows, path), "train_ms": training_ms(rows), "load_ms": loading_ms(path)}
    gc.collect()
    before = mem_alloc()
    forest = load(path)
    gc.collect()
    figures["ram_bytes"] = mem_alloc() - before
    figures["infer_us"] = inference_us(forest, job["normal"])
    figures["infer_anomalous_us"] = inference_us(forest, job["anomalous"])
    figures["boot_ms"] = booting_ms(forest)
    figures["scores"] = [forest.score(row) / 65536 for row in job["normal"] + job["anomalous"]]
    return figures


print(json.dumps(measure(folder + "/forest.image")))
