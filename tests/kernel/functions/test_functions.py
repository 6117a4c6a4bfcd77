"""What each built-in function emits; that it is the same bits everywhere is for the conformance suite."""

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.errors import BadInput, ModelError, Refused, SampleError
from eddy.kernel.features import compute
from eddy.kernel.function import Function, Sample
from eddy.kernel.functions import load
from eddy.kernel.functions.chain import Chain
from eddy.kernel.functions.features import Features
from eddy.kernel.functions.filter import Filter
from eddy.kernel.functions.forward import Forward
from eddy.kernel.functions.mean import Mean
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
