"""Charts as SVG text, styled by the page's own CSS classes: no script, no library, sharp in print.

>>> chart = Chart("rms", "recording", "g", [Line("rms", [(0, 0.077), (1, 0.079)], "first")])
>>> str(chart.svg()).startswith("<svg")
True
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

Point = tuple[float, float]

MAX_POINTS = 2000
_LEFT, _RIGHT, _BOTTOM, _TOP = 62, 16, 44, 12
_MARK_ROW = 17  # height of a row of mark labels
_LETTER = 6.4  # mean width of a letter of 11.5 px


@dataclass(frozen=True)
class Line:
    """Points joined by a line; NaN interrupts it, and a point without neighbours is a dash.

    Attributes:
        name: For the legend.
        points: In order of x.
        css: Class of its colour.
        step: Hold each value until the next point, as a threshold does.
    """

    name: str
    points: Sequence[Point]
    css: str
    step: bool = False


@dataclass(frozen=True)
class Dots:
    """Points on their own; attributes as for Line."""

    name: str
    points: Sequence[Point]
    css: str


@dataclass(frozen=True)
class Mark:
    """A moment: a labelled vertical line."""

    x: float
    label: str
    css: str


@dataclass(frozen=True)
class Band:
    """A stretch of x that is shaded."""

    name: str
    start: float
    end: float
    css: str


@dataclass(frozen=True)
class Chart:
    """A chart with one x axis and one y axis.

    Attributes:
        title: What it shows, for those who cannot see it.
        x_label: Quantity and unit.
        y_label: Quantity and unit.
        lines: Drawn below the dots.
        dots: Drawn on top.
        marks: Labelled above the plot.
        bands: Drawn below everything.
        y_from: Lowest y that must be visible; data may go lower.
        y_to: Highest y that must be visible.
        width: In px of the drawing; the page scales it.
        height: Without the mark labels.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line] = ()
    dots: Sequence[Dots] = ()
    marks: Sequence[Mark] = ()
    bands: Sequence[Band] = ()
    y_from: float | None = None
    y_to: float | None = None
    width: int = 960
    height: int = 260

    def legend(self) -> list[tuple[str, str, str]]:
        """(kind, css class, name) of everything that is drawn."""
        drawn = [("line", line.css, line.name) for line in self.lines if line.points]
        drawn += [("dots", dots.css, dots.name) for dots in self.dots if dots.points]
        return drawn + [("band", band.css, band.name) for band in self.bands]

    @property
    def samples(self) -> int:
        """How many points have a place in the drawing."""
        several = [line.points for line in self.lines] + [dots.points for dots in self.dots]
        return sum(not math.isnan(y) for points in several for _, y in points)

    @property
    def few(self) -> bool:
        """Whether the drawing would be an empty box."""
        return self.samples < 2

    def shown(self) -> Markup:
        """The drawing, or why there is none."""
        return Markup('<p class="soft">too few samples for a chart ({})</p>').format(self.samples) if self.few else self.svg()

    def svg(self) -> Markup:
        """The drawing."""
        plot = _Plot.of(self)
        parts = [*map(plot.band, self.bands), *plot.axes(self.x_label, self.y_label)]
        parts += [plot.path(line) for line in self.lines if line.points]
        parts += [plot.circles(dots) for dots in self.dots if dots.points]
        parts += plot.labelled(self.marks)
        return _drawing(self.title, self.width, plot.bottom + _BOTTOM, parts)


