"""Moving among real processes: what `eddy bench move` does and how it counts."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eddy.bench.move import check
from eddy.cli.main import app
from eddy.kernel.hop import Gap, Record


def heard(*pairs: tuple[int, int], terms: list[int] | None = None) -> list[Record]:
    return [Record("counted", "count", n, (terms or [1] * 99)[n], 0, False, list(pair)) for n, pair in enumerate(pairs)]


def test_a_clean_history_has_nothing_lost_doubled_or_restarted() -> None:
    assert check(heard((1, 0), (2, 1), (3, 2), terms=[1, 2, 2]), 3) == {"lost": 0, "doubled": 0, "restarts": 0, "owners_max": 1}


def test_each_fault_is_counted() -> None:
    assert check(heard((1, 0), (2, 2)), 3)["lost"] == 1
    assert check(heard((1, 0), (2, 0), (3, 1)), 2)["doubled"] == 1
    assert check(heard((1, 0), (1, 1)), 2)["restarts"] == 1
    assert check(heard((1, 0), (2, 1), (3, 2), terms=[1, 2, 1]), 3)["owners_max"] == 2
    gap = Record("counted", "count", 1, 1, 0, False, Gap(1, 1, "lost"))
    assert check([*heard((1, 0)), gap], 2)["lost"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moves", "kills"),
    [(6, 3), pytest.param(200, 60, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)
def test_a_counter_moved_among_processes_that_are_killed_never_restarts_skips_or_doubles(moves: int, kills: int, tmp_path: Path) -> None:
    file = tmp_path / "move.json"
    done = CliRunner().invoke(app, ["bench", "move", "--moves", str(moves), "--kill", str(kills), "--state", "1000", "--json", str(file)])
    assert done.exit_code == 0, done.output
    result = json.loads(file.read_text())
    assert (result["lost"], result["doubled"], result["restarts"], result["owners_max"]) == (0, 0, 0, 1)
    assert result["samples"] > 1000
    assert (result["moves"], result["kills"]) == (moves, kills)
