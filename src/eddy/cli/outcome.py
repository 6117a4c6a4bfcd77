"""The result of a run as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eddy.dashboard.figures import count, kibibytes, percent, seconds

Result = Mapping[str, Any]


def of_run(result: Result) -> RenderableType:
    """The figures of `eddy demo pump`: the headline, then each deployment, then what the reader should know about them."""
    parts: list[RenderableType] = [_headline(result)]
    if result.get("deployments"):
        parts.append(_deployments(result["deployments"]))
    parts.extend(Text(f"· {note}", style="dim") for note in result.get("notes", ()))
    return Group(*parts)


def _headline(result: Result) -> Table:
    device, line = result["device"], result["line"]
    heap = f"heap {kibibytes(device['heap_bytes'])}, the run needs {kibibytes(device['peak_heap_bytes'])}"
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for title, value in (
        ("data", str(result.get("source", "simulated"))),
        ("device", f"{device['interpreter']}, {heap}"),
        ("first confirmed alarm", _where(result["first_alarm_file"])),
        ("alarms", count(_size(result["alarms"]))),
        ("windows", count(_size(result["windows"]))),
        ("champions", count(_size(result["champions"]))),
        ("line", f"{count(line['bytes'])} B in {count(line['frames'])} frames, {count(line['retransmitted'])} of them again"),
    ):
        table.add_row(Text(title, style="bold"), Text(value))
    return table


def _deployments(deployments: list[Result]) -> Table:
    table = Table(title="Deployments", title_justify="left", title_style="bold")
    for heading in ("trees", "on the wire", "time", "channel use"):
        table.add_column(heading, justify="right")
    for item in deployments:
        cells = (count(item["trees"]), f"{count(item['wire_bytes'])} B", seconds(item["line_seconds"]), percent(item["channel_use"]))
        table.add_row(*cells)
    return table


def _where(file: int | None) -> str:
    return "none" if file is None else f"file {file}"


def _size(value: int | list[Any]) -> int:
    return len(value) if isinstance(value, list) else value
