import pytest

from eddy.errors import SettingError
from eddy.pool.champion import HOUR_NS, Replacement, successor
from eddy.pool.rank import Rank

RULE = Replacement(false_positives=5, within_ns=24 * HOUR_NS)


def at(*hours: float) -> list[int]:
    return [int(hour * HOUR_NS) for hour in hours]


def test_the_fifth_false_positive_within_the_window_is_one_too_many() -> None:
    assert not RULE.due(at(1, 2, 3, 4), at(4)[0], 0)
    assert RULE.due(at(1, 2, 3, 4, 5), at(5)[0], 0)


def test_false_positives_outside_the_window_are_forgotten() -> None:
    assert not RULE.due(at(1, 30, 31, 32, 33), at(33)[0], 0)
    assert not RULE.due(at(0, 1, 2, 3, 24), at(24)[0], 0), "the window is open at its old end"
    assert RULE.due(at(0.1, 1, 2, 3, 24), at(24)[0], 0)


def test_a_new_champion_is_left_alone_for_a_while() -> None:
    rule = Replacement(false_positives=1, cooldown_ns=HOUR_NS)
    assert not rule.due(at(1), at(1)[0], at(0.5)[0])
    assert rule.due(at(1.5), at(1.5)[0], at(0.5)[0])


@pytest.mark.parametrize("bad", [{"false_positives": 0}, {"within_ns": 0}, {"cooldown_ns": -1}])
def test_a_rule_that_makes_no_sense_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(SettingError):
        Replacement(**bad)


def rank(model: str, score: int, eligible: bool = True) -> Rank:
    return Rank(model, score, 10, eligible, 100)


def test_the_best_eligible_candidate_follows() -> None:
    assert successor([rank("a", 3), rank("b", 7, eligible=False), rank("c", 5)], "a") == "c"


def test_the_champion_never_follows_itself() -> None:
    assert successor([rank("a", 9), rank("b", 1)], "a") == "b"
    assert successor([rank("a", 9)], "a") is None


def test_without_a_positive_score_nobody_follows() -> None:
    assert successor([rank("a", 0), rank("b", -4)], None) is None
    assert successor([], None) is None
