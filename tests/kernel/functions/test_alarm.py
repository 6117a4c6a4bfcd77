"""Alarms: states, hysteresis, origins, acknowledging."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import BadInput, SampleError
from eddy.kernel.function import Sample
from eddy.kernel.functions.alarm import MOST, Alarm
from eddy.spec.conditions import parse

S = 10**9
HOT: dict[str, Any] = {"name": "hot", "when": parse("value > 80 for 30s"), "clear": parse("value < 75 for 60s")}


def told(alarm: Alarm, values: list[Any], origin: str = "a", start_s: int = 0) -> list[tuple[str, str, int, Any]]:
    """(state, origin, second, value) of what comes out of a sample each 10 s."""
    out = []
    for i, value in enumerate(values):
        out += alarm.on(Sample("s", origin, i, (start_s + 10 * i) * S, value))
    return [(one["state"], one["origin"], one["at"] // S, one["value"]) for one in out]


def test_it_is_raised_and_cleared_once_each_after_the_time_that_is_asked_for() -> None:
    assert told(Alarm(**HOT), [81, 82, 79, 81, 82, 83, 84, 90]) == [("raised", "a", 60, 84)]
    alarm = Alarm(**HOT)
    assert told(alarm, [81] * 4 + [76] * 50) == [("raised", "a", 30, 81)]  # between the two nothing happens
    assert told(alarm, [74] * 5 + [76] + [74] * 7, start_s=1000) == [("cleared", "a", 1120, 74)]


def test_without_a_second_condition_it_is_cleared_when_the_first_ceases() -> None:
    assert told(Alarm("hot", parse("value > 80")), [81, 79, 79, 81]) == [
        ("raised", "a", 0, 81),
        ("cleared", "a", 10, 79),
        ("raised", "a", 30, 81),
    ]


def test_each_origin_has_its_own_state() -> None:
    alarm = Alarm("hot", parse("value > 80 for 10s"))
    mixed = [{"from": origin, "value": value} for origin, value in (("p", 81), ("q", 81), ("p", 70), ("q", 82), ("p", 81))]
    assert told(alarm, mixed) == [("raised", "q", 30, 82)]
    assert told(alarm, [81, 81], "other") == [("raised", "other", 10, 81)]


def test_behind_a_pool_it_is_whose_window_it_was() -> None:
    alarm = Alarm("worn", parse("anomaly in 2 of 3 windows"))
    reports = [[0, 1, [], 0, "p-1", 1, 0], [0, 1, [], 0, "p-2", 1, 0], [0, 0, [], 0, "p-2", 0, 0], [0, 1, [], 0, "p-2", 1, 0]]
    assert told(alarm, reports) == [("raised", "p-2", 30, None)]


def test_what_could_not_be_decoded_is_no_measurement() -> None:
    assert told(Alarm("hot", parse("value > 80")), [{"from": "x", "value": {"quarantine": "no JSON"}}, {"quarantine": "no JSON"}]) == []


def test_acknowledging_counts_once_and_for_this_episode_only() -> None:
    alarm = Alarm("hot", parse("t > 80"))
    told(alarm, [{"t": 81}], start_s=5)
    asked = {"acknowledge": {"a": [5 * S, 7 * S, "ann", "on my way"], "b": [5 * S, 7 * S, "ann", ""]}}
    assert alarm.alarms() == [["a", 5 * S, 81, "", ""]]
    assert [(one["state"], one["at"], one["by"], one["note"]) for one in alarm.configure(asked)] == [
        ("acknowledged", 7 * S, "ann", "on my way")
    ]
    assert alarm.alarms() == [["a", 5 * S, 81, "ann", "on my way"]]
    assert alarm.configure(asked) == []
    assert [state for state, *_ in told(alarm, [{"t": 70}, {"t": 82}], start_s=100)] == ["cleared", "raised"]
    assert alarm.configure(asked) == []  # that was the episode before
    assert alarm.alarms() == [["a", 110 * S, 82, "", ""]]


def test_nonsense_is_refused() -> None:
    for wrong in (["compare"], [], ["call", "drift", "x"]):
        with pytest.raises(BadInput):
            Alarm("x", wrong)
        with pytest.raises(BadInput):
            Alarm("x", parse("value > 1"), wrong)
    with pytest.raises(BadInput, match="acknowledges nothing"):
        Alarm("x", parse("value > 1")).configure({"acknowledge": {"a": [1]}})


def test_the_number_of_origins_is_bounded() -> None:
    alarm = Alarm("hot", parse("value > 80"))
    for i in range(MOST):
        alarm.on(Sample("s", str(i), 0, 0, 1))
    with pytest.raises(SampleError, match="one origin too many"):
        alarm.on(Sample("s", "more", 0, 0, 1))
    assert told(alarm, [81], "0") == [("raised", "0", 0, 81)]


def test_another_condition_keeps_what_is_raised() -> None:
    old = Alarm("hot", parse("value > 80 for 10s"))
    told(old, [81, 81])
    new = Alarm("hot", parse("value > 90"), parse("value < 60 for 10s and value < 50 for 20s"))
    new.restore(decode(encode(old.state())))
    assert told(new, [70, 70], start_s=50) == []
    assert told(new, [40, 40, 40], start_s=70) == [("cleared", "a", 90, 40)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(60, 95)), max_size=80), st.integers(1, 9))
def test_changes_alternate_and_moving_changes_nothing(samples: list[tuple[str, int]], every: int) -> None:
    still, moving = Alarm(**HOT), Alarm(**HOT)
    out: list[dict[str, Any]] = []
    for i, (origin, value) in enumerate(samples):
        sample = Sample("s", origin, i, i * 10 * S, value)
        said = still.on(sample)
        assert moving.on(sample) == said
        out += said
        if i % every == 0:
            state = decode(encode(moving.state()))
            moving = Alarm(**HOT)
            moving.restore(state)
    for origin in "ab":
        states = [one["state"] for one in out if one["origin"] == origin]
        assert states == ["raised", "cleared"] * (len(states) // 2) + ["raised"] * (len(states) % 2)
    assert [row[0] for row in still.alarms()] == [o for o in "ab" if [x["state"] for x in out if x["origin"] == o][-1:] == ["raised"]]
