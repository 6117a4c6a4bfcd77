"""`eddy up` and `eddy down`: an app runs, here or at a hub, or no longer does."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from collections.abc import Callable

    from eddy.hub.view import Event
    from eddy.sim.local import Local
    from eddy.spec.model import App

    Progress = Callable[[Any], None]

HERE = "http://127.0.0.1:8787"
DRIVERS_S = 15.0
"""So long drivers may take to work or to say what keeps them from it."""

_LOOK_S = 0.05
_ASK_S = 0.5


def up(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", exists=True, dir_okay=False, help="The app.")] = Path("eddy.yaml"),
    hub: Annotated[str | None, typer.Option(metavar="URL", envvar="EDDY_HUB", help="A running hub; without, one is started here.")] = None,
    token_file: client.TokenFile = None,
    state: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Where hub, nodes and devices keep what they have; .eddy beside the app.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the hub that is started here; 0 for a free one.")] = 8787,
    speed: Annotated[int, typer.Option(min=1, max=200, help="How many times faster than real emulated lines run.")] = 1,
    wait: Annotated[float, typer.Option(min=1, help="Seconds until everything must run.")] = 120.0,
    once: Annotated[bool, typer.Option("--once", help="End when all sources have ended and everything has arrived.")] = False,
    board: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PORT", help="A real device at a serial port instead of a simulated one; repeatable.")
    ] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Run an app: place its functions, start them, and keep them running until Ctrl-C; with --hub, at nodes that are there already.

    Without --hub everything is on this machine: a hub, a process for each node, a simulated device for each microcontroller.

    A source whose driver does not work, since its port is taken or its broker away, is told and tried again, and holds nothing else up.
    With --hub the exit code is 1 then; what was placed stays.
    """
    from eddy.cli import console
    from eddy.cli.progress import Display
    from eddy.sim.local import Local
    from eddy.spec.load import load

    console.check_writable(json)
    app = load(file)
    out = console.progress_console()
    with Display(out, app.name) as display:
        if hub is not None:
            with client.connect(hub, token_file) as there:
                result = _apply(there, app, file, display.update, wait, lambda: None)
        else:
            local = Local(app, state or file.parent / ".eddy", port, {"speed": speed}, telling(display.update), _boards(board or [], app))
            result = here(local, app, file, wait, once, display.update)
    if json is not None:
        console.write_json(json, result)
    if hub is not None and result["faults"]:
        raise typer.Exit(1)


