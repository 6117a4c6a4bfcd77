"""What the series of a lake say by themselves: trends, seasons, anomalies, correlations; each with its evidence and the query behind it.

    trend          least squares over the means of steps, told when |t| > 4 and r² > 0.1; t counts as many independent steps as the
                   autocorrelation of what is left leaves (Bayley and Hammersley 1946): a day and a night are not a trend
    season         the period between 4 steps and a third of the series at which the detrended series resembles itself most, told when the
                   autocorrelation there is above 0.4 and a local maximum. Steps are an hour at most, and a period that cannot be told
                   from a day or a week is one
    anomaly        steps further from the median of the 25 around them than 8 times their spread (the larger of MAD, Hampel 1974, and mean
                   distance); of those that touch each other the furthest, the five furthest of a series
    correlation    Pearson's r between two series, told when it is above 0.6 for the values and above 0.3 for their changes: two trends
                   alone correlate in the values only. Series that move together by way of each other are one finding

Looked at are the series of all origins of all streams in turn, but those that say what models and rules decided; of streams with tiers also
what went before their samples, in steps that are not shorter than those of the tiers.
Nothing here is more than a hint where to look; the numbers that it rests on stand beside it.
"""

from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eddy.knowledge.columns import OWN, literal, quoted
from eddy.knowledge.query import Lake

STEPS = 500
"""About so many steps a series is cut into."""

MOST_SERIES = 80
"""Series that are looked at: of every origin of every stream its first fields, in turn."""

_ROUND_S = (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800)
_TREND_T, _SEASON_R, _HAMPEL, _AROUND, _PAIR_R, _CHANGE_R, _FEW = 4.0, 0.4, 8.0, 25, 0.6, 0.3, 30
_HOUR_S, _DAY_S, _WEEK_S = 3600, 86_400, 604_800
_MOST_HOURS = 20_000  # of a series that is looked at by the hour
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")

Floats = NDArray[np.float64]
_NONE: Floats = np.empty(0)
_MOST_ANOMALIES = 5


@dataclass(frozen=True)
class Finding:
    """One thing worth a look.

    Attributes:
        kind: trend, season, anomaly or correlation.
        about: The series, `stream.field of origin`, one or several.
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
        unit: Of the values, or "".
        times_s: Start of each step, seconds since 1970; steps without a sample are left out.
        values: Their means.
    """

    stream: str
    field: str
    origin: str
    unit: str
    step_s: int
    times_s: Floats
    values: Floats
    sql: str

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.stream}.{self.field}" + (f" of {self.origin}" if self.origin != self.stream else "")

    def with_unit(self, value: float, digits: int = 4) -> str:
        """A value as people read it."""
        return f"{value:.{digits}g}" + (f" {self.unit}" if self.unit and self.unit != "/" else "")


def findings(lake: Lake) -> list[Finding]:
    """Everything that is worth a look, the most striking of each kind first."""
    found: list[Finding] = []
    several = series(lake)
    for one in several:
        if len(one.values) >= _FEW and float(np.ptp(one.values)) > 0:
            found += [*_trend(one), *_season(_by_the_hour(lake, one)), *_anomalies(one)]
    found = _at_once(found) + _together([pair for one, other in combinations(several, 2) for pair in _correlation(one, other)])
    kinds = ("trend", "season", "anomaly", "correlation")
    return sorted(found, key=lambda finding: (kinds.index(finding.kind), -finding.weight))


