"""`eddy query`, `report`, `insight`, `forget`, as a person uses them."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from lakes import rows, sample
from typer.testing import CliRunner

from eddy.cli.main import app
from eddy.knowledge.lake import Lake
from eddy.knowledge.spool import connect
from eddy.node.journal import SqliteJournal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    samples = [sample(i, {"n": i, "text": f"a|{i},"}, origin=("pump", "fan-4711")[i % 2]) for i in range(4)]
    Lake(to=str(tmp_path / "lake")).write_all(samples)
    return tmp_path / "lake"


def said(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.stdout


def test_rows_come_in_every_format(root: Path) -> None:
    sql = "SELECT n, text, time FROM room ORDER BY n LIMIT 2"
    ask = ("query", sql, "--lake", str(root), "--format")
    expected = ["0", "a|0,", "2026-01-01T00:00:00+00:00"]
    assert list(csv.reader(io.StringIO(said(*ask, "csv"))))[:2] == [["n", "text", "time"], expected]
    assert json.loads(said(*ask, "json").splitlines()[1]) == {"n": 1, "text": "a|1,", "time": "2026-01-01T00:00:01+00:00"}
    assert said(*ask, "markdown").splitlines()[2] == "| 0 | a\\|0, | 2026-01-01T00:00:00+00:00 |"
    assert "a|1," in said(*ask, "table")
    arrow = CliRunner().invoke(app, [*ask, "arrow"]).stdout_bytes
    assert pa.ipc.open_stream(arrow).read_all()["n"].to_pylist() == [0, 1]


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_table_that_goes_to_no_terminal_is_whole(root: Path, term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "40")
    texts = ["x" * 100, "y" * 3000]
    wide = said("query", f"SELECT '{texts[0]}' AS a, '{texts[1]}' AS b", "--lake", str(root))
    assert [line.split() for line in wide.splitlines()] == [["a", "b"], texts]


@pytest.mark.parametrize(
    ("sql", "options"),
    [
        ("COPY room TO 'x.csv'", []),
        ("SELECT * FROM 'x.csv'", []),
        ("nonsense", []),
        ("SELECT sum(sin(a.range)) FROM range(10000000) a, range(10000000) b", ["--limit-s", "0.2"]),
        ("SELECT 1", ["--format", "xml"]),
    ],
)
def test_what_a_query_may_not_do_ends_with_one_message(root: Path, sql: str, options: list[str]) -> None:
    result = CliRunner().invoke(app, ["query", sql, "--lake", str(root), *options])
    assert result.exit_code == 1 and "Traceback" not in result.output and "(code" in result.stderr


def test_a_report_is_written(root: Path, tmp_path: Path) -> None:
    assert json.loads(said("report", "--lake", str(root), "-o", str(tmp_path / "r.html"), "--json", "-"))["streams"] == ["room"]
    assert "room" in (tmp_path / "r.html").read_text()


def test_insight_says_when_nothing_stands_out(root: Path) -> None:
    assert "stands out" in said("insight", "--lake", str(root))
    assert json.loads(said("insight", "--lake", str(root), "--json", "-")) == {"findings": []}


@pytest.mark.parametrize("command", ["insight", "report"])
def test_a_run_of_a_command_on_labelled_streams_is_one_row_of_the_audit(tmp_path: Path, command: str) -> None:
    streams = {"ward": {"private": "gateway"}, "hall": {"private": "device"}}
    names = ("room", "ward", "hall")
    Lake(to=str(tmp_path / "lake"), streams=streams).write_all([sample(i, i, names[i % 3], f"o-{i % 2}") for i in range(240)])
    where = ("--lake", str(tmp_path / "lake"))
    output = ("-o", str(tmp_path / "r.html")) if command == "report" else ()
    for runs in (1, 2):
        said(command, *where, *output)
        found = rows(tmp_path / "lake", "audit")
        assert [(row["sql"], row["streams"]) for row in found] == [(command, ["hall", "ward"])] * runs
        assert all(row["rows"] > 0 and row["who"] for row in found)


def test_a_command_that_cannot_be_noted_gives_no_result(tmp_path: Path) -> None:
    Lake(to=str(tmp_path / "lake"), streams={"room": {"private": "gateway"}}).write_all([sample(i, i) for i in range(240)])
    (tmp_path / "lake" / "audit").write_text("in the way")
    result = CliRunner().invoke(app, ["report", "--lake", str(tmp_path / "lake"), "-o", str(tmp_path / "r.html")])
    assert result.exit_code == 1 and not (tmp_path / "r.html").exists()


def test_forgetting_tells_what_is_gone_and_what_still_holds_the_name(root: Path) -> None:
    (root / "note.txt").write_text("fan-4711 was here")
    done = json.loads(said("forget", "--origin", "fan-4711", "--lake", str(root), "--json", "-", code=1))
    assert (done["rows"], done["left"]) == ({"room": 2}, ["note.txt"])
    (root / "note.txt").unlink()
    assert "0 hold the name" in said("forget", "--origin", "fan-4711", "--lake", str(root))


def test_what_the_journal_of_a_node_still_holds_is_told_with_what_to_do(root: Path, tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    journal = SqliteJournal(connect(tmp_path / "nodes" / "gw.db"))
    journal.append("room", [b"fan-4711"])
    journal.commit()
    told = said("forget", "--origin", "fan-4711", "--lake", str(root), "--state", str(tmp_path / "nodes"), code=1)
    assert "  gw.db\n" in told and "gw.db: the journal of a node" in told and "End the node" in told
    (root / "note.txt").write_text("fan-4711 was here")
    (tmp_path / "nodes" / "gw.db").unlink()
    assert "End the node" not in said("forget", "--origin", "fan-4711", "--lake", str(root), "--state", str(tmp_path / "nodes"), code=1)
