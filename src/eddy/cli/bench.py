"""`eddy bench`: the figures of the documentation, measured here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Measure what the documentation claims.")

_FIGURES = (
    ("wire_bytes", "bytes on the wire"),
    ("deploy_s", "deployment at 2,400 baud"),
    ("channel_use", "channel use"),
    ("infer_us", "scoring, normal window"),
    ("infer_anomalous_us", "scoring, anomalous window"),
    ("load_ms", "loading"),
    ("train_ms", "training"),
    ("ram_bytes", "RAM"),
)


@app.callback()
def bench() -> None:
    """Measure what the documentation claims."""


@app.command("far-edge")
def far_edge(
    speed: Annotated[
        int | None, typer.Option(min=1, max=200, help="Deploy over the emulator at so many times real speed; in virtual time without.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of IMS recordings; a simulated bearing without.")] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Isolation forests of 10 to 50 trees on a device and on a 2,400-baud line, beside the paper's way."""
    from eddy.bench import far_edge as measurement
    from eddy.cli import console
    from eddy.cli.progress import Display

    console.check_writable(json)
    with Display(console.progress_console(), "far edge") as display:
        result = measurement.run(speed=speed, data=data, progress=display.update)
    out = console.result_console(json)
    out.print(table(result["rows"]))
    for note in result.get("notes", ()):
        out.print(f"· {note}", style="dim", markup=False)
    if json is not None:
        console.write_json(json, result)


