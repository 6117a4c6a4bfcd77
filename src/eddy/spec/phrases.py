"""Phrases: the short sentences of the language besides conditions, each with one form."""

import re
from typing import Any, NamedTuple

from eddy.spec.diagnostics import Invalid
from eddy.spec.quantities import DURATION_MS, NUMBER, SHARE
from eddy.spec.quantities import parse as quantity

NAME = r"[A-Za-z][A-Za-z0-9_-]*"
_DURATION = r"[0-9.]+\s*[a-z]+"
ONE_IN = r"1 in ([1-9][0-9]{0,8})"
QUANTILE = rf"quantile ({NUMBER})%"
ROWS = r"([1-9][0-9]{0,8}) windows"
FALSE_POSITIVES = rf"([1-9][0-9]{{0,8}}) false positives? in ({_DURATION})"
RING = r"dev|test|prod|canary [1-9][0-9]{0,8}"
DATA = r"(?:ims|recordings|rig):[^#]+(?:#.+)?|csv:[^#]+#.+"
AT_MOST = r"< ([0-9.]+\s*%)"
TASK = rf"(?:retrain (?P<model>{NAME})|move (?P<function>{NAME}) to (?P<node>{NAME}))"
EXPECTATION = (
    rf"(?:latency\((?P<start>{NAME}) -> (?P<end>{NAME})\) p(?P<percentile>[1-9][0-9]?) < (?P<limit>{_DURATION})"
    rf"|no (?P<stream>{NAME}) beyond (?P<place>{NAME}))"
)


class FalsePositives(NamedTuple):
    """How many in how long replace a champion."""

    alarms: int
    within_ms: int


def one_in(text: object) -> int:
    """`1 in 20` is 20."""
    return int(_match(text, ONE_IN, "1 in 20")[1])


def quantile(text: object) -> int:
    """`quantile 98%` in per mille, 980."""
    share = quantity(_match(text, QUANTILE, "quantile 98%")[1] + "%", SHARE) * 1000
    if share.denominator != 1 or not 0 < share < 1000:
        raise Invalid("E124", f"'{text}' is no quantile between 0.1% and 99.9%", "write it with one decimal at most, as in quantile 98.5%")
    return int(share)


def rows(text: object) -> int:
    """`150 windows` is 150."""
    return int(_match(text, ROWS, "150 windows")[1])


def false_positives(text: object) -> FalsePositives:
    """`5 false positives in 24h`."""
    match = _match(text, FALSE_POSITIVES, "5 false positives in 24h")
    return FalsePositives(int(match[1]), int(quantity(match[2], DURATION_MS)))


def at_most(text: object) -> float:
    """`< 2%` is 0.02."""
    return float(quantity(_match(text, AT_MOST, "< 2%")[1], SHARE))


def ring(text: str) -> str:
    """A ring of a release, as it was."""
    _match(text, RING, "dev, test, canary 1, prod")
    return text


def data(text: str) -> str:
    """What a replay plays, as it was."""
    _match(text, DATA, "ims:2nd_test#1, recordings:FOLDER#1, rig:SEED#1 or csv:FILE#COLUMN")
    return text


def task(text: str) -> dict[str, str]:
    """`retrain MODEL` or `move FUNCTION to NODE`: the names by what they are."""
    return _named(_match(text, TASK, "retrain bearing-health, or: move detect to gw"))


def expectation(text: str) -> dict[str, str]:
    """What is verified: the parts of `EXPECTATION` by their names."""
    parts = _named(_match(text, EXPECTATION, "latency(vibration -> alarm) p95 < 2s, or: no vibration beyond device"))
    if "limit" in parts:
        quantity(parts["limit"], DURATION_MS)
    return parts


def _match(text: object, pattern: str, example: str) -> re.Match[str]:
    match = re.fullmatch(pattern, text) if isinstance(text, str) else None
    if match is None:
        raise Invalid("E124", f"{text!r} is not understood here", f"write for instance: {example}")
    return match


def _named(match: re.Match[str]) -> dict[str, str]:
    parts: dict[str, Any] = match.groupdict()
    return {name: part for name, part in parts.items() if part is not None}
