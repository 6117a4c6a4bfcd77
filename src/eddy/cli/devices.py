"""`eddy devices`: who has sent to a source and waits for approval; `eddy devices approve` and `refuse` decide."""

from typing import Annotated
from urllib.parse import quote

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

app = typer.Typer(help="Devices that wait until somebody approves them, and what was decided about others.")

Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)]
Origin = Annotated[str, typer.Argument(help="Name of the device, or a pattern in quotes, such as 'floor-1/*'.")]
Source = Annotated[str, typer.Option("--source", help="What the app calls the source.")]
App = Annotated[str | None, typer.Option("--app", help="The app of the source, where several have one of that name.")]
By = Annotated[str, typer.Option("--by", help="Who says so; without it, the name of the user of this process.")]


@app.callback(invoke_without_command=True)
def devices(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those about whom nobody has decided.")] = False,
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Json = None,
) -> None:
    """List devices that have sent to a source with `unknown: wait`, and what was decided: by whom, and when."""
    from dataclasses import asdict

    from eddy.cli import console, logs

    if context.invoked_subcommand:
        return
    console.check_writable(json)
    with client.connect(hub, token_file) as there:
        found = there.devices("waiting" if waiting else None)
    out = console.result_console(json)
    for one in found:
        line = f"{one.source}  {one.origin or '(others: there is no room for their names)'}  {one.state}"
        if one.decided_ms is not None:
            line += f" by {one.by}, {logs.moment(one.decided_ms)}"
        if one.first_ms is not None and one.last_ms is not None:
            line += f"  {one.waited} waited from {logs.moment(one.first_ms)} to {logs.moment(one.last_ms)}"
        out.print(line, markup=False, soft_wrap=True)
    if not found:
        out.print("No device waits." if waiting else "No device has waited.")
    if json is not None:
        console.write_json(json, {"devices": [asdict(one) for one in found]})


@app.command("approve")
def approve(
    origin: Origin,
    source: Source,
    app: App = None,
    by: By = "",
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Json = None,
) -> None:
    """Let a device send to a source, or all that a pattern means, from now on. What has waited is in quarantine and stays there.

    Whoever has the token of the hub may say so under any name.
    """
    _decide(origin, source, app, True, by, hub, token_file, json)


@app.command("refuse")
def refuse(
    origin: Origin,
    source: Source,
    app: App = None,
    by: By = "",
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Json = None,
) -> None:
    """Take nothing from a device, or from all that a pattern means: what they send goes to quarantine, and they wait no more.

    Whoever has the token of the hub may say so under any name.
    """
    _decide(origin, source, app, False, by, hub, token_file, json)


def _decide(
    origin: str, source: str, app: str | None, approved: bool, by: str, hub: str, token_file: client.TokenFile, json: str | None
) -> None:
    from eddy.cli import console

    console.check_writable(json)
    who = by or client.user()
    with client.connect(hub, token_file) as there:
        of = app or _app_of(there, source)
        path = f"apps/{quote(of, safe='')}/sources/{quote(source, safe='')}/devices"
        there.call("POST", path, {"origin": origin, "approved": approved, "by": who})
    does = "may send" if approved else "may not send"
    said = f"{origin} {does} to {source}, says {who}; its node knows within seconds, and what is in quarantine stays there"
    console.result_console(json).print(said, markup=False, soft_wrap=True)
    if json is not None:
        state = "approved" if approved else "refused"
        console.write_json(json, {"app": of, "source": source, "origin": origin, "state": state, "by": who})


def _app_of(there: client.Hub, source: str) -> str:
    """The app that has a source of that name.

    Raises:
        UnknownName: None has.
        SettingError: Several have.
    """
    from eddy.errors import SettingError
    from eddy.hub.names import unknown

    apps: dict[str, set[str]] = {}
    for one in there.functions():
        if one.kind == "source":
            apps.setdefault(one.name, set()).add(one.app)
    if source not in apps:
        raise unknown("source", source, apps)
    if len(apps[source]) > 1:
        raise SettingError(f"{' and '.join(sorted(apps[source]))} have a source {source}: name one of them with --app")
    return apps[source].pop()