@dataclass(frozen=True)
class _Plot:
    """The rectangle inside the axes and its scales."""

    left: float
    right: float
    top: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]
    rows: tuple[int, ...]  # of the mark labels

    @classmethod
    def of(cls, chart: Chart) -> "_Plot":
        points = [point for line in chart.lines for point in line.points] + [point for dots in chart.dots for point in dots.points]
        xs = [x for x, _ in points] + [mark.x for mark in chart.marks] + [end for band in chart.bands for end in (band.start, band.end)]
        ys = [y for _, y in points if not math.isnan(y)] + [y for y in (chart.y_from, chart.y_to) if y is not None]
        x_low, x_high = _wide(xs)
        y_low, y_high = _wide(ys)
        ticks = ticks_of(y_low, y_high, 5)
        step = ticks[1] - ticks[0]
        left, right = _LEFT, chart.width - _RIGHT
        scale = (right - left) / (x_high - x_low)
        rows = _rows([(left + (mark.x - x_low) * scale, mark.label) for mark in chart.marks], right)
        top = _TOP + _MARK_ROW * (max(rows, default=-1) + 1)
        y = (min(ticks[0], step * math.floor(y_low / step)), max(ticks[-1], step * math.ceil(y_high / step)))
        return cls(left, right, top, top + chart.height - _TOP - _BOTTOM, (x_low, x_high), y, tuple(rows))

    def at_x(self, x: float) -> float:
        return self.left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - self.left)

    def at_y(self, y: float) -> float:
        return self.bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - self.top)

    def axes(self, x_label: str, y_label: str) -> list[Markup]:
        grid = Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        axis = Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        parts = []
        for tick in ticks_of(*self.y, 5):
            y = self.at_y(tick)
            parts += [grid.format(self.left, self.right, y, y), _text(number(tick), self.left - 7, y + 4, "end")]
        for tick in ticks_of(*self.x, 8):
            x = self.at_x(tick)
            parts += [axis.format(x, x, self.bottom, self.bottom + 4), _text(number(tick), x, self.bottom + 17, "middle")]
        parts.append(axis.format(self.left, self.right, self.bottom, self.bottom))
        parts.append(_text(x_label, self.right, self.bottom + 35, "end", "label"))
        turned = Markup('<g transform="translate(14 {:.1f}) rotate(-90)">{}</g>')
        parts.append(turned.format((self.top + self.bottom) / 2, _text(y_label, 0, 0, "middle", "label")))
        return parts

    def band(self, band: Band) -> Markup:
        x, end = self.at_x(band.start), self.at_x(band.end)
        shape = Markup('<rect class="band {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
        return shape.format(band.css, x, self.top, max(1, end - x), self.bottom - self.top)

    def path(self, line: Line) -> Markup:
        draw, alone, commands = False, False, []
        last_y = 0.0
        for x, y in [*thin(line.points), (math.nan, math.nan)]:
            if math.isnan(y):
                if alone:
                    commands.append("h3")
                draw = alone = False
                continue
            at_x, at_y = self.at_x(x), self.at_y(y)
            if draw and line.step:
                commands.append(f"L{at_x:.1f} {last_y:.1f}")
            commands.append(f"{'L' if draw else 'M'}{at_x:.1f} {at_y:.1f}")
            draw, alone, last_y = True, not draw, at_y
        return Markup('<path class="line {}" d="{}"/>').format(line.css, "".join(commands))

    def circles(self, dots: Dots) -> Markup:
        stride = -(-len(dots.points) // MAX_POINTS)
        circle = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="1.9"/>')
        drawn = Markup().join(circle.format(self.at_x(x), self.at_y(y)) for x, y in dots.points[::stride])
        return Markup('<g class="dots {}">{}</g>').format(dots.css, drawn)

    def labelled(self, marks: Sequence[Mark]) -> list[Markup]:
        line = Markup('<line class="mark {}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        parts = []
        for mark, row in zip(marks, self.rows, strict=True):
            x, y = self.at_x(mark.x), _TOP + row * _MARK_ROW
            parts.append(line.format(mark.css, x, x, y - 4, self.bottom))
            flip = _flips(x, mark.label, self.right)
            parts.append(_text(mark.label, x - 5 if flip else x + 5, y + 5, "end" if flip else "start", f"on {mark.css}"))
        return parts


@dataclass(frozen=True)
class Bar:
    """One horizontal bar.

    Attributes:
        label: To its left.
        value: Its length.
        figure: To its right, with the unit.
        css: Class of its colour.
    """

    label: str
    value: float
    figure: str
    css: str


def bars(title: str, items: Sequence[Bar], width: int = 960, label_width: int = 250) -> Markup:
    """Horizontal bars from a common zero, each with its figure; the longest fills the width."""
    row = 26
    longest = max((bar.value for bar in items), default=0) or 1
    room = width - label_width - 150
    shape = Markup('<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="17" rx="2"/>')
    parts = []
    for place, bar in enumerate(items):
        y = place * row + 4
        length = max(1.5, bar.value / longest * room)
        parts.append(_text(bar.label, label_width - 10, y + 13, "end"))
        parts.append(shape.format(bar.css, label_width, y, length))
        parts.append(_text(bar.figure, label_width + length + 8, y + 13, "start", "figure"))
    return _drawing(title, width, len(items) * row + 4, parts)


def ticks_of(low: float, high: float, about: int) -> list[float]:
    """At least two round values within low..high, `about` of them, a step of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    ticks = [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return ticks if len(ticks) > 1 else [low, high]


def thin(points: Sequence[Point], limit: int = MAX_POINTS) -> Sequence[Point]:
    """At most `limit` points with every peak and trough kept: the lowest and highest of each stretch, in their order."""
    if len(points) <= limit:
        return points
    size = math.ceil(len(points) / (limit // 2))
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = [point for point in points[start : start + size] if not math.isnan(point[1])]
        if not stretch:
            kept.append(points[start])
            continue
        low, high = min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])
        kept += [low] if low == high else sorted((low, high))
    return kept


def number(value: float) -> str:
    """A tick: no more digits than its size needs."""
    if value and abs(value) < 0.001:
        return f"{value:.0e}"
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.6g}"


def _wide(values: Sequence[float]) -> tuple[float, float]:
    """Range of the values, never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _flips(x: float, label: str, right: float) -> bool:
    """Whether a label must stand to the left of its mark."""
    return x + len(label) * _LETTER + 10 > right


def _rows(labels: Sequence[tuple[float, str]], right: float) -> list[int]:
    """A row for each label, so that none covers another."""
    taken: list[list[tuple[float, float]]] = []
    rows = []
    for x, label in labels:
        width = len(label) * _LETTER + 10
        start = x - width if _flips(x, label, right) else x
        free = (i for i, row in enumerate(taken) if all(start >= b or start + width <= a for a, b in row))
        row = next(free, len(taken))
        if row == len(taken):
            taken.append([])
        taken[row].append((start, start + width))
        rows.append(row)
    return rows


def _text(content: str, x: float, y: float, anchor: str, css: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(css, x, y, anchor, content)


def _drawing(title: str, width: float, height: float, parts: Sequence[Markup]) -> Markup:
    frame = Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>')
    return frame.format(width, height, title, Markup().join(parts))
