"""Nodes that take in what others send are killed, again and again: whoever was told that something is kept finds it, once."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from running import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APP = """
app: ways-in
nodes:
  gw: {tier: gateway}
sources:
  took: {at: gw, unique: id, SOURCE}
sinks:
  record: {from: took, at: gw, driver: log, file: record.jsonl}
"""
KILLS = 3


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def kill(app: Running) -> None:
    """The gateway; it is started again."""
    before = app.pids()["gw"]
    os.kill(before, signal.SIGKILL)
    app.until(lambda: app.pids().get("gw", before) != before, 20)


def keys(file: Path) -> Counter[int]:
    return Counter(json.loads(line)["value"]["key"] for line in file.read_text().splitlines())


class Poster(threading.Thread):
    """Posts numbers, some at once, and again until it is told that they are kept."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.url, self.kept, self.going, self.again = f"http://127.0.0.1:{port}/", 0, True, 0

    def run(self) -> None:
        while self.going:
            numbers = range(self.kept, self.kept + 1 + self.kept % 9)
            body = json.dumps([{"id": number} for number in numbers]).encode()
            try:
                with urllib.request.urlopen(self.url, body, timeout=10) as said:
                    assert json.load(said)["kept"] == len(numbers)
            except OSError:  # HTTPError is one, too
                self.again += 1
                continue
            self.kept = numbers[-1] + 1


def test_what_was_answered_over_http_is_there_once_however_often_the_node_is_killed(tmp_path: Path) -> None:
    port = free_port()
    with Running(tmp_path / "app", APP.replace("SOURCE", f'driver: http, listen: "127.0.0.1:{port}"')) as app:
        poster = Poster(port)
        poster.start()
        for number in range(1, KILLS + 1):
            app.until(lambda number=number: poster.kept > 150 * number, 40)  # type: ignore[misc]
            kill(app)
        app.until(lambda: poster.kept > 150 * (KILLS + 1), 40)
        poster.going = False
        poster.join()
        app.until(lambda: app.lines("record.jsonl") >= poster.kept, 40)
    found = keys(tmp_path / "app" / "record.jsonl")
    assert poster.again >= KILLS  # else nothing was cut off
    assert set(found) >= set(range(poster.kept)) and set(found.values()) == {1}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    if not shutil.which("mosquitto"):
        pytest.skip("mosquitto, a broker that keeps what comes for a node that is away, is not installed here")
    port, file = free_port(), tmp_path / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
    process = subprocess.Popen([str(shutil.which("mosquitto")), "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield port
    process.kill()
    process.wait()


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


def test_what_the_broker_or_the_node_acknowledged_is_there_once_however_often_the_node_is_killed(tmp_path: Path, broker: int) -> None:
    source = f'driver: mqtt, to: "mqtt://127.0.0.1:{broker}", topic: "plant/+/temp"'
    with Running(tmp_path / "app", APP.replace("SOURCE", source)) as app:
        publisher = Publisher(broker)

        def reached(receipts: int) -> bool:
            if publisher.next - len(publisher.receipts) < 100 or not publisher.receipts:
                publisher.say()
            return len(publisher.receipts) > receipts

        app.until(lambda: reached(0), 40)  # the session has begun
        first = publisher.next
        for number in range(1, KILLS + 1):
            app.until(lambda number=number: reached(200 * number), 40)  # type: ignore[misc]
            kill(app)
        app.until(lambda: reached(200 * (KILLS + 1)), 40)
        app.until(lambda: len(publisher.acknowledged) == publisher.next, 10)
        publisher.close()
        app.until(lambda: len(keys(app.folder / "record.jsonl").keys() | set(range(first))) == publisher.next, 60)
    found = keys(tmp_path / "app" / "record.jsonl")
    assert set(found.values()) == {1}
    assert set(found) >= publisher.receipts and set(found) >= set(range(first, publisher.next))
