"""The forest: its grid, its score, its image and its wire form."""

import math
from array import array

import pytest
from clouds import cloud, train
from hypothesis import given, settings
from hypothesis import strategies as st
from wrapping import load

from eddy.kernel import forest_wire
from eddy.kernel.errors import ModelError, TooLarge
from eddy.kernel.forest import EXP2, LEAF, Forest, checksum, depth_limit, path_lengths
from eddy.kernel.grid import Grid
from eddy.kernel.plain import forest as plain
from eddy.kernel.plain.forest_wire import decode_tree as plain_decode_tree

int32 = st.integers(-(2**31), 2**31 - 1)
FOREST = train(cloud(256, 3, seed=1), 3, trees=10, subsample=100, seed=7)
TWIN = load("forest")
WIRE_TWIN = load("forest_wire")


@given(int32, int32, int32, int32)
def test_the_grid_orders_values_and_spans_its_range(a: int, b: int, x: int, y: int) -> None:
    low, high = sorted((a, b))
    if high - low >= 2**31:
        with pytest.raises(ModelError, match="31 bits"):
            Grid([(low, high)])
        return
    grid = Grid([(low, high)])
    steps = [grid.quantise([value])[0] for value in sorted((x, y))]
    assert 0 <= steps[0] <= steps[1] <= 4095
    assert grid.quantise([low]) == [0]
    assert grid.quantise([high]) == [4095 if low < high else 0]


@given(st.integers(4096, 2**31 - 1), st.integers(0, 2**31))
def test_steps_are_even(span: int, x: int) -> None:
    x %= span + 1
    assert abs(Grid([(0, span)]).quantise([x])[0] - 4095 * x / span) <= 1 + 4095 / 2**18


def test_path_lengths_are_lius() -> None:
    lengths = path_lengths(4095)
    assert lengths[:3].tolist() == [0, 0, 256]
    for n in range(3, 4096):
        exact = 2 * (math.log(n - 1) + 0.5772156649) - 2 * (n - 1) / n
        assert abs(lengths[n] / 256 - exact) < 0.006, n


def test_the_table_of_powers_is_what_it_says() -> None:
    assert EXP2.tolist() == [round(65536 * 2 ** (-i / 32)) for i in range(33)]


@given(st.integers(0, 1000 * 65535), st.integers(1, 1000), st.integers(2, 4095))
def test_the_score_is_the_power_of_the_mean_path(total: int, trees: int, subsample: int) -> None:
    unit = trees * path_lengths(subsample)[subsample]
    assert abs(TWIN.power(unit, total, EXP2) / 65536 - 2 ** (-total / unit)) < 1e-4


def test_depth_limit_is_the_logarithm_rounded_up() -> None:
    assert [depth_limit(n) for n in (2, 3, 4, 5, 100, 128, 129, 256, 4095)] == [1, 2, 2, 3, 7, 7, 8, 8, 12]


def test_outliers_score_higher_and_take_shorter_paths() -> None:
    ordinary = [FOREST.score(row) for row in ([2000, 2000, 2000], [2100, 1900, 2050])]
    strange = [FOREST.score(row) for row in ([9000, -9000, 9000], [2**31 - 1, -(2**31), 0])]
    assert max(ordinary) < 36000 < 44000 < min(strange)
    assert FOREST.paths([9000, -9000, 9000]) < FOREST.paths([2000, 2000, 2000])


def test_the_threshold_leaves_the_asked_share_above() -> None:
    rows = cloud(200, 3, seed=2)
    threshold = FOREST.calibrate(rows, quantile=900)
    scores = sorted(FOREST.score(rows[i : i + 3]) for i in range(0, 600, 3))
    assert threshold == FOREST.threshold == scores[179]
    assert FOREST.calibrate(rows, quantile=0, margin=500) == scores[0] + 500
    with pytest.raises(ModelError, match="no rows"):
        FOREST.calibrate([])


def test_a_forest_is_never_calibrated_blind_to_what_is_louder_than_its_training() -> None:
    rows = cloud(200, 3, seed=2)
    for margin in (0, 70000):
        threshold = FOREST.calibrate(rows, quantile=1000, margin=margin)
        assert FOREST.score([2**31 - 1] * 3) > threshold


