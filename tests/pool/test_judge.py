import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import SettingError
from eddy.pool.judge import STRATEGIES, Standing, Verdict, judge, strategy

standings = st.builds(
    lambda seen, share, false: Standing(score=2 * (seen * share // 100) - seen, seen=seen, false_alarms=false),
    st.integers(0, 10_000),
    st.integers(0, 100),
    st.integers(0, 1000),
)


def test_half_of_the_voices_is_no_majority() -> None:
    assert judge([True, False], [1, 1]) == Verdict(False, 1, 2)
    assert judge([True, True, False], [1, 1, 1]) == Verdict(True, 2, 3)


def test_one_trusted_voice_can_outweigh_two() -> None:
    assert not judge([True, True, False], [10, 10, 91]).anomalous
    assert judge([False, False, True], [10, 10, 91]).anomalous


@pytest.mark.parametrize(("votes", "weights"), [([], []), ([True], [1, 1])])
def test_a_pool_without_members_or_weights_is_refused(votes: list[bool], weights: list[int]) -> None:
    with pytest.raises(SettingError):
        judge(votes, weights)


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(SettingError, match="majority, rank, validation"):
        strategy("loudest")


@given(st.lists(standings, min_size=1, max_size=20), st.sampled_from(sorted(STRATEGIES)))
def test_every_member_keeps_a_voice_and_unanimity_decides(members: list[Standing], name: str) -> None:
    weights = strategy(name)(members)
    assert all(weight > 0 for weight in weights)
    assert judge([True] * len(members), weights).anomalous
    assert not judge([False] * len(members), weights).anomalous


@given(standings, standings)
def test_who_agreed_more_or_alarmed_less_weighs_no_less(a: Standing, b: Standing) -> None:
    first, second = STRATEGIES["validation"]([a, b])
    assert (first >= second) == (a.false_alarms <= b.false_alarms) or first == second
    proven, unproven = STRATEGIES["rank"]([Standing(score=100, seen=100), Standing(score=-100, seen=100)])
    assert proven > STRATEGIES["rank"]([Standing()])[0] > unproven


def test_the_weights_are_those_of_the_documentation() -> None:
    assert STRATEGIES["validation"]([Standing(false_alarms=0), Standing(false_alarms=100)]) == [1000, 90]
    assert STRATEGIES["rank"]([Standing()]) == [501]