def down(
    app: Annotated[str, typer.Argument(help="Name of the app.")],
    hub: client.HubUrl = client.HUB,
    token_file: client.TokenFile = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Stop an app at a hub: every instance is removed from every node, and its state with it. The ledger keeps what was decided."""
    from urllib.parse import quote

    from eddy.cli import console

    console.check_writable(json)
    with client.connect(hub, token_file) as there:
        there.call("DELETE", f"apps/{quote(app, safe='')}")
    console.result_console(json).print(f"{app} is stopped; nodes forget it as they hear of it", markup=False)
    if json is not None:
        console.write_json(json, {"app": app})


def telling(progress: "Progress") -> "Callable[[str], None]":
    """Tells sentences as events of a progress."""
    return lambda text: progress({"event": text})


def _boards(given: list[str], app: "App") -> dict[str, str]:
    from eddy.errors import SettingError
    from eddy.spec.instances import nodes

    boards = dict(one.partition("=")[::2] for one in given)
    devices = [name for group, names in nodes(app).items() if app.nodes[group].tier == "device" for name in names]
    for name, port in boards.items():
        if name not in devices or not port:
            raise SettingError(f"--board {name}={port}: write NAME=PORT with one of the app's devices ({', '.join(devices) or 'none'})")
    return boards


def here(
    local: "Local",
    app: "App",
    file: Path,
    wait_s: float,
    once: bool,
    progress: "Progress",
    each: "Callable[[list[Event]], None]" = lambda events: None,
    enough: "Callable[[dict[str, Any]], bool]" = lambda said: False,
) -> dict[str, Any]:
    """Everything on this machine, until Ctrl-C.

    Args:
        local: Not started yet.
        app, file: What runs.
        wait_s: Until all of it must run.
        once: End when all data are through.
        progress: Called with steps, see `eddy.cli.progress.Step`.
        each: Called now and then with what has happened at the hub since.
        enough: Called as often with how far it is; ends it when true.
    """
    from eddy.cli.joining import join

    tell = telling(progress)
    with local:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
        progress({"doing": "starting the hub"})
        local.start_hub()
        with client.connect(local.url, None) as there:
            progress({"doing": "nodes join"})
            local.start_nodes(lambda identity: join(there, identity, there.call("POST", "tokens", {"node": identity.name})["token"]))
            result = _apply(there, app, file, progress, wait_s, local.look)
            tell(f"the hub is at {local.url}: eddy status --hub {local.url}; Ctrl-C ends")
            try:
                _keep(there, app, local, once, progress, each, enough, result["faults"])
            except KeyboardInterrupt:
                tell(f"stopping; what is kept stays in {local.folder}")
            result["progress"] = there.call("GET", f"apps/{app.name}/progress")
    return result


def _apply(there: client.Hub, app: "App", file: Path, progress: "Progress", wait_s: float, look: Any) -> dict[str, Any]:
    """Place an app, and wait until all of it runs; `faults` of the answer says which drivers do not work, and why."""
    from eddy.errors import LinkTimeout
    from eddy.sim.local import progress_of

    end = time.monotonic() + wait_s
    progress({"doing": "waiting for the nodes"})
    from eddy.spec.instances import nodes

    declared = {name for names in nodes(app).values() for name in names}
    while missing := sorted(declared - {one.name for one in there.nodes() if one.state == "up"}):
        look()
        if time.monotonic() > end:
            raise LinkTimeout(f"{', '.join(missing)} did not come within {wait_s:.0f} s: see whether they run and can reach the hub")
        time.sleep(_LOOK_S)
    body = {"text": file.read_text(encoding="utf-8"), "files": client.own_files(app)}
    plan: dict[str, Any] = there.call("PUT", f"apps/{app.name}", body)
    for line in plan["text"]:
        progress({"event": line})
    while True:
        look()
        said = there.call("GET", f"apps/{app.name}/progress")
        if said["running"] >= said["instances"]:
            plan["faults"] = faults = _faults(there, app, progress, look)
            if faults:  # to be seen also where a bar of the same length was
                progress({"event": progress_of(said, len(faults))})
            progress({"doing": progress_of(said, len(faults)), "done": said["running"] - len(faults), "total": said["instances"]})
            return plan
        progress({"doing": progress_of(said), "done": said["running"], "total": said["instances"]})
        if time.monotonic() > end:
            silent = [f"{one.instance} on {one.node}" for one in there.functions() if one.app == app.name and one.index < 0]
            raise LinkTimeout(f"not everything runs after {wait_s:.0f} s: {', '.join(silent[:5])}: see eddy status and eddy logs")
        time.sleep(_LOOK_S)


def _faults(there: client.Hub, app: "App", progress: "Progress", look: Any) -> dict[str, str]:
    """{source: what its driver said} of those that do not work; waits until each does, or has said why not."""
    progress({"doing": "waiting for the drivers of sources"})
    devices = {node.name for node in there.nodes() if node.tier == "device"}
    sources = [one for one in there.functions() if one.app == app.name and one.kind == "source"]
    waiting = {one.instance: one.node for one in sources if one.node not in devices}
    found: dict[str, str] = {}
    end = time.monotonic() + DRIVERS_S
    while waiting:
        look()
        late = time.monotonic() > end
        for instance, node in list(waiting.items()):
            works, fault = _driver(there, instance)
            if works or fault or late:
                del waiting[instance]
            if not works and (fault or late):
                found[instance] = fault or f"it has not started within {DRIVERS_S:.0f} s: see eddy logs"
                progress({"event": f"{instance} on {node} does not work, and is tried again: {found[instance]}"})
        if waiting:
            time.sleep(_LOOK_S)
    return found


def _driver(there: client.Hub, instance: str) -> tuple[bool, str]:
    """Whether a driver works, and what it said if it failed last; nothing of either before it is there."""
    from urllib.parse import quote

    from eddy.errors import EddyError

    try:
        works, fault = there.call("GET", f"functions/{quote(instance, safe='')}/answers/driver")["answer"]
    except EddyError:
        return False, ""
    return works, fault


def _keep(
    there: client.Hub,
    app: "App",
    local: "Local",
    once: bool,
    progress: "Progress",
    each: "Callable[[list[Event]], None]",
    enough: "Callable[[dict[str, Any]], bool]",
    faults: dict[str, str],
) -> None:
    """Until Ctrl-C, or until all data are through. Those of `faults` that work by now are told, and taken out."""
    from eddy.errors import EddyError
    from eddy.sim.local import progress_of

    due, ended, news = 0.0, 0, there.events(limit=1)
    number = news[-1].number if news else 0
    while True:
        local.look(_LOOK_S)
        if time.monotonic() >= due:
            due = time.monotonic() + _ASK_S
            try:
                said = there.call("GET", f"apps/{app.name}/progress")
                news = there.events(number)
            except EddyError:
                continue  # the hub is down for a moment: everything placed goes on
            for event in news:
                number = event.number
                progress({"event": f"{event.node}: {event.kind} {event.instance} {event.text}".replace("  ", " ")})
            each(news)
            for instance in [one for one in faults if _driver(there, one)[0]]:
                del faults[instance]
                progress({"event": f"{instance} works now"})
            progress({"doing": progress_of(said, len(faults))})
            ended = ended + 1 if said["ended"] and said["ended"] >= _sources(there, app) and not said["pending"] else 0
            if enough(said) or (once and ended > 2):
                return


def _sources(there: client.Hub, app: "App") -> int:
    """Sources whose data may end; those of a loop never do."""
    sources = [one for one in there.functions() if one.app == app.name and one.program[0] == "source"]
    return sum(not one.program[1][0].startswith("eddy.loop.") for one in sources)