@settings(max_examples=30)
@given(st.lists(int32, min_size=3, max_size=3))
def test_compiled_scoring_is_the_plain_one_within_32_bits(row: list[int]) -> None:
    steps = array("H", bytes(6))
    total = TWIN.total(FOREST.image, row, steps)
    assert total == plain.total(FOREST.image, row, array("H", bytes(6)))
    assert TWIN.power(FOREST.image[2] * FOREST.image[7], total, EXP2) == FOREST.score(row)


@pytest.mark.parametrize("bounds", [(-(2**31), -1), (0, 2**31 - 1), (-(2**30), 2**30 - 1), (5, 5), (2**31 - 2, 2**31 - 1)])
def test_compiled_scoring_stays_within_32_bits_on_the_widest_grids(bounds: tuple[int, int]) -> None:
    leaves = array("H", [2047, 2, LEAF | 1, 256, LEAF | 1, 65535])
    forest = Forest.assemble(Grid([bounds] * 2), 2, [leaves], 0)
    for x in {bounds[0], bounds[1], sum(bounds) // 2, -(2**31), 2**31 - 1}:
        assert TWIN.total(forest.image, [x, x], array("H", bytes(4))) == forest.paths([x, x])


def test_an_image_comes_back_with_four_bytes_a_node_and_a_small_head() -> None:
    FOREST.threshold = 40000
    image = FOREST.to_image()
    assert len(image) == 4 * FOREST.nodes + 24 + 10 * FOREST.features + 2 * FOREST.trees
    for data in (image, memoryview(b"odd" + image)[3:], array("H", image)):
        back = Forest.from_image(data)
        assert (back.features, back.trees, back.subsample, back.nodes, back.threshold) == (3, 10, 100, FOREST.nodes, 40000)
        assert back.to_image() == image
    assert back.grid().bounds == FOREST.grid().bounds


def test_a_loaded_forest_uses_the_given_words_in_place() -> None:
    words = array("H", FOREST.to_image())
    assert Forest.from_image(words).image is words


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 65535), st.integers(1, 65535))
def test_whatever_happens_to_two_words_of_an_image_is_noticed(i: int, j: int, a: int, b: int) -> None:
    image = array("H", FOREST.to_image())
    i, j = i % len(image), j % len(image)
    image[i] ^= a
    if j != i:
        image[j] ^= b
    with pytest.raises(ModelError):
        Forest.from_image(image)


def test_the_compiled_checksum_is_the_plain_one_within_32_bits() -> None:
    for image in (FOREST.image, array("H", [65535] * 65535), array("H", bytes(80))):
        sums = array("i", bytes(8))
        TWIN.checksum(image, len(image) - 4, sums)
        a, b = sums
        assert [a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16] == checksum(image)


def test_every_changed_bit_of_an_image_is_noticed() -> None:
    image = train(cloud(40, 2, seed=3), 2, trees=2, subsample=16, seed=1).to_image()
    for bit in range(8 * len(image)):
        damaged = bytearray(image)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(ModelError):
            Forest.from_image(bytes(damaged))
    for size in range(len(image)):
        with pytest.raises(ModelError):
            Forest.from_image(image[:size])


@settings(max_examples=40)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 4), st.integers(2, 40), st.integers(0, 2**64), st.integers(0, 65536))
def test_the_wire_form_comes_back_bit_for_bit(rows: int, features: int, trees: int, subsample: int, seed: int, threshold: int) -> None:
    forest = train(cloud(rows, features, seed), features, trees, subsample, seed)
    forest.threshold = threshold
    assert Forest.from_wire(forest.to_wire()).to_image() == forest.to_image()


@given(st.lists(st.tuples(int32, st.integers(0, 2**31 - 1)), min_size=1, max_size=12))
def test_the_wire_form_carries_any_grid(bounds: list[tuple[int, int]]) -> None:
    grid = Grid([(min(low, 2**31 - 1 - span), min(low, 2**31 - 1 - span) + span) for low, span in bounds])
    forest = Forest.assemble(grid, 2, [array("H", [LEAF | 2, 256])], 65536)
    assert Forest.from_wire(forest.to_wire()).grid().bounds == grid.bounds


