"""What each built-in function emits; that it is the same bits everywhere is for the conformance suite."""

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.engines import LocalTraining
from eddy.kernel.errors import BadInput, ModelError, Refused, SampleError
from eddy.kernel.features import compute
from eddy.kernel.forest import Forest
from eddy.kernel.function import Function, Sample
from eddy.kernel.functions import load
from eddy.kernel.functions.chain import Chain
from eddy.kernel.functions.features import Features
from eddy.kernel.functions.filter import Filter
from eddy.kernel.functions.forward import Forward
from eddy.kernel.functions.mean import Mean
from eddy.kernel.functions.model import Model
from eddy.kernel.functions.rule import Rule
from eddy.kernel.functions.window import Window
from eddy.kernel.hop import Gap
from eddy.kernel.rng import Rng

MS = 10**6
SECOND = 10**9
NAMES = ["rms", "peak_to_peak"]
ROOM = "eddy.kernel.functions."


def sample(value: Any, time_ns: int = 0, seq: int = 0) -> Sample:
    return Sample("s", "o", seq, time_ns, value)


def gap(first: int, last: int) -> Sample:
    return Sample("s", "o", first, 0, Gap(first, last, "trimmed"))


def feed(function: Function, values: list[Any], step_ns: int = SECOND) -> list[Any]:
    return [out for i, value in enumerate(values) for out in function.on(sample(value, i * step_ns, i))]


# Windows


@given(st.lists(st.integers(0, 25), max_size=12), st.integers(1, 12))
def test_windows_of_chunks_hold_what_came_whatever_the_chunks(lengths: list[int], size: int) -> None:
    window = Window(size_ms=size)
    signal = list(range(sum(lengths)))
    out, at = [], 0
    for length in lengths:
        chunk = array("h", signal[at : at + length])
        out += window.on(sample([chunk if at % 2 else bytes(chunk), MS], at * MS))
        at += length
    assert [list(samples) for samples, _ in out] == [signal[i : i + size] for i in range(0, at - size + 1, size)]
    assert all(period == MS for _, period in out)


def test_a_window_spans_no_gap_in_time_and_no_gap_in_the_numbers() -> None:
    window = Window(size_ms=4)
    assert window.on(sample([array("h", [1, 2, 3]), MS], 0)) == []
    assert window.on(sample([array("h", [5, 6, 7]), MS], 99 * MS)) == []
    window.gap(gap(2, 5))
    assert window.on(sample([array("h", [8]), MS], 102 * MS)) == []
    assert feed(window, [[array("h", [9, 10, 11, 12]), MS]])[0][0].tolist() == [9, 10, 11, 12]


