from hypothesis import given
from hypothesis import strategies as st

from eddy.pool.rank import Rank, order, reward

ranks = st.lists(st.builds(Rank, st.uuids().map(str), st.integers(-3, 3), st.integers(0, 3), st.booleans(), st.integers(1, 3)), max_size=12)


def test_agreement_earns_a_point_and_disagreement_costs_one() -> None:
    assert [reward(True, True), reward(False, False), reward(True, False), reward(False, True)] == [1, 1, -1, -1]


def test_equal_scores_are_ordered_by_mistakes_then_size_then_name() -> None:
    best, fewer, smaller, first, last = (
        Rank("e", 5, 9, True, 9),
        Rank("d", 3, 3, True, 9),
        Rank("c", 3, 5, True, 1),
        Rank("a", 3, 5, True, 2),
        Rank("b", 3, 5, True, 2),
    )
    assert order([last, smaller, best, first, fewer]) == [best, fewer, smaller, first, last]


@given(ranks, st.randoms())
def test_the_order_does_not_depend_on_where_one_starts(some: list[Rank], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert order(shuffled) == order(some)
