"""The command line: quick to answer, JSON for programs, one message instead of a stack trace."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

import eddy.bench
from eddy.cli import demo, device, doctor
from eddy.cli.console import write_text
from eddy.cli.main import app
from eddy.cli.progress import Display, Step
from eddy.errors import DataError, EddyError, LinkLost, StorageFull
from eddy.sim.pump import Settings

RESULT = {
    "device": {"interpreter": "micropython", "heap_bytes": 262_144, "peak_heap_bytes": 121_344},
    "first_alarm_file": 540,
    "alarms": 1,
    "windows": 552,
    "champions": 2,
    "deployments": [{"trees": 10, "wire_bytes": 1102, "line_seconds": 4.91, "channel_use": 0.94}],
    "line": {"bytes": 48_211, "frames": 1310, "retransmitted": 12},
    "notes": ["The paper's settings see nothing."],
}


class Stage:
    """Stands for `eddy.cli.demo.play`, which takes a minute: keeps what it is told, plays two steps, returns a result."""

    def __init__(self) -> None:
        self.runs: list[Settings] = []
        self.folders: list[Path] = []
        self.heaps: list[bool] = []
        self.failure: Exception | None = None

    def play(self, settings: Settings, folder: Path, progress: Callable[[Step], None], heap: bool = False) -> dict[str, Any]:
        self.runs.append(settings)
        self.folders.append(folder)
        self.heaps.append(heap)
        progress({"done": 0, "total": 2, "doing": "training"})
        progress({"done": 2, "event": "file 540: first confirmed alarm"})
        if self.failure is not None:
            raise self.failure
        return RESULT


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stand_in = Stage()
    monkeypatch.setattr(demo, "play", stand_in.play)
    return stand_in


def call(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def commands(group: Any, name: str = "eddy") -> list[tuple[str, Any]]:
    found = []
    for child, command in getattr(group, "commands", {}).items():
        found += commands(command, f"{name} {child}") or [(f"{name} {child}", command)]
    return found


# The start


def test_nothing_heavy_is_imported_before_a_verb_runs() -> None:
    heavy = {
        "numpy",
        "sklearn",
        "scipy",
        "cryptography",
        "jinja2",
        "serial",
        "rich.progress",
        "fastapi",
        "pydantic",
        "httpx2",
        "sqlalchemy",
    }
    code = f"import sys, eddy.cli.main; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"


def test_every_command_has_json_and_a_help_text() -> None:
    found = commands(typer.main.get_command(app))
    assert len(found) >= 4
    for name, command in found:
        assert "json" in {parameter.name for parameter in command.params}, name
        assert command.help, name
        assert all(getattr(parameter, "help", "text") for parameter in command.params), name


@pytest.mark.parametrize("line", ["nonsense", "demo pump --rate 44100", "demo pump --devices 0", "demo pump --loss 2", "device install"])
def test_wrong_use_exits_with_2(line: str) -> None:
    assert call(*line.split()).exit_code == 2


def test_the_version_is_told() -> None:
    assert call("--version").output.strip().count(".") == 2


# eddy demo pump


def test_options_become_settings(stage: Stage, tmp_path: Path) -> None:
    wanted = {"bearing": "2_1", "devices": 2, "speed": 3, "loss": 0.1, "corrupt": 0.01, "seed": 9, "data": tmp_path}
    options = [text for name, value in wanted.items() for text in (f"--{name}", str(value))]
    more = ("--rate", "500", "--features", "paper", "--train", "60", "--quantile", "850", "--no-heap", "--keep", tmp_path / "kept")
    assert call("demo", "pump", *more, *options).exit_code == 0
    others = {"rate_hz": 500, "features": ("kurtosis", "skewness", "mean"), "train_windows": 60, "quantile": 850}
    assert [vars(settings) for settings in stage.runs] == [wanted | others]
    assert (stage.folders, stage.heaps) == ([tmp_path / "kept"], [False])


def test_the_native_rate_is_no_rate(stage: Stage) -> None:
    call("demo", "pump")
    assert stage.runs[0].rate_hz is None
    assert stage.runs[0].data is None


def test_json_on_standard_output_stands_alone(stage: Stage) -> None:
    shown = call("demo", "pump", "--json", "-")
    assert json.loads(shown.stdout) == RESULT
    assert "first confirmed alarm" in shown.stderr


def test_people_get_a_table_and_progress(stage: Stage) -> None:
    shown = call("demo", "pump")
    assert "file 540" in shown.stdout
    assert "118 KiB" in shown.stdout
    assert "94 %" in shown.stdout
    assert "The paper's settings see nothing." in shown.stdout
    assert "file 540: first confirmed alarm" in shown.stderr


def test_json_and_report_are_written_to_files(stage: Stage, tmp_path: Path) -> None:
    assert call("demo", "pump", "--json", tmp_path / "new" / "demo.json", "--report", tmp_path / "new" / "report.html").exit_code == 0
    assert json.loads((tmp_path / "new" / "demo.json").read_text()) == RESULT
    assert (tmp_path / "new" / "report.html").read_text().startswith("<!doctype html>")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["demo.json", "report.html"]


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_place_that_cannot_be_written_is_noticed_before_the_run(stage: Stage, tmp_path: Path, option: str) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "below", tmp_path):
        shown = call("demo", "pump", option, place)
        assert shown.exit_code == 1
        assert f"cannot write {place}" in shown.stderr.replace("\n", "")
    assert stage.runs == []


@pytest.mark.parametrize("error", [DataError("no recordings at nowhere: name a folder"), LinkLost("gone"), StorageFull("full")])
def test_an_error_is_one_message_with_its_code(stage: Stage, error: EddyError) -> None:
    stage.failure = error
    shown = call("demo", "pump", "--json", "-")
    assert shown.exit_code == 1
    assert shown.stdout == ""
    assert f"eddy: {error} (code {error.code})" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_full_disk_leaves_the_old_report(stage: Stage, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this platform")
    old = tmp_path / "demo.json"
    old.write_text("{}")
    (tmp_path / ".demo.json.draft").symlink_to("/dev/full")
    with pytest.raises(StorageFull, match="free some space"):
        write_text(old, "x" * 100_000)
    assert old.read_text() == "{}"


# The other verbs


def test_bench_shows_ours_the_baseline_and_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"trees": 10, "wire_bytes": 1102, "deploy_s": 4.9, "infer_us": 900.0, "baseline": {"deploy_s": 700}, "paper": {"infer_us": 8700}}
    stand_in = ModuleType("eddy.bench.far_edge")
    monkeypatch.setattr(stand_in, "run", lambda speed, data, progress: {"rows": [row]}, raising=False)
    monkeypatch.setitem(sys.modules, "eddy.bench.far_edge", stand_in)
    monkeypatch.setattr(eddy.bench, "far_edge", stand_in, raising=False)
    shown = call("bench", "far-edge", "--json", "-")
    assert json.loads(shown.stdout) == {"rows": [row]}
    for words in ("4.9 s 11 min 40 s 143", "0.9 ms - 8.7 ms"):
        assert words in " ".join(shown.stderr.split()).replace("\N{EN DASH}", "-")


def test_doctor_finds_what_the_tests_run_with() -> None:
    shown = call("doctor", "--json", "-")
    findings = {finding["thing"]: finding for finding in json.loads(shown.stdout)["findings"]}
    assert findings["mpy-cross"]["there"]
    assert findings["Python"]["detail"].startswith(sys.version.split()[0])
    assert shown.exit_code == 0


def test_doctor_fails_when_something_needed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda data: [doctor.Finding("mpy-cross", False, "not installed", needed=True)])
    shown = call("doctor")
    assert shown.exit_code == 1
    assert "missing" in shown.stdout


def test_doctor_says_where_recordings_are(tmp_path: Path) -> None:
    (tmp_path / "2004.02.12.10.32.39").touch()
    assert str(tmp_path) in {finding.detail for finding in doctor.examine(tmp_path)}
    assert any("does not exist" in finding.detail for finding in doctor.examine(tmp_path / "nowhere"))


def test_a_dry_run_prints_the_plan_and_needs_no_board(tmp_path: Path) -> None:
    shown = call("device", "install", "--port", "/dev/ttyNONE", "--arch", "none", "--dry-run", "--json", "-")
    assert shown.exit_code == 0, shown.stderr
    plan = json.loads(shown.stdout)
    assert "lib/eddy/kernel/errors.mpy" in plan["files"]
    assert plan["commands"][0][:5] == ["mpremote", "connect", "/dev/ttyNONE", "fs", "cp"]
    assert plan["commands"][-1] == ["mpremote", "connect", "/dev/ttyNONE", "reset"]


def test_a_missing_board_is_told_before_anything_is_compiled() -> None:
    shown = call("device", "install", "--port", "/dev/ttyNONE")
    assert shown.exit_code == 1
    assert "there is no /dev/ttyNONE" in shown.stderr


def test_a_failing_board_command_is_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(LinkLost, match=r"mpremote connect .* failed"):
        device._run(["mpremote", "connect", str(tmp_path / "no-port"), "reset"])


# Progress


def shown_by(steps: list[Step], terminal: bool) -> str:
    console = Console(force_terminal=terminal, width=100, record=True, file=io.StringIO())
    with Display(console, "pump") as display:
        for step in steps:
            display.update(step)
    return console.export_text()


def test_without_a_terminal_progress_is_a_few_plain_lines() -> None:
    steps: list[Step] = [{"done": done, "total": 1000, "doing": "listening"} for done in range(1001)]
    lines = shown_by([*steps, {"event": "[b]alarm[/b]"}], terminal=False).splitlines()
    assert len(lines) == 12
    assert lines[-2:] == ["1,000 of 1,000  listening", "[b]alarm[/b]"]


def test_on_a_terminal_events_stay_above_the_bar() -> None:
    shown = shown_by([{"done": 1, "total": 2}, {"event": "file 540: first confirmed alarm"}], terminal=True)
    assert "file 540: first confirmed alarm" in shown
