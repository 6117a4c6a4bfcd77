"""Vectors for the forest: SHA-256 of images and wire forms as CPython's plain twins make them, and scores.

The trees have no oracle outside: what they must be is tested in tests/kernel, against scikit-learn in tests/models. Here it counts that
every interpreter makes the same ones.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

JOBS = [
    # rows, features, trees, subsample, seed
    [256, 3, 50, 100, 1],
    [64, 2, 5, 32, 2],
    [256, 12, 8, 256, 3],
    [2, 1, 3, 2, 4],
    [40, 5, 7, 100, 5],
]
DAMAGED = [[[5, 1]], [[20, 128]], [[40, 16]], [[60, 255]], [[0, 1]], [[2, 255]], [[80, 3], [90, 7]]]


def case() -> ModuleType:
    """The conformance case, for its rows and its training."""
    folder = Path(__file__).parents[1] / "conformance"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("forest_case", folder / "cases" / "forest.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def vectors() -> dict[str, Any]:
    made = case()
    forests = []
    for job in JOBS:
        forest = made.train(made.PlainTrainer, job)
        rows = made.cloud(10, job[1], job[4] + 2)
        scores = [forest.score(rows[i : i + job[1]]) for i in range(0, len(rows), job[1])]
        forests.append([job, made.digest(forest.to_image()), made.digest(forest.to_wire()), scores])
    damaged = []
    for flips in DAMAGED:
        data = bytearray(made.train(made.PlainTrainer, JOBS[1]).to_wire())
        for at, mask in flips:
            data[at] ^= mask
        try:
            outcome = made.digest(made.Forest.from_wire(bytes(data)).to_image())
        except made.ModelError as error:
            outcome = str(error)
        damaged.append([flips, outcome])
    return {"forests": forests, "damaged": damaged}
