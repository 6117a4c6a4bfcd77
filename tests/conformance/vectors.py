"""Golden vectors for the cases, on every interpreter: `load("rng")` is the content of `tests/vectors/rng.json`."""

import json

folder = "vectors"  # the runner sets it


def load(name):
    with open(folder + "/" + name + ".json") as file:
        return json.load(file)
