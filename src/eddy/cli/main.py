"""`eddy`: collects the verbs, and turns errors into one message and an exit code.

Exit codes: 0 fine, 1 failed, 2 wrong use; `plan` ends with 3 when there is something to change.
"""

from importlib.metadata import version as installed_version
from typing import Any

import typer
from typer.core import TyperGroup

from eddy.cli import (
    alarms,
    bench,
    check,
    console,
    demo,
    device,
    devices,
    doctor,
    hub,
    init,
    lake,
    logs,
    model,
    move,
    node,
    plan,
    query,
    schema,
    search,
    send,
    status,
    up,
    why,
)
from eddy.errors import EddyError


class Verbs(TyperGroup):
    """Shows an error of Eddy as its message: what happened, where, what to do next. A stack trace is for faults of Eddy itself."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EddyError as error:
            console.complain(error)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Verbs,
    name="eddy",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The machine-learning loop of an IoT system, from microcontroller to cloud.",
)
app.add_typer(alarms.app, name="alarms")
app.add_typer(demo.app, name="demo")
app.add_typer(bench.app, name="bench")
app.add_typer(device.app, name="device")
app.add_typer(devices.app, name="devices")
app.add_typer(hub.app, name="hub")
app.add_typer(model.app, name="model")
app.add_typer(node.app, name="node")
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)
app.command("check")(check.check)
app.command("plan")(plan.plan)
app.command("aggregate")(lake.aggregate)
app.command("forget")(lake.forget)
app.command("insight")(lake.insight)
app.command("report")(lake.report)
app.command("query")(query.query)
app.command("send")(send.send)
app.command("schema")(schema.schema)
app.command("status")(status.status)
app.command("move")(move.move)
app.command("logs")(logs.logs)
app.command("search")(search.search)
app.command("up")(up.up)
app.command("down")(up.down)
app.command("why")(why.why)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(installed_version("eddy"))
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
) -> None:
    """The machine-learning loop of an IoT system, from microcontroller to cloud."""