def test_another_rate_makes_windows_of_the_same_duration() -> None:
    window = Window(size_ms=4)
    assert len(window.on(sample([array("h", [0] * 4), MS]))[0][0]) == 4
    assert len(window.on(sample([array("h", [0] * 8), MS // 2]))[0][0]) == 8


def test_single_values_are_gathered_by_their_time() -> None:
    window = Window(size_ms=1000)
    times = [0, 300, 999, 1000, 2500, 2600]
    out = [window.on(sample(i, t * MS)) for i, t in enumerate(times)]
    assert out[:3] == [[], [], []]
    assert out[3] == [[array("h", [0, 1, 2]), SECOND // 3]]
    assert out[4] == [[array("h", [3]), SECOND]]
    assert out[5] == []


def test_single_values_before_a_gap_or_a_clock_set_back_are_dropped_and_counted() -> None:
    window = Window(size_ms=1000)
    window.on(sample(1, 5 * SECOND))
    window.gap(gap(1, 2))
    window.on(sample(2, 6 * SECOND))
    window.on(sample(3, 0))
    assert window.dropped == 2
    assert window.on(sample(4, SECOND)) == [[array("h", [3]), SECOND]]


@pytest.mark.parametrize("value", [40_000, [b"\0\0", 0], [b"\0\0", -5], [b"\0\0", 1]])
def test_what_cannot_be_windowed_is_told(value: Any) -> None:
    with pytest.raises(SampleError):
        Window(size_ms=500).on(sample(value))


# Features


def test_a_row_holds_the_named_features_in_their_order() -> None:
    window = array("h", [1, -5, 9, 30])
    names = ["peak_to_peak", "mean"]
    assert Features(names).on(sample([window, MS])) == Features(names).on(sample([bytes(window), MS])) == [compute(window, names)]
    with pytest.raises(ModelError, match="loudness"):
        Features(["loudness"])


# Model


def rows(count: int, loudness: int = 1) -> list[list[int]]:
    rng = Rng(3)
    return [compute(array("h", [(rng.below(2001) - 1000) * loudness // 10 for _ in range(64)]), NAMES) for _ in range(count)]


def trained() -> Model:
    model = Model(NAMES, trees=10, subsample=32, quantile=980, rows=40, seed=1)
    feed(model, rows(40))
    while model.every_ms:
        model.tick(0)
    return model


def test_a_model_learns_first_and_then_tells_loud_from_ordinary() -> None:
    model = Model(NAMES, trees=10, subsample=32, quantile=980, rows=40, seed=1)
    assert {(score, label) for score, label, _ in feed(model, rows(40))} == {(-1, 2)}
    model = trained()
    assert sum(label for _, label, _ in feed(model, rows(40))) <= 1  # the quantile: 2 % of its own training rows
    score, label, row = feed(model, rows(1, 9))[0]
    assert (label, row) == (1, rows(1, 9)[0]) and score > 0


def test_it_grows_a_tree_a_tick_and_wants_ticks_only_then() -> None:
    model = Model(NAMES, trees=10, subsample=32, quantile=980, rows=40, seed=1)
    feed(model, rows(39))
    assert model.every_ms == 0
    feed(model, rows(1))
    ticks = 0
    while model.every_ms:
        model.tick(0)
        ticks += 1
    assert ticks == 11  # the eleventh finds all ten trees there


def test_its_scores_are_those_of_the_forest_that_the_engines_train() -> None:
    engine = LocalTraining(NAMES, 40, 10, 32, 980, 1, NAMES)
    feed(engine, rows(40))
    while not (forests := engine.tick(0)):
        continue
    forest: Forest = forests[0]
    assert [score for score, _, _ in feed(trained(), rows(20, 3))] == [forest.score(row) for row in rows(20, 3)]


def test_a_dead_or_overdriven_sensor_is_neither_learned_from_nor_judged() -> None:
    model = Model(NAMES, trees=5, subsample=8, quantile=980, rows=8, seed=1)
    assert feed(model, [[0, 0]] * 20 + [[9, 16 * 65535]] * 20) == [[-1, 2, [0, 0]]] * 20 + [[-1, 2, [9, 16 * 65535]]] * 20
    assert model.every_ms == 0
    assert feed(trained(), [[0, 0]]) == [[-1, 2, [0, 0]]]


def test_another_forest_and_another_threshold_take_over() -> None:
    untrained = Model(NAMES, trees=5, subsample=8, quantile=980, rows=200, seed=9)
    image = trained().state()[2][2]
    untrained.model(image)
    assert feed(untrained, rows(9)) == feed(trained(), rows(9))
    untrained.configure({"threshold": 0})
    assert [label for _, label, _ in feed(untrained, rows(9))] == [1] * 9


def test_it_scores_with_the_old_forest_until_the_new_one_is_trained() -> None:
    model = trained()
    before = feed(model, rows(30, 3))
    model.configure({"retrain": 2})
    assert feed(model, rows(30, 3)) == before
    feed(model, rows(10, 3))
    while model.every_ms:
        model.tick(0)
    assert sum(label for _, label, _ in before) == 30 and sum(label for _, label, _ in feed(model, rows(30, 3))) <= 1


def test_rows_of_another_shape_are_told() -> None:
    with pytest.raises(SampleError, match="2 features"):
        trained().on(sample([1, 2, 3]))


# Forward, rule, filter


def test_all_that_is_not_normal_goes_on_and_every_third_normal_one() -> None:
    labels = [0, 0, 1, 0, 0, 2, 0, 0]
    passed = feed(Forward(3), [[i, label, []] for i, label in enumerate(labels)])
    assert passed == [[2, 1, [], 2], [3, 0, [], 0], [5, 2, [], 1], [7, 0, [], 1]]
    with pytest.raises(BadInput):
        Forward(0)


def test_a_rule_speaks_when_its_condition_changes() -> None:
    rule = Rule(["compare", "", ">", 50_000])
    assert feed(rule, [1, 60, 70, 2, 3, 80]) == [[1, SECOND], [0, 3 * SECOND], [1, 5 * SECOND]]


def test_windows_lost_on_the_way_confirm_no_alarm() -> None:
    rule = Rule(["anomalies", 2, 2])
    assert feed(rule, [[9, 1]]) == []
    rule.gap(gap(1, 7))
    assert rule.on(sample([9, 1], 8, 8)) == []
    assert rule.on(sample([9, 1], 9, 9)) == [[1, 9]]


def test_a_filter_passes_what_holds() -> None:
    assert feed(Filter(["compare", "t", ">=", 20_000]), [{"t": 19}, {"t": 20}, {"t": 21}]) == [{"t": 20}, {"t": 21}]


# Mean


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(-1000, 1000)), min_size=1, max_size=60))
def test_a_mean_lies_between_those_of_the_stretch_and_of_the_stretch_less_a_64th(steps: list[tuple[int, int]]) -> None:
    mean, over = Mean(over_ms=6400), 6400 * MS
    now, seen = 0, []
    for step_ms, value in steps:
        now += step_ms * MS
        seen.append((now, value))
        got = mean.on(sample(value, now))[0]
        whole = [v for t, v in seen if t > now - over]
        certain = [v for t, v in seen if t > now - over + 100 * MS]
        border = whole[: len(whole) - len(certain)]
        candidates = {(sum(certain) + sum(border[i:])) // (len(certain) + len(border) - i) for i in range(len(border) + 1)}
        assert got in candidates


def test_a_mean_keeps_64_sums_however_fast_the_samples_come() -> None:
    mean = Mean(over_ms=1000)
    feed(mean, [5] * 5000, step_ns=MS)
    assert len(mean.state()) <= 64


def test_late_values_count_where_they_belong_and_very_late_ones_do_not() -> None:
    mean = Mean(over_ms=1000)
    mean.on(sample(10, 10 * SECOND))
    assert mean.on(sample(20, 10 * SECOND - 500 * MS)) == [15]
    assert mean.on(sample(99, 5 * SECOND)) == [15]


# Chains and programs

STAGES: list[Any] = [
    [ROOM + "window", "Window", {"size_ms": 64}],
    [ROOM + "features", "Features", {"compute": NAMES}],
    [ROOM + "model", "Model", {"features": NAMES, "trees": 6, "subsample": 16, "quantile": 900, "rows": 20, "seed": 5}],
    [ROOM + "forward", "Forward", {"normal_every": 2}],
]


def test_a_chain_says_what_its_stages_say_one_behind_the_other() -> None:
    chain, stages = Chain(STAGES), [load(program) for program in STAGES]
    rng = Rng(1)
    said = 0
    for i in range(80):
        chunk = [array("h", [rng.below(2001) - 1000 for _ in range(48)]), MS]
        values: list[Any] = [chunk]
        for stage in stages:
            values = [out for value in values for out in stage.on(sample(value, i * 48 * MS))]
        assert chain.on(sample(chunk, i * 48 * MS)) == values
        said += len(values)
        if stages[2].every_ms:
            assert chain.every_ms == stages[2].every_ms
            stages[2].tick(i * SECOND)
            chain.tick(i * SECOND)
    assert said > 20 and chain.every_ms == 0


def test_settings_reach_the_stage_that_knows_them() -> None:
    chain = Chain([[ROOM + "forward", "Forward", {"normal_every": 9}]])
    chain.configure({"normal_every": 1})
    assert chain.on(sample([5, 0, []])) == [[5, 0, [], 0]]


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (["os", "system", {}], Refused),
        ([ROOM + "chain.x", "Chain", {}], Refused),
        ([ROOM + "chain", "load", {}], Refused),
        ([ROOM + "chain", "Nothing", {}], Refused),
        ([ROOM + "forward", "Forward", {"every": 1}], BadInput),
        ([ROOM + "forward", "Forward"], BadInput),
        ("forward", BadInput),
    ],
)
def test_only_functions_of_the_room_are_loaded(program: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        load(program)
