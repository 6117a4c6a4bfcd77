"""The random generator: L'Ecuyer's numbers, in 32-bit words, evenly spread."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.rng import M1, M2, Rng

states = st.tuples(st.integers(1, M1 - 1), st.integers(1, M2 - 1))


class Word(int):
    """A signed 32-bit word that does not survive an overflow."""

    @staticmethod
    def fit(value: int) -> "Word":
        assert -(2**31) <= value < 2**31, value
        return Word(value)

    def __add__(self, other: int) -> "Word":
        return Word.fit(int(self) + other)

    def __sub__(self, other: int) -> "Word":
        return Word.fit(int(self) - other)

    def __mul__(self, other: int) -> "Word":
        return Word.fit(int(self) * other)

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> "Word":
        return Word.fit(int(self) // other)

    def __mod__(self, other: int) -> "Word":
        return Word.fit(int(self) % other)


@given(states)
def test_every_step_fits_32_bits_and_equals_the_recurrence(state: tuple[int, int]) -> None:
    rng = Rng.from_state([Word(state[0]), Word(state[1])])
    number = rng.next()
    s1, s2 = 40014 * state[0] % M1, 40692 * state[1] % M2
    assert rng.state() == [s1, s2]
    assert isinstance(number, Word)
    assert number == ((s1 - s2) % (M1 - 1) or M1 - 1)


@given(states, st.integers(1, M1 - 1))
def test_drawing_below_a_bound_fits_32_bits(state: tuple[int, int], bound: int) -> None:
    drawn = Rng.from_state([Word(state[0]), Word(state[1])]).below(bound)
    assert isinstance(drawn, Word)
    assert 0 <= drawn < bound


@given(st.integers())
def test_any_seed_gives_a_valid_state(seed: int) -> None:
    s1, s2 = Rng(seed).state()
    assert 1 <= s1 < M1
    assert 1 <= s2 < M2


def test_streams_of_neighbouring_seeds_have_nothing_in_common() -> None:
    a, b = Rng(1), Rng(2)
    differences = {(a.next() - b.next()) % M1 for _ in range(100)}
    assert len(differences) == 100


def test_numbers_are_evenly_spread() -> None:
    rng = Rng(3)
    counts = Counter(rng.below(10) for _ in range(20_000))
    chi_square = sum((count - 2000) ** 2 / 2000 for count in counts.values())
    assert len(counts) == 10
    assert chi_square < 27.9  # 9 degrees of freedom, 0.1 %


def test_drawing_again_removes_the_bias_of_a_large_bound() -> None:
    # With bound = 2/3 of the range, plain division would give its lower half twice as often as the upper one.
    rng = Rng(4)
    bound = (M1 - 1) // 3 * 2
    lower = sum(rng.below(bound) < bound // 2 for _ in range(10_000))
    assert abs(lower - 5000) < 250


@pytest.mark.parametrize("state", [[0, 1], [1, 0], [M1, 1], [1, M2], [-1, 5]])
def test_what_is_no_state_is_refused(state: list[int]) -> None:
    with pytest.raises(ValueError, match="no state"):
        Rng.from_state(state)


@pytest.mark.parametrize("bound", [0, -1, M1])
def test_bounds_outside_the_range_are_refused(bound: int) -> None:
    with pytest.raises(ValueError, match="takes 1 to"):
        Rng(0).below(bound)
