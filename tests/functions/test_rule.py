import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import SettingError
from eddy.functions.rule import Confirm

windows = st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=60)  # (steps since the last report, anomalous)


def told(rule: Confirm, reports: list[tuple[int, bool]]) -> list[tuple[int, str]]:
    index, changes = 0, []
    for step, anomalous in reports:
        index += step
        change = rule.update(index, anomalous)
        if change:
            changes.append((index, change))
    return changes


def test_five_of_six_raise_one_alarm_that_a_quiet_stretch_ends() -> None:
    rule = Confirm(5, 6)
    reports = [(1, True)] * 4 + [(1, False)] + [(1, True)] * 10 + [(1, False)] * 20
    assert told(rule, reports) == [(6, "raised"), (21, "cleared")]


def test_windows_that_were_not_reported_count_as_normal() -> None:
    assert told(Confirm(5, 6), [(1, True)] * 5) == [(5, "raised")]
    assert told(Confirm(5, 6), [(2, True)] * 50) == []
    assert told(Confirm(3, 6), [(2, True)] * 3 + [(100, False)]) == [(6, "raised"), (106, "cleared")]


def test_a_longer_quiet_stretch_makes_one_episode_of_a_flickering_alarm() -> None:
    flicker = ([(1, True)] * 3 + [(1, False)] * 4) * 5
    assert len(told(Confirm(3, 3), flicker)) == 10
    assert told(Confirm(3, 3, quiet=5), flicker) == [(3, "raised")]


def test_the_same_window_twice_counts_once() -> None:
    rule = Confirm(2, 3)
    assert [rule.update(7, True), rule.update(7, True), rule.update(8, True)] == [None, None, "raised"]


def test_an_origin_that_counts_anew_starts_the_stretch_afresh_and_keeps_an_open_alarm() -> None:
    rule = Confirm(2, 3)
    rule.update(100, True)
    assert rule.update(1, True) is None
    assert rule.update(2, True) == "raised"
    assert rule.update(0, False) is None
    assert rule.raised
    assert rule.update(3, False) == "cleared"


@pytest.mark.parametrize(("k", "n", "quiet"), [(0, 3, None), (4, 3, None), (1, 1, 0)])
def test_a_rule_that_cannot_be_met_is_refused(k: int, n: int, quiet: int | None) -> None:
    with pytest.raises(SettingError):
        Confirm(k, n, quiet)


@given(windows, st.integers(1, 4), st.integers(0, 3), st.integers(1, 8), st.integers(0, 60))
def test_it_goes_on_from_its_plain_state_as_if_it_had_not_stopped(
    reports: list[tuple[int, bool]], k: int, more: int, quiet: int, cut: int
) -> None:
    straight, stopped = Confirm(k, k + more, quiet), Confirm(k, k + more, quiet)
    index = 0
    for at, (step, anomalous) in enumerate(reports):
        index += step
        if at == cut:
            stopped = Confirm(k, k + more, quiet, json.loads(json.dumps(stopped.state())))
        assert straight.update(index, anomalous) == stopped.update(index, anomalous)


@given(windows, st.integers(1, 4), st.integers(0, 3))
def test_it_is_raised_exactly_when_k_of_the_last_n_indices_are_anomalous(reports: list[tuple[int, bool]], k: int, more: int) -> None:
    rule, index, anomalous, raised = Confirm(k, k + more), 0, set(), False
    for step, bad in reports:
        index += step
        if bad:
            anomalous.add(index)
        recent = {i for i in anomalous if i > index - k - more}
        raised = len(recent) >= k or (raised and bool(recent))
        rule.update(index, bad)
        assert rule.raised == raised