@app.command("plan")
def plan(
    functions: Annotated[int, typer.Option(min=1, max=2000, help="Functions to place.")] = 200,
    nodes: Annotated[int, typer.Option(min=3, max=3000, help="Nodes on a tree of links.")] = 1000,
    limit: Annotated[float | None, typer.Option(min=0.1, help="Seconds to solve; as `eddy plan` without.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another made-up fleet.")] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Place the functions of a made-up fleet, beside greedy placement; then lose the node that hosts most of them."""
    from rich.table import Table

    from eddy.bench import plan as measurement
    from eddy.cli import console

    console.check_writable(json)
    result = measurement.run(functions, nodes, limit, measurement.SEED if seed is None else seed)
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for title, value in measurement.lines(result):
        shown.add_row(title, value)
    console.result_console(json).print(shown)
    if json is not None:
        console.write_json(json, result)


@app.command("move")
def move(
    moves: Annotated[int, typer.Option(min=1, max=10_000, help="Changes of owner.")] = 50,
    kills: Annotated[int, typer.Option("--kill", min=0, help="Of these so many with a kill -9 of a node or the hub.")] = 0,
    state: Annotated[int, typer.Option(min=0, max=50_000_000, help="Bytes of state that move along.")] = 100_000,
    rate: Annotated[int, typer.Option(min=1, max=5000, help="Samples a second.")] = 1000,
    copies: Annotated[int, typer.Option(min=0, max=2, help="Nodes beside the owner that hold a copy.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of what is killed, and where it moves.")] = 1,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Move a counting function under load among three node processes, and count what its sink heard."""
    from rich.table import Table

    from eddy.bench import move as measurement
    from eddy.cli import console
    from eddy.cli.progress import Display

    console.check_writable(json)
    with Display(console.progress_console(), "move") as display:
        result = measurement.run(moves, kills, state, rate, copies, seed, display.update)
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for title, value in result.items():
        text = ", ".join(f"{name} {figure}" for name, figure in value.items()) if isinstance(value, dict) else f"{value:,}"
        shown.add_row(title.replace("_", " "), text)
    console.result_console(json).print(shown)
    if json is not None:
        console.write_json(json, result)


@app.command("fabric")
def fabric(
    records: Annotated[int, typer.Option(min=20, max=10_000_000, help="Records of one sample each.")] = 100_000,
    tls: Annotated[bool, typer.Option("--tls", help="Over mutual TLS, as between machines.")] = False,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Carry samples from one process to another, each effectively once, beside bare Zenoh; then to a slow receiver."""
    from rich.table import Table

    from eddy.bench import fabric as measurement
    from eddy.cli import console
    from eddy.cli.progress import Display

    console.check_writable(json)
    with Display(console.progress_console(), "fabric") as display:
        result = measurement.run(records, display.update, tls)
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for title, value in result.items():
        text = ", ".join(f"{name} {figure}" for name, figure in value.items()) if isinstance(value, dict) else f"{value:,}"
        shown.add_row(title.replace("_", " "), text)
    console.result_console(json).print(shown)
    if json is not None:
        console.write_json(json, result)


@app.command("ingest")
def ingest(
    messages: Annotated[
        int, typer.Option(min=1000, max=10_000_000, help="Single messages; the other runs are shorter in proportion.")
    ] = 60_000,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, max=1440, help="Instead: single messages into a lake for so long; the memory of the node.")
    ] = None,
    overload: Annotated[
        bool, typer.Option("--overload", help="Instead: one source is offered far too much; what a sender at another one feels.")
    ] = False,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Take in messages over MQTT and HTTP until they are durable, beside a bare subscriber that throws them away."""
    from rich.table import Table

    from eddy.bench import ingest as measurement
    from eddy.cli import console
    from eddy.cli.progress import Display

    console.check_writable(json)
    with Display(console.progress_console(), "ingest") as display:
        if minutes is not None or overload:
            result = measurement.run_chain(minutes, 30.0 if overload else None, display.update)
        else:
            result = measurement.run(messages, display.update)
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for title, value in result.items():
        text = ", ".join(f"{name} {_plain(figure)}" for name, figure in value.items()) if isinstance(value, dict) else value
        shown.add_row(title.replace("_", " "), text)
    console.result_console(json).print(shown)
    if json is not None:
        console.write_json(json, result)


def _plain(figure: Any) -> str:
    return " ".join(f"{name} {part:,}" for name, part in figure.items()) if isinstance(figure, dict) else f"{figure:,}"


@app.command("query")
def query(
    rows: Annotated[int, typer.Option(min=10_000, max=1_000_000_000, help="Rows of the table.")] = 5_000_000,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Of the query engine.")] = 2,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Write rows of a hundred sensors into a lake, tend it, and ask for one hour of one sensor and for a group-by over all."""
    from rich.table import Table

    from eddy.bench import query as measurement
    from eddy.cli import console
    from eddy.cli.progress import Display

    console.check_writable(json)
    with Display(console.progress_console(), "query") as display:
        result = measurement.run(rows, display.update, threads)
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for title, value in result.items():
        shown.add_row(title.replace("_", " "), f"{value:,}")
    console.result_console(json).print(shown)
    if json is not None:
        console.write_json(json, result)


def table(rows: list[Mapping[str, Any]]) -> "Table":
    """For each number of trees: ours, the baseline of the same run with how many times it needs, the paper's printed figures."""
    from rich.table import Table

    shown = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "Eddy", "baseline", "times", "paper"):
        shown.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in rows:
        shown.add_row(f"[bold]{row['trees']} trees[/bold]")
        baseline, paper = row.get("baseline") or {}, row.get("paper") or {}
        for name, title in _FIGURES:
            mine, theirs = row.get(name), baseline.get(name)
            times = f"{theirs / mine:,.3g}" if mine and theirs and name != "channel_use" else ""
            shown.add_row(title, _cell(name, mine), _cell(name, theirs), times, _cell(name, paper.get(name)))
    return shown


def _cell(name: str, value: float | None) -> str:
    from eddy.dashboard import figures

    if value is None:
        return figures.ABSENT
    if name == "channel_use":
        return figures.percent(value)
    if name.endswith("_bytes"):
        return f"{figures.count(value)} B"
    return figures.seconds(value / {"_s": 1, "us": 1e6, "ms": 1e3}[name[-2:]])
