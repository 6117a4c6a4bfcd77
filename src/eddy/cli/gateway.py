"""`eddy gateway`: the gateway of devices at serial ports, and what people ask of it. Its knowledge base and key live in one folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from eddy.loop import Loop, LoopSettings

app = typer.Typer(no_args_is_help=True, help="The gateway of devices at serial ports.")

Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where the knowledge base and the signing key live.")]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)]
Device = Annotated[str, typer.Argument(help="Name of the device.")]


@app.command()
def run(
    device: Annotated[list[str], typer.Option(metavar="NAME=PORT", help="A device and the serial port of its line; may be repeated.")],
    folder: Folder = Path("eddy-gateway"),
    speed: Annotated[int, typer.Option(min=1, max=1000, help="How many times faster than real an emulated line runs.")] = 1,
    strategy: Annotated[
        Literal["majority", "rank", "validation"],
        typer.Option(help="How the pool's voices are weighed: all alike, by their points, or by their validation."),
    ] = "majority",
    false_positives: Annotated[int, typer.Option(min=1, help="False positives within --hours that cost a champion its place.")] = 5,
    hours: Annotated[float, typer.Option(min=0.01, help="Sample time in which they are counted.")] = 24,
    alarm: Annotated[str, typer.Option(metavar="K/N", help="Confirmed anomalies of so many windows that raise the alarm.")] = "5/6",
    json: Json = None,
) -> None:
    """Serve devices until Ctrl-C: store what they report, judge it, replace champions that fail. JSON: the status at the end."""
    from eddy.cli.console import check_writable, progress_console, write_json
    from eddy.node.gateway import Gateway

    check_writable(json)
    ports = dict(_pair(item, "NAME=PORT") for item in device)
    out = progress_console()
    loop = _loop(folder, _settings(strategy, false_positives, hours, alarm))
    gateway = Gateway(loop, ports, speed, lambda sentence: out.print(sentence, markup=False))
    out.print(f"serving {', '.join(f'{name} at {port}' for name, port in ports.items())}; knowledge in {folder}", markup=False)
    try:
        while True:
            gateway.turn()
    except KeyboardInterrupt:
        out.print("stopped; devices keep what is not acknowledged", markup=False)
    finally:
        gateway.close()
    if json is not None:
        write_json(json, loop.status())


@app.command()
def status(folder: Folder = Path("eddy-gateway"), json: Json = None) -> None:
    """Champion, ranking, false positives and alarms of each device."""
    from eddy.cli import console

    said = _loop(folder).status()
    out = console.result_console(json)
    for name, one in said.items():
        champion, flying = one["champion"], one["deploying"]
        out.print(
            f"{name}: champion {champion['model'][:12] if champion and champion['model'] else 'none'}, "
            f"{len(one['ranking'])} models ranked, {len(one['alarms'])} alarms, "
            f"{'package ' + str(flying['sequence']) + ' ' + flying['state'] if flying else 'nothing on its way'}",
            markup=False,
        )
    if not said:
        out.print("no device was heard here yet", markup=False)
    if json is not None:
        console.write_json(json, said)


@app.command()
def configure(
    device: Device,
    setting: Annotated[list[str], typer.Argument(metavar="SETTING=VALUE", help="threshold (0 to 1) or normal_every (windows).")],
    folder: Folder = Path("eddy-gateway"),
    json: Json = None,
) -> None:
    """Change a running device without another model: a signed package of some 150 bytes."""
    from eddy.cli.console import result_console, write_json

    wanted = dict(_pair(item, "SETTING=VALUE") for item in setting)
    loop = _loop(folder)
    sequence = loop.configure(device, "person", **{name: _value(name, text) for name, text in wanted.items()})
    result_console(json).print(f"package {sequence} goes to {device} when its line is free", markup=False)
    if json is not None:
        write_json(json, {"device": device, "sequence": sequence})


@app.command()
def push(
    model: Annotated[Path, typer.Argument(help="A forest in wire form, as `Forest.to_wire()` writes it.")],
    features: Annotated[str, typer.Option(help="Names of its columns in order, separated by commas.")],
    who: Annotated[str, typer.Option(help="Who answers for it.")],
    device: Annotated[str | None, typer.Option(help="For this device only.")] = None,
    folder: Folder = Path("eddy-gateway"),
    json: Json = None,
) -> None:
    """Add a model of your own to the repository: it judges from now on, and is a candidate where it passes verification."""
    from eddy.cli.console import result_console, write_json
    from eddy.errors import DataError

    try:
        wire = model.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {model}: {error.strerror}") from None
    filed = _loop(folder).push_model(wire, [name.strip() for name in features.split(",")], who, device)
    result_console(json).print(f"model {filed.id[:12]} joined the repository", markup=False)
    if json is not None:
        write_json(json, {"model": filed.id, "origin": filed.origin, "metrics": filed.metrics})


def _settings(strategy: str, false_positives: int, hours: float, alarm: str) -> "LoopSettings":
    from eddy.errors import SettingError
    from eddy.loop import LoopSettings
    from eddy.pool.champion import Replacement

    k, slash, n = alarm.partition("/")
    if not (slash and k.isdigit() and n.isdigit()):
        raise SettingError(f"--alarm {alarm}: K/N is needed, such as 5/6")
    rule = Replacement(false_positives=false_positives, within_ns=round(hours * 3600e9))
    return LoopSettings(strategy=strategy, replacement=rule, alarm=(int(k), int(n), 2 * int(n)))


def _loop(folder: Path, settings: "LoopSettings | None" = None) -> "Loop":
    from eddy.knowledge.base import KnowledgeBase
    from eddy.loop import Loop
    from eddy.security.signing import SigningKey

    folder.mkdir(parents=True, exist_ok=True)
    return Loop(KnowledgeBase(folder / "knowledge.db"), SigningKey.load_or_create(folder / "signing.key"), settings)


def _pair(item: str, form: str) -> tuple[str, str]:
    from eddy.errors import SettingError

    name, equals, value = item.partition("=")
    if not (name and equals and value):
        raise SettingError(f"{item!r} is not {form}")
    return name, value


def _value(name: str, text: str) -> int:
    from eddy.errors import SettingError

    try:
        return round(float(text) * 65536) if name == "threshold" else int(text)
    except ValueError:
        raise SettingError(f"{name}={text}: a number is needed") from None
