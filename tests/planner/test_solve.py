"""The planner finds what looking at every placement finds, whether it prunes or not."""

import pytest
from fleets import criteria, fits, leaks, make, paths, placements

from eddy.errors import NoPlan
from eddy.planner.costs import Costs
from eddy.planner.plan import plan
from eddy.planner.problem import Problem
from eddy.planner.solve import solve
from eddy.planner.topology import Topology
from eddy.spec.vocabulary import CRITERIA

CASES = 200


def best(problem: Problem, costs: Costs) -> float | None:
    """The least weighted sum of criteria over all placements; the weights are the planner's."""
    ways = paths(problem)
    weight = dict(zip(CRITERIA, costs.weight.tolist(), strict=True))
    values = [
        sum(weight[name] * value for name, value in criteria(problem, placement, ways).items())
        for placement in placements(problem, [function.name for function in problem.functions])
        if fits(problem, placement, ways) and not leaks(problem, placement, ways)
    ]
    return min(values, default=None)


@pytest.mark.slow
@pytest.mark.parametrize("cases", [CASES // 10, pytest.param(CASES, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
@pytest.mark.parametrize("whole", [10**6, 0], ids=["whole", "pruned"])
def test_equals_brute_force(cases: int, whole: int) -> None:
    feasible = 0
    for seed in range(cases):
        problem = make(seed, private=seed % 2 == 1, tree=seed % 3 == 0)
        costs = Costs(problem, Topology(problem.nodes, problem.links))
        expected = best(problem, costs)
        homeless = not costs.allowed.any(axis=1).all()
        found = None if homeless else solve(costs, 60, whole)
        if expected is None:
            assert found is None or found.assigned is None, seed
            continue
        feasible += 1
        assert found is not None and found.assigned is not None, seed
        assert found.objective == pytest.approx(expected, rel=1e-6, abs=1e-12), seed
        assert found.gap == pytest.approx(0, abs=1e-6), seed
        assert found.bound <= expected * (1 + 1e-6) + 1e-12, seed
        placement = costs.names(found.assigned)
        ways = paths(problem)
        assert fits(problem, placement, ways) and not leaks(problem, placement, ways), seed
    assert feasible > cases / 4


def test_a_problem_without_room_says_what_lacks() -> None:
    for seed in range(100):
        problem = make(seed, tree=True)
        ways = paths(problem)
        if not any(fits(problem, some, ways) for some in placements(problem, [f.name for f in problem.functions])):
            with pytest.raises(NoPlan, match=r"need|lacks|run on|room|carry|is at"):
                plan(problem)
            return
    pytest.fail("no infeasible problem among these seeds")
