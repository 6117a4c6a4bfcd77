"""`eddy logs`: what was decided and what happened."""

import json as jsonlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from heapq import merge
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from rich.text import Text

    from eddy.hub.view import Decision, Event


def logs(
    function: Annotated[str | None, typer.Argument(help="About this instance only.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C; with --json, one line of JSON for each.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, max=1000, help="How many of the past to show.")] = 50,
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Show decisions with their reasons, and what nodes told: faults, refusals, silence."""
    from eddy.cli import console
    from eddy.errors import SettingError

    if follow and json not in (None, "-"):
        raise SettingError("with --follow JSON goes line by line to standard output: give --json -")
    console.check_writable(json)
    out = console.result_console(json)

    def show(item: "Decision | Event") -> None:
        if follow and json == "-":
            sys.stdout.write(jsonlib.dumps(entry(item)) + "\n")
            sys.stdout.flush()
        else:
            out.print(line(item), soft_wrap=True)

    with client.connect(hub, token_file) as there:
        if function is not None:
            there.function(function)  # a name that is wrong is told, not waited for
        found, position = past(there, function, last)
        for item in found:
            show(item)
        if follow:
            _follow(there.follow(function, position), show)
        elif json is not None:
            console.write_json(json, {"entries": [entry(item) for item in found]})


def past(there: client.Hub, instance: str | None, last: int) -> "tuple[list[Decision | Event], str]":
    """(the newest decisions and events, oldest first; the position after them, for `Hub.follow`)."""
    decisions, events = there.decisions(instance, None, max(last, 1)), there.events(None, max(last, 1))
    position = f"{decisions[-1].number if decisions else 0}.{events[-1].number if events else 0}"
    about: list[Decision | Event] = [event for event in events if instance in (None, event.instance)]
    found = list(merge(decisions, about, key=lambda item: item.time_ms))
    return found[len(found) - min(last, len(found)) :], position


def entry(item: "Decision | Event") -> dict[str, Any]:
    """As JSON, with `type`."""
    return {"type": "decision" if hasattr(item, "why") else "event", **asdict(item)}


def line(item: "Decision | Event") -> "Text":
    """For people, in local time."""
    from rich.text import Text

    from eddy.hub.view import Decision

    at = Text(moment(item.time_ms) + "  ", style="dim")
    if isinstance(item, Decision):
        return at + Text.assemble((item.instance, "bold"), f"  {item.what}", (f"  (term {item.term}; {item.why})", "dim"))
    where = f"{item.instance} on {item.node}" if item.instance else item.node
    return at + Text.assemble((where, "bold"), (f"  {item.kind}", "yellow"), f"  {item.text}")


def moment(time_ms: int) -> str:
    """A time as date and time here."""
    return datetime.fromtimestamp(time_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _follow(news: "Iterable[Decision | Event]", show: "Callable[[Decision | Event], None]") -> None:
    try:
        for item in news:
            show(item)
    except KeyboardInterrupt:
        return
