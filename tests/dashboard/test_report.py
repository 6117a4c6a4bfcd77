"""The report is one file that a stranger can read, whatever part of the result is there."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from eddy.dashboard.figures import count, kibibytes, many, percent, seconds
from eddy.dashboard.report import render

Result = dict[str, Any]

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Reader(HTMLParser):
    """Collects headings, references to other files, and tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.scripts = 0
        self.references: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def test_the_whole_report_is_well_formed_and_needs_nothing_else(whole: Result) -> None:
    html = render(whole)
    reader = read(html)
    assert reader.scripts == 0
    assert reader.references == []
    assert "url(" not in html
    assert "@import" not in html


def test_everything_has_its_section(whole: Result) -> None:
    assert read(render(whole)).headings == [
        "Score and threshold",
        "Champion models",
        "Deployments",
        "Line and memory",
        "Features",
        "Pool ranking",
        "Decisions of the loop",
        "Events",
    ]


def test_what_is_not_there_has_no_section(smallest: Result) -> None:
    assert read(render(smallest)).headings == ["Deployments", "Line and memory"]


def test_the_score_chart_tells_alarms_false_positives_champions_and_onset(whole: Result) -> None:
    text = "".join(read(render(whole)).text)
    for words in (
        "confirmed by the pool",
        "false positive, says the pool",
        "training on the device",
        "onset, file 6",
        "champion 1 (20 trees)",
        "champion 2 (50 trees)",
        "first confirmed alarm, file 7",
    ):
        assert words in text


def test_each_window_above_the_threshold_has_the_colour_of_its_verdict(whole: Result) -> None:
    groups = dict(re.findall(r'<g class="dots (\w+)">(.*?)</g>', render(whole)))
    assert {css: dots.count("<circle") for css, dots in groups.items()} == {"alarm": 6, "false": 2}


def test_the_headline_says_how_early_the_warning_came(whole: Result) -> None:
    text = "".join(read(render(whole)).text)
    assert "1 file after the onset, 20 min 0 s before the end" in text


def test_the_paper_stands_beside_the_deployments(smallest: Result) -> None:
    text = "".join(read(render(smallest)).text)
    assert "4.9 s" in text
    assert "12 min 39 s" in text
    assert "1 h 26 min" in text


def test_charts_of_too_few_samples_say_so(whole: Result) -> None:
    page = render(whole | {"series": whole["series"][:1], "features": whole["features"][:1], "line_series": whole["line_series"][:1]})
    text = "".join(read(page).text)
    assert text.count("too few samples for a chart (0)") == 1  # the score of a window in training
    assert text.count("too few samples for a chart (1)") == 3  # the line, and two features
    assert "score of a window" not in text
    assert "too few" not in "".join(read(render(whole)).text)


def test_each_device_has_its_chart(make_whole: Callable[..., Result]) -> None:
    text = "".join(read(render(make_whole(("pump-1", "pump-2")))).text)
    assert text.count("first confirmed alarm, file 7") == 2


def test_the_ranking_is_best_first(whole: Result) -> None:
    text = "".join(read(render(whole)).text)
    assert text.index("+12") < text.index("-3")


def test_phases_are_in_the_order_of_the_loop(whole: Result) -> None:
    text = "".join(read(render(whole)).text)
    assert text.index("watch bearing 1") < text.index("replace the champion")


def test_a_run_without_an_alarm_says_so(whole: Result) -> None:
    quiet = whole | {"first_alarm_file": None, "alarms": []}
    assert "the machine ran to its end unnoticed" in "".join(read(render(quiet)).text)


def test_a_device_without_a_heap_limit_says_so(smallest: Result) -> None:
    twin = smallest | {"device": {"interpreter": "cpython", "heap_bytes": 0, "peak_heap_bytes": None}}
    text = "".join(read(render(twin)).text)
    assert "CPython, for want of a MicroPython" in text
    assert "no limit" in text


def test_a_champion_of_unknown_size_is_shown(whole: Result) -> None:
    result = whole
    result["champions"][0] |= {"trees": None, "threshold": None, "features": None}
    text = "".join(read(render(result)).text)
    assert "champion 1" in text
    assert "None" not in text


def test_a_run_without_deployments_is_shown(smallest: Result) -> None:
    assert "no package was sent" in "".join(read(render(smallest | {"deployments": []})).text)


@pytest.mark.parametrize("key", ["title", "source"])
def test_markup_in_the_result_stays_text(key: str, whole: Result) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    reader = read(render(whole | {key: hostile}))
    assert reader.scripts == 0
    assert hostile in "".join(reader.text)


def test_markup_in_nested_values_stays_text(make_whole: Callable[..., Result]) -> None:
    hostile = "<script>alert(1)</script>"
    result = make_whole(devices=(hostile,)) | {"notes": [hostile], "settings": {hostile: hostile}, "units": {"rms": hostile}}
    result["decisions"][0]["evidence"] = {hostile: [hostile]}
    result["events"][0]["text"] = hostile
    result["features"][0]["values"][hostile] = 1.0
    assert read(render(result)).scripts == 0


def test_a_long_run_stays_a_small_file(make_whole: Callable[..., Result]) -> None:
    assert len(render(make_whole(files=5000))) < 1_000_000


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (seconds(0.0005), "0.5 ms"),
        (seconds(0.25), "250 ms"),
        (seconds(5.13), "5.1 s"),
        (seconds(759), "12 min 39 s"),
        (seconds(5147), "1 h 26 min"),
        (seconds(7199), "2 h 0 min"),
        (seconds(0), "0 ms"),
        (seconds(None), "\N{EN DASH}"),
        (percent(0.934), "93 %"),
        (percent(0.0312), "3.1 %"),
        (percent(0), "0 %"),
        (percent(None), "\N{EN DASH}"),
        (kibibytes(262_144), "256 KiB"),
        (kibibytes(1536), "1.5 KiB"),
        (kibibytes(None), "\N{EN DASH}"),
        (count(12_345.6), "12,346"),
        (many(1, "alarm"), "1 alarm"),
        (many(2000, "alarm"), "2,000 alarms"),
    ],
)
def test_figures_have_units_and_no_needless_digits(shown: str, expected: str) -> None:
    assert shown == expected
