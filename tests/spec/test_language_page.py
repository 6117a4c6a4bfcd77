"""Every example on the page of the language is an app, or completes the first one on it."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from eddy.errors import SpecError
from eddy.spec.catalog import choices
from eddy.spec.diagnostics import CODES
from eddy.spec.load import made, parse
from eddy.spec.model import App

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "language.md").read_text(encoding="utf-8")
YAML_BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def completed() -> dict[str, Any]:
    """The first app with all that the other examples add."""
    whole, *parts = map(plain, YAML_BLOCKS)
    for part in parts:
        for section, content in part.items():
            whole[section] = {**whole.get(section, {}), **content} if isinstance(content, dict) else content
    return dict(whole)


def test_the_first_example_is_an_app_and_the_python_makes_the_same() -> None:
    built: dict[str, App] = {}
    exec(PYTHON_BLOCKS[1], built)
    assert parse(YAML_BLOCKS[0]) == built["greenhouse"]


def test_all_examples_together_are_one_app(tmp_path: Path) -> None:
    (tmp_path / "ratio.py").write_text(PYTHON_BLOCKS[0])
    app = made(completed(), tmp_path)
    assert {"street", "humidity"} <= app.sources.keys() and {"judge", "ratio"} <= app.functions.keys()
    assert app.release is not None and app.models["habits"].pool is not None


def test_the_page_names_every_use_driver_and_code() -> None:
    for section in ("sources", "functions", "sinks"):
        for tag in choices(section):
            name = tag.partition(": ")[2]
            assert f"`{'file.py:Class' if name == 'own' else name}`" in PAGE
    assert [tuple(row) for row in re.findall(r"\| (E\d+) \| (.*) \|", PAGE)] == list(CODES.items())


def test_the_message_on_the_page_is_the_one_that_is_printed() -> None:
    shown = re.search(r"eddy.yaml:\d+:\d+: E131 .*", PAGE)
    assert shown is not None
    with pytest.raises(SpecError) as told:
        parse(YAML_BLOCKS[0].replace("merge: bed", "merge: bad"))
    assert [str(one) for one in told.value.diagnostics] == [shown[0]]
