"""What Home Assistant is told of a stream is what it takes, and finds the value again."""

import json
import re
from typing import Any

import jinja2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eddy.links.homeassistant import UNITS, sensor
from eddy.spec.units import NAMES

DISCOVERY = re.compile(r"homeassistant/\w+/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config")
"""Topics that Home Assistant looks at: <prefix>/<component>/[<node_id>/]<object_id>/config."""

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(stream=names, origin=names, field=names, value=st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_the_template_finds_the_field_whatever_it_is_called(stream: str, origin: str, field: str, value: Any) -> None:
    topic, about = sensor("eddy", "eddy/s/o", (stream, origin, field), value, {})
    assert DISCOVERY.fullmatch(topic)
    template = jinja2.Environment(autoescape=True).from_string(about["value_template"])
    heard = json.loads(json.dumps({"key": "k", "time_ns": 1, "value": {"other": 1, field: value}}))
    assert template.render(value_json=heard) == str(value)
    assert template.render(value_json={"value": {}}) == ""


@given(st.lists(st.tuples(names, names, names | st.just("")), min_size=2, max_size=5, unique=True))
@example([("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "c d"), ("a c", "b", "d")])
def test_no_two_sensors_are_the_same(several: list[tuple[str, str, str]]) -> None:
    told = [sensor("eddy", "t", what, 1, {}) for what in several]
    told += [sensor("other", "t", what, 1, {}) for what in several]
    assert len({topic for topic, _ in told}) == len({about["unique_id"] for _, about in told}) == 2 * len(several)


@pytest.mark.parametrize(
    ("said", "field", "value", "expected"),
    [
        ({"unit": "Cel"}, "", 21.5, {"unit_of_measurement": "°C", "device_class": "temperature", "state_class": "measurement"}),
        ({"unit": "Cel", "units": {"h": "%RH"}}, "h", 40, {"unit_of_measurement": "%", "device_class": "humidity"}),
        ({"unit": "kWh"}, "", 3, {"unit_of_measurement": "kWh", "device_class": "energy", "state_class": "total"}),
        ({"unit": "pH"}, "", 7.0, {"unit_of_measurement": None, "device_class": "ph"}),
        ({"units": {"PM2.5": "ug/m3"}}, "PM2.5", 12, {"unit_of_measurement": "µg/m³", "device_class": None, "state_class": "measurement"}),
        ({"unit": "ppm"}, "", 417, {"unit_of_measurement": "ppm", "device_class": None}),
        ({"unit": "/"}, "", 0.5, {"unit_of_measurement": None, "device_class": None, "state_class": "measurement"}),
        ({}, "", 5, {"unit_of_measurement": None, "device_class": None, "state_class": "measurement"}),
        ({"unit": "Cel"}, "", "on", {"unit_of_measurement": None, "device_class": None, "state_class": None}),
        ({"unit": "Cel"}, "", True, {"unit_of_measurement": None, "device_class": None, "state_class": None}),
    ],
)
def test_the_unit_of_the_app_says_unit_and_class(said: dict[str, Any], field: str, value: Any, expected: dict[str, str | None]) -> None:
    about = sensor("eddy", "t", ("room", "a", field), value, said)[1]
    assert {option: about.get(option) for option in expected} == expected


def test_every_unit_is_one_that_an_app_can_have() -> None:
    assert UNITS.keys() <= set(NAMES)
