"""A node that takes in what a broker has is killed, again and again: what the broker has acknowledged is there as well, once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from running import Running
from senders import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APP = """
app: ways-in
nodes:
  gw: {tier: gateway}
sources:
  took: {at: gw, unique: id, driver: mqtt, to: "mqtt://127.0.0.1:PORT", topic: plant/+/temp}
sinks:
  record: {from: took, at: gw, driver: log, file: record.jsonl}
"""
KILLS = 3


def keys(file: Path) -> Counter[int]:
    return Counter(json.loads(line)["value"]["key"] for line in file.read_text().splitlines())


class Publisher:
    """Publishes numbers and asks for receipts."""

    def __init__(self, port: int) -> None:
        self.receipts: set[int] = set()
        self.acknowledged: set[int] = set()
        self.sent: dict[int, int] = {}
        self.next = 0
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = lambda client, userdata, message: self.receipts.add(int(message.properties.CorrelationData))
        self.client.on_publish = lambda client, userdata, mid, reason, properties: self.acknowledged.add(self.sent[mid])
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("receipts", 1)
        self.client.loop_start()

    def say(self) -> Any:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic, properties.CorrelationData = "receipts", str(self.next).encode()
        message = self.client.publish("plant/7/temp", json.dumps({"id": self.next}), 1, properties=properties)
        self.sent[message.mid] = self.next
        self.next += 1
        return message

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_what_the_broker_or_the_node_acknowledged_is_there_once_however_often_the_node_is_killed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Running(tmp_path / "app", APP.replace("PORT", str(broker.port))) as app:
        publisher = Publisher(broker.port)

        def reached(receipts: int) -> bool:
            if publisher.next - len(publisher.receipts) < 100 or not publisher.receipts:
                publisher.say()
            return len(publisher.receipts) > receipts

        app.until(lambda: reached(0), 40)  # the session has begun
        first = publisher.next
        for number in range(1, KILLS + 1):
            app.until(lambda number=number: reached(200 * number), 40)  # type: ignore[misc]
            app.kill("gw")
        app.until(lambda: reached(200 * (KILLS + 1)), 40)
        app.until(lambda: len(publisher.acknowledged) == publisher.next, 10)
        publisher.close()
        app.until(lambda: len(keys(app.folder / "record.jsonl").keys() | set(range(first))) == publisher.next, 60)
    found = keys(tmp_path / "app" / "record.jsonl")
    assert set(found.values()) == {1}
    assert set(found) >= publisher.receipts and set(found) >= set(range(first, publisher.next))
