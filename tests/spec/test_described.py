"""What an app knows of its streams reaches those who keep them."""

from pathlib import Path

from eddy.spec.described import described
from eddy.spec.load import load, parse

FLEET = load(Path(__file__).parents[2] / "examples" / "fleet" / "eddy.yaml")
MEANS = """
app: means
nodes: {gw: {tier: gateway}}
sources:
  temperature: {at: gw, driver: http, listen: "127.0.0.1:1", value: t, scale: 100, unit: Cel, range: [-40, 85], private: gateway,
                owner: Boilers}
functions:
  warm: {use: filter, from: temperature, when: value > 20}
  mean: {use: mean, from: temperature, over: 1m}
  high: {use: rule, from: mean, when: value > 30}
  hot: {use: alarm, from: [warm, mean], raise: value > 30 for 1m}
sinks:
  lake: {from: [warm, mean, high], at: gw, driver: lake}
"""
CELLAR = "  cellar: {at: gw, driver: http, listen: '127.0.0.1:2', value: t, scale: 100, unit: Cel}\nfunctions:"


def test_a_source_tells_units_of_its_fields_and_its_scale() -> None:
    said = described(FLEET, "room")
    assert (said["units"]["S5_CO2"], said["scale"], said["private"]) == ("ppm", "1000000000", "gateway")


def test_a_row_of_features_has_names_units_and_what_its_integers_are_worth() -> None:
    said = described(FLEET, "features")
    assert (said["fields"]["1"], said["per"]["rms"], said["units"]["rms"]) == ("rms", 16_000, "gn")
    assert (said["fields"]["2"], said["per"]["kurtosis"], said["units"]["kurtosis"]) == ("kurtosis", 1000, "/")
    assert "kind" not in said


def test_what_models_and_rules_say_is_told_to_be_decided() -> None:
    judge, report, alarm = (described(FLEET, name) for name in ("judge", "report", "alarm"))
    assert (judge["kind"], judge["fields"]["1"], judge["fields"]["2.1"], judge["fields"]["10"]) == ("decided", "verdict", "rms", "total")
    assert (judge["per"]["share"], judge["absent"]["share"]) == (65_536, -1)
    assert report == described(FLEET, "detect") and report["fields"]["3"] == "held"
    assert alarm["fields"] == {"0": "raised", "1": "at_ns"}


def test_a_source_tells_whose_it_is() -> None:
    assert described(parse(MEANS), "temperature")["owner"] == "Boilers"


def test_means_and_filters_are_in_the_unit_and_scale_of_their_source() -> None:
    app = parse(MEANS)
    for name in ("warm", "mean"):
        assert {what: described(app, name)[what] for what in ("unit", "scale", "range")} == {
            **{"unit": "Cel", "scale": "100"},
            "range": {"value": [-40, 85]},
        }
    assert described(app, "high")["kind"] == "decided"


def test_what_several_inputs_are_alike_in_is_known_of_what_passes_them_on() -> None:
    other = MEANS.replace("functions:", CELLAR)
    of_both = other.replace("warm: {use: filter, from: temperature", "warm: {use: filter, from: [temperature, cellar]")
    assert described(parse(of_both), "warm") == {"private": "gateway", "unit": "Cel", "scale": "100"}  # not the range of the one alone
    again = MEANS.replace("high: {use: rule, from: mean", "later: {use: mean, from: mean, over: 1h}\n  high: {use: rule, from: later")
    assert described(parse(again), "later") == described(parse(again), "mean")


def test_the_value_of_an_alarm_is_in_the_unit_and_scale_of_what_it_compares() -> None:
    assert described(parse(MEANS), "hot") == {**{"private": "gateway", "kind": "decided"}, "per": {"value": 100}, "units": {"value": "Cel"}}
    other = MEANS.replace("functions:", CELLAR.replace("Cel", "K"))
    more = described(parse(other.replace("from: [warm, mean]", "from: [mean, cellar]")), "hot")
    assert more["per"] == {"value": 100} and "units" not in more  # they differ in that
    text = (Path(__file__).parents[2] / "examples" / "fleet" / "eddy.yaml").read_text()
    loud = text.replace("sinks:\n", "  loud: {use: alarm, from: features, raise: 'value[1] > 5', releases: gateway}\n\nsinks:\n")
    assert {what: described(parse(loud), "loud")[what] for what in ("per", "units")} == {"per": {"value": 16_000}, "units": {"value": "gn"}}
    rare = text.replace("sinks:\n", "  rare: {use: alarm, from: judge, raise: anomaly in 5 of 6 windows}\n\nsinks:\n")
    assert described(parse(rare), "rare") == {"private": "gateway", "kind": "decided"}
