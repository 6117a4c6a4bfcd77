"""The report of a lake: one HTML file that needs nothing else: what there is, how good it is, how it went, and what is worth a look."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from eddy.dashboard.charts import Chart, Line, Mark
from eddy.dashboard.figures import ABSENT, count, many
from eddy.knowledge.insight import Finding, Series, findings, series
from eddy.knowledge.query import Lake

MOST_CHARTS = 24
_MOST_ROWS = 20
_HOUR_S, _DAY_S = 3600, 86_400

Table = dict[str, Any]


def render(lake: Lake, title: str) -> str:
    """The report as HTML; all text from the lake is escaped.

    Args:
        lake: Open for reading.
        title: Of the page.
    """
    streams = lake.query("FROM streams ORDER BY stream").rows()
    found = findings(lake)
    shown = series(lake)
    environment = Environment(
        loader=PackageLoader("eddy.dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    first = min((row["first"] for row in streams if row["first"]), default=None)
    last = max((row["last"] for row in streams if row["last"]), default=None)
    return environment.get_template("lake.html").render(
        title=title,
        subtitle=f"{_moment(first)} to {_moment(last)}" if first else "There is no sample yet.",
        cards=_cards(lake, streams, found),
        streams=_streams(streams),
        quality=_quality(lake),
        findings=[(finding.text + ".", ", ".join(_evidence(finding)), finding.sql) for finding in found],
        charts=[(one.name, _chart(one, _unit(streams, one), found)) for one in shown[:MOST_CHARTS] if len(one.values) > 1],
        hidden=max(0, len(shown) - MOST_CHARTS),
        quarantine=_quarantine(lake),
        gaps=_gaps(lake),
        version=version("eddy"),
    )


def _cards(lake: Lake, streams: list[dict[str, Any]], found: list[Finding]) -> list[dict[str, str]]:
    origins = sum(row["origins"] for row in streams)
    unfit = lake.query("SELECT count(*) AS n FROM quarantine").rows()[0]["n"]
    missing = lake.query("SELECT coalesce(sum(last - first + 1), 0)::BIGINT AS n FROM gaps").rows()[0]["n"]
    return [
        {"name": "samples", "figure": count(sum(row["rows"] for row in streams)), "more": f"in {many(len(streams), 'stream')}"},
        {"name": "origins", "figure": count(origins), "more": "counted in each stream"},
        {"name": "missing for good", "figure": count(missing), "more": "samples that their origins have told to be lost"},
        {"name": "in quarantine", "figure": count(unfit), "more": "samples that fit nowhere, with the reason"},
        {"name": "worth a look", "figure": count(len(found)), "more": "trends, seasons, anomalies, correlations"},
    ]


def _streams(streams: list[dict[str, Any]]) -> Table:
    columns = _columns("stream", "unit", "rate, Hz", "may go as far as", "origins>", "samples>", "first", "last")
    rows = [
        [
            row["stream"],
            row["unit"] or ABSENT,
            row["rate_hz"] or ABSENT,
            row["private"] or ABSENT,
            count(row["origins"]),
            count(row["rows"]),
            _moment(row["first"]),
            _moment(row["last"]),
        ]
        for row in streams
    ]
    return {"columns": columns, "rows": rows}


def _quality(lake: Lake) -> Table:
    found = lake.query(f"FROM quality ORDER BY missing + late + doubled DESC, stream, origin LIMIT {_MOST_ROWS}").rows()
    names = ("rows", "missing", "late", "doubled", "unchanged")
    rows = [[row["stream"], row["origin"], *(count(row[name]) for name in names)] for row in found]
    return {"columns": _columns("stream", "origin", "samples>", "missing>", "late>", "doubled>", "same as before>"), "rows": rows}


def _quarantine(lake: Lake) -> Table:
    sql = "SELECT reason, stream, origin, sender, count(*) AS n FROM quarantine GROUP BY ALL ORDER BY n DESC, reason"
    rows = [
        [row["reason"], row["stream"] or ABSENT, row["origin"] or row["sender"] or ABSENT, count(row["n"])]
        for row in lake.query(f"{sql} LIMIT {_MOST_ROWS}").rows()
    ]
    return {"columns": _columns("reason", "stream", "of", "samples>"), "rows": rows}


def _gaps(lake: Lake) -> Table:
    counted = "count(*) AS n, sum(last - first + 1)::BIGINT AS samples"
    sql = f"SELECT stream, origin, reason, {counted} FROM gaps GROUP BY ALL ORDER BY samples DESC"  # noqa: S608 - no text from outside
    rows = [
        [row["stream"], row["origin"], row["reason"], count(row["n"]), count(row["samples"])]
        for row in lake.query(f"{sql} LIMIT {_MOST_ROWS}").rows()
    ]
    return {"columns": _columns("stream", "origin", "reason", "gaps>", "samples>"), "rows": rows}


def _chart(one: Series, unit: str, found: Sequence[Finding]) -> Chart:
    start_s = float(one.times_s[0])
    size_s, label = (_DAY_S, "days") if one.times_s[-1] - start_s > 2 * _DAY_S else (_HOUR_S, "hours")
    points: list[tuple[float, float]] = []
    for at, value in zip(one.times_s.tolist(), one.values.tolist(), strict=True):
        x = (at - start_s) / size_s
        if points and x - points[-1][0] > 3 * one.step_s / size_s:  # nothing for a while: the line is interrupted
            points.append((x, float("nan")))
        points.append((x, value))
    marks = [
        Mark((datetime.fromisoformat(finding.evidence["time"]).timestamp() - start_s) / size_s, "anomaly", "alarm")
        for finding in found
        if finding.kind == "anomaly" and finding.about == (one.name,)
    ]
    since = datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%d %H:%M")
    lines = [Line("mean", points, "first")]
    return Chart(one.name, f"{label} since {since} UTC", f"{one.field}{', ' + unit if unit else ''}", lines, marks=marks, height=200)


def _unit(streams: list[dict[str, Any]], one: Series) -> str:
    return next((row["unit"] or "" for row in streams if row["stream"] == one.stream), "") if one.field == "value" else ""


def _evidence(finding: Finding) -> list[str]:
    figures = {name: value if isinstance(value, str) else format(value, ".4g") for name, value in finding.evidence.items()}
    return [f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items()]


def _columns(*names: str) -> list[dict[str, Any]]:
    return [{"name": name.removesuffix(">"), "right": name.endswith(">")} for name in names]


def _moment(when: datetime | None) -> str:
    return ABSENT if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
