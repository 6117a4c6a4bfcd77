import json
import statistics
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from eddy.pool.baseline import Baseline

values = st.integers(-(1 << 31), (1 << 31) - 1)


def learned(training: list[int]) -> Baseline:
    baseline = Baseline()
    baseline.learn(training)
    return baseline


@given(st.lists(values, min_size=2, max_size=30), values)
def test_the_limit_is_mean_plus_five_standard_deviations_exactly(training: list[int], value: int) -> None:
    excess = value - Fraction(sum(training), len(training))
    variance = statistics.pvariance([Fraction(x) for x in training])
    assert learned(training).above(value) == (excess > 0 and excess**2 > 25 * variance)


def test_three_in_a_row_raise_the_alarm_and_three_quiet_ones_end_it() -> None:
    baseline = learned([100, 101, 99, 100])
    said = [baseline.update(value)[1] for value in (200, 200, 100, 200, 200, 200, 200, 100, 100, 100)]
    assert said == [None, None, None, None, None, "raised", None, None, None, "cleared"]


def test_without_training_windows_it_says_nothing() -> None:
    assert [Baseline().update(1 << 30) for _ in range(5)] == [(False, None)] * 5


@given(st.lists(st.integers(90, 130), max_size=40), st.integers(0, 40))
def test_it_goes_on_from_its_plain_state_as_if_it_had_not_stopped(reports: list[int], cut: int) -> None:
    straight, stopped = learned([100, 101, 99, 102]), learned([100, 101, 99, 102])
    for at, value in enumerate(reports):
        if at == cut:
            stopped = Baseline(json.loads(json.dumps(stopped.state())))
        assert straight.update(value) == stopped.update(value)
