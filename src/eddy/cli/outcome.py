"""The result of a run as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eddy.dashboard.figures import ABSENT, count, kibibytes, percent, seconds

Result = Mapping[str, Any]

_FOUND = (("in the lake", "right"), ("values", "right"), ("not equal", "right"), ("rounded", "right"))


def of_run(result: Result) -> RenderableType:
    """The figures of `eddy demo pump`: the headline, then each deployment, then what the reader should know about them."""
    parts: list[RenderableType] = [_headline(result)]
    if result.get("deployments"):
        parts.append(_deployments(result["deployments"]))
    parts.extend(Text(f"· {note}", style="dim") for note in result.get("notes", ()))
    return Group(*parts)


def of_fleet(result: Result) -> RenderableType:
    """What `eddy demo fleet` sent and found."""
    ways = {one["source"]: one for one in result["sent"]}
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, justify in (("stream", "left"), ("came over", "left"), ("rows a second", "right"), ("rows in files", "right"), *_FOUND):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for one in result["streams"]:
        way = ways.get(one["stream"])
        came = (way["way"], count(round(way["rows_per_s"]))) if way else ("the pump's line", ABSENT)
        figures = (one["rows"], one["found"], one["values"], one["wrong"], one["rounded"])
        table.add_row(one["stream"], *came, *(count(figure) for figure in figures))
    told = [Text(f"{one['stream']}: {text}", style="red") for one in result["streams"] for text in one["differences"]]
    wrong = sum(bool(one["differences"]) for one in result["streams"])
    words = "every row and value of the files is in the lake, once" if not wrong else f"{wrong} streams differ from their files"
    return Group(table, *told, Text(f"{words}; {seconds(result['seconds'])} from start to end"))


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
