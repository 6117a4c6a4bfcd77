"""A condition holds where the table of the lake shows a number that fulfils it, whatever is stored."""

import operator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import SpecError
from eddy.kernel.functions.condition import Condition
from eddy.spec.described import described
from eddy.spec.load import made, parse
from eddy.spec.measured import measured
from eddy.spec.model import App
from eddy.spec.programs import program

OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}
APP = """
app: units
nodes: {gw: {tier: gateway}}
sources:
  room: {at: gw, driver: http, listen: "127.0.0.1:1", scale: 100}
  hall: {at: gw, driver: http, listen: "127.0.0.1:2", scale: 100}
  yard: {at: gw, driver: http, listen: "127.0.0.1:3"}
  sound: {at: gw, driver: replay, data: "rig:1#1", rate: 20kHz, scale: 1000}
functions:
  both:     {use: filter, from: [room, hall], when: value > -1000}
  mean:     {use: mean, from: both, over: 1m}
  windows:  {use: window, from: sound, size: 500ms}
  features: {use: features, from: windows, compute: [rms, kurtosis]}
  others:   {use: features, from: windows, compute: [kurtosis, rms]}
  detect:   {use: model, from: features, model: m}
  report:   {use: forward, from: detect, normal: 1 in 20}
  judge:    {use: pool, from: report, model: m}
  told:     {use: STREAM, from: INPUTS, CONDITIONS}
models:
  m: {}
"""


def app(inputs: str, conditions: str, use: str = "rule") -> App:
    return parse(APP.replace("STREAM", use).replace("INPUTS", inputs).replace("CONDITIONS", conditions))


def wrong(inputs: str, conditions: str, use: str = "rule") -> list[tuple[int, str, str, str]]:
    """(column within the line of the function, code, reason, way out) of each mistake."""
    with pytest.raises(SpecError) as told:
        app(inputs, conditions, use)
    return [(int(one.where.rsplit(":", 1)[1]), one.code, one.reason, one.way_out) for one in told.value.diagnostics]


@given(
    st.integers(-(10**9), 10**9),
    st.integers(-(10**8), 10**8),
    st.sampled_from([1, 2, 10, 100, 65_536, 10**7]),
    st.sampled_from(sorted(OPERATORS)),
)
def test_counts_are_compared_as_the_numbers_that_they_stand_for(count: int, milli: int, scale: int, sign: str) -> None:
    sources = {"s": {"at": "gw", "driver": "http", "listen": "127.0.0.1:1", "scale": scale}}
    text = f"value {sign} {'-' * (milli < 0)}{abs(milli) // 1000}.{abs(milli) % 1000:03d}"
    functions = {"f": {"use": "filter", "from": "s", "when": text}}
    does = program(made({"app": "a", "nodes": {"gw": {"tier": "gateway"}}, "sources": sources, "functions": functions}), "function", "f")
    assert Condition(does[2]["when"]).holds(count, 0) == OPERATORS[sign](Fraction(count, scale), Fraction(milli, 1000))


@pytest.mark.parametrize(
    ("stream", "field", "part", "sample"),
    [
        ("room", "value", None, 2150),
        ("room", "co2", "co2", {"co2": 104_050, "t": 2150}),
        ("[room, hall]", "co2", "co2", {"co2": 104_050}),
        ("both", "value", None, 2150),
        ("mean", "value", None, 2150),
        ("yard", "value", None, 2150),
        ("features", "rms", "rms", [40_000, 3500]),
        ("features", "value[0]", "rms", [40_000, 3500]),
        ("features", "kurtosis", "kurtosis", [40_000, 3500]),
        ("detect", "score", "score", [40_000, 0, [40_000, 3500]]),
        ("report", "value[0]", "score", [40_000, 0, [40_000, 3500], 5]),
        ("report", "held", "held", [40_000, 0, [40_000, 3500], 5]),
        ("judge", "share", "share", [40_000, 0, [40_000, 3500], 0, "pump", 0, 0, 30_000, {}, 5, 9]),
    ],
)
def test_what_is_compared_is_what_the_table_shows(stream: str, field: str, part: str | None, sample: Any) -> None:
    shown = measured(sample, described(app("yard", "when: value > 0"), stream.strip("[]").partition(",")[0]))
    number = Fraction(shown if part is None else shown[part])
    for threshold in (number - Fraction(1, 100), number + Fraction(1, 100)):
        when = program(app(stream, f"when: '{field} > {float(threshold):.3f}'"), "function", "told")[2]["when"]
        assert Condition(when).holds(sample, 0) == (number > threshold), (field, threshold)


