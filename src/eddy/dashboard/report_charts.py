"""The charts of the report, from the result that `report.render` describes."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from eddy.dashboard.charts import Band, Bar, Chart, Dots, Line, Mark, bars
from eddy.dashboard.figures import kibibytes, percent, seconds

Result = Mapping[str, Any]

PAPER_DEPLOY_S = {10: 759, 50: 5147}
"""Tiny-MLOps, section VI: seconds to deploy a forest of so many trees at 2.4 kbaud; the two figures that are printed."""

_FILE = "recording (file number)"


def scores(result: Result) -> list[tuple[str, Chart]]:
    """Score and threshold of every device, with what happened on the way."""
    series = result.get("series", ())
    devices = list(dict.fromkeys(window["device"] for window in series))
    return [(str(device), _score(result, device, [window for window in series if window["device"] == device])) for device in devices]


def _score(result: Result, device: object, windows: list[Result]) -> Chart:
    at = _places(windows)
    judged = [(x, window) for x, window in zip(at, windows, strict=True) if window["score"] is not None]
    training = [x for x, window in zip(at, windows, strict=True) if window["label"] == "training"]
    last = result.get("last_file", math.inf)

    def anomalous(verdict: str | None) -> list[tuple[float, float]]:
        return [(x, window["score"]) for x, window in judged if window["label"] == "anomalous" and window.get("verdict") == verdict]

    bands = [Band("training on the device", min(training), max(training), "shade")] if training else []
    onset = result.get("onset_file")
    if onset is not None and at and onset < at[-1]:
        bands.append(Band("the fault is there", onset, min(at[-1], last), "worn"))
    return Chart(
        title=f"Anomaly score and threshold of {device}",
        x_label=_FILE,
        y_label="score",
        lines=[
            Line("score of a window", [(x, window["score"]) for x, window in judged], "first"),
            Line("threshold", [(x, window["threshold"]) for x, window in judged if window["threshold"] is not None], "second", step=True),
        ],
        dots=[
            Dots("above the threshold, not judged", anomalous(None), "quiet"),
            Dots("confirmed by the pool", anomalous("confirmed"), "alarm"),
            Dots("false positive, says the pool", anomalous("rejected"), "false"),
        ],
        marks=_marks(result, device),
        bands=bands,
        height=340,
    )


def _places(windows: list[Result]) -> list[float]:
    """Where each window stands on the axis of recordings: those of one recording side by side."""
    count: dict[int, int] = {}
    for window in windows:
        count[window["file"]] = count.get(window["file"], 0) + 1
    seen: dict[int, int] = {}
    at = []
    for window in windows:
        file = window["file"]
        at.append(file + seen.get(file, 0) / count[file])
        seen[file] = seen.get(file, 0) + 1
    return at


def _marks(result: Result, device: object) -> list[Mark]:
    marks = []
    if result.get("onset_file") is not None:
        marks.append(Mark(result["onset_file"], f"onset, file {result['onset_file']}", "onset"))
    for champion in _of(device, result["champions"]):
        if champion.get("file") is not None:
            size = f" ({champion['trees']} trees)" if champion.get("trees") else ""
            marks.append(Mark(champion["file"], f"champion {champion['sequence']}{size}", "champion"))
    alarms = _of(device, result["alarms"])
    if alarms:
        marks.append(Mark(alarms[0]["file"], f"first confirmed alarm, file {alarms[0]['file']}", "alarm"))
    return sorted(marks, key=lambda mark: mark.x)


def _of(device: object, items: object) -> list[Result]:
    """Items of one device; none when there is only a count of them."""
    return [item for item in items if item.get("device", device) == device] if isinstance(items, list) else []


def deployments(result: Result) -> Markup:
    """Seconds of each deployment beside the paper's."""
    items = []
    for item in result["deployments"]:
        label = f"{item['trees']} trees" if item["trees"] else "configuration only"
        items.append(Bar(label, item["line_seconds"], seconds(item["line_seconds"]), "first"))
    items += [Bar(f"paper, {trees} trees", took, seconds(took), "quiet") for trees, took in PAPER_DEPLOY_S.items()]
    return bars("Time of each deployment, beside the paper's", items)


def line_use(result: Result) -> Chart | None:
    """How busy the line was."""
    series = result.get("line_series")
    if not series:
        return None
    busy = Line("line busy", [(point["t_s"] / 3600, 100 * point["busy"]) for point in series], "first", step=True)
    return Chart("Use of the line", "time on the line (h)", "busy (%)", [busy], y_from=0, height=190)


def memory(result: Result) -> Markup:
    """The heap that the device has, and the smallest one in which the same run completes."""
    device = result["device"]
    items = [Bar("heap of the device", device["heap_bytes"] or 0, kibibytes(device["heap_bytes"]), "quiet")]
    if device["peak_heap_bytes"] is not None:
        used = f", {percent(device['peak_heap_bytes'] / device['heap_bytes'])}" if device["heap_bytes"] else ""
        figure = f"{kibibytes(device['peak_heap_bytes'])}{used}"
        items.append(Bar("smallest heap that completes", device["peak_heap_bytes"], figure, "good"))
    return bars("Memory of the device", items)


def features(result: Result) -> tuple[str, list[tuple[str, Chart]]]:
    """The first device's name and a small chart for each of its features."""
    rows = result.get("features", ())
    if not rows:
        return "", []
    device = rows[0]["device"]
    rows = [row for row in rows if row["device"] == device]
    at = _places(rows)
    units = result.get("units", {})
    onset = result.get("onset_file")
    marks = [Mark(onset, "onset", "onset")] if onset is not None else []
    charts = []
    for name in rows[0]["values"]:
        line = Line(name, [(x, row["values"].get(name, math.nan)) for x, row in zip(at, rows, strict=True)], "first")
        title = name.replace("_", " ")
        charts.append((title, Chart(title, _FILE, units.get(name, ""), [line], marks=marks, width=480, height=170)))
    return str(device), charts
