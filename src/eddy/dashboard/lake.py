"""The report of a lake: one HTML file that needs nothing else: what there is, how good it is, how it went, and what is worth a look."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from eddy.dashboard.charts import Chart, Line, Mark
from eddy.dashboard.figures import ABSENT, count, many
from eddy.knowledge.columns import literal, quoted
from eddy.knowledge.insight import Finding, Series, duration, findings, series
from eddy.knowledge.query import Lake
from eddy.spec.units import MEANINGS

MOST_CHARTS = 24
_MOST_ROWS = 20
_MOST_FINDINGS = 12  # of a kind
_HOUR_S, _DAY_S = 3600, 86_400
_KINDS = {"anomaly": "Unusual", "trend": "Trends", "season": "What repeats itself", "correlation": "What moves together"}
_SAID = {0: "normal", 1: "anomalous", 2: "not judged: still in training, or nobody to judge", 3: "news of a model, not a window"}

_WHOLE = ("first", "last", "time", "raised", "cleared", "where")  # columns that are not broken into lines

Table = dict[str, Any]


def render(lake: Lake, title: str) -> str:
    """The report as HTML; all text from the lake is escaped.

    Args:
        lake: Open for reading.
        title: Of the page.
    """
    streams = lake.query("FROM streams ORDER BY stream").rows()
    fields = lake.query("FROM fields").rows()
    found = findings(lake)
    shown = [one for one in series(lake) if len(one.values) > 1]
    drawn = _drawn(shown, found)
    episodes = _episodes(streams, fields)
    environment = Environment(
        loader=PackageLoader("eddy.dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    first = min((row["first"] for row in streams if row["first"]), default=None)
    last = max((row["last"] for row in streams if row["last"]), default=None)
    return environment.get_template("lake.html").render(
        title=title,
        subtitle=f"{_moment(first)} to {_moment(last)}" if first else "There is no sample yet.",
        cards=[*(_alarm_cards(lake, episodes) if episodes else []), *_cards(lake, streams, found)],
        alarms=[_alarms(lake, episodes, standing) for standing in (True, False)] if episodes else [],
        streams=_streams(streams, fields),
        units=_units(fields),
        quality=_quality(lake),
        findings=_worth_a_look(found),
        decided=_decided(lake),
        charts=[(one.name, _chart(one, found)) for one in drawn],
        hidden=len(shown) - len(drawn),
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


def _episodes(streams: list[dict[str, Any]], fields: list[dict[str, Any]]) -> str:
    """SQL for what the alarms said, a row for each time that one was raised; "" when this lake keeps no alarm."""
    parts = []
    for stream in (row["stream"] for row in streams if row["kind"] == "decided"):
        units = {one["field"]: one["unit"] for one in fields if one["stream"] == stream}
        if units.keys() >= {"alarm", "state", "at", "since", "origin_"}:
            name = quoted(stream)
            at = ", ".join(f"""max("at") FILTER (state = '{state}') AS {state}""" for state in ("acknowledged", "cleared"))
            who = ", ".join(f'any_value("{one}") AS "{one}"' if one in units else f'NULL AS "{one}"' for one in ("by", "note"))
            value = "any_value(value) FILTER (state = 'raised')" if "value" in units else "NULL"
            unit = literal(units.get("value") or "")
            said = f"SELECT alarm, origin_ AS origin, since AS raised, {at}, {who}, {value} AS value, {unit} AS unit"
            parts.append(f"{said} FROM {name} GROUP BY alarm, origin_, since")
    return " UNION ALL ".join(parts)


def _alarm_cards(lake: Lake, episodes: str) -> list[dict[str, str]]:
    standing = "count(*) FILTER (cleared IS NULL) AS standing, count(*) FILTER (cleared IS NULL AND acknowledged IS NULL) AS unseen"
    (row,) = lake.query(f"SELECT count(*) AS n, {standing} FROM ({episodes})").rows()  # noqa: S608 - quoted
    unseen = f"{count(row['unseen'])} not acknowledged; " if row["standing"] else ""
    more = f"{unseen}{count(row['n'])} raised in all"
    return [{"name": "alarms standing", "figure": count(row["standing"]), "more": more}]


def _alarms(lake: Lake, episodes: str, standing: bool) -> Table:
    """Those that stand, or those that were cleared; the newest first."""
    sql = f"SELECT *, count(*) OVER () AS n FROM ({episodes}) WHERE cleared IS {'' if standing else 'NOT '}NULL"  # noqa: S608 - quoted
    rows: list[list[str]] = []
    found = lake.query(f"{sql} ORDER BY raised DESC, alarm, origin LIMIT {_MOST_ROWS}").rows()
    for row in found:
        raised, seen, cleared = (_moment(_time(row[state])) for state in ("raised", "acknowledged", "cleared"))
        if row["acknowledged"]:
            seen += f" by {row['by']}" + (f": {row['note']}" if row["note"] else "")
        value = ABSENT if row["value"] is None else f"{row['value']:.6g} {row['unit'].removeprefix('/')}".strip()
        cells = [row["alarm"], row["origin"], raised, value, seen]
        rows.append(cells if standing else [*cells, cleared, duration((row["cleared"] - row["raised"]) / 1e9)])
    heads = ["alarm", "where", "raised", "at a value of>", "acknowledged", *([] if standing else ["cleared", "stood for>"])]
    more = found[0]["n"] - len(found) if found else 0
    return {"title": "Standing" if standing else "Cleared", "columns": _columns(*heads), "rows": rows, "more": more}


def _time(at_ns: int | None) -> datetime | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, UTC)


def _streams(streams: list[dict[str, Any]], fields: list[dict[str, Any]]) -> Table:
    columns = _columns("stream", "what a sample has, with units", "owner", "may go as far as", "origins>", "samples>", "first", "last")
    rows = [
        [
            row["stream"],
            ", ".join(_field(one) for one in fields if one["stream"] == row["stream"]),
            row["owner"] or ABSENT,
            row["private"] or ABSENT,
            count(row["origins"]),
            count(row["rows"]),
            _moment(row["first"]),
            _moment(row["last"]),
        ]
        for row in streams
    ]
    return {"columns": columns, "rows": rows}


def _field(one: dict[str, Any]) -> str:
    unit = {None: "", "/": " (ratio)"}.get(one["unit"], f" {one['unit']}")
    return f"{one['field']}{unit}"


def _units(fields: list[dict[str, Any]]) -> str:
    """What those that are used mean."""
    used = sorted({one["unit"] for one in fields if one["unit"]} - {"/"})
    return ", ".join(f"{unit}: {MEANINGS[unit]}" for unit in used if unit in MEANINGS)


def _worth_a_look(found: list[Finding]) -> list[dict[str, Any]]:
    """The findings of each kind, the most striking first, and how many there are besides."""
    groups = []
    for kind, title in _KINDS.items():
        those = [finding for finding in found if finding.kind == kind]
        told = [(finding.text + ".", ", ".join(_evidence(finding)), finding.sql) for finding in those[:_MOST_FINDINGS]]
        groups.append({"title": title, "findings": told, "more": len(those) - len(told)})
    return [group for group in groups if group["findings"]]


def _drawn(shown: list[Series], found: list[Finding]) -> list[Series]:
    """Those that something was found in before others."""
    weights = {about: finding.weight for finding in reversed(found) if finding.kind == "anomaly" for about in finding.about}
    named = {about for finding in found for about in finding.about}
    first = sorted(shown, key=lambda one: (-weights.get(one.name, 0.0), one.name not in named))[:MOST_CHARTS]
    return sorted(first, key=lambda one: one.name)


def _decided(lake: Lake) -> list[dict[str, Any]]:
    """Of each stream that says what was decided, a table: alarms, verdicts of a pool, labels of a model."""
    tables = []
    for row in lake.query("SELECT stream FROM streams WHERE kind = 'decided' ORDER BY stream").rows():
        name = quoted(row["stream"])
        fields = {one["column_name"] for one in lake.query(f"DESCRIBE {name}").rows()}
        if "raised" in fields:
            tables.append({"title": f"{row['stream']}: when the condition came true, and ceased to be", **_changes(lake, name)})
        elif "verdict" in fields:
            tables.append({"title": f"{row['stream']}: what the pool of models said of the reports", **_verdicts(lake, name, "verdict")})
        elif "label" in fields:
            tables.append({"title": f"{row['stream']}: what the model said", **_verdicts(lake, name, "label")})
    return tables


def _changes(lake: Lake, name: str) -> Table:
    sql = f"SELECT origin, time, raised FROM {name} ORDER BY time DESC LIMIT {_MOST_ROWS}"  # noqa: S608 - quoted
    rows = [[_moment(row["time"]), row["origin"], "raised" if row["raised"] else "cleared"] for row in lake.query(sql).rows()]
    return {"columns": _columns("time", "of", "what"), "rows": rows[::-1]}


def _verdicts(lake: Lake, name: str, field: str) -> Table:
    false = "count(*) FILTER (false_positive = 1)" if field == "verdict" else "0"
    counted = f"count(*) AS n, {false} AS false, min(time) AS first, max(time) AS last"
    sql = f"SELECT origin, {field} AS said, {counted} FROM {name} GROUP BY ALL ORDER BY origin, said"  # noqa: S608 - quoted
    rows = [
        [
            row["origin"],
            _SAID.get(row["said"], str(row["said"])),
            count(row["n"]),
            count(row["false"]),
            _moment(row["first"]),
            _moment(row["last"]),
        ]
        for row in lake.query(sql).rows()
    ]
    return {"columns": _columns("of", "said", "samples>", "of these false alarms of the device's model>", "first", "last"), "rows": rows}


def _quality(lake: Lake) -> Table:
    found = lake.query(f"FROM quality ORDER BY missing + late + doubled + out_of_range DESC, stream, origin LIMIT {_MOST_ROWS}").rows()
    names = ("rows", "missing", "late", "doubled", "out_of_range")
    rows = [[row["stream"], row["origin"], *(count(row[name]) for name in names), _silence(row)] for row in found]
    heads = ("stream", "origin", "samples>", "missing>", "late>", "doubled>", "out of range>", "longest time without a sample")
    return {"columns": _columns(*heads), "rows": rows}


def _silence(row: dict[str, Any]) -> str:
    """How long nothing came from an origin, and since when."""
    return ABSENT if row["gaps_s"] is None else f"{duration(row['gaps_s'])}, after {_moment(row['gap_from'])}"


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


def _chart(one: Series, found: Sequence[Finding]) -> Chart:
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
        if finding.kind == "anomaly" and one.name in finding.about
    ]
    since = datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%d %H:%M")
    lines = [Line("mean", points, "first")]
    return Chart(
        one.name, f"{label} since {since} UTC", f"{one.field}{', ' + one.unit if one.unit else ''}", lines, marks=marks, height=200
    )


def _evidence(finding: Finding) -> list[str]:
    figures = {name: value if isinstance(value, str) else format(value, ".4g") for name, value in finding.evidence.items()}
    return [f"{name.replace('_', ' ')} {figure}" for name, figure in figures.items()]


def _columns(*names: str) -> list[dict[str, Any]]:
    return [{"name": name.removesuffix(">"), "right": name.endswith(">"), "whole": name in _WHOLE} for name in names]


def _moment(when: datetime | None) -> str:
    return ABSENT if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
