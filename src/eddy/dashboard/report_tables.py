"""The words, headline figures and tables of the report, from the result that `report.render` describes."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eddy.dashboard.figures import ABSENT, count, kibibytes, many, percent, seconds
from eddy.dashboard.report_charts import PAPER_DEPLOY_S

Result = Mapping[str, Any]
Cell = Callable[[Result], str]

_PHASES = ("plan", "create", "adapt", "verify", "package", "release", "configure", "monitor")


@dataclass(frozen=True)
class Card:
    """A headline figure."""

    name: str
    figure: str
    more: str


@dataclass(frozen=True)
class Column:
    """A heading; figures stand to the right."""

    name: str
    right: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text below headings."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def subtitle(result: Result) -> str:
    """Data and interpreter in one line."""
    device = result["device"]
    which = {"micropython": "a real MicroPython", "cpython": "CPython, for want of a MicroPython on this platform,"}
    interpreter = which.get(device["interpreter"], device["interpreter"])
    return f"Data: {result.get('source', 'not named')}. The device: {interpreter} with a heap of {_heap(device)}."


def _heap(device: Result) -> str:
    return kibibytes(device["heap_bytes"]) if device["heap_bytes"] else "no limit"


def cards(result: Result) -> list[Card]:
    """The headline."""
    return [_alarm(result), _false_alarms(result), _deployment(result), _memory(result), _windows(result)]


def _alarm(result: Result) -> Card:
    file, onset = result["first_alarm_file"], result.get("onset_file")
    if file is None:
        return Card("First confirmed alarm", "none", "the machine ran to its end unnoticed" if onset is not None else "")
    words = []
    if onset is not None:
        words.append(f"{many(abs(file - onset), 'file')} {'after' if file >= onset else 'before'} the onset")
    warned = _warning_s(result, file)
    if warned:
        words.append(f"{seconds(warned)} before the end")
    return Card("First confirmed alarm", f"file {file}", ", ".join(words))


def _warning_s(result: Result, file: int) -> float | None:
    last = result.get("last_file")
    times = {window["file"]: window["time_ns"] for window in result.get("series", ())}
    end = max((number for number in times if last is None or number <= last), default=None)
    return (times[end] - times[file]) / 1e9 if end is not None and file in times else None


def _false_alarms(result: Result) -> Card:
    series = result.get("series", ())
    rejected = sum(window.get("verdict") == "rejected" for window in series)
    replaced = max(0, _size(result["champions"]) - len({window["device"] for window in series} or {""}))
    return Card("False positives", count(rejected) if series else ABSENT, many(replaced, "champion replacement"))


def _deployment(result: Result) -> Card:
    if not result["deployments"]:
        return Card("Deployment", ABSENT, "no package was sent")
    slowest = max(result["deployments"], key=lambda item: float(item["line_seconds"]))
    paper = PAPER_DEPLOY_S.get(slowest["trees"])
    beside = f"the paper: {seconds(paper)}" if paper else f"the paper: {seconds(PAPER_DEPLOY_S[10])} to {seconds(PAPER_DEPLOY_S[50])}"
    return Card("Slowest deployment", seconds(slowest["line_seconds"]), f"{slowest['trees']} trees; {beside}")


def _memory(result: Result) -> Card:
    device = result["device"]
    return Card("Smallest heap that completes", kibibytes(device["peak_heap_bytes"]), f"of {_heap(device)}")


def _windows(result: Result) -> Card:
    return Card("Windows on the devices", count(_size(result["windows"])), many(_size(result["alarms"]), "confirmed alarm"))


def champions(result: Result) -> Table:
    """History of the champion models."""
    return _table(
        result["champions"],
        _words("device"),
        _words("champion", "sequence", right=True),
        _words("from file", "file", right=True),
        _words("trees", right=True),
        (Column("threshold", True), lambda item: _ratio(item.get("threshold"))),
        (Column("features"), lambda item: _list(item.get("features"))),
        _words("trained by", "origin"),
        _words("why", "reason"),
    )


def deployments(result: Result) -> Table:
    """Every package that went over the line."""
    return _table(
        result["deployments"],
        _words("device"),
        _words("at file", "file", right=True),
        _words("trees", right=True),
        (Column("on the wire", True), lambda item: f"{count(item['wire_bytes'])} B"),
        (Column("time", True), lambda item: seconds(item["line_seconds"])),
        (Column("channel use", True), lambda item: percent(item["channel_use"])),
        (Column("the paper", True), lambda item: seconds(PAPER_DEPLOY_S.get(item["trees"]))),
    )


def line_text(result: Result) -> str:
    """What went over the line."""
    line = result["line"]
    share = f" ({percent(line['retransmitted'] / line['frames'])})" if line["frames"] else ""
    return f"{count(line['bytes'])} bytes in {count(line['frames'])} frames; {count(line['retransmitted'])} frames{share} were sent again."


def memory_text(result: Result) -> str:
    """How the heap was measured."""
    if result["device"]["interpreter"] != "micropython":
        return "Not measured: the device ran on CPython, which has no heap limit."
    return "By bisection: the smallest heap limit with which the interpreter still completes the device's work; words of 64 bits."


def ranking(result: Result) -> Table:
    """The pool, best first."""
    return _table(
        sorted(result.get("ranking", ()), key=lambda item: -float(item["score"])),
        (Column("model"), lambda item: str(item["model"])[:12]),
        _words("role"),
        (Column("points", True), lambda item: f"{item['score']:+,}"),
        _words("trees", right=True),
        (Column("features"), lambda item: _list(item.get("features"))),
    )


def phases(result: Result) -> Table:
    """How many decisions each phase made, and the last one."""
    made = result.get("decisions", ())
    known = [*_PHASES, *sorted({str(item["phase"]) for item in made} - set(_PHASES))]
    rows = []
    for phase in known:
        mine = [item for item in made if item["phase"] == phase]
        if mine:
            rows.append((phase, count(len(mine)), _text(mine[-1], "who"), _text(mine[-1], "what")))
    return Table((Column("phase"), Column("decisions", True), Column("last by"), Column("last decision")), rows)


def decisions(result: Result) -> Table:
    """Every decision with its evidence."""
    return _table(
        result.get("decisions", ()),
        (Column("when"), lambda item: _when(item.get("when_ns"))),
        _words("phase"),
        _words("who"),
        _words("what"),
        (Column("evidence"), lambda item: _evidence(item.get("evidence"))),
    )


def events(result: Result) -> Table:
    """What the devices told."""
    return _table(result.get("events", ()), _words("device"), _words("at file", "file", right=True), _words("kind"), _words("what", "text"))


def _words(name: str, key: str = "", right: bool = False) -> tuple[Column, Cell]:
    """A column that shows a value as it is."""
    return Column(name, right), lambda item: _text(item, key or name)


def _table(items: int | Iterable[Result], *columns: tuple[Column, Cell]) -> Table:
    """A row for each item; none when there is only a count of them."""
    shown = () if isinstance(items, int) else items
    return Table([column for column, _ in columns], [[cell(item) for _, cell in columns] for item in shown])


def _size(value: int | Sequence[Any]) -> int:
    return value if isinstance(value, int) else len(value)


def _text(item: Result, key: str) -> str:
    value = item.get(key)
    return ABSENT if value is None else str(value)


def _ratio(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"


def _list(value: Iterable[str] | None) -> str:
    return ABSENT if value is None else ", ".join(value)


def _when(time_ns: int | None) -> str:
    return ABSENT if time_ns is None else datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _evidence(value: object) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item if isinstance(item, str | int | float) else json.dumps(item)}" for key, item in value.items())
    return str(value)
