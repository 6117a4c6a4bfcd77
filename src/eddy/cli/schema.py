"""`eddy schema`: the JSON Schema of an app's file, for editors."""

from typing import Annotated

import typer

from eddy.cli.console import JSON_HELP


def schema(json: Annotated[str, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = "-") -> None:
    """Print the JSON Schema (draft-07) of an app's file, which editors complete and check with."""
    from eddy.cli import console
    from eddy.spec.schema import schema as make

    console.write_json(json, make())
