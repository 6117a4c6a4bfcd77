"""`eddy model`: what the loop of a model knows, and what people ask of it. Its knowledge base lies in the folder of its node."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from eddy.loop import Loop

app = typer.Typer(no_args_is_help=True, help="Champions, pools and rankings of a model of an app.")

Folder = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="Of the loop: nodes/NODE/loops/MODEL where an app runs, of a node loops/MODEL.")
]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)]
Device = Annotated[str, typer.Argument(help="Name of the device.")]


@app.command()
def status(folder: Folder, json: Json = None) -> None:
    """Champion, ranking, false positives and alarms of each device."""
    from eddy.cli import console

    said = _loop(folder).status()
    out = console.result_console(json)
    for name, one in said.items():
        champion, flying = one["champion"], one["deploying"]
        out.print(
            f"{name}: champion {champion['model'][:12] if champion and champion['model'] else 'none'}, "
            f"{len(one['ranking'])} models ranked, {len(one['alarms'])} alarms, "
            f"{'package ' + str(flying['sequence']) + ' ' + flying['state'] if flying else 'nothing on its way'}",
            markup=False,
        )
    if not said:
        out.print("no device was heard here yet", markup=False)
    if json is not None:
        console.write_json(json, said)


@app.command()
def promote(
    device: Device,
    model: Annotated[str, typer.Argument(help="Identity of a candidate, or its beginning; see `status --json -`.")],
    folder: Folder,
    who: Annotated[str, typer.Option(help="Who answers for it.")] = "person",
    json: Json = None,
) -> None:
    """Make a candidate the champion of a device, whatever the ranking says."""
    from eddy.cli.console import result_console, write_json

    sequence = _loop(folder).promote(device, model, who)
    result_console(json).print(f"package {sequence} goes to {device}", markup=False)
    if json is not None:
        write_json(json, {"device": device, "sequence": sequence})


@app.command()
def threshold(
    device: Device,
    value: Annotated[float, typer.Argument(min=0, max=1, help="Scores above it are anomalous.")],
    folder: Folder,
    who: Annotated[str, typer.Option(help="Who answers for it.")] = "person",
    json: Json = None,
) -> None:
    """Another threshold for the champion of a device, without another model: a signed package of some 150 bytes."""
    from eddy.cli.console import result_console, write_json

    sequence = _loop(folder).configure(device, who, threshold=round(value * 65536))
    result_console(json).print(f"package {sequence} goes to {device}", markup=False)
    if json is not None:
        write_json(json, {"device": device, "sequence": sequence})


@app.command()
def push(
    model: Annotated[Path, typer.Argument(help="A forest in wire form, as `Forest.to_wire()` writes it.")],
    features: Annotated[str, typer.Option(help="Names of its columns in order, separated by commas.")],
    who: Annotated[str, typer.Option(help="Who answers for it.")],
    folder: Folder,
    device: Annotated[str | None, typer.Option(help="For this device only.")] = None,
    json: Json = None,
) -> None:
    """Add a model of your own to the repository: it judges from now on, and is a candidate where it passes verification."""
    import re

    from eddy.cli.console import result_console, write_json
    from eddy.errors import DataError

    names = [name.strip() for name in re.split(r",(?![^(]*\))", features)]  # a comma within brackets is none between names
    try:
        wire = model.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {model}: {error.strerror}") from None
    filed = _loop(folder).push_model(wire, names, who, device)
    result_console(json).print(f"model {filed.id[:12]} joined the repository", markup=False)
    if json is not None:
        write_json(json, {"model": filed.id, "origin": filed.origin, "metrics": filed.metrics})


def _loop(folder: Path) -> "Loop":
    from eddy.errors import SettingError
    from eddy.knowledge.base import KnowledgeBase
    from eddy.loop import Loop

    file = folder / "knowledge.db"
    if not file.exists():
        raise SettingError(f"there is no loop of a model in {folder}: `eddy up` makes nodes/NODE/loops/MODEL where the app keeps its state")
    return Loop(KnowledgeBase(file), device_class=folder.name)
