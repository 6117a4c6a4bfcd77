"""What the series of a lake say: found where it was put, and nothing in noise."""

import math
import random
from collections.abc import Callable
from pathlib import Path

from lakes import START_NS, sample

from eddy.knowledge.insight import Finding, findings
from eddy.knowledge.lake import Lake as Sink
from eddy.knowledge.query import Lake

HOUR_NS = 3600 * 10**9


def said(root: Path, **of: Callable[[int, random.Random], float]) -> list[Finding]:
    """Findings of hourly series of 20 days, one for each origin."""
    samples = []
    for number, (origin, value) in enumerate(of.items()):
        chance = random.Random(number)
        samples += [(START_NS + hour * HOUR_NS, value(hour, chance), origin) for hour in range(480)]
    Sink(to=str(root)).write_all([sample(i, float(value), origin=who, time_ns=at) for i, (at, value, who) in enumerate(samples)])
    with Lake(root) as lake:
        found = findings(lake)
        for finding in found:
            for sql in finding.sql.split(";\n"):
                assert lake.query(sql).arrow().num_rows > 0
    return found


def test_noise_says_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, a=lambda hour, chance: chance.gauss(20, 1), b=lambda hour, chance: chance.gauss(0, 3)) == []


def test_a_constant_says_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, a=lambda hour, chance: 4.0, b=lambda hour, chance: 4.0) == []


def test_a_trend_is_told_with_its_slope(tmp_path: Path) -> None:
    (found,) = said(tmp_path, a=lambda hour, chance: 0.5 * hour / 24 + chance.gauss(0, 1))
    assert found.kind == "trend" and abs(found.evidence["per_day"] - 0.5) < 0.05
    assert "room.value of a rises by 0.5" in found.text


def test_a_day_is_told_as_a_day(tmp_path: Path) -> None:
    (found,) = said(tmp_path, a=lambda hour, chance: 5 * math.sin(hour / 24 * 2 * math.pi) + chance.gauss(0, 1))
    assert (found.kind, found.evidence["period_s"]) == ("season", 86_400)


def test_a_single_outlier_is_told_with_its_time(tmp_path: Path) -> None:
    (found,) = said(tmp_path, a=lambda hour, chance: 90.0 if hour == 100 else chance.gauss(20, 1))
    assert (found.kind, found.evidence["value"], found.evidence["time"]) == ("anomaly", 90.0, "2026-01-05T04:00:00Z")


def test_what_moves_together_is_told_and_two_trends_alone_are_not(tmp_path: Path) -> None:
    walk = [0.0]
    chance = random.Random(9)
    for _ in range(480):
        walk.append(0.9 * walk[-1] + chance.gauss(0, 1))
    found = said(
        tmp_path,
        a=lambda hour, chance: walk[hour] + chance.gauss(0, 0.2),
        b=lambda hour, chance: -2 * walk[hour] + chance.gauss(0, 0.2),
        c=lambda hour, chance: hour / 50 + chance.gauss(0, 1),
        d=lambda hour, chance: hour / 40 + chance.gauss(0, 1),
    )
    pairs = [(finding.about, finding.text) for finding in found if finding.kind == "correlation"]
    assert [about for about, _ in pairs] == [("room.value of a", "room.value of b")] and "against each other" in pairs[0][1]


def test_day_and_night_are_no_trend_because_the_series_ends_in_the_evening(tmp_path: Path) -> None:
    busy = [9.0 if 8 <= hour % 24 < 18 and hour < 40 else 0.0 for hour in range(480)]
    found = said(tmp_path, a=lambda hour, chance: busy[hour] + chance.gauss(0, 0.1) if hour < 90 else float("nan"))
    assert not [finding.text for finding in found if finding.kind == "trend"]


def test_what_many_show_at_once_is_one_finding_and_a_run_of_steps_too(tmp_path: Path) -> None:
    chance = random.Random(3)
    values = [{"a": chance.gauss(9, 1), "b": chance.gauss(3, 1), "c": chance.gauss(0, 1)} for _ in range(480)]
    for hour in (100, 101, 102):
        values[hour] = {"a": 90.0 + hour, "b": 80.0 + hour, "c": chance.gauss(0, 1)}
    units = {"room": {"units": {"a": "Cel"}}}
    Sink(to=str(tmp_path), streams=units).write_all([sample(i, one, time_ns=START_NS + i * HOUR_NS) for i, one in enumerate(values)])
    with Lake(tmp_path) as lake:
        (found,) = [finding for finding in findings(lake) if finding.kind == "anomaly"]
    assert set(found.about) == {"room.a of a", "room.b of a"} and found.evidence["time"].startswith("2026-01-05T06")
    assert "192 Cel" in found.text or "so are a" in found.text


def test_what_was_decided_is_not_measured(tmp_path: Path) -> None:
    told = {"room": {"kind": "decided", "fields": {"0": "score"}}}
    Sink(to=str(tmp_path), streams=told).write_all([sample(i, [i], time_ns=START_NS + i * HOUR_NS) for i in range(480)])
    with Lake(tmp_path) as lake:
        assert lake.query("SELECT max(score) AS most FROM room").rows() == [{"most": 479}]
        assert findings(lake) == []
