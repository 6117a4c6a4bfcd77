"""Charts are well-formed SVG that shows what it was given."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eddy.dashboard.charts import MAX_POINTS, Band, Bar, Chart, Dots, Line, Mark, bars, number, thin, ticks_of

finite = st.floats(-1e9, 1e9, allow_subnormal=False)
points = st.lists(st.tuples(finite, finite | st.just(math.nan)), max_size=60)


def drawn(chart: Chart) -> ET.Element:
    return ET.fromstring(str(chart.svg()))


def coordinates(root: ET.Element) -> list[tuple[float, float]]:
    found: list[Any] = []
    for path in root.iter("path"):
        found += re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d", ""))
    return [(float(x), float(y)) for x, y in found]


@given(points, points, st.lists(finite, max_size=5))
def test_any_data_gives_well_formed_svg_inside_its_frame(line: Any, dots: Any, moments: list[float]) -> None:
    marks = [Mark(x, f"mark {i}", "alarm") for i, x in enumerate(moments)]
    dots = [(x, y) for x, y in dots if not math.isnan(y)]
    chart = Chart("t", "x", "y", lines=[Line("l", line, "first")], dots=[Dots("d", dots, "alarm")], marks=marks)
    root = drawn(chart)
    _, _, width, height = (float(value) for value in root.get("viewBox", "").split())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in coordinates(root))
    assert len(root.findall(".//circle")) == len(dots)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=30))
def test_text_is_escaped(text: str) -> None:
    chart = Chart(text, text, text, lines=[Line(text, [(0, 1)], "first")], marks=[Mark(0, text, "onset")])
    root = drawn(chart)
    assert root.get("aria-label") == text
    assert [element.text or "" for element in root.iter("text")].count(text) >= 3


def test_a_higher_value_stands_higher_and_a_later_one_further_right() -> None:
    (x0, y0), (x1, y1) = coordinates(drawn(Chart("t", "x", "y", [Line("l", [(0, 1), (5, 9)], "first")])))
    assert x1 > x0
    assert y1 < y0


def test_a_step_holds_its_value_until_the_next_point() -> None:
    (_, y0), (x1, y1), (x2, y2) = coordinates(drawn(Chart("t", "x", "y", [Line("l", [(0, 1), (5, 9)], "first", step=True)])))
    assert y1 == y0
    assert (x1, y1 > y2) == (x2, True)


def test_nan_interrupts_a_line() -> None:
    path = drawn(Chart("t", "x", "y", [Line("l", [(0, 1), (1, 2), (2, math.nan), (3, 1), (4, 2)], "first")])).find(".//path")
    assert path is not None
    assert re.sub(r"[^ML]", "", path.get("d", "")) == "MLML"


def test_a_point_without_neighbours_is_seen() -> None:
    root = drawn(Chart("t", "x", "y", [Line("l", [(0, 1), (1, math.nan), (2, 2), (3, 1), (4, math.nan), (5, 3)], "first")]))
    path = root.find(".//path")
    assert path is not None
    assert re.sub(r"[^MLh]", "", path.get("d", "")) == "MhMLMh"


@pytest.mark.parametrize(("line", "dots", "count"), [([], [], 0), ([(0, 1), (1, math.nan)], [], 1), ([], [(0, 1)], 1)])
def test_a_chart_that_would_be_empty_says_how_many_samples_there_are(line: Any, dots: Any, count: int) -> None:
    chart = Chart("t", "x", "y", [Line("l", line, "first")], [Dots("d", dots, "alarm")], [Mark(0, "onset", "onset")])
    assert f"too few samples for a chart ({count})" in chart.shown() and "<svg" not in chart.shown()
    more = Chart("t", "x", "y", [Line("l", [*line, (2, 1), (3, 2)], "first")])
    assert more.shown() == more.svg()


def test_labels_of_marks_that_are_close_stand_in_different_rows() -> None:
    marks = [Mark(x, "a label of some length", "alarm") for x in (50, 51, 52)]
    root = drawn(Chart("t", "x", "y", [Line("l", [(0, 0), (100, 1)], "first")], marks=marks))
    labels = [text for text in root.iter("text") if text.get("class") == "on alarm"]
    assert len({label.get("y") for label in labels}) == 3


def test_a_label_near_the_right_edge_stands_left_of_its_mark() -> None:
    root = drawn(Chart("t", "x", "y", [Line("l", [(0, 0), (100, 1)], "first")], marks=[Mark(99, "first confirmed alarm", "alarm")]))
    (label,) = (text for text in root.iter("text") if text.get("class") == "on alarm")
    assert label.get("text-anchor") == "end"


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    chart = Chart("t", "x", "y", [Line("a", [(0, 1)], "first")], [Dots("empty", [], "alarm")], bands=[Band("b", 0, 1, "shade")])
    assert chart.legend() == [("line", "first", "a"), ("band", "shade", "b")]


@given(st.integers(), st.integers(1, 500), st.integers(2, 100))
def test_thinning_keeps_the_extremes_and_the_order(seed: int, size: int, limit: int) -> None:
    random = Random(seed)
    data = [(float(x), random.uniform(-1, 1)) for x in range(size)]
    kept = thin(data, limit)
    assert len(kept) <= limit
    assert list(kept) == sorted(kept)
    assert set(kept) <= set(data)
    ys = [y for _, y in data]
    assert {min(ys), max(ys)} <= {y for _, y in kept}


def test_a_long_line_is_drawn_with_few_points() -> None:
    line = Line("l", [(i, math.sin(i)) for i in range(50_000)], "first")
    dots = Dots("d", line.points, "alarm")
    root = drawn(Chart("t", "x", "y", [line], [dots]))
    assert len(coordinates(root)) <= MAX_POINTS
    assert len(root.findall(".//circle")) <= MAX_POINTS


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 10))
def test_ticks_are_evenly_spaced_and_inside(low: float, span: float, about: int) -> None:
    assume(low + span > low)
    ticks = ticks_of(low, low + span, about)
    assert 2 <= len(ticks) <= 2 * about + 2
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) - min(steps) <= 1e-6 * span
    assert low - 1e-6 * span <= ticks[0] < ticks[-1] <= low + span * (1 + 1e-6)


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (0.30000000000000004, "0.3"), (1500, "1,500"), (-2, "-2"), (0.0001, "1e-04")])
def test_ticks_are_written_without_needless_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@given(st.lists(st.floats(0, 1e6), max_size=8))
def test_bars_are_as_long_as_their_values(values: list[float]) -> None:
    root = ET.fromstring(str(bars("t", [Bar(f"bar {i}", value, f"{value} s", "first") for i, value in enumerate(values)])))
    widths = [float(rect.get("width", "0")) for rect in root.iter("rect")]
    assert len(widths) == len(values)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [widths[i] for i in order] == sorted(widths)
