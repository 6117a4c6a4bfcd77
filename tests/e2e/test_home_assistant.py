"""An app whose sink tells Home Assistant: whoever comes later to the broker finds what there is, with units, and then what is measured."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import jinja2
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from running import Running
from senders import Mosquitto

from eddy.fabric.ports import free_port

APP = """
app: rooms
nodes: {gw: {tier: gateway}}
sources:
  room:
    at: gw
    driver: http
    listen: "127.0.0.1:PORT"
    origin: id
    value: [t, h]
    scale: 10
    units: {t: Cel, h: "%RH"}
  meter: {at: gw, driver: http, listen: "127.0.0.1:OTHER", value: kwh, scale: 1000, unit: kWh}
functions:
  smooth: {use: mean, from: meter, over: 1h}
sinks:
  home: {from: [room, meter, smooth], at: gw, driver: mqtt, to: "mqtt://127.0.0.1:BROKER", topic: eddy/rooms, discovery: homeassistant}
"""


def heard(port: int, topic: str) -> tuple[Queue[tuple[str, Any]], Callable[[], None]]:
    """What comes to somebody who subscribes now, what is retained included."""
    queue: Queue[tuple[str, Any]] = Queue()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, userdata, message: queue.put((message.topic, json.loads(message.payload)))
    client.connect("127.0.0.1", port)
    client.subscribe(topic, qos=1)
    client.loop_start()

    def close() -> None:
        client.disconnect()
        client.loop_stop()

    return queue, close


def post(port: int, **sample: Any) -> bool:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(sample).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bool(answer.status == 200)


@pytest.mark.slow
def test_home_assistant_finds_every_stream_of_every_origin_and_its_readings(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    with Mosquitto(tmp_path / "broker") as broker:
        app = APP.replace("PORT", str(ports[0])).replace("OTHER", str(ports[1])).replace("BROKER", str(broker.port))
        with Running(tmp_path / "app", app) as running:
            running.until(lambda: post(ports[0], id="kitchen", t=21.5, h=40), 60)
            post(ports[0], id="cellar", t=-3.25, h=80.1)
            post(ports[1], kwh=1234.567)
            told: dict[str, Any] = {}

            def all_told() -> bool:
                config, close = heard(broker.port, "homeassistant/sensor/+/config")
                try:
                    while True:
                        topic, about = config.get(timeout=0.3)
                        told[topic] = about
                except Empty:
                    return len(told) >= 6
                finally:
                    close()

            running.until(all_told, 60)
            found = {(one["device"]["name"], one["name"]): one for one in told.values()}
            assert found.keys() == {(room, f"room {field}") for room in ("kitchen", "cellar") for field in ("t", "h")} | {
                ("meter", "meter"),
                ("smooth", "smooth"),
            }
            units = {name: (one["unit_of_measurement"], one["device_class"]) for (_, name), one in found.items()}
            energy = ("kWh", "energy")
            assert units == {"room t": ("°C", "temperature"), "room h": ("%", "humidity"), "meter": energy, "smooth": energy}

            states, close = heard(broker.port, "eddy/rooms/#")
            shown: dict[tuple[str, str], str] = {}

            def all_shown() -> bool:
                post(ports[0], id="kitchen", t=22.5, h=41)
                post(ports[0], id="cellar", t=-4.0, h=79)
                post(ports[1], kwh=1234.567)
                while not states.empty():
                    topic, said = states.get()
                    for who, one in found.items():
                        if one["state_topic"] == topic:
                            shown[who] = jinja2.Environment(autoescape=True).from_string(one["value_template"]).render(value_json=said)
                expected = {("kitchen", "room t"): "22.5", ("cellar", "room t"): "-4.0", ("cellar", "room h"): "79.0"}
                return shown.items() >= expected.items() and shown.get(("smooth", "smooth")) == shown.get(("meter", "meter")) == "1234.567"

            running.until(all_shown, 60)
            close()
