"""`eddy check`: whether an app's file is written in the language; every problem at once, each with its place and a way out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eddy.cli.console import JSON_HELP


def check(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", exists=True, dir_okay=False, help="The app.")] = Path("eddy.yaml"),
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Check an app's file: tell every problem with file, line and column, and a way out.

    Exit codes: 0 nothing is wrong, 1 something is, 2 wrong use.
    """
    from dataclasses import asdict

    from eddy.cli import console
    from eddy.errors import SpecError
    from eddy.spec.load import load

    console.check_writable(json)
    result: dict[str, Any] = {"file": str(file), "problems": [], "more": 0}
    try:
        app = load(file)
    except SpecError as error:
        result |= {"problems": [asdict(one) for one in error.diagnostics], "more": error.more}
        if json is not None:
            console.write_json(json, result)
        raise
    counts = {section: len(getattr(app, section)) for section in ("nodes", "sources", "functions", "sinks")}
    parts = [f"{count} {section if count != 1 else section[:-1]}" for section, count in counts.items()]
    console.result_console(json).print(f"{file}: {app.name} {app.version} is fine: {', '.join(parts)}", markup=False, soft_wrap=True)
    if json is not None:
        console.write_json(json, result)
