"""`eddy search`: what holds these words, among decisions, events and the files of apps."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from eddy.hub.view import Decision, Event


def search(
    text: Annotated[str, typer.Argument(help='Words that all have to be there, begin*, "several words" that follow each other.')],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many of each kind, the newest.")] = 50,
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Search what was decided and why, what happened, and the files of apps. Case makes no difference."""
    from eddy.cli import console, logs

    console.check_writable(json)
    with client.connect(hub, token_file) as there:
        found = there.search(text, limit)
    out = console.result_console(json)
    for one in found.documents:
        out.print(f"{one.app}/{one.path}:{one.line}", style="bold", markup=False, end="  ")
        out.print(one.text, markup=False, soft_wrap=True)
    entries: list[Decision | Event] = [*found.decisions, *found.events]
    for entry in sorted(entries, key=lambda item: item.time_ms):
        out.print(logs.line(entry), soft_wrap=True)
    if not found.documents and not entries:
        out.print("Nothing holds all of these words.")
    if json is not None:
        console.write_json(json, asdict(found))
