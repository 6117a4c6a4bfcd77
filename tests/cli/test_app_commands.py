"""`eddy init`, `check`, `schema` and `plan` on an app's file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eddy.cli.init import TEMPLATES
from eddy.cli.main import app
from eddy.spec.load import parse

EXAMPLES = Path(__file__).parents[2] / "examples"


def call(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_what_init_writes_is_checked_and_planned(tmp_path: Path, template: str) -> None:
    made = call("init", tmp_path / "new", "--template", template)
    file = tmp_path / "new" / "eddy.yaml"
    assert made.exit_code == 0 and str(file) in made.stdout
    assert file.read_text() == (EXAMPLES / template / "eddy.yaml").read_text()
    assert file.read_text().splitlines()[0] == "# yaml-language-server: $schema=./.eddy/schema.json"
    assert json.loads((tmp_path / "new" / ".eddy" / "schema.json").read_text())["$schema"].endswith("draft-07/schema#")
    assert call("check", file).exit_code == 0
    assert call("plan", file).exit_code == 3


def test_init_leaves_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "eddy.yaml").write_text("mine")
    refused = call("init", tmp_path)
    assert refused.exit_code == 1 and "is there already" in refused.stderr
    assert (tmp_path / "eddy.yaml").read_text() == "mine" and not (tmp_path / ".eddy").exists()
    assert call("init", tmp_path / "other", "--template", "moon").exit_code == 2


def test_check_prints_each_mistake_on_a_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "eddy.yaml"
    text = (EXAMPLES / "air" / "eddy.yaml").read_text()
    file.write_text(text.replace("from: hourly, raise", "from: horly, raise").replace("unit: ug/m3", "unit: µg/m3"))
    found = call("check", file, "--json", "-")
    lines = found.stderr.splitlines()
    assert found.exit_code == 1 and found.stdout.startswith("{")
    assert lines[0].startswith(f"{file}:") and "E122 'µg/m3' is no unit of SenML: did you mean 'ug/m3'?" in lines[0]
    assert lines[1].startswith(f"{file}:") and "E131 there is no source or function 'horly': did you mean 'hourly'?" in lines[1]
    assert lines[2:] == [f"eddy: {file} has 2 problems (code 154)"]
    assert [one["code"] for one in json.loads(found.stdout)["problems"]] == ["E122", "E131"]


def test_check_says_what_a_sound_app_has() -> None:
    sound = call("check", EXAMPLES / "air" / "eddy.yaml")
    assert sound.stdout.endswith("street-air 0.1.0 is fine: 2 nodes, 1 source, 2 functions, 2 sinks\n")
    assert call("check", EXAMPLES / "missing.yaml").exit_code == 2


def test_the_ways_to_be_notified_that_a_template_names_are_sinks() -> None:
    text = (EXAMPLES / "air" / "eddy.yaml").read_text()
    ways = re.findall(r"^#   (driver: .*)$", text, re.MULTILINE)
    assert [way.partition(",")[0] for way in ways] == ["driver: webhook", "driver: mqtt", "driver: email"]
    for way in ways:
        assert parse(text.replace("driver: log, file: notices.jsonl", way)).sinks["notice"].driver in way


def test_schema_is_printed() -> None:
    assert json.loads(call("schema").stdout)["properties"]["functions"]["type"] == "object"


def test_a_function_too_large_for_its_device_is_told_with_its_place_the_reason_and_a_way_out(tmp_path: Path) -> None:
    file = tmp_path / "eddy.yaml"
    file.write_text((EXAMPLES / "pump" / "eddy.yaml").read_text().replace("memory: 256KiB", "memory: 26KiB"))
    line = file.read_text().splitlines().index(next(one for one in file.read_text().splitlines() if one.startswith("  windows:"))) + 1
    refused = call("plan", file)
    assert refused.exit_code == 1
    assert f"{file}:{line}:3: windows@pump-1 fits no node: needs 40,000 RAM, pump-1 has 26,624" in refused.stderr
    assert "give a node what is missing" in refused.stderr
