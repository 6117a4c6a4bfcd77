"""`eddy init`: a first app to start from, with the schema for editors beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

TEMPLATES = {
    "pump": "bearings of pumps: features on a microcontroller, a model that trains there, a pool on the gateway, an alarm",
    "air": "particulate matter: an hourly mean and an alarm, on a gateway and in the cloud",
    "fleet": "a testbed over MQTT, rooms over HTTP, a street over WebSockets and a pump, kept in one lake",
    "activity": "movements of a person, which stay private: windows, features and a model on the phone",
}


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", file_okay=False, help="Where; it is made if need be.")] = Path(),
    template: Annotated[Literal["pump", "air", "fleet", "activity"], typer.Option(help="What to start from.")] = "pump",
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Write an app to start from: eddy.yaml, and .eddy/schema.json for the editor. An eddy.yaml that is there stays as it is."""
    from eddy.cli import console
    from eddy.errors import SettingError
    from eddy.spec.schema import schema

    console.check_writable(json)
    app, described = folder / "eddy.yaml", folder / ".eddy" / "schema.json"
    if app.exists():
        raise SettingError(f"{app} is there already: choose another folder, or remove it")
    console.write_text(app, example(template).read_text(encoding="utf-8"))
    console.write_json(str(described), schema())
    out = console.result_console(json)
    out.print(f"{app}: {TEMPLATES[template]}", markup=False, soft_wrap=True)
    out.print(f"next: eddy check {app}, eddy plan {app}", markup=False, soft_wrap=True)
    if json is not None:
        console.write_json(json, {"template": template, "files": [str(app), str(described)]})


def example(template: str) -> "Traversable":
    """The file of a template: in the wheel under `eddy/examples`, in a checkout under `examples`."""
    from importlib.resources import files

    installed = files("eddy") / "examples" / template / "eddy.yaml"
    return installed if installed.is_file() else Path(__file__).parents[3] / "examples" / template / "eddy.yaml"
