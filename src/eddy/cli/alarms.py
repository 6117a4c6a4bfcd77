"""`eddy alarms`: what is raised, and by whom it was seen; `eddy alarms ack` says that somebody has."""

import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP
from eddy.hub.view import is_alarm

if TYPE_CHECKING:
    from eddy.hub.view import FunctionView

WAIT_S = 10.0
_LOOK_S = 0.1

app = typer.Typer(help="Alarms that are raised, and who has acknowledged them.")

Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)]


@app.callback(invoke_without_command=True)
def alarms(context: typer.Context, hub: client.HubUrl = client.HUB, token_file: client.TokenFile = None, json: Json = None) -> None:
    """List what is raised: where, since when, the value that raised it, and who has acknowledged it."""
    from eddy.cli import console, logs

    if context.invoked_subcommand:
        return
    console.check_writable(json)
    found: list[dict[str, Any]] = []
    with client.connect(hub, token_file) as there:
        for one in there.functions():
            if is_alarm(one):
                found += _raised(there, one)
    out = console.result_console(json)
    for row in found:
        seen = f"acknowledged by {row['by']}" + (f": {row['note']}" if row["note"] else "") if row["by"] else "not acknowledged"
        number = f"{row['value']:.6g}" if isinstance(row["value"], float) else row["value"]
        value = "" if number is None else f"  value {number} {row['unit']}".rstrip()
        since = logs.moment(row["since_ns"] // 1_000_000)
        out.print(f"{row['alarm']}  {row['origin']}  since {since}{value}  {seen}", markup=False, soft_wrap=True)
    if not found:
        out.print("No alarm is raised.")
    if json is not None:
        console.write_json(json, {"alarms": found})


@app.command("ack")
def ack(
    alarm: Annotated[str, typer.Argument(help="Name of the instance, such as hot or hot@pump-3.")],
    origin: Annotated[str | None, typer.Option("--origin", help="Of this one only; else of all that are raised.")] = None,
    note: Annotated[str, typer.Option("--note", help="What is being done.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who says so; without it, the name of the user of this process.")] = "",
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Json = None,
) -> None:
    """Say that somebody has seen an alarm: the sinks of the alarm and the ledger are told, and it stays raised until it clears.

    Whoever has the token of the hub may say so under any name.
    """
    from eddy.cli import console
    from eddy.errors import LinkTimeout, SettingError

    console.check_writable(json)
    who = by or client.user()
    with client.connect(hub, token_file) as there:
        one = there.function(alarm)
        if not is_alarm(one):
            raise SettingError(f"{alarm} is no alarm: eddy alarms lists those that are raised")
        wanted = [row for row in _raised(there, one) if not row["by"] and origin in (None, row["origin"])]
        if not wanted:
            of = f" of {origin}" if origin else ""
            raise SettingError(f"nothing of {alarm}{of} waits to be acknowledged: eddy alarms lists what is raised")
        now_ns = time.time_ns()
        said = {row["origin"]: [row["since_ns"], now_ns, who, note] for row in wanted}
        there.call("POST", f"functions/{quote(alarm, safe='')}/settings", {"acknowledge": said})
        waited_s = 0.0
        while any(row["origin"] in said and row["since_ns"] == said[row["origin"]][0] and not row["by"] for row in _raised(there, one)):
            if waited_s >= WAIT_S:
                raise LinkTimeout(f"{alarm} has not heard of it after {WAIT_S:g} s: see eddy status; it will when its node can be reached")
            client.pause(_LOOK_S)
            waited_s += _LOOK_S
    console.result_console(json).print(f"{alarm}: {', '.join(said)} acknowledged by {who}", markup=False, soft_wrap=True)
    if json is not None:
        console.write_json(json, {"alarm": alarm, "origins": list(said), "by": who, "note": note})


def _raised(there: client.Hub, one: "FunctionView") -> list[dict[str, Any]]:
    """Raises LinkTimeout when its owner does not answer: that nothing is raised is not known then."""
    answer = there.call("GET", f"functions/{quote(one.instance, safe='')}/answers/alarms")["answer"]
    names = ("origin", "since_ns", "value", "by", "note", "unit")
    return [{"alarm": one.instance, **dict(zip(names, row, strict=True))} for row in answer]
