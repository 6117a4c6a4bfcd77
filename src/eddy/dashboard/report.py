"""The report of a far-edge run: one HTML file that needs nothing else, for a reader who was not there.

`render` takes the result of `eddy demo pump` as it is written to JSON. Always there: `device` {interpreter, heap_bytes, peak_heap_bytes},
`first_alarm_file`, `alarms`, `windows`, `champions`, `deployments` [{trees, wire_bytes, line_seconds, channel_use}], `line` {bytes, frames,
retransmitted}; `alarms`, `windows` and `champions` are lists or mere counts. A part of the report is left out when its data is not there:

    title, source: str                         what ran, and on which data
    onset_file: int | None                     where the fault begins, when that is known
    last_file: int                             the last recording with the machine running
    series: [{device, index, file, time_ns, score, threshold, label, verdict}]
                                               a window each, in order; score and threshold 0 to 1, score None while training;
                                               label normal | anomalous | training; verdict confirmed | rejected | None
    alarms: [{device, file, time_ns}]          confirmed alarms
    champions: [{device, file, sequence, trees, threshold, features, origin, reason}]
    deployments: [{..., device, file}]
    line_series: [{t_s, busy}]                 share of the line that was busy (0 to 1) up to t_s of line time
    features: [{device, file, values: {name: number}}], units: {name: unit}
    ranking: [{model, role, score, trees, features}]
    decisions: [{phase, when_ns, who, what, evidence}]
    events: [{device, file, kind, text}]
    notes: [str]                               what the reader has to know to judge the figures
    settings: {name: value}
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from eddy.dashboard import report_charts, report_tables

Result = Mapping[str, Any]


def render(result: Result) -> str:
    """The report as HTML.

    Args:
        result: See the module.

    Returns:
        A whole document; all text from the result is escaped.
    """
    environment = Environment(
        loader=PackageLoader("eddy.dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    feature_device, features = report_charts.features(result)
    return environment.get_template("report.html").render(
        title=result.get("title", "A bearing, watched from the far edge"),
        subtitle=report_tables.subtitle(result),
        cards=report_tables.cards(result),
        notes=result.get("notes", ()),
        scores=report_charts.scores(result),
        champions=report_tables.champions(result),
        deployments=report_tables.deployments(result),
        deployment_bars=report_charts.deployments(result),
        line_text=report_tables.line_text(result),
        line_use=report_charts.line_use(result),
        memory_bars=report_charts.memory(result),
        memory_text=report_tables.memory_text(result),
        features=features,
        feature_device=feature_device,
        ranking=report_tables.ranking(result),
        phases=report_tables.phases(result),
        decisions=report_tables.decisions(result),
        events=report_tables.events(result),
        settings=list(result.get("settings", {}).items()),
        version=version("eddy"),
    )
