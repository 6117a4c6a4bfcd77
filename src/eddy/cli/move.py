"""`eddy move`: another node shall own a function, while it works."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from eddy.hub.view import FunctionView

LOOK_S = 0.1


def move(
    function: Annotated[str, typer.Argument(help="Name of the instance, such as detect@pump-3.")],
    node: Annotated[str, typer.Argument(help="Name of the node that shall own it.")],
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "asked for",
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait until it is done.")] = 60.0,
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Move a function to another node while it works, without losing or doubling a sample, and wait until it is there.

    Exit codes: 0 it is there, 1 it is not (a move that is under way goes on), 2 wrong use.
    """
    from eddy.cli import console

    console.check_writable(json)
    out = console.progress_console()
    with client.connect(hub, token_file) as there:
        before = there.function(function)
        begun = time.monotonic()
        there.move(function, node, why)
        now = _wait(there, function, node, timeout, lambda sentence: out.print(sentence, markup=False))
        took_s = time.monotonic() - begun
    if before.node == node:
        said = f"{function} is on {node} already, term {now.term}"
    else:
        said = f"{function} has moved from {before.node} to {node} in {took_s:.1f} s, term {now.term}"
    console.result_console(json).print(said, markup=False, soft_wrap=True)
    if json is not None:
        found = {"function": function, "from": before.node, "to": now.node, "term": now.term, "seconds": round(took_s, 3)}
        console.write_json(json, found)


def step(function: "FunctionView", node: str) -> str:
    """What a move is waiting for, in words."""
    if node in function.in_sync:
        return f"{node} has caught up: {function.node} stops" if not function.stopped else f"{function.node} has stopped: {node} takes over"
    return f"{node} gets a copy from {function.node} and catches up"


def _wait(there: client.Hub, instance: str, node: str, timeout_s: float, tell: Callable[[str], None]) -> "FunctionView":
    """The instance when the node owns it.

    Raises:
        LinkTimeout: It does not yet.
        Outdated: Somebody else wants it elsewhere by now.
    """
    from eddy.errors import LinkTimeout, Outdated

    told = ""
    waited_s = 0.0
    while True:
        now = there.function(instance)
        if now.node == node:
            return now
        if now.wanted != node:
            raise Outdated(f"{instance} is wanted on {now.wanted} by now ({now.why}): eddy why {instance} tells who decided that")
        if step(now, node) != told:
            told = step(now, node)
            tell(told)
        if waited_s >= timeout_s:
            state = {one.name: one.state for one in there.nodes()}.get(node, "unknown")
            raise LinkTimeout(
                f"{instance} is still on {now.node} after {timeout_s:g} s ({told}; {node} is {state}). "
                f"The move goes on: see eddy status, or take it back with eddy move {instance} {now.node}"
            )
        client.pause(LOOK_S)
        waited_s += LOOK_S
