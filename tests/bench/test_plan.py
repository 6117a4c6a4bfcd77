"""The plan benchmark makes the fleet it was asked for and compares like with like."""

import json

from typer.testing import CliRunner

from eddy.bench.plan import fleet
from eddy.cli.main import app


def test_the_fleet_has_the_size_asked_for() -> None:
    for functions, nodes in ((1, 3), (7, 20), (50, 100)):
        problem = fleet(functions, nodes)
        assert (len(problem.functions), len(problem.nodes)) == (functions, nodes)
        assert len(problem.links) == nodes - 1


def test_plans_beside_greedy_and_moves_only_what_must_move() -> None:
    done = CliRunner().invoke(app, ["bench", "plan", "--functions", "20", "--nodes", "60", "--limit", "0.5", "--json", "-"])
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["functions"] == 20 and result["nodes"] == 60
    assert result["baseline"]["objective"] >= result["objective"] * (1 - 1e-9)
    assert result["moved"] == result["must_move"] and result["moved_without_need"] == 0
    assert 0 <= result["gap"] < 1 and {"seconds", "build_seconds", "replan_seconds"} <= result.keys()
