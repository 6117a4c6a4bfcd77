"""Measures Eddy's forest on the device: micropython forest.py <folder of job.json>; prints one JSON line."""

import gc
import json
import sys
import time
from array import array

from eddy.kernel.engines import LocalInference
from eddy.kernel.forest import Forest
from eddy.kernel.function import Sample
from eddy.kernel.functions.model import Model
from eddy.kernel.package import open_package
from eddy.kernel.trainer import Trainer

MYPY = False
if MYPY:
    from collections.abc import Callable

# MicroPython's own; type checkers know CPython's modules.
mem_alloc = getattr(gc, "mem_alloc", int)

folder = sys.argv[1]
with open(folder + "/job.json") as file:
    job = json.load(file)
names = job["names"]
key = bytes(job["key"])


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


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def load(path: str) -> Forest:
    """As `Model` does: from the wire form of a package or of a snapshot into execution."""
    forest = Forest.from_wire(read(path))
    LocalInference(names).use(forest)
    return forest


def verify(path: str) -> None:
    open_package(read(path), key, job["device"], job["class"], 0)


def adopt(path: str) -> None:
    """The whole of it: a running model takes a package."""
    model = Model(names, job["trees"], job["subsample"], 980, 64, 1, None, [job["class"], job["device"]], key)
    said = model.on(Sample("champion", "champion", 0, 0, read(path)))
    assert said[0][2]["e"] == "installed", said


def timed_ms(function: "Callable[[str], object]", path: str) -> float:
    times = []
    for _ in range(21):
        gc.collect()
        start = time.time_ns()
        function(path)
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


def measure() -> dict[str, object]:
    wire = folder + "/forest.wire"
    package = folder + "/forest.package"
    rows = array("i", job["pool"])
    figures: dict[str, object] = {"same_bytes": train(rows).to_wire() == read(wire), "train_ms": training_ms(rows)}
    figures["load_ms"] = timed_ms(load, wire)
    figures["verify_ms"] = timed_ms(verify, package)
    figures["adopt_ms"] = timed_ms(adopt, package)
    gc.collect()
    before = mem_alloc()
    forest = load(wire)
    gc.collect()
    figures["ram_bytes"] = mem_alloc() - before
    figures["infer_us"] = inference_us(forest, job["normal"])
    figures["infer_anomalous_us"] = inference_us(forest, job["anomalous"])
    figures["scores"] = [forest.score(row) / 65536 for row in job["normal"] + job["anomalous"]]
    return figures


print(json.dumps(measure()))