def test_splits_on_a_side_that_nothing_reaches_travel_too() -> None:
    words = [4095, 2, LEAF | 1, 256, 10, 4, LEAF | 1, 512, LEAF | 2, 768]
    forest = Forest.assemble(Grid([(0, 9)]), 4, [array("H", words)], 0)
    assert list(Forest.from_wire(forest.to_wire()).tree(0)) == words


def test_ten_trees_take_850_bytes_and_fifty_4700() -> None:
    rows = cloud(256, 3, seed=5)
    for trees, limit in ((10, 850), (50, 4700)):
        forest = train(rows, 3, trees, 100, seed=5)
        assert forest.nodes > 60 * trees
        assert len(forest.to_wire()) <= limit


def test_a_forest_too_large_for_the_node_is_refused_before_it_is_built() -> None:
    wire = FOREST.to_wire()
    assert Forest.from_wire(wire, max_nodes=FOREST.nodes).nodes == FOREST.nodes
    with pytest.raises(TooLarge, match="fewer trees"):
        Forest.from_wire(wire, max_nodes=FOREST.nodes - 1)


def test_trees_that_no_trainer_grows_cannot_be_sent() -> None:
    def tree(*words: int) -> Forest:
        return Forest.assemble(Grid([(0, 9)]), 3, [array("H", words)], 0)

    with pytest.raises(ModelError, match="holds 2 rows"):
        tree(LEAF | 2, 0).to_wire()
    with pytest.raises(ModelError, match="deeper"):
        tree(9, 6, 8, 5, 7, 4, LEAF | 1, 0, LEAF | 0, 0, LEAF | 1, 0, LEAF | 1, 0).to_wire()
    with pytest.raises(ModelError, match="may stand"):
        tree(5, 4, 6, 3, LEAF | 1, 0, LEAF | 1, 0, LEAF | 1, 0).to_wire()


def refusals(count: int, seed: int) -> int:
    """Decode `count` random and mutated wire forms; returns how many were refused. The others must be forests that can be sent again."""
    from random import Random

    random = Random(seed)
    wire = FOREST.to_wire()
    refused = 0
    for _ in range(count):
        data = bytearray(wire)
        match random.randrange(4):
            case 0:
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            case 1:
                del data[random.randrange(len(data)) :]
            case 2:
                data += random.randbytes(random.randrange(1, 9))
            case _:
                data[1:] = random.randbytes(random.randrange(100))
        try:
            forest = Forest.from_wire(bytes(data), max_nodes=2000)
        except (ModelError, TooLarge):
            refused += 1
            continue
        assert forest.nodes <= 2000
        assert Forest.from_wire(forest.to_wire()).to_image() == forest.to_image()
    return refused


def test_malformed_wire_forms_are_refused_or_are_forests() -> None:
    assert refusals(200, seed=1) > 150


@pytest.mark.slow
def test_many_malformed_wire_forms_are_refused_or_are_forests() -> None:
    assert refusals(2_000, seed=2) > 1_500


@pytest.mark.soak
def test_a_great_many_malformed_wire_forms_are_refused_or_are_forests() -> None:
    assert refusals(60_000, seed=3) > 45_000


def test_compiled_decoding_is_the_plain_one_within_32_bits() -> None:
    wire = FOREST.to_wire()
    for start in [forest_wire.start(wire, at) for at in (1, 5, 33, 200, len(wire) - 5)]:
        shape = array("H", [3, 100, 7, 199])
        results = []
        for decode_tree in (plain_decode_tree, WIRE_TWIN.decode_tree):
            coder, nodes, waiting = array("i", start), array("H", bytes(4 * 199)), array("H", bytes(2 * 9 * 9))
            results.append((decode_tree(wire, coder, shape, path_lengths(100), nodes, waiting), coder, nodes))
        assert results[0] == results[1]


def test_a_forest_takes_the_room_of_another_or_leaves_it_as_it_was() -> None:
    image = array("H", FOREST.image)
    other = train(cloud(80, 2, 5), 2, 30, 64, 9)
    wire = other.to_wire()
    for data, features in ((wire[:-9], 2), (wire, 3), (wire + b"x", 0)):
        with pytest.raises(ModelError):
            Forest.from_wire(data, image=image, features=features)
    with pytest.raises(TooLarge):
        Forest.from_wire(wire, 100, image)
    assert image == FOREST.image
    taken = Forest.from_wire(wire, image=image, features=2)
    assert taken.image is image and taken.to_image() == other.to_image()
