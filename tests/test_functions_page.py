"""`docs/howto/functions.md` names every built-in function and driver with all its parameters."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
PAGE = (REPO / "docs" / "howto" / "functions.md").read_text()
FUNCTIONS = sorted(path.stem for path in (REPO / "src/eddy/kernel/functions").glob("[!_]*.py") if path.stem != "condition")
CLASSES = [f"eddy.kernel.functions.{name}:{name.capitalize()}" for name in FUNCTIONS] + [
    "eddy.links.replay:Replay",
    "eddy.links.simulated:Simulated",
    "eddy.links.mqtt_in:Subscribe",
    "eddy.links.amqp_in:Consume",
    "eddy.links.http:Http",
    "eddy.links.websocket:WebSocket",
    "eddy.links.folder:Folder",
    "eddy.links.serial_in:Serial",
    "eddy.links.webhook:Webhook",
    "eddy.links.email:Email",
    "eddy.links.mqtt:Publish",
    "eddy.links.homeassistant:HomeAssistant",
    "eddy.links.gpio:Pin",
    "eddy.links.log:Log",
    "eddy.knowledge.lake:Lake",
    "eddy.pool.judging:Judge",
]
USE = {"judging": "pool", "mqtt_in": "mqtt", "amqp_in": "amqp", "serial_in": "serial", "homeassistant": "mqtt"}
"""Where the page goes by another name."""


@pytest.mark.parametrize("place", CLASSES)
def test_its_row_has_its_parameters(place: str) -> None:
    module, name = place.split(":")
    file = module.rpartition(".")[2]
    made = getattr(import_module(module), name)
    page = PAGE[PAGE.index("## Sinks") :] if hasattr(made, "write") else PAGE
    row = re.search(rf"^\| `{USE.get(file, file)}` .*\n(\| \| .*\n)*", page, re.MULTILINE)
    assert row, "no row"
    parameters = set(inspect.signature(made).parameters) - {"resume", "home", "fsync", "now_ns"}
    assert not {parameter for parameter in parameters if not re.search(rf"`{parameter}[`:]", row[0])}
