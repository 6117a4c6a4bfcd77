"""Quantities, units and phrases: what people write, and what the code sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.spec import phrases, quantities, units
from eddy.spec.diagnostics import Invalid
from eddy.spec.quantities import Kind, parse, write


@pytest.mark.parametrize(
    ("text", "kind", "value", "again"),
    [
        ("500ms", quantities.DURATION_MS, 500, "500ms"),
        ("90m", quantities.DURATION_MS, 5_400_000, "90m"),
        ("40ms", quantities.LATENCY_S, 0.04, "40ms"),
        ("256KiB", quantities.SIZE_B, 262_144, "256KiB"),
        ("1.5kB", quantities.SIZE_B, 1500, "1500B"),
        ("20 kHz", quantities.RATE_HZ, 20_000, "20kHz"),
        ("1/h", quantities.RATE_HZ, 1 / 3600, "1/h"),
        ("2Mbit/s", quantities.BANDWIDTH_BIT_S, 2e6, "2Mbit/s"),
        ("2400baud", quantities.BANDWIDTH_BIT_S, 1920, "1920bit/s"),
        ("2Wh", quantities.ENERGY_J, 7200, "2Wh"),
        ("0.8/h", quantities.PRICE_PER_H, 0.8, "0.8/h"),
        ("5%", quantities.SHARE, 0.05, "5%"),
        ("0s", quantities.LATENCY_S, 0, "0s"),
    ],
)
def test_a_quantity_is_read_in_its_base_unit_and_written_for_people(text: str, kind: Kind, value: float, again: str) -> None:
    assert float(parse(text, kind)) == value
    assert write(value, kind) == again


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ("5 parsecs", "'parsecs' is no unit of a duration", 2),
        ("5", "'5' has no unit", 1),
        (5, "5 is no duration", 0),
        ("-5ms", "'-5ms' is no duration", 0),
        ("1e3s", "'1e3s' is no duration", 0),
        ("٣s", "'٣s' is no duration", 0),
    ],
)
def test_what_is_no_quantity_is_told(text: object, reason: str, column: int) -> None:
    with pytest.raises(Invalid) as told:
        parse(text, quantities.DURATION_MS)
    assert (told.value.reason, told.value.column) == (reason, column)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_invalid(text: str) -> None:
    try:
        assert parse(text, quantities.SIZE_B) >= 0
    except Invalid as error:
        assert error.code == "E121" and error.way_out


@pytest.mark.parametrize(
    ("unit", "meant"), [("m/s^2", "m/s2"), ("°C", "Cel"), ("hpa", "hPa"), ("lux", "lx"), ("%rh", "%RH"), ("μg/m3", "ug/m3")]
)
def test_an_unknown_unit_is_told_with_the_one_that_was_meant(unit: str, meant: str) -> None:
    assert units.known(meant) == meant
    with pytest.raises(Invalid) as told:
        units.known(unit)
    assert told.value.way_out == f"did you mean '{meant}'?"


def test_phrases_have_one_meaning() -> None:
    assert (phrases.one_in("1 in 20"), phrases.quantile("quantile 98.5%"), phrases.rows("150 windows")) == (20, 985, 150)
    assert phrases.false_positives("5 false positives in 24h") == (5, 86_400_000)
    assert phrases.at_most("< 2%") == 0.02
    assert phrases.task("move detect to gw") == {"function": "detect", "node": "gw"}
    assert phrases.expectation("no vibration beyond device") == {"stream": "vibration", "place": "device"}
    latency = phrases.expectation("latency(vibration -> alarm) p95 < 2s")
    assert latency == {"start": "vibration", "end": "alarm", "percentile": "95", "limit": "2s"}


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (phrases.one_in, "2 in 20"),
        (phrases.quantile, "quantile 100%"),
        (phrases.quantile, "quantile 98.55%"),
        (phrases.rows, 150),
        (phrases.false_positives, "5 false positives in 24 parsecs"),
        (phrases.ring, "production"),
        (phrases.task, "stop detect"),
        (phrases.expectation, "latency(a) < 2s"),
    ],
)
def test_what_is_no_phrase_is_told_with_an_example(read: object, text: object) -> None:
    with pytest.raises(Invalid) as told:
        read(text)  # type: ignore[operator]
    assert told.value.way_out