def test_both_conditions_of_an_alarm_are_in_the_unit() -> None:
    does = program(app("room", "raise: value > 21.5 for 1m, clear: not value >= -5%", "alarm"), "function", "told")
    assert does[2] == {
        "name": "told",
        "when": ["for", ["compare", "", ">", 2_150_000], 60_000],
        "clear": ["not", ["compare", "", ">=", -5000]],
    }


def test_more_decimals_are_understood_where_more_are_stored() -> None:
    assert program(app("room", "when: value > 0.00005"), "function", "told")[2]["when"] == ["compare", "", ">", 5]
    text = "when: value > 0.000005"
    ((column, code, reason, way_out),) = wrong("room", text)
    line = next(line for line in APP.splitlines() if "told:" in line).replace("STREAM", "rule").replace("INPUTS", "room")
    assert column == line.replace("CONDITIONS", text).index("0.000005") + 1
    assert (code, reason) == ("E123", "finer than 1e-05, before '0.000005'") and "round" in way_out


def test_a_number_that_no_kernel_can_hold_is_refused() -> None:
    edge = (2**63 - 1) // (1000 * 16_000)
    assert program(app("features", f"when: rms > {edge}"), "function", "told")[2]["when"][3] == edge * 16_000_000
    ((_, code, reason, way_out),) = wrong("features", f"when: rms > {edge + 1}")
    assert code == "E123" and "64 bits" in reason and "16,000" in reason and "smaller" in way_out


@pytest.mark.parametrize(
    ("inputs", "conditions", "use", "at", "code", "reason", "way_out"),
    [
        ("[room, yard]", "when: value > 1", "rule", "value", "E136", "'value' means value / 100 of 'room', and value of 'yard'", "'scale'"),
        ("[features, others]", "when: rms > 1", "filter", "rms", "E136", "value[0] / 16,000 of 'features', and value[1] / 16,000", "own"),
        ("[yard, room]", "raise: a > 1, clear: b < 1", "alarm", "a >", "E136", "'a' means a of 'yard'", "own"),
        ("features", "raise: rms > 1, clear: rsm < 1", "alarm", "rsm", "E131", "there is no number 'rsm'", "did you mean 'rms'?"),
        ("features", "when: 'not value[2] == 1'", "rule", "value", "E131", "there is no number 'value[2]'", "rms, kurtosis"),
        ("detect", "when: value > 1", "rule", "value", "E131", "there is no number 'value'", "score, label"),
        ("detect", "when: kurtosis > 1", "rule", "kurtosis", "E136", "within a row in the samples of 'detect'", "score, label"),
    ],
)
def test_what_cannot_be_compared_is_refused_where_it_stands(
    inputs: str, conditions: str, use: str, at: str, code: str, reason: str, way_out: str
) -> None:
    found = wrong(inputs, conditions, use)
    line = next(line for line in APP.splitlines() if "told:" in line).replace("STREAM", use).replace("INPUTS", inputs)
    column, told, why, way = found[0]
    assert (column, told) == (line.replace("CONDITIONS", conditions).index(at, line.index("CONDITIONS")) + 1, code)
    assert reason in why and way_out in way


def test_what_is_broken_already_is_told_once() -> None:
    assert [one[1] for one in wrong("[room, nobody]", "when: value > 1")] == ["E131"]
    assert [one[1] for one in wrong("[told, room]", "when: value > 1", "filter")] == ["E133"]