def series(lake: Lake, steps: int = STEPS) -> list[Series]:
    """The numeric fields of all origins, as means of even steps."""
    found: list[tuple[int, int, Series]] = []
    measured = lake.query("SELECT stream FROM streams WHERE kind IS NULL OR kind <> 'decided' ORDER BY rows DESC").rows()
    for stream in (row["stream"] for row in measured):
        name, *tiers = map(quoted, (stream, *lake.tiers[stream]))
        said = f"SELECT field, unit FROM fields WHERE stream = {literal(stream)}"  # noqa: S608 - quoted
        units = {row["field"]: row["unit"] or "" for row in lake.query(said).rows()}
        fields = [
            row["column_name"]
            for row in lake.query(f"DESCRIBE {name}").rows()
            if row["column_name"] not in OWN and str(row["column_type"]).partition("(")[0] in _NUMBERS
        ]
        times = " UNION ALL ".join(f"SELECT origin, time FROM {table}" for table in (name, *tiers))  # noqa: S608 - quoted
        counted = f"SELECT origin, count(*) AS n, epoch(max(time)) - epoch(min(time)) AS span FROM ({times}) GROUP BY origin"  # noqa: S608
        least_s = _tier_s(lake, stream)
        for row in lake.query(f"{counted} ORDER BY n DESC, origin LIMIT {MOST_SERIES}").rows():
            step_s = next((size for size in _ROUND_S if size * steps >= row["span"] and size >= least_s), _ROUND_S[-1])
            for turn, field in enumerate(fields[:MOST_SERIES]):
                found.append((turn, -row["n"], Series(stream, field, row["origin"], units.get(field, ""), step_s, _NONE, _NONE, "")))
    found.sort(key=lambda one: (*one[:2], one[2].name))
    read = (_series(lake, one, one.step_s) for _, _, one in found)
    return [one for one in islice(read, MOST_SERIES) if len(one.values)]


def _by_the_hour(lake: Lake, one: Series) -> Series:
    """A long series in shorter steps: a day is no season of steps of a day."""
    hours = (one.times_s[-1] - one.times_s[0]) / _HOUR_S
    return _series(lake, one, _HOUR_S) if one.step_s > _HOUR_S >= _tier_s(lake, one.stream) and hours <= _MOST_HOURS else one


def _tier_s(lake: Lake, stream: str) -> float:
    """The longest step of the tiers of a stream; 0 when it has none."""
    if not lake.tiers[stream]:
        return 0.0
    rows = lake.query(f"SELECT max(step_s) AS step_s FROM tiers WHERE stream = {literal(stream)}").rows()  # noqa: S608 - quoted
    return float(rows[0]["step_s"] or 0)


def _series(lake: Lake, one: Series, step_s: int) -> Series:
    """The same series, read from the lake."""
    macro = "history" if lake.tiers[one.stream] else "resample"
    of = f"{macro}({literal(one.stream)}, {literal(one.field)}, INTERVAL {step_s} SECOND)"
    sql = f"SELECT epoch(time) AS t, mean FROM {of} WHERE origin = {literal(one.origin)} AND mean IS NOT NULL ORDER BY t"  # noqa: S608
    table = lake.query(sql).arrow()
    times, values = (np.asarray(table[column].to_pylist(), dtype=np.float64) for column in ("t", "mean"))
    finite = np.isfinite(values)
    return replace(one, step_s=step_s, times_s=times[finite], values=values[finite], sql=sql)


