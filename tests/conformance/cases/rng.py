from vectors import load

from eddy.kernel.rng import Rng


def check_streams_follow_the_recurrences():
    for state, numbers in load("rng")["streams"]:
        rng = Rng.from_state(state)
        assert [rng.next() for _ in numbers] == numbers, state


def check_seeds_start_at_the_same_state():
    for seed, state in load("rng")["seeds"]:
        assert Rng(seed).state() == state, seed


def check_a_stream_goes_on_from_its_state():
    rng = Rng(5)
    rng.below(1000)
    twin = Rng.from_state(rng.state())
    assert [rng.below(1000) for _ in range(50)] == [twin.below(1000) for _ in range(50)]


def check_below_stays_below():
    rng = Rng(6)
    assert sorted({rng.below(7) for _ in range(200)}) == [0, 1, 2, 3, 4, 5, 6]
    assert rng.below(1) == 0
    assert 0 <= rng.below(2147483562) < 2147483562
