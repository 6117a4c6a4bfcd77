import sys
from array import array
from binascii import hexlify
from hashlib import sha256

from vectors import load

from eddy.kernel import forest as scoring
from eddy.kernel import forest_wire
from eddy.kernel import trainer as training
from eddy.kernel.errors import ModelError
from eddy.kernel.forest import EXP2, Forest
from eddy.kernel.grid import Grid
from eddy.kernel.plain import forest as plain
from eddy.kernel.plain.forest_wire import decode_tree as decode_tree_plain
from eddy.kernel.plain.trainer import grow as grow_plain
from eddy.kernel.rng import Rng
from eddy.kernel.trainer import Trainer


class PlainTrainer(Trainer):
    _grow_tree = staticmethod(grow_plain)


def cloud(rows, features, seed):
    rng = Rng(seed)
    values = array("i", bytes(4 * rows * features))
    for i in range(len(values)):
        values[i] = rng.below(1000) + rng.below(1000) + rng.below(1000) - 1500
        if rng.below(50) == 0:
            values[i] += rng.below(60001) - 30000
    return values


def train(kind, job):
    rows, features, trees, subsample, seed = job
    trainer = kind(cloud(rows, features, seed), features, trees, subsample, seed)
    while trainer.step():
        pass
    forest = trainer.forest()
    forest.calibrate(cloud(20, features, seed + 1), 900)
    return forest


def digest(data):
    return hexlify(sha256(data).digest()).decode()


def check_the_same_seed_gives_the_same_bytes():
    for job, image, wire, scores in load("forest")["forests"]:
        forest = train(Trainer, job)
        assert digest(forest.to_image()) == image, job
        assert digest(forest.to_wire()) == wire, job
        features = job[1]
        rows = cloud(len(scores), features, job[4] + 2)
        assert [forest.score(rows[i : i + features]) for i in range(0, len(rows), features)] == scores, job


def check_compiled_and_plain_training_agree():
    for job, image, _, _ in load("forest")["forests"]:
        if job[2] <= 10:
            assert digest(train(PlainTrainer, job).to_image()) == image, job


def check_compiled_and_plain_scoring_agree():
    forest = train(Trainer, [256, 3, 10, 100, 1])
    steps = array("H", bytes(6))
    for row in ([0, 0, 0], [-5000, 80, 31000], [-(1 << 31), (1 << 31) - 1, 7], array("i", [1, 2, 3])):
        paths = plain.total(forest.image, row, steps)
        assert forest.paths(row) == paths
        assert forest.score(row) == plain.power(forest.image[2] * forest.image[7], paths, EXP2)
    sums = array("i", (0, 0))
    plain.checksum(forest.image, len(forest.image) - 4, sums)
    assert scoring.checksum(forest.image) == [sums[0] & 0xFFFF, sums[0] >> 16, sums[1] & 0xFFFF, sums[1] >> 16]


def check_the_grid_clamps_and_spans():
    grid = Grid([(-(1 << 30), (1 << 30) - 1), (-10, 4085), (7, 7)])
    assert grid.quantise([-(1 << 31), -11, 7]) == [0, 0, 0]
    assert grid.quantise([(1 << 31) - 1, 5000, 8]) == [4095, 4095, 4095]
    assert grid.quantise([0, 0, -(1 << 31)]) == [2047, 10, 0]


def check_an_image_is_loaded_as_it_is():
    forest = train(Trainer, [64, 2, 5, 32, 2])
    image = forest.to_image()
    assert Forest.from_image(image).to_image() == image
    damaged = bytearray(image)
    damaged[40] ^= 1
    try:
        Forest.from_image(damaged)
    except ModelError:
        return
    raise AssertionError


def check_the_wire_form_comes_back():
    forest = train(Trainer, [256, 3, 20, 100, 3])
    wire = forest.to_wire()
    assert Forest.from_wire(wire).to_image() == forest.to_image()
    compiled = forest_wire.decode_tree
    forest_wire.decode_tree = decode_tree_plain
    try:
        assert Forest.from_wire(wire).to_image() == forest.to_image()
    finally:
        forest_wire.decode_tree = compiled


def check_malformed_wire_forms_are_noticed_at_the_same_place():
    for flips, expected in load("forest")["damaged"]:
        data = bytearray(train(Trainer, [64, 2, 5, 32, 2]).to_wire())
        for at, mask in flips:
            data[at] ^= mask
        try:
            outcome = digest(Forest.from_wire(bytes(data)).to_image())
        except ModelError as error:
            outcome = str(error)
        assert outcome == expected, flips


def check_the_compiled_twins_are_in_use_where_they_are_there():
    try:
        import eddy.kernel.viper
    except ImportError:
        return
    compiled = sys.implementation.name == "micropython" and bool(eddy.kernel.viper)
    assert (scoring.total is not plain.total) == compiled
    assert (training.grow is not grow_plain) == compiled
    assert (forest_wire.decode_tree is not decode_tree_plain) == compiled
