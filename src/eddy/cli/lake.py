"""`eddy report`, `insight`, `aggregate`, `forget`: what a lake holds, says by itself and comes to, and what is to leave it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from eddy.cli.console import JSON_HELP
from eddy.cli.query import FORMATS, LAKE_HELP, located, opened, write

Where = Annotated[str, typer.Option("--lake", envvar="EDDY_LAKE", metavar="DIR", help=LAKE_HELP)]
_PATIENCE_S = 3600.0  # for each of Eddy's own queries: of a large lake they take longer than one of a person may
_JOURNALS = (
    "{}: the journal of a node holds what the lake has had until the node sums it up: when it ends, else after some 64 KiB for each "
    "function, which may take days. End the node (start one that was killed before that), and forget again: what still holds the name "
    "then waits for the lake, or is the state of a function."
)

Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)]


def report(
    lake: Where,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the page is written.")] = Path("lake.html"),
    title: Annotated[str, typer.Option(help="Of the page.")] = "What the lake holds",
    json: Json = None,
) -> None:
    """Write one HTML page: streams, their quality, charts, and what is worth a look."""
    from eddy.cli import console
    from eddy.dashboard.lake import render

    console.check_writable(output, json)
    with opened(lake, limit_s=_PATIENCE_S, command="report") as here:
        page = render(here, title)
        streams = here.streams
    console.write_text(output, page)
    console.result_console(json).print(f"{output}: {len(streams)} streams, {len(page.encode()):,} bytes", markup=False)
    if json is not None:
        console.write_json(json, {"file": str(output), "streams": streams, "bytes": len(page.encode())})


def insight(lake: Where, json: Json = None) -> None:
    """Say what the series show by themselves: trends, seasons, anomalies, correlations, each with its evidence."""
    from dataclasses import asdict

    from eddy.cli import console
    from eddy.knowledge.insight import findings

    console.check_writable(json)
    with opened(lake, command="insight") as here:
        found = findings(here)
    out = console.result_console(json)
    for finding in found:
        evidence = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in finding.evidence.items())
        out.print(f"{finding.kind:<12} {finding.text}", markup=False, soft_wrap=True)
        out.print(f"{'':<12} {evidence}", markup=False, soft_wrap=True, style="dim")
    if not found:
        out.print("No trend, season, anomaly or correlation stands out.")
    if json is not None:
        console.write_json(json, {"findings": [asdict(finding) for finding in found]})


def aggregate(
    stream: Annotated[str, typer.Argument(help="What is summed up; its numbers `value`, unless --field says otherwise.")],
    lake: Where,
    field: Annotated[str, typer.Option(help="The column.")] = "value",
    every: Annotated[str, typer.Option(metavar="DURATION", help="Length of a step, such as 10m or 1h.")] = "1h",
    by: Annotated[Literal["origin", "all"], typer.Option(help="Each origin for itself, or all of them together.")] = "origin",
    cluster: Annotated[str | None, typer.Option(metavar="URL", help="Dask scheduler whose workers do it; this process without.")] = None,
    into: Annotated[str | None, typer.Option(metavar="STREAM", help="Keep it in the lake, in place of what was kept so before.")] = None,
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="How the rows are written, without --into.")] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json; with --into, how many rows.")] = False,
) -> None:
    """Sum a stream up in steps of time: how many, mean, least and most. The result is the same with a cluster and without."""
    import time

    from eddy.cli import console
    from eddy.errors import SettingError
    from eddy.knowledge import aggregate as aggregating
    from eddy.knowledge.tables import Place
    from eddy.spec.diagnostics import Invalid
    from eddy.spec.quantities import DURATION_MS, parse

    form = "json" if json else form
    if form not in FORMATS:
        raise SettingError(f"{form!r} is no format: choose one of {', '.join(FORMATS)}")
    try:
        every_us = round(parse(every, DURATION_MS) * 1000)
    except Invalid as error:
        raise SettingError(f"--every: {error}") from None
    if every_us < 1:
        raise SettingError("--every: a step is a microsecond long at least")
    run: aggregating.Run = aggregating.here
    if cluster is not None:
        from eddy.knowledge.cluster import on

        run = on(cluster)
    place = Place(located(lake))
    result = aggregating.aggregate(place, stream, field, every_us, by == "origin", run)
    if into is None:
        write(result, form)
        return
    aggregating.keep(place, into, stream, result, time.time_ns() // 1000)
    if json:
        console.write_json("-", {"stream": into, "rows": result.num_rows})
    else:
        console.result_console(None).print(f"{into}: {result.num_rows:,} rows", markup=False)


def forget(
    origin: Annotated[str, typer.Option("--origin", help="Whose samples are to leave: a device, or a person.")],
    lake: Where,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="What nodes keep; without it, .eddy here when the lake is here, too."),
    ] = None,
    json: Json = None,
) -> None:
    """Remove every row of an origin from the tables, with the files and log entries that told of it; then search all that is left.

    Likewise from the databases of the nodes, of which it names the models that were trained on the origin. Ends with 1 when something still
    holds the name: values of others, samples that still wait, or files that are no part of the lake.
    """
    from dataclasses import asdict

    from eddy.cli import console
    from eddy.errors import SettingError
    from eddy.knowledge import forget as forgetting

    if "://" in lake:
        raise SettingError("only a lake in a folder can be searched afterwards: run it where the folder is")
    console.check_writable(json)
    if state is None and Path(".eddy").is_dir() and Path(lake).expanduser().resolve().is_relative_to(Path.cwd()):
        state = Path(".eddy")
    done = forgetting.forget(Path(lake).expanduser(), origin, state)
    out = console.result_console(json)
    for table, rows in done.rows.items():
        out.print(f"{table}: {rows:,} rows removed", markup=False)
    out.print(f"{done.searched:,} files searched, {len(done.left):,} hold the name" + (":" if done.left else ""), markup=False)
    for one in done.left:
        out.print(f"  {one}", markup=False, soft_wrap=True)
    if done.journals:
        out.print(_JOURNALS.format(" and ".join(done.journals)), markup=False, soft_wrap=True)
    for base, models in done.trained.items():
        out.print(f"{base}: {len(models):,} models were trained on it: {', '.join(model[:12] for model in models)}", markup=False)
    if json is not None:
        console.write_json(json, asdict(done))
    if done.left:
        raise typer.Exit(1)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
