"""The bisection that finds the smallest heap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.sim.heap import FLOOR, STEP, smallest

LIMIT = 64 * STEP


@given(st.integers(FLOOR, LIMIT))
def test_it_finds_the_smallest_step_that_completes_in_few_runs(needs: int) -> None:
    tried: list[int] = []

    def completes(heap_bytes: int) -> bool:
        tried.append(heap_bytes)
        return heap_bytes >= needs

    assert smallest(LIMIT, completes) == -(-needs // STEP) * STEP
    assert len(tried) <= 8


@pytest.mark.parametrize("limit", [LIMIT])
def test_nothing_is_found_when_even_the_limit_does_not_do(limit: int) -> None:
    assert smallest(limit, lambda heap_bytes: False) is None
