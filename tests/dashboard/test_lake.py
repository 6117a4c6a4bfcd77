"""The report of a lake: whole, escaped, and readable by itself."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from lakes import START_NS, sample

from eddy.dashboard.lake import render
from eddy.knowledge.lake import Lake as Sink
from eddy.knowledge.query import Lake


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
