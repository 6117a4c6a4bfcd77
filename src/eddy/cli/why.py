"""`eddy why`: where a function is, since when, and all that was decided about it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from eddy.hub.view import Decision, FunctionView


def why(
    function: Annotated[str, typer.Argument(help="Name of the instance, such as detect@pump-3.")],
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Tell where a function is, since when and for what reason, and everything that was decided before."""
    from eddy.cli import console, logs

    console.check_writable(json)
    with client.connect(hub, token_file) as there:
        now = there.function(function)
        decided = there.history(function)
    begun = since(decided, now.term)
    out = console.result_console(json)
    out.print(f"{function} is on {now.node}" + (f" since {logs.moment(begun.time_ms)}" if begun else ""), markup=False, style="bold")
    for text in _facts(now, begun):
        out.print(f"  {text}", markup=False, soft_wrap=True)
    out.print("Decisions")
    for one in decided:
        out.print("  ", logs.line(one), sep="", soft_wrap=True)
    if json is not None:
        found = {"function": asdict(now), "since_ms": begun.time_ms if begun else None, "reason": begun.why if begun else now.why}
        console.write_json(json, found | {"decisions": [asdict(one) for one in decided]})


def since(decided: "list[Decision]", term: int) -> "Decision | None":
    """The decision that made the owner of this term the owner; None when the ledger does not reach so far back."""
    return next((one for one in decided if one.term == term), None)


def _facts(now: "FunctionView", begun: "Decision | None") -> list[str]:
    copies = [node for node in now.in_sync if node != now.node]
    facts = [f"because {begun.why}" if begun else f"last decision: {now.why}"]
    if now.wanted != now.node:
        facts.append(f"on its way to {now.wanted}: {now.why}")
    facts.append(f"term {now.term}; " + (f"{', '.join(copies)} could take over at once" if copies else "no other node has a copy"))
    if now.labels:
        facts.append(f"its outputs are {', '.join(now.labels)}")
    if now.faults:
        facts.append(f"{now.faults} faults, the last one: {now.fault}")
    return facts
