"""`eddy send`: the rows of CSV files into a running source, over its own protocol, with its word that they are kept."""

from pathlib import Path
from typing import Annotated

import typer

from eddy.cli.console import JSON_HELP

TOKEN_HELP = "File with the token of the source, readable by you only; or set EDDY_TOKEN."  # noqa: S105 - no token


def send(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="CSV files with a header.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="URL", help="mqtt://host:port or amqp://host:port/vhost of the broker, http://host:port/path or ws://host:port/path."
        ),
    ],
    topic: Annotated[str, typer.Option(help="Of MQTT: what to publish to; of AMQP: the queue.")] = "",
    mqtt: Annotated[int, typer.Option("--mqtt-version", min=4, max=5, help="4 is MQTT 3.1.1, which the embedded broker speaks.")] = 5,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Rows of a message; of several it is a list.")] = 50,
    delimiter: Annotated[str, typer.Option(help="What separates fields.")] = ",",
    decimal: Annotated[str, typer.Option(help="What separates the fraction.")] = ".",
    time: Annotated[str, typer.Option(metavar="COLUMN,COLUMN", help="What makes up the time; it becomes the field 'time'.")] = "",
    time_format: Annotated[str | None, typer.Option(help="As strptime takes it; ISO 8601 without.")] = None,
    missing: Annotated[list[str] | None, typer.Option(help="What stands for no value, besides NA and nothing; repeatable.")] = None,
    field: Annotated[list[str] | None, typer.Option(metavar="NAME=TEXT", help="One more field of every row; repeatable.")] = None,
    skip: Annotated[int, typer.Option(min=0, help="Rows that are not sent, to go on where it stopped.")] = 0,
    ca: Annotated[Path | None, typer.Option(help="Whom to trust for TLS, PEM; what this machine trusts without.")] = None,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", envvar="EDDY_TOKEN_FILE", help=TOKEN_HELP)] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Send the rows of CSV files to a source, as JSON, and wait until all of them are kept.

    Ends with 1 when the source put some of them into quarantine.
    """
    from itertools import chain, islice
    from time import monotonic

    from eddy.cli import client, console
    from eddy.cli.progress import Display
    from eddy.links.rows import messages, rows
    from eddy.links.send import sender

    console.check_writable(json)
    more = _fields(field or [])
    columns = [name for name in time.split(",") if name]
    tables = (rows(file, delimiter, decimal, columns, time_format, missing or [], more) for file in files)
    sent, began_s = 0, monotonic()
    way = sender(to, topic, mqtt, client.read_token(token_file) or "", str(ca) if ca else None)
    with Display(console.progress_console(), "sending") as display:
        try:
            for count, body in messages(islice(chain.from_iterable(tables), skip, None), batch):
                way.send(body)
                sent += count
                display.update({"done": sent, "doing": f"{sent:,} rows sent"})
            way.finish()
        except BaseException:
            display.update({"event": f"{sent:,} rows were sent, and the {way.promise} has told of {way.kept:,} that they are kept"})
            raise
        finally:
            way.close()
    seconds = monotonic() - began_s
    whose = "the node has kept them" if way.promise == "node" else "the broker has them, which is its own promise"
    out = console.result_console(json)
    out.print(f"{sent:,} rows in {seconds:.1f} s: {whose}", markup=False)
    if way.quarantined:
        out.print(f"{way.quarantined:,} went to quarantine: {way.reason}", markup=False)
    if json is not None:
        said = {"rows": sent, "seconds": seconds, "promise": way.promise, "kept": way.kept, "quarantined": way.quarantined}
        console.write_json(json, said | {"reason": way.reason})
    if way.quarantined:
        raise typer.Exit(1)


def _fields(given: list[str]) -> dict[str, str]:
    from eddy.errors import SettingError

    fields = dict(one.partition("=")[::2] for one in given)
    if wrong := [one for one in given if "=" not in one]:
        raise SettingError(f"--field {wrong[0]}: write NAME=TEXT")
    return fields
