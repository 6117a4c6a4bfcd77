"""`eddy node`: the nodes of a hub, who may join, and who is dead."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

app = typer.Typer(no_args_is_help=True, help="The nodes of a hub: who is there, who may join, who is dead.")

Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)]


@app.command()
def run(
    name: Annotated[str, typer.Option(help="Of this node, as apps name it.")],
    tier: Annotated[Literal["gateway", "cloud"], typer.Option(help="What it is; devices are at the ports of gateways.")] = "gateway",
    folder: Annotated[Path | None, typer.Option("--dir", metavar="DIR", help="Where it keeps what it has; eddy-NAME without.")] = None,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where others reach it, over mutual TLS.")] = "127.0.0.1:7448",
    device: Annotated[list[str] | None, typer.Option(metavar="NAME=PORT", help="A device at a serial port of this node.")] = None,
    join_token: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Join token, at first run: what `eddy node token` printed; or set EDDY_JOIN_TOKEN.")
    ] = None,
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Json = None,
) -> None:
    """Run a node until Ctrl-C: it joins its hub at first run, and hosts what that assigns, whether the hub is there or not.

    JSON: where it was.
    """
    from eddy.cli.console import check_writable, progress_console, write_json
    from eddy.cli.hub import endpoint
    from eddy.cli.joining import join
    from eddy.errors import SettingError
    from eddy.node.service import read_device, serve
    from eddy.security import keyfile
    from eddy.security.identity import Identity

    check_writable(json)
    place = folder or Path(f"eddy-{name}")
    identity = Identity.load_or_create(place / "identity", name)
    out = progress_console()
    known = place / "hub.endpoint"
    if identity.expires() is None or not known.exists():
        token = join_token.read_text(encoding="utf-8").strip() if join_token else os.environ.get("EDDY_JOIN_TOKEN", "")
        if not token:
            raise SettingError(f"{name} has not joined yet: make a token with eddy node token --node {name}, and name its file")
        with client.connect(hub, token_file) as there:
            keyfile.write(known, join(there, identity, token).encode(), replace=True)
        out.print(f"{name} has joined the hub at {hub}", markup=False)
    others = [known.read_text(encoding="utf-8")]
    out.print(f"node {name} at {listen}; Ctrl-C ends", markup=False)
    serve(name, place, endpoint(listen), others, identity, tier, dict(read_device(text) for text in device or []))
    out.print("stopped; what is kept stays in " + str(place), markup=False)
    if json is not None:
        write_json(json, {"name": name, "tier": tier, "address": listen, "folder": str(place)})


@app.command("list")
def list_nodes(hub: client.HubUrl = client.HUB, token_file: client.TokenFile = None, json: Json = None) -> None:
    """List the nodes, when they were last heard, and how much they host."""
    from rich.table import Table

    from eddy.cli import console, status

    console.check_writable(json)
    with client.connect(hub, token_file) as there:
        nodes = there.nodes()
    table = Table("node", "tier", "state", "heard", "owns", "follows", "address", box=None, padding=(0, 2, 0, 0))
    for one in nodes:
        counts = (str(len(one.functions)), str(len(one.copies)))
        table.add_row(one.name, one.tier, one.state, status.age(one.heard_ms), *counts, one.address)
    console.result_console(json).print(table)
    if json is not None:
        console.write_json(json, {"nodes": [asdict(one) for one in nodes]})


@app.command()
def token(
    node: Annotated[str | None, typer.Option(help="For the node of this name only.")] = None,
    expires: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="It is worth nothing after so long.")] = 3600,
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Json = None,
) -> None:
    """Make a token with which a node may join; standard output holds nothing else."""
    from eddy.cli import console

    console.check_writable(json)
    with client.connect(hub, token_file) as there:
        made = there.call("POST", "tokens", {"node": node, "expires_s": expires})["token"]
    console.progress_console().print(f"for {node or 'any node'}, for {expires} s: whoever has it can join", markup=False)
    if json is None:
        typer.echo(made)
    else:
        console.write_json(json, {"token": made, "node": node, "expires_s": expires})


@app.command()
def gone(
    node: Annotated[str, typer.Argument(help="Name of the node.")],
    why: Annotated[str, typer.Option(help="How you know, for the ledger.")],
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Json = None,
) -> None:
    """Declare a node dead, so that what it owned goes to others. One that only cannot be reached would be cut off while it works."""
    from urllib.parse import quote

    from eddy.cli import console

    console.check_writable(json)
    with client.connect(hub, token_file) as there:
        there.call("POST", f"nodes/{quote(node, safe='')}/gone", {"why": why})
        owned = [one.instance for one in there.functions() if one.node == node]
    text = f"{node} counts as dead; " + (f"still to be taken over: {', '.join(owned)}" if owned else "it owns nothing")
    console.result_console(json).print(text, markup=False, soft_wrap=True)
    if json is not None:
        console.write_json(json, {"node": node, "owns": owned})
