"""Driver `mqtt` with `discovery: homeassistant`: Home Assistant finds a sensor for everything that is measured, without being told."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from eddy.links.driver import as_json
from eddy.links.mqtt import Publish
from eddy.spec.measured import measured

PREFIX = "homeassistant"
"""Where Home Assistant looks for what there is, unless it was told otherwise."""

MOST = 4096
"""Sensors that are announced; of more, samples are published only."""

TEXT = 255
"""Characters of a text that Home Assistant takes as a state."""

UNITS: dict[str, tuple[str | None, str | None]] = {
    **{"Cel": ("°C", "temperature"), "K": ("K", "temperature"), "%RH": ("%", "humidity"), "%EL": ("%", "battery")},
    **{unit: (unit, "pressure") for unit in ("Pa", "hPa", "bar", "mbar")},
    **{unit: (unit, "voltage") for unit in ("V", "mV")},
    **{unit: (unit, "current") for unit in ("A", "mA")},
    **{unit: (unit, "power") for unit in ("W", "kW")},
    **{unit: (unit, "energy") for unit in ("Wh", "kWh")},
    **{"VA": ("VA", "apparent_power"), "var": ("var", "reactive_power"), "lx": ("lx", "illuminance"), "W/m2": ("W/m²", "irradiance")},
    **{unit: (unit, "frequency") for unit in ("Hz", "MHz")},
    **{unit: (unit, "distance") for unit in ("mm", "cm", "m", "km")},
    **{unit: (unit, "weight") for unit in ("g", "kg")},
    **{unit: (unit, "duration") for unit in ("ms", "s", "min", "h")},
    **{unit: (unit, "speed") for unit in ("m/s", "km/h")},
    **{"mm/h": ("mm/h", "precipitation_intensity"), "dBm": ("dBm", "signal_strength"), "pH": (None, "ph")},
    **{"l": ("L", "volume_storage"), "m3": ("m³", "volume_storage"), "l/min": ("L/min", "volume_flow_rate")},
    **{unit: (unit, "data_rate") for unit in ("bit/s", "Mbit/s", "B/s", "MB/s")},
    **{unit: (unit, "data_size") for unit in ("bit", "B", "KiB", "GB")},
    **{"/": (None, None), "count": (None, None), "beats": (None, None), "/100": ("%", None), "/1000": ("‰", None)},
    **{"deg": ("°", None), "lat": ("°", None), "lon": ("°", None), "beat/min": ("bpm", None), "Ohm": ("Ω", None)},
    **{"l/s": ("L/s", None), "m3/s": ("m³/s", None), "m2": ("m²", None), "m/s2": ("m/s²", None), "cd/m2": ("cd/m²", None)},
    **{"kg/m3": ("kg/m³", None), "g/m3": ("g/m³", None), "mg/m3": ("mg/m³", None), "ug/m3": ("µg/m³", None)},
}
"""Unit of SenML → unit and device class of Home Assistant, where the unit alone tells the class; others stay as they are."""

_TOTAL = ("energy",)  # classes that are counted up, and so no measurement


class HomeAssistant:
    """Publishes `{"key", "time_ns", "value"}` at `topic/stream/origin`, the value as it was measured, and says once with a retained message
    to Home Assistant what is there: a sensor for a value, or for each field of a map, in a device for each origin.

    A sample is `[stream, origin, seq, value]` (`eddy.kernel.functions.named`). What is no reading, because it could not be decoded or is
    missing for good, is published at `topic` itself.

    Args:
        to, topic, version, timeout_s: Of the broker, see `eddy.links.mqtt.Publish`.
        streams: What the app declares of each, see `eddy.spec.described`.

    Raises:
        SettingError, LinkLost, LinkTimeout: As of `Publish`.
    """

    named = True

    def __init__(
        self, *, to: str, topic: str, version: int = 5, timeout_s: int = 10, streams: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self._topic = topic
        self._streams = streams or {}
        self._told: set[tuple[str, str, str]] = set()
        self._connections = 1
        self._mqtt = Publish(to=to, topic=topic, version=version, timeout_s=timeout_s)

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Publish it, and before the first of its kind what it is.

        Raises:
            LinkLost, LinkTimeout: The broker has not acknowledged it.
        """
        stream, origin, _, held = value[:4]
        if len(value) > 4 or (isinstance(held, dict) and "quarantine" in held):
            self._mqtt.write(key, time_ns, value if len(value) > 4 else held)
            return
        if isinstance(held, dict) and held.keys() - {"key", "resent"} == {"from", "value"}:  # as a source says who measured it
            origin, held = str(held["from"] or origin), held["value"]
        elif isinstance(held, dict) and held.keys() >= {"alarm", "state", "origin"}:  # an alarm is that of its origin
            origin = str(held["origin"])
        said = self._streams.get(stream, {})
        held = measured(held, said)
        topic = f"{self._topic}/{quote(stream, safe='@')}/{quote(origin, safe='@')}"
        fields = held.items() if isinstance(held, dict) else [("", held)]
        for field, one in fields:
            self._tell(topic, stream, origin, str(field), one, said)
        self._mqtt.publish(topic, as_json(key, time_ns, held), key)
        if self._connections != self._mqtt.connections:  # it was away meanwhile: what it was told before that may be gone
            for field, one in fields:
                self._tell(topic, stream, origin, str(field), one, said)

    def safe(self, value: Any) -> None:
        """Publish it as a sample of its own at `topic`, key `safe`."""
        self._mqtt.safe(value)

    def close(self) -> None:
        """Take leave of the broker."""
        self._mqtt.close()

    def _tell(self, topic: str, stream: str, origin: str, field: str, value: Any, said: Mapping[str, Any]) -> None:
        if self._connections != self._mqtt.connections:  # the broker may have begun anew, with nothing retained
            self._connections, self._told = self._mqtt.connections, set()
        what = (stream, origin, field)
        if what in self._told or len(self._told) >= MOST or not _is_state(value):
            return
        where, about = sensor(self._topic, topic, what, value, said)
        self._mqtt.publish(where, json.dumps(about).encode(), retain=True)
        self._told.add(what)


