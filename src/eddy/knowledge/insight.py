"""What the series of a lake say by themselves: trends, seasons, anomalies, correlations; each with its evidence and the query behind it.

    trend          least squares over the means of steps, told when |t| > 6: the steps of a slow series are not independent
    season         the period between 4 steps and a third of the series at which the detrended series resembles itself most, told when the
                   autocorrelation there is above 0.3 and a local maximum
    anomaly        steps further from the median of the 25 around them than 8 times their spread (MAD, Hampel 1974)
    correlation    Pearson's r between two series, told when it is above 0.6 for the values and above 0.3 for their changes: two trends
                   alone correlate in the values only

Nothing here is more than a hint where to look; the numbers that it rests on stand beside it.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eddy.knowledge.columns import OWN
from eddy.knowledge.query import Lake

STEPS = 500
"""About so many steps a series is cut into."""

MOST_SERIES = 40
"""Series that are looked at, those with the most rows."""

_ROUND_S = (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800)
_TREND_T, _SEASON_R, _HAMPEL, _AROUND, _PAIR_R, _CHANGE_R, _FEW = 6.0, 0.3, 8.0, 25, 0.6, 0.3, 30
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """One thing worth a look.

    Attributes:
        kind: trend, season, anomaly or correlation.
        about: The series, `stream.field of origin`, one or two.
        text: A sentence.
        evidence: The figures that it rests on.
        sql: The query that gives the series.
        weight: The larger the more striking, within its kind.
    """

    kind: str
    about: tuple[str, ...]
    text: str
    evidence: dict[str, Any]
    sql: str
    weight: float


@dataclass(frozen=True)
class Series:
    """Means of steps of one field of one origin.

    Attributes:
        times_s: Start of each step, seconds since 1970; steps without a sample are left out.
        values: Their means.
    """

    stream: str
    field: str
    origin: str
    step_s: int
    times_s: Floats
    values: Floats
    sql: str

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.stream}.{self.field} of {self.origin}"


def findings(lake: Lake) -> list[Finding]:
    """Everything that is worth a look, the most striking of each kind first."""
    found: list[Finding] = []
    several = series(lake)
    for one in several:
        if len(one.values) >= _FEW and float(np.ptp(one.values)) > 0:
            found += [*_trend(one), *_season(one), *_anomalies(one)]
    for one, other in combinations(several, 2):
        found += _correlation(one, other)
    kinds = ("trend", "season", "anomaly", "correlation")
    return sorted(found, key=lambda finding: (kinds.index(finding.kind), -finding.weight))


def series(lake: Lake, steps: int = STEPS) -> list[Series]:
    """The numeric fields of the origins with the most rows, as means of even steps."""
    found: list[tuple[int, Series]] = []
    for stream in lake.streams:
        name = '"' + stream.replace('"', '""') + '"'
        fields = [
            row["column_name"]
            for row in lake.query(f"DESCRIBE {name}").rows()
            if row["column_name"] not in OWN and str(row["column_type"]).partition("(")[0] in _NUMBERS
        ]
        counted = f"SELECT origin, count(*) AS n, epoch(max(time)) - epoch(min(time)) AS span FROM {name} GROUP BY origin"  # noqa: S608
        for row in lake.query(f"{counted} ORDER BY n DESC LIMIT {MOST_SERIES}").rows():
            step_s = next((size for size in _ROUND_S if size * steps >= row["span"]), _ROUND_S[-1])
            found += [(row["n"], _series(lake, stream, field, row["origin"], step_s)) for field in fields]
    found.sort(key=lambda one: (-one[0], one[1].name))
    return [one for _, one in found[:MOST_SERIES] if len(one.values)]


def _series(lake: Lake, stream: str, field: str, origin: str, step_s: int) -> Series:
    of = ", ".join("'" + text.replace("'", "''") + "'" for text in (stream, field))
    where = origin.replace("'", "''")
    sql = f"SELECT epoch(time) AS t, mean FROM resample({of}, INTERVAL {step_s} SECOND) WHERE origin = '{where}' AND n > 0 ORDER BY t"  # noqa: S608
    table = lake.query(sql).arrow()
    times, values = (np.asarray(table[column].to_pylist(), dtype=np.float64) for column in ("t", "mean"))
    finite = np.isfinite(values)
    return Series(stream, field, origin, step_s, times[finite], values[finite], sql)


def _trend(one: Series) -> list[Finding]:
    line, slope, r_squared, t = _line(one.times_s, one.values)
    if abs(t) < _TREND_T or r_squared < 0.1:
        return []
    per_day, change = slope * 86_400, float(line[-1] - line[0])
    way = "rises" if slope > 0 else "falls"
    text = f"{one.name} {way} by {abs(per_day):.3g} a day, by {abs(change):.3g} in all"
    evidence = {"per_day": per_day, "change": change, "r_squared": r_squared, "t": t, "steps": len(one.values)}
    return [Finding("trend", (one.name,), text, evidence, one.sql, r_squared)]


def _season(one: Series) -> list[Finding]:
    size = round((one.times_s[-1] - one.times_s[0]) / one.step_s) + 1
    grid = np.interp(one.times_s[0] + one.step_s * np.arange(size), one.times_s, one.values)
    rest = grid - _line(np.arange(size, dtype=np.float64), grid)[0]
    variance = float(rest @ rest)
    if size < _FEW or variance <= 0:
        return []
    spectrum = np.fft.rfft(rest, 2 * size)
    likeness = np.fft.irfft(np.abs(spectrum) ** 2)[: size // 3 + 2] / variance * (size / (size - np.arange(size // 3 + 2)))
    peaks = [lag for lag in range(4, size // 3 + 1) if likeness[lag] == likeness[max(1, lag - 3) : lag + 4].max()]
    if not peaks:
        return []
    best = max(peaks, key=lambda lag: likeness[lag])
    lag = next(peak for peak in peaks if likeness[peak] > 0.9 * likeness[best])  # of a period and its multiples, the shortest
    strength = float(likeness[lag])
    if strength < _SEASON_R or min(likeness[1 : lag + 1]) > strength - 0.2:
        return []
    period_s = lag * one.step_s
    text = f"{one.name} repeats itself every {_duration(period_s)}"
    return [Finding("season", (one.name,), text, {"period_s": period_s, "autocorrelation": strength, "steps": size}, one.sql, strength)]


def _anomalies(one: Series) -> list[Finding]:
    half = _AROUND // 2
    padded = np.pad(one.values, half, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, _AROUND), axis=1)[: len(one.values)]
    off = one.values - around
    # On a smooth slope most are their own median: then the mean distance says how far is far (Iglewicz and Hoaglin 1993).
    scale = 1.4826 * float(np.median(np.abs(off - np.median(off)))) or 1.2533 * float(np.abs(off).mean())
    if scale <= 0:
        return []
    far = np.abs(off) / scale
    found = []
    for at in np.argsort(-far)[:5]:
        if far[at] > _HAMPEL:
            when = np.datetime_as_string(np.datetime64(int(one.times_s[at]), "s")) + "Z"
            text = f"{one.name} is {one.values[at]:.4g} at {when}, where {around[at]:.4g} was usual"
            evidence = {"time": when, "value": float(one.values[at]), "usual": float(around[at]), "times_spread": float(far[at])}
            found.append(Finding("anomaly", (one.name,), text, evidence, one.sql, float(far[at])))
    return found


def _correlation(one: Series, other: Series) -> list[Finding]:
    if one.step_s != other.step_s:
        return []
    _, a, b = np.intersect1d(one.times_s, other.times_s, assume_unique=True, return_indices=True)
    if len(a) < _FEW:
        return []
    left, right = one.values[a], other.values[b]
    values, changes = _pearson(left, right), _pearson(np.diff(left), np.diff(right))
    if abs(values) < _PAIR_R or abs(changes) < _CHANGE_R or values * changes < 0:
        return []
    way = "together" if values > 0 else "against each other"
    text = f"{one.name} and {other.name} move {way}"
    evidence = {"r": values, "r_of_changes": changes, "steps": len(a)}
    return [Finding("correlation", (one.name, other.name), text, evidence, f"{one.sql};\n{other.sql}", abs(values))]


def _line(x: Floats, y: Floats) -> tuple[Floats, float, float, float]:
    """Least squares: the line at x, its slope, r squared, t of the slope."""
    centred = x - x.mean()
    slope = float(centred @ (y - y.mean()) / max(float(centred @ centred), 1e-300))
    line = y.mean() + slope * centred
    rest, whole = float(((y - line) ** 2).sum()), float(((y - y.mean()) ** 2).sum())
    r_squared = 1 - rest / whole if whole > 0 else 0.0
    error = (rest / max(len(x) - 2, 1) / max(float(centred @ centred), 1e-300)) ** 0.5
    return line, slope, r_squared, slope / error if error > 0 else float(np.sign(slope)) * 1e9


def _pearson(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"
