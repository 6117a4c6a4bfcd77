"""`eddy plan`: where each function would run and why, what it costs, and what would change. It changes nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP
from eddy.errors import NoPlan

if TYPE_CHECKING:
    from eddy.planner.explain import Running
    from eddy.spec.model import App

CHANGES = 3  # exit code: there is something to change


def plan(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", exists=True, dir_okay=False, help="The app.")] = Path("eddy.yaml"),
    running: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="What runs: the JSON of the plan that was applied.")
    ] = None,
    hub: Annotated[
        str | None, typer.Option(metavar="URL", help="Compare with what runs at a hub, and plan with the nodes it hears.")
    ] = None,
    token_file: client.TokenFile = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Show where each function would run and why, what it costs and what would change; change nothing.

    Exit codes: 0 nothing to change, 3 something to change, 1 no plan, 2 wrong use.
    """
    from eddy.cli import console
    from eddy.spec.load import load

    console.check_writable(json)
    described = load(file)
    if hub is not None:
        with client.connect(hub, token_file) as there:
            result = there.call("POST", "plan", {"text": file.read_text(encoding="utf-8"), "files": client.own_files(described)})
    else:
        result = _here(described, _running(running) if running is not None else {})
    out = console.result_console(json)
    for line in result["text"]:
        out.print(line, markup=False, soft_wrap=True)
    if json is not None:
        console.write_json(json, result)
    if result["changes"]:
        raise typer.Exit(CHANGES)


def _here(described: "App", now: "dict[str, Running]") -> dict[str, Any]:
    """The plan of an app without a hub."""
    from eddy.planner import explain
    from eddy.planner.from_app import problem
    from eddy.planner.plan import plan as make

    try:
        whole = problem(described, client.own_code(described))
        placed = {function.name for function in whole.functions}
        found = make(whole, {name: there.node for name, there in now.items() if name in placed})
    except NoPlan as error:
        raise _placed(error, described) from None
    return explain.result(found, explain.changes(found, now))


def _placed(error: NoPlan, described: "App") -> NoPlan:
    """The same, each reason with the place of what it is about."""
    sections = {name: section for section in ("sources", "functions", "sinks") for name in getattr(described, section)}
    reasons = []
    for instance, reason in error.reasons:
        name = instance.partition("@")[0]
        place = f"{described.where(sections[name], name)}: " if name in sections else ""
        reasons.append((instance, place + reason))
    return NoPlan(reasons, error.way_out)


def _running(file: Path) -> "dict[str, Running]":
    """What runs, from the JSON that this command writes.

    Raises:
        DataError: It is not that.
    """
    import json

    from eddy.errors import DataError
    from eddy.planner.explain import Running

    try:
        applied = json.loads(file.read_text(encoding="utf-8"))
        there = {**applied["placement"], **applied["pinned"]}
        return {str(name): Running(str(one["node"]), str(one["digest"])) for name, one in there.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} does not say what runs ({error!r}): give the file that eddy plan --json wrote") from None
