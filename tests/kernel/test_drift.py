"""Page-Hinkley in integers: river is the oracle, exact fractions bound the rounding."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.drift import PageHinkley as RiverPageHinkley

from eddy.kernel.drift import PageHinkley


def stepping(seed: int, length: int = 600) -> list[int]:
    """A stream whose mean jumps now and then."""
    rng = random.Random(seed)
    mean, samples = 0, []
    for _ in range(length):
        if rng.random() < 0.01:
            mean = rng.randrange(-500, 500)
        samples.append(mean + rng.randrange(-100, 100))
    return samples


@pytest.mark.parametrize("seed", range(20))
def test_alarms_come_at_exactly_rivers_samples(seed: int) -> None:
    rng = random.Random(seed)
    delta, threshold, minimum = rng.randrange(50), rng.randrange(50, 5000), rng.randrange(5, 40)
    ours = PageHinkley(delta, threshold, minimum)
    rivers = RiverPageHinkley(min_instances=minimum, delta=delta, threshold=threshold, alpha=1)
    samples = stepping(seed)
    alarms = [at for at, sample in enumerate(samples) if ours.update(sample)]
    expected = []
    for at, sample in enumerate(samples):
        rivers.update(sample)
        if rivers.drift_detected:
            expected.append(at)
    assert alarms == expected


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=60), st.integers(0, 1000))
def test_rounding_stays_below_half_a_step_a_sample(samples: list[int], delta: int) -> None:
    test = PageHinkley(delta, threshold=2**60)
    total, rise, fall = 0, Fraction(0), Fraction(0)
    for count, sample in enumerate(samples, 1):
        test.update(sample)
        total += sample
        deviation = sample - Fraction(total, count)
        rise = max(Fraction(0), rise + deviation - delta)
        fall = max(Fraction(0), fall - deviation - delta)
    _, _, our_rise, our_fall = test.state()
    assert abs(Fraction(our_rise, 2**16) - rise) <= Fraction(len(samples), 2**17)
    assert abs(Fraction(our_fall, 2**16) - fall) <= Fraction(len(samples), 2**17)


def test_rounding_does_not_add_up() -> None:
    rng = random.Random(5)
    test = PageHinkley(delta=0, threshold=2**60)
    total, rise = 0, Fraction(0)
    for count in range(1, 2001):
        sample = count + rng.randrange(100)  # keeps rising, so that the sum never starts anew
        test.update(sample)
        total += sample
        rise = max(Fraction(0), rise + sample - Fraction(total, count))
    assert abs(test.state()[2] - rise * 2**16) < 100  # 2000 roundings down would miss about 1000


def test_a_constant_stream_never_alarms_however_long() -> None:
    test = PageHinkley(delta=0, threshold=0, minimum=1)
    assert not any(test.update(-7) for _ in range(5000))


@pytest.mark.parametrize("step", [300, -300])
def test_rise_and_fall_are_both_noticed_after_which_it_starts_anew(step: int) -> None:
    test = PageHinkley(delta=10, threshold=1000)
    assert not any(test.update(0) for _ in range(50))
    assert any(test.update(step) for _ in range(10))
    assert not any(test.update(step) for _ in range(100))


def test_no_alarm_before_the_minimum() -> None:
    test = PageHinkley(delta=0, threshold=1, minimum=25)
    alarms = [at for at in range(25) if test.update(1000 * at)]
    assert alarms == [24]


@given(st.integers(0, 599))
def test_a_restored_test_goes_on_with_the_same_alarms(cut: int) -> None:
    samples = stepping(seed=7)
    whole = PageHinkley(5, 800)
    expected = [whole.update(sample) for sample in samples]
    first, second = PageHinkley(5, 800), PageHinkley(5, 800)
    alarms = [first.update(sample) for sample in samples[:cut]]
    second.restore(first.state())
    assert alarms + [second.update(sample) for sample in samples[cut:]] == expected


@pytest.mark.parametrize("parameters", [(-1, 5, 30), (1, -5, 30), (1, 5, 0)])
def test_parameters_without_meaning_are_refused(parameters: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        PageHinkley(*parameters)
