"""`eddy model`: what people ask of the loop of a model, by the folder that it keeps."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from eddy.cli.main import app
from eddy.knowledge.base import KnowledgeBase
from eddy.loop import Loop
from eddy.models.create import grow


def call(*arguments: str | Path) -> tuple[int, str, str]:
    shown = CliRunner().invoke(app, ["model", *map(str, arguments)])
    return shown.exit_code, shown.stdout, shown.stderr.replace("\n", " ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "loops" / "bearing"
    made.mkdir(parents=True)
    KnowledgeBase(made / "knowledge.db").close()
    return made


@pytest.fixture
def forest(tmp_path: Path) -> Path:
    rows = np.random.default_rng(1).integers(900, 1100, (40, 2))
    file = tmp_path / "forest.bin"
    file.write_bytes(grow(rows, 10, 20, 1).to_wire())
    return file


def test_a_model_of_ones_own_joins_the_repository(folder: Path, forest: Path) -> None:
    code, out, said = call("push", forest, "--features", "rms, ratio(kurtosis, rms)", "--who", "ada", "--dir", folder, "--json", "-")
    assert code == 0, said
    told = json.loads(out)
    assert told["origin"] == "person:ada"
    loop = Loop(KnowledgeBase(folder / "knowledge.db"))
    assert [model.id for model in loop.registry.pushed()] == [told["model"]]
    assert loop.registry.model(told["model"]).wire == forest.read_bytes()
    assert loop.registry.model(told["model"]).features == ("rms", "ratio(kurtosis, rms)")


def test_nothing_was_heard_yet(folder: Path) -> None:
    assert call("status", "--dir", folder) == (0, "no device was heard here yet\n", "")
    assert json.loads(call("status", "--dir", folder, "--json", "-")[1]) == {}


@pytest.mark.parametrize("order", [("promote", "pump-1", "3fa2"), ("threshold", "pump-1", "0.6")])
def test_a_device_that_was_never_heard_is_told(folder: Path, order: tuple[str, ...]) -> None:
    code, _, said = call(*order, "--dir", folder)
    assert code == 1
    assert "no device 'pump-1' was heard here" in said


def test_a_folder_without_a_loop_is_told(tmp_path: Path) -> None:
    code, _, said = call("status", "--dir", tmp_path)
    assert code == 1
    assert "there is no loop of a model in" in said
