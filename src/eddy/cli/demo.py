"""`eddy demo`: the whole loop at work, on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from collections.abc import Callable

    from eddy.hub.view import Event
    from eddy.sim.pump import Settings

app = typer.Typer(no_args_is_help=True, help="Play a whole system on this machine.")

PAPER = ("kurtosis", "skewness", "mean")

Rate = Literal["500", "1000", "2000", "native"]


@app.callback()
def demo() -> None:
    """Play a whole system on this machine."""


@app.command()
def pump(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The NASA/IMS folder, or .npz shards of IMS or FEMTO; without it a bearing is simulated."),
    ] = None,
    bearing: Annotated[str, typer.Option(help="Which bearing the first device listens to: 1 to 4 (IMS), 1_1, 2_1, 3_1 (FEMTO).")] = "1",
    rate: Annotated[Rate, typer.Option(help="Sampling rate in Hz, sub-sampled as in the paper.")] = "native",
    devices: Annotated[int, typer.Option(min=1, max=16, help="Devices, each on a bearing and a line of its own.")] = 1,
    speed: Annotated[int, typer.Option(min=1, max=200, help="How many times faster than real the line runs.")] = 20,
    loss: Annotated[float, typer.Option(min=0, max=0.9, help="Share of frames that the line loses.")] = 0.0,
    corrupt: Annotated[float, typer.Option(min=0, max=0.5, help="Share of bytes that the line corrupts.")] = 0.0,
    seed: Annotated[int, typer.Option(min=1, max=2_147_483_562, help="The same seed plays the same run.")] = 1,
    features: Annotated[
        str | None, typer.Option(help="What the champion looks at: names separated by commas, or 'paper'; rms and two more without.")
    ] = None,
    train: Annotated[int | None, typer.Option(min=10, max=256, help="Windows that the champion is trained on; 120 without.")] = None,
    quantile: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Per mille of these that it calls normal, 980 without; 850 arranges one that cries wolf."),
    ] = None,
    heap: Annotated[bool, typer.Option(help="Find the smallest heap that completes, by bisection.")] = True,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the app and all that hub, nodes and devices have in DIR.")] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a self-contained HTML report.")] = None,
) -> None:
    """A pump's bearing wears out: the device learns, warns, and gets better models over a 2,400-baud line.

    Plays the app of `eddy init --template pump` as `eddy up` does, with a real MicroPython as the device and an emulated power line.
    """
    import tempfile

    from eddy.cli import console, outcome
    from eddy.cli.progress import Display
    from eddy.sim.pump import Settings

    console.check_writable(json, report)
    settings = Settings(
        data=data,
        bearing=bearing,
        rate_hz=None if rate == "native" else int(rate),
        devices=devices,
        speed=speed,
        loss=loss,
        corrupt=corrupt,
        seed=seed,
        features=_names(features),
        train_windows=train,
        quantile=quantile,
    )
    with Display(console.progress_console(), "pump") as display, tempfile.TemporaryDirectory(prefix="eddy-") as folder:
        result = play(settings, keep or Path(folder), display.update, heap)
    console.result_console(json).print(outcome.of_run(result))
    if json is not None:
        console.write_json(json, result)
    if report is not None:
        from eddy.dashboard.report import render

        console.write_text(report, render(result))
        console.progress_console().print(f"report: {report}", markup=False)


@app.command()
def fleet(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder with skab, room_occupancy_nodes, uci_air_quality and ims_bearing; says where they are from."
        ),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A broker that speaks MQTT 5, as mqtt://127.0.0.1:1883; the embedded one without."),
    ] = None,
    speed: Annotated[int, typer.Option(min=1, max=200, help="How many times faster than real the pump's line runs.")] = 40,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the app and its lake in DIR.")] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report of the lake, one HTML file.")] = None,
) -> None:
    """Recordings of a pump testbed, a room, a street and a bearing come in over four ways, and end in one lake.

    Plays the app of `eddy init --template fleet` as `eddy up` does, and compares every row and value of the files with the lake. Ends with
    1 when something differs.
    """
    import tempfile

    from eddy.cli import console, fleet, outcome
    from eddy.cli.progress import Display

    console.check_writable(json, report)
    with tempfile.TemporaryDirectory(prefix="eddy-") as scratch:
        with Display(console.progress_console(), "fleet") as display:
            result = fleet.play(data, keep or Path(scratch), broker, speed, display.update, report)
        console.result_console(json).print(outcome.of_fleet(result))
    if json is not None:
        console.write_json(json, result)
    if keep is not None:
        console.progress_console().print(f"the lake: eddy query --lake {result['lake']} 'FROM streams'", markup=False, soft_wrap=True)
    if any(one["differences"] for one in result["streams"]):
        raise typer.Exit(1)


def play(settings: "Settings", folder: Path, progress: "Callable[[Any], None]", heap: bool = False) -> dict[str, Any]:
    """Play the app until the recordings end.

    Args:
        settings: What differs from the app as it is.
        folder: Where app, hub, nodes and devices keep what they have.
        progress: Called with steps; see `eddy.cli.progress.Step`.
        heap: Whether to find the smallest heap with which a device does its work.

    Returns:
        What happened, as plain data; see `docs/howto/read-the-demo.md`.

    Raises:
        EddyError: The data or a part of the system fails.
    """
    import time

    from eddy.cli import console, init, up
    from eddy.sim.local import Local
    from eddy.sim.outcome import collect
    from eddy.sim.pump import app_of
    from eddy.sim.rig import smallest_heap
    from eddy.spec.load import parse
    from eddy.spec.write import text

    app = app_of(settings, parse(init.example("pump").read_text(encoding="utf-8")))
    told = app.sinks["operator"].model_copy(update={"file": str(folder / "alarms.jsonl")})
    app = app.model_copy(update={"sinks": {**app.sinks, "operator": told}})
    console.write_text(folder / "eddy.yaml", text(app))

    tell = up.telling(progress)
    line = {"speed": settings.speed, "loss": settings.loss, "corrupt": settings.corrupt, "seed": settings.seed}
    local = Local(app, folder, 0, line, tell)
    events: list[Event] = []

    def each(news: "list[Event]") -> None:
        events.extend(news)
        for device in local.devices.values():
            device.account()

    started = time.monotonic()
    up.here(local, app, folder / "eddy.yaml", 120, True, progress, each)
    seconds = time.monotonic() - started
    if heap:
        progress({"doing": "looking for the smallest heap that completes"})
    found = smallest_heap(folder / "heap", tell) if heap else None
    return collect(settings, app, folder, list(local.devices.values()), events, seconds, found)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return PAPER if text == "paper" else tuple(name.strip() for name in text.split(","))