def sensor(base: str, topic: str, what: tuple[str, str, str], value: Any, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(topic, message) by which Home Assistant learns of a sensor.

    Args:
        base: Topic of the sink: two sinks have sensors of their own.
        topic: Where its readings are published.
        what: Stream, origin and field; the field is empty when the value is one.
        value: The first.
        said: Of the stream.
    """
    stream, origin, field = what
    identity, name = _identity(base, *what), f"{stream} {field}".strip()
    place = f".get({json.dumps(field, ensure_ascii=False)}, '')" if field else ""
    about: dict[str, Any] = {
        "name": name,
        "unique_id": identity,
        "state_topic": topic,
        "value_template": "{{ value_json.value" + place + " }}",
        "qos": 1,
        "device": {"identifiers": [_identity(base, origin)], "name": origin, "manufacturer": "Eddy"},
        "origin": {"name": "Eddy"},
    }
    if isinstance(value, int | float) and not isinstance(value, bool):
        senml = said.get("units", {}).get(field) or said.get("unit")
        unit, kind = UNITS.get(senml, (senml, None)) if senml else (None, None)
        about["state_class"] = "total" if kind in _TOTAL else "measurement"
        about |= {option: one for option, one in (("unit_of_measurement", unit), ("device_class", kind)) if one}
    slug = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{origin}_{name}")[:64]
    return f"{PREFIX}/sensor/{slug}_{identity}/config", about


def _identity(*parts: str) -> str:
    """The same for the same parts, and what Home Assistant takes in a topic."""
    return f"eddy_{sha256(repr(parts).encode()).hexdigest()[:16]}"


def _is_state(value: Any) -> bool:
    """Whether it is something that a sensor can show: a number, yes or no, a short text."""
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= TEXT)
