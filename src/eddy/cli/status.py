"""`eddy status`: what runs where, now."""

import json as jsonlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from rich.tree import Tree

    from eddy.hub.view import FunctionView, NodeView

_STYLES = {"up": "green", "silent": "yellow", "gone": "red"}
EVERY_S = 1.0


def status(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C; with --json -, one line of JSON a second.")] = False,
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Show the nodes, what they host and follow, terms, moves that are under way, and who is silent."""
    from rich.live import Live

    from eddy.cli import console

    console.check_writable(json)
    out = console.result_console(json)
    with client.connect(hub, token_file) as there:
        if not follow:
            now = _look(there)
            out.print(tree(*now))
            if json is not None:
                console.write_json(json, result(*now))
            return
        with Live(tree(*_look(there)), console=out, auto_refresh=False) as live:
            try:
                while True:
                    now = _look(there)
                    live.update(tree(*now), refresh=True)
                    if json == "-":
                        sys.stdout.write(jsonlib.dumps(result(*now)) + "\n")
                        sys.stdout.flush()
                    elif json is not None:
                        console.write_json(json, result(*now))
                    client.pause(EVERY_S)
            except KeyboardInterrupt:
                return


def _look(there: client.Hub) -> "tuple[list[NodeView], list[FunctionView], int]":
    return there.nodes(), there.functions(), there.waiting()


def result(nodes: "list[NodeView]", functions: "list[FunctionView]", waiting: int = 0) -> dict[str, Any]:
    """All as JSON."""
    return {
        "nodes": [asdict(node) for node in nodes],
        "functions": [asdict(function) for function in functions],
        "devices_waiting": waiting,
    }


def tree(nodes: "list[NodeView]", functions: "list[FunctionView]", waiting: int = 0) -> "Tree":
    """Nodes with what they own and follow; functions on nodes that the hub does not know, and how many devices wait, come last."""
    from rich.text import Text
    from rich.tree import Tree

    views = {function.instance: function for function in functions}
    root = Tree(Text(f"{len(nodes)} nodes, {len(functions)} functions"))
    for node in nodes:
        text = Text.assemble((node.name, "bold"), f"  {node.tier}  ", (node.state, _STYLES.get(node.state, "")))
        if node.state != "up":
            text.append(f", last heard {age(node.heard_ms)}")
        branch = root.add(text)
        for name in node.functions:
            branch.add(_line(views.pop(name)) if name in views else Text(name))
        for name in node.copies:
            branch.add(Text(f"{name}  copy", style="dim"))
    for function in views.values():
        root.add(Text.assemble((f"{function.node}?  ", "red"), _line(function)))
    if waiting:
        root.add(Text(f"devices that wait for approval: {waiting}; see eddy devices --waiting", style="yellow"))
    return root


def age(heard_ms: int | None) -> str:
    """How long ago, for people."""
    if heard_ms is None:
        return "never"
    if heard_ms < 10_000:
        return f"{heard_ms / 1000:.1f} s ago"
    seconds = heard_ms // 1000
    if seconds < 120:
        return f"{seconds} s ago"
    return f"{seconds // 60} min ago" if seconds < 7200 else f"{seconds // 3600} h ago"


def _line(function: "FunctionView") -> Any:
    from rich.text import Text

    text = Text.assemble(function.instance, (f"  {function.kind}, term {function.term}", "dim"))
    if function.wanted != function.node:
        text.append(f"  → {function.wanted}", style="cyan")
    elif function.stopped:
        text.append("  stopped", style="yellow")
    others = [node for node in function.in_sync if node != function.node]
    if others:
        text.append(f"  in sync: {', '.join(others)}", style="dim")
    if function.faults:
        text.append(f"  {function.faults} faults: {function.fault}", style="red")
    return text
