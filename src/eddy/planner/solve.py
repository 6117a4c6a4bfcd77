"""The best placement: price, prune, prove.

Small problems go to the mixed-integer program whole. For the others:

1. `greedy` gives a placement, hence an upper bound;
2. the relaxation of `bound` with prices of capacity says what each candidate would cost at best; the cheapest few of each unit make a
   restricted program, whose linear relaxation gives better prices; and again, until the two agree;
3. `improve` makes the placement better;
4. the program is solved over the candidates, and ways between two candidates, whose best is below the upper bound.

Every placement either uses only those, and is no better than the program's bound, or uses one that was left out, and is no better than
that one's best. The smaller of the two is a proven lower bound of the whole problem, and the gap is measured against it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eddy.planner.bound import Bound, Relaxation
from eddy.planner.costs import Costs, Pair
from eddy.planner.greedy import Greedy
from eddy.planner.improve import improve
from eddy.planner.program import Program, sorted_union
from eddy.planner.topology import Bools, Indices

WHOLE = 5_000  # candidates and ways together, up to which nothing is pruned
WIDTH = 8  # candidates that each round adds to each unit
ROUNDS = 6
SIZE = 15_000  # columns of the first program that is solved; it is doubled as long as that and the time allow
FULL_S = 5.0  # with less time the first program is smaller in proportion
WIDEST = 0.1  # of the objective's range above the bound, what is looked at when nothing was found yet
EVERYTHING = float(np.finfo(np.float64).max)
HALVINGS = 8
LOOK = 0.25  # of the first program's size, what improving looks at
IMPROVING = 0.6  # of the time, by when improving ends
AGREED = 3e-4  # of the objective, between relaxation and restricted program
EXACT = 1e-7


@dataclass(frozen=True, slots=True)
class Solution:
    """A placement and how good it is.

    Attributes:
        assigned: int64[U], node of each unit; None when none was found.
        objective: Its value.
        bound: No placement is below.
        seconds: Time to solve, without building.
        infeasible: Proven that no placement exists.
    """

    assigned: Indices | None
    objective: float
    bound: float
    seconds: float
    infeasible: bool = False

    @property
    def gap(self) -> float:
        """Of the objective, how far the optimum may be below; 0 when it is proven."""
        if self.assigned is None or self.objective <= 0:
            return 0.0
        gap = max(0.0, (self.objective - self.bound) / self.objective)
        return 0.0 if gap <= 2 * EXACT else gap


def solve(costs: Costs, limit_s: float = 5.0, whole: int = WHOLE, clock: Callable[[], float] = time.perf_counter) -> Solution:
    """Places all units that are there.

    Args:
        limit_s: Time to solve; what is found by then is returned with its gap.
        whole: Size up to which nothing is pruned.
    """
    began = clock()
    tight: set[int] = set()
    every = [np.flatnonzero(row) for row in costs.allowed]
    size = sum(map(len, every)) + sum(len(every[pair.u]) * len(every[pair.v]) for pair in costs.open)

    def left() -> float:
        return limit_s - (clock() - began)

    if size == 0:  # nothing is left, or nothing was there
        return Solution(np.full(len(costs.units), -1, dtype=np.int64), 0.0, 0.0, clock() - began)
    best, bound, relaxed = None, 0.0, None
    room = round(SIZE * min(1.0, limit_s / FULL_S))
    while True:
        best = Greedy(costs, tight, best).run(lambda: left() < limit_s / 2)
        known = float("inf") if best is None else costs.objective(best)
        if size <= whole:
            program, threshold = Program(costs, every, tight), EVERYTHING
        else:
            relaxed = relaxed or _relax(costs, best, tight, left)
            bound = max(bound, relaxed.value)
            if best is not None and left() > 0:
                look = _threshold(costs, relaxed, known, round(room * LOOK))
                best = improve(costs, best, relaxed, look, tight, lambda: left() - (1 - IMPROVING) * limit_s)
                known = costs.objective(best)
            threshold = _threshold(costs, relaxed, known, room)
            program = _program(costs, relaxed, tight, threshold)
        optimum = program.solve(0.95 * left(), EXACT)
        if optimum.infeasible and threshold == EVERYTHING:
            return Solution(None, float("inf"), float("inf"), clock() - began, infeasible=True)
        bound = max(bound, min(optimum.bound, threshold))
        if optimum.assigned is not None and costs.objective(optimum.assigned) < known:
            best, known = optimum.assigned, costs.objective(optimum.assigned)
        crowded = {int(link) for link in np.flatnonzero(_overload(costs, best))} - tight if best is not None else set[int]()
        tight |= crowded
        relaxed, room = (None, room) if crowded else (relaxed, 2 * room)
        if left() < 0 or not (crowded or (bound < known * (1 - 2 * EXACT) and threshold < known and left() > limit_s / 3)):
            break
    if best is not None and _overload(costs, best).any():
        best = None
    return Solution(best, float("inf") if best is None else costs.objective(best), bound, clock() - began)


def _overload(costs: Costs, assigned: Indices) -> Bools:
    limits = np.array([link.bandwidth_bit_s for link in costs.topology.links])
    return np.asarray(costs.load(assigned) > limits * (1 + 1e-9))


def _relax(costs: Costs, start: Indices | None, tight: set[int], left: Callable[[], float]) -> Bound:
    """The relaxation at the best prices found."""
    relaxation = Relaxation(costs)
    relaxed = best = relaxation.price(np.zeros(costs.capacity.shape))
    chosen = [start[[unit]] if start is not None and start[unit] >= 0 else np.array([], dtype=np.int64) for unit in range(len(costs.units))]
    for _ in range(ROUNDS):
        for unit, at_best in enumerate(relaxed.at_best):
            cheapest = np.argsort(at_best, kind="stable")[:WIDTH]
            chosen[unit] = sorted_union(chosen[unit], cheapest[np.isfinite(at_best[cheapest])])
        value, prices = Program(costs, chosen, tight).prices()
        relaxed = relaxation.price(prices)
        if relaxed.value > best.value:
            best = relaxed
        if value - best.value <= AGREED * abs(value) or left() < 0:
            break
    return best


def _threshold(costs: Costs, relaxed: Bound, enough: float, room: int) -> float:
    """What the best of a candidate or way may be to be looked at: what was found already, or less where that would be too many."""
    low = relaxed.value + EXACT * abs(relaxed.value)  # each unit has a candidate that equals the bound, up to rounding
    high = max(low, min(enough, EVERYTHING))
    if _size(costs, relaxed, high) <= room:
        return high
    high = min(high, low + WIDEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _size(costs, relaxed, middle) <= room else (low, middle)
    return low


def _program(costs: Costs, relaxed: Bound, tight: set[int], threshold: float) -> Program:
    """The program over all candidates and ways whose best is not above the threshold."""
    candidates = [np.flatnonzero(row <= threshold) for row in relaxed.at_best]

    def worth(pair: Pair, rows: Indices, columns: Indices) -> Bools:
        return np.asarray(relaxed.ways(costs, pair, rows, columns) <= threshold)

    return Program(costs, candidates, tight, worth)


def _size(costs: Costs, relaxed: Bound, threshold: float) -> int:
    candidates = [np.flatnonzero(row <= threshold) for row in relaxed.at_best]
    size = sum(map(len, candidates))
    for pair in costs.open:
        size += int((relaxed.ways(costs, pair, candidates[pair.u], candidates[pair.v]) <= threshold).sum())
    return size
