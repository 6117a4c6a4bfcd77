"""The schema is draft-07, and takes what the language takes."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from eddy.spec.catalog import choices
from eddy.spec.schema import schema

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*/eddy.yaml"))


@pytest.fixture(scope="module")
def validator() -> Any:
    Draft7Validator.check_schema(schema())
    return Draft7Validator(schema())


def plain(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text())


def test_the_examples_are_valid(validator: Any) -> None:
    assert len(EXAMPLES) == 4
    for file in EXAMPLES:
        assert not [error.message for error in validator.iter_errors(plain(file))]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("nodes", "pump", "bord"), "esp32"),
        (("nodes", "pump", "memory"), "256 parsecs"),
        (("nodes", "pump", "count"), "four"),
        (("sources", "vibration", "unit"), "m/s^2"),
        (("functions", "features", "compute"), ["rsm"]),
        (("functions", "windows", "use"), "windw"),
        (("functions", "windows", "form"), "vibration"),
        (("models", "bearing-health", "threshold"), "98%"),
    ],
)
def test_a_mistake_is_invalid(validator: Any, path: tuple[str, str, str], value: object) -> None:
    app = plain(EXAMPLES[-1])
    app[path[0]][path[1]][path[2]] = value
    assert not validator.is_valid(app)


def test_every_use_and_driver_is_offered_to_editors() -> None:
    text = str(schema())
    for section in ("sources", "functions", "sinks"):
        for tag in choices(section):
            name = tag.partition(": ")[2]
            assert name == "own" or f"'{name}'" in text
    assert "$defs" not in text and "'$ref': '#/definitions/" in text
