"""Rows to train on: a cloud with a few outliers, from the kernel's own random numbers."""

from array import array

from eddy.kernel.forest import Forest
from eddy.kernel.rng import Rng
from eddy.kernel.trainer import Trainer


def cloud(rows: int, features: int, seed: int) -> "array[int]":
    """Flat rows around 2000 per feature, 1 value in 50 up to 3000 away."""
    rng = Rng(seed)
    values = array("i")
    for _ in range(rows * features):
        value = sum(rng.below(1000) for _ in range(4))
        values.append(value + rng.below(6001) - 3000 if rng.below(50) == 0 else value)
    return values


def train(rows: "array[int]", features: int, trees: int, subsample: int, seed: int) -> Forest:
    """The kernel's forest of these rows."""
    trainer = Trainer(rows, features, trees, subsample, seed)
    while trainer.step():
        pass
    return trainer.forest()
