"""The report of a lake: whole, escaped, and readable by itself."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from lakes import START_NS, sample

from eddy.dashboard.lake import render
from eddy.kernel.function import Sample
from eddy.kernel.functions.alarm import Alarm
from eddy.knowledge.lake import Lake as Sink
from eddy.knowledge.query import Lake
from eddy.spec.described import described
from eddy.spec.load import parse
from eddy.spec.programs import program

BOILERS = """
app: boilers
nodes: {gw: {tier: gateway}}
sources:
  heat: {at: gw, driver: http, listen: "127.0.0.1:1", value: t, origin: id, scale: 10, unit: Cel}
functions:
  mean: {use: mean, from: heat, over: 1m}
  hot: {use: alarm, from: mean, raise: value > 80, clear: value < 75}
sinks:
  lake: {from: [heat, hot], at: gw, driver: lake}
"""


def test_the_page_tells_what_there_is_needs_nothing_else_and_escapes_every_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    sink = Sink(to=str(tmp_path), streams={"room": {"unit": "Cel"}})
    sink.write_all([sample(i, 20 + 5 * math.sin(i / 50) + (400 if i == 700 else i % 3 / 10)) for i in range(1000)])
    sink.write_all([sample(1000 + i, i / 7, origin=evil) for i in range(50)])
    sink.write_all([sample(1050, "x"), sample(1051, {"quarantine": evil, "payload": b"", "from": evil})])
    sink.write_all([("record/record/abcdef/1052", START_NS, ["room", "a", 3, "overflow", 12])])
    with Lake(tmp_path) as lake:
        page = render(lake, "A room")
    assert "1,050" in page and "Cel" in page and "overflow" in page and "value is float here and not text" in page
    assert "anomaly" in page and page.count("<svg") == 2
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "") and "src=" not in page
    for svg in page.split("<svg")[1:]:
        ET.fromstring("<svg" + svg.split("</svg>")[0] + "</svg>")


def test_a_lake_without_numbers_has_a_page_too(tmp_path: Path) -> None:
    Sink(to=str(tmp_path)).write_all([sample(0, "on"), sample(1, "off")])
    with Lake(tmp_path) as lake:
        assert "No trend, season, anomaly or correlation stands out." in render(lake, "Words")


def cells(page: str, title: str) -> list[list[str]]:
    """The rows of the first table behind a heading."""
    table = page.split(f">{title}</h3>")[1].split("<tbody>")[1].split("</tbody>", maxsplit=1)[0]
    return [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(f"<t>{table}</t>")]


def test_alarms_stand_first_the_newest_on_top_with_who_has_seen_them_and_when_they_were_cleared(tmp_path: Path) -> None:
    app = parse(BOILERS)
    alarm = Alarm(**program(app, "function", "hot")[2])
    said: list[Any] = []

    def hears(second: int, origin: str, tenths: int) -> None:
        said.extend(alarm.on(Sample("mean", "mean", second, START_NS + second * 10**9, {"from": origin, "value": tenths})))

    for second, origin, tenths in ((0, "<b>1", 812), (60, "b-2", 900), (90, "b-3", 801), (120, "b-2", 700), (7320, "b-2", 950)):
        hears(second, origin, tenths)
    seen_ns = START_NS + 100 * 10**9
    said += alarm.configure({"acknowledge": {"b-3": [START_NS + 90 * 10**9, seen_ns, "ann", "on my way"]}})
    streams = {name: described(app, name) for name in ("heat", "hot")}
    sink = Sink(to=str(tmp_path), streams=streams)
    sink.write_all([sample(n, value, "hot", "hot", value["at"]) for n, value in enumerate(said[:1])])
    with Lake(tmp_path) as lake:  # nobody has acknowledged anything yet
        page = render(lake, "Boilers")
    assert [row[-1] for row in cells(page, "Standing")] == ["–"] and '<p class="soft">None.</p>' in page
    sink.write_all([sample(n, value, "hot", "hot", value["at"]) for n, value in enumerate(said)])
    with Lake(tmp_path) as lake:
        page = render(lake, "Boilers")
    assert cells(page, "Standing") == [
        ["hot", "b-2", "2026-01-01 02:02:00", "95 Cel", "–"],
        ["hot", "b-3", "2026-01-01 00:01:30", "80.1 Cel", "2026-01-01 00:01:40 by ann: on my way"],
        ["hot", "<b>1", "2026-01-01 00:00:00", "81.2 Cel", "–"],
    ]
    assert cells(page, "Cleared") == [
        ["hot", "b-2", "2026-01-01 00:01:00", "90 Cel", "–", "2026-01-01 00:02:00", "60 seconds"],
    ]
    assert "2 not acknowledged; 4 raised in all" in page
    assert page.index(">Alarms<") < page.index(">Streams<") and "What was decided" not in page


def test_of_many_alarms_the_newest_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    said = {"alarm": "hot", "state": "raised", "value": 1}
    values = [{**said, "origin": f"b-{n}", "at": START_NS + n * 10**9, "since": START_NS + n * 10**9} for n in range(50)]
    sink = Sink(to=str(tmp_path), streams={"hot": {"kind": "decided"}})
    sink.write_all([sample(n, value, "hot") for n, value in enumerate(values)])
    with Lake(tmp_path) as lake:
        page = render(lake, "Many")
    assert [row[1] for row in cells(page, "Standing")] == [f"b-{n}" for n in range(49, 29, -1)]
    assert "30 more, raised before these" in page and "50 not acknowledged" in page


def test_a_lake_without_alarms_says_nothing_of_them(tmp_path: Path) -> None:
    Sink(to=str(tmp_path)).write_all([sample(0, {"alarm": "mine", "state": 1, "at": "x", "since": 0, "origin": "y"})])
    with Lake(tmp_path) as lake:
        page = render(lake, "A stream with the same names")
    assert ">Alarms<" not in page and "alarms standing" not in page
