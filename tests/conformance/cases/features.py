import sys
from array import array

from vectors import load

from eddy.kernel import features
from eddy.kernel.plain import features as plain
from eddy.kernel.rng import Rng


def make(kind, size, seed):
    rng = Rng(seed)
    window = array("h", bytes(2 * size))
    for i in range(size):
        if kind == "uniform":
            window[i] = rng.below(65536) - 32768
        elif kind == "square":
            window[i] = 32767 if i // seed % 2 else -32768
        elif kind == "lowest":
            window[i] = -32768
        else:  # bell
            window[i] = rng.below(400) + rng.below(400) + rng.below(400) - 600
    return window


def check_features_are_the_exact_ones():
    for kind, size, seed, expected in load("features")["windows"]:
        assert features.compute(make(kind, size, seed)) == expected, (kind, size, seed)


def check_pieces_are_summed_up_to_the_exact_ones():
    for kind, size, seed, expected in load("features")["windows"]:
        window = memoryview(make(kind, size, seed))
        sums = features.Sums(features.NAMES)
        at, step = 0, 1
        while at < size:
            sums.add(window[at : at + step])
            at += step
            step = min(3 * step, 1024)
        assert sums.row() == expected, (kind, size, seed)


def check_compiled_and_plain_passes_agree():
    for kind, size, seed, _ in load("features")["windows"]:
        window = make(kind, min(size, 2000), seed)
        assert features.power_sums(window) == plain.power_sums(window), (kind, size, seed)
        assert features.details(window) == plain.details(window), (kind, size, seed)


def check_the_compiled_passes_are_in_use_where_they_are_there():
    try:
        import eddy.kernel.viper
    except ImportError:
        return
    compiled = sys.implementation.name == "micropython" and bool(eddy.kernel.viper)
    assert (features.power_sums is not plain.power_sums) == compiled
    assert (features.details is not plain.details) == compiled