def _trend(one: Series) -> list[Finding]:
    line, slope, r_squared, t = _line(one.times_s, one.values)
    rest = one.values - line
    alike = min(max(_pearson(rest[1:], rest[:-1]), 0.0), 0.999)
    t *= ((1 - alike) / (1 + alike)) ** 0.5
    if abs(t) < _TREND_T or r_squared < 0.1:
        return []
    span_s, change = float(one.times_s[-1] - one.times_s[0]), float(line[-1] - line[0])
    size_s, name = next((size for size in ((_DAY_S, "day"), (_HOUR_S, "hour"), (60, "minute")) if span_s >= 2 * size[0]), (1, "second"))
    per = slope * size_s
    way = "rises" if slope > 0 else "falls"
    text = f"{one.name} {way} by {one.with_unit(abs(per), 3)} a{'n' if name == 'hour' else ''} {name}, "
    text += f"by {one.with_unit(abs(change), 3)} in all"
    evidence = {f"per_{name}": per, "change": change, "r_squared": r_squared, "t": t, "steps": len(one.values)}
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
    best = max(peaks, key=lambda lag: likeness[lag], default=0)
    if not best or likeness[best] < _SEASON_R:
        return []
    lag = next(peak for peak in peaks if likeness[peak] > 0.8 * likeness[best])  # of a period and its multiples, the shortest
    strength = float(likeness[lag])
    if strength < _SEASON_R or min(likeness[1 : lag + 1]) > strength - 0.2:
        return []
    period_s = lag * one.step_s
    for usual_s in (_DAY_S, _WEEK_S):
        at = usual_s // one.step_s
        if abs(at - lag) <= max(1, lag // 40) and at * one.step_s == usual_s and likeness[at] > 0.9 * strength:
            period_s = usual_s
    text = f"{one.name} repeats itself every {duration(period_s)}"
    return [Finding("season", (one.name,), text, {"period_s": period_s, "autocorrelation": strength, "steps": size}, one.sql, strength)]


def _anomalies(one: Series) -> list[Finding]:
    half = _AROUND // 2
    padded = np.pad(one.values, half, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, _AROUND), axis=1)[: len(one.values)]
    off = one.values - around
    # Where most are their own median, on a smooth slope or in a silent night, the mean distance says how far is far.
    scale = max(1.4826 * float(np.median(np.abs(off - np.median(off)))), 1.2533 * float(np.abs(off).mean()))
    if scale <= 0:
        return []
    far = np.abs(off) / scale
    found: list[Finding] = []
    told: set[int] = set()
    for at in np.argsort(-far):
        if far[at] <= _HAMPEL or len(found) == _MOST_ANOMALIES:
            break
        near = {at - 1, at, at + 1} & told
        told.add(int(at))
        if near:
            continue
        when = np.datetime_as_string(np.datetime64(int(one.times_s[at]), "s")) + "Z"
        text = f"{one.name} is {one.with_unit(one.values[at])} at {when}, where {one.with_unit(around[at])} was usual"
        evidence = {"time": when, "value": float(one.values[at]), "usual": float(around[at]), "times_spread": float(far[at])}
        found.append(Finding("anomaly", (one.name,), text, evidence, one.sql, float(far[at])))
    return found


def _at_once(found: list[Finding]) -> list[Finding]:
    """What several fields of an origin show in the same step is one anomaly: the most striking, with the names of the others."""
    first: dict[tuple[str, str, str], Finding] = {}
    others: dict[tuple[str, str, str], list[str]] = {}
    anomalies = sorted((one for one in found if one.kind == "anomaly"), key=lambda one: -one.weight)
    for one in anomalies:
        (stream, field), origin = one.about[0].partition(" of ")[0].split(".", 1), one.about[0].partition(" of ")[2]
        key = (stream, origin, one.evidence["time"])
        if key in first:
            others[key].append(field)
            first[key] = replace(first[key], about=(*first[key].about, *one.about))
        else:
            first[key], others[key] = one, []
    told = [replace(one, text=one.text + (f"; so are {', '.join(others[key])}" if others[key] else "")) for key, one in first.items()]
    return [one for one in found if one.kind != "anomaly"] + told


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
    evidence = {"r": values, "r_of_changes": changes, "steps": len(a)}
    text = f"{one.name} and {other.name} move {_way(values)}"
    return [Finding("correlation", (one.name, other.name), text, evidence, f"{one.sql};\n{other.sql}", abs(values))]


def _way(r: float) -> str:
    return "together" if r > 0 else "against each other"


def _together(pairs: list[Finding]) -> list[Finding]:
    """Pairs that are joined by others, as one: what ten sensors of a room have in common is one thing and not 45."""
    groups: list[set[str]] = []
    for pair in pairs:
        joined = [group for group in groups if group & {*pair.about}]
        groups = [group for group in groups if group not in joined] + [set(pair.about).union(*joined)]
    found: list[Finding] = []
    for group in groups:
        those = sorted((pair for pair in pairs if pair.about[0] in group), key=lambda pair: -pair.weight)
        if len(those) == 1:
            found += those
            continue
        least = those[-1].weight
        way = "together or against each other" if len({pair.evidence["r"] > 0 for pair in those}) > 1 else _way(those[0].evidence["r"])
        text = f"{', '.join(sorted(group))} move {way}; the closest: {' and '.join(those[0].about)}"
        evidence = {**those[0].evidence, "pairs": len(those), "least_r": least}
        found.append(Finding("correlation", tuple(sorted(group)), text, evidence, those[0].sql, those[0].weight))
    return found


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


def duration(seconds: float) -> str:
    """As people read it, in the largest unit of which there are two."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"
