"""Senders that number their samples, send again what nobody has acknowledged, and remember what was: over HTTP, WebSocket and MQTT."""

import json
import shutil
import subprocess
import threading
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from eddy.fabric.ports import free_port

AT_ONCE = 16  # messages on their way
PATIENCE_S = 3.0
PACE_S = 0.01


class Sender(threading.Thread):
    """Sends samples `{"id": number}`, dense from 0.

    Args:
        port: Where somebody listens, now and then.

    Attributes:
        acknowledged: Numbers of which it was told that they are kept.
        next: The first number that was never sent.
        again: How often a connection was lost or nothing was heard for a while, so that it sent again.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.acknowledged: set[int] = set()
        self.next = 0
        self.again = 0
        self._open: set[int] = set()  # sent, and nothing is known
        self._over = threading.Event()

    def __enter__(self) -> "Sender":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """One connection after the other."""
        while not self._over.is_set():
            try:
                self._connection()
            except (OSError, HTTPException, WebSocketException):
                self.again += 1
                self._over.wait(PACE_S)

    def _connection(self) -> None:
        """Send until told to stop; raises OSError when nothing is heard any more."""
        raise NotImplementedError

    def _due(self) -> list[int]:
        """What is to be sent again on a new connection."""
        return sorted(self._open.copy())  # others are told meanwhile

    def _take(self, count: int = 1) -> list[int]:
        """New numbers."""
        first = self.next
        self.next += count
        self._open.update(range(first, self.next))
        return list(range(first, self.next))

    def _told(self, *numbers: int) -> None:
        self.acknowledged.update(numbers)
        self._open.difference_update(numbers)


class Poster(Sender):
    """Posts some at once."""

    def _connection(self) -> None:
        while not self._over.wait(PACE_S):
            numbers = self._due() or self._take(1 + self.next % 9)
            body = json.dumps([{"id": number} for number in numbers]).encode()
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", body, timeout=PATIENCE_S) as said:
                assert json.load(said) == {"kept": len(numbers), "quarantined": 0}
            self._told(*numbers)


class Talker(Sender):
    """Holds a WebSocket open; the n-th answer is that to the n-th message."""

    def _connection(self) -> None:
        with connect(f"ws://127.0.0.1:{self.port}/", open_timeout=PATIENCE_S, close_timeout=0.1) as talk:
            waiting: list[int] = []
            for number in self._due():
                self._say(talk, number, waiting)
            while not self._over.wait(PACE_S):
                while len(waiting) < AT_ONCE:
                    self._say(talk, self._take()[0], waiting)
                self._hear(talk, waiting)

    def _say(self, talk: Connection, number: int, waiting: list[int]) -> None:
        waiting.append(number)
        talk.send(json.dumps({"id": number}))

    def _hear(self, talk: Connection, waiting: list[int]) -> None:
        said = json.loads(talk.recv(PATIENCE_S))
        assert said["kept"] == 1
        self._told(waiting.pop(0))


class Publisher(Sender):
    """Publishes with quality of service 1, and counts what the receipts on its topic say; what the broker says is not enough."""

    TOPIC = "receipts/publisher"

    def _connection(self) -> None:
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False)
        client.on_message = self._receipt
        client.connect("127.0.0.1", self.port)
        client.subscribe(self.TOPIC, 1)
        client.loop_start()
        try:
            for number in self._due():
                self._publish(client, number)
            oldest, since_s = -1, 0.0
            while not self._over.wait(PACE_S):
                while len(self._open) < AT_ONCE:
                    self._publish(client, self._take()[0])
                if oldest not in self._open:
                    oldest, since_s = min(self._due(), default=-1), time.monotonic()
                waited_s = time.monotonic() - since_s
                if waited_s > PATIENCE_S or (waited_s > PATIENCE_S / 10 and not client.is_connected()):
                    raise TimeoutError
        finally:
            client.disconnect()
            client.loop_stop()

    def _receipt(self, client: Client, userdata: Any, message: Any) -> None:
        self._told(int(message.properties.CorrelationData))

    def _publish(self, client: Client, number: int) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic, properties.CorrelationData = self.TOPIC, str(number).encode()
        client.publish("plant/7/temp", json.dumps({"id": number}), 1, properties=properties)


class Mosquitto:
    """A broker that keeps sessions on its disk; a context manager. Skips the test where mosquitto is not installed.

    Args:
        folder: Of its configuration and database.
    """

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
        if not self._program:
            pytest.skip("mosquitto, a broker that keeps what comes for a node that is away, is not installed here")
        self.port = free_port()
        folder.mkdir(exist_ok=True)
        self._file = folder / "mosquitto.conf"
        kept = f"persistence true\npersistence_location {folder}/\nautosave_on_changes true\nautosave_interval 50\nuser root\n"
        self._file.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n{kept}"
        )

    def __enter__(self) -> "Mosquitto":
        assert self._program
        none = subprocess.DEVNULL
        self._process = subprocess.Popen([self._program, "-c", str(self._file)], stdout=none, stderr=none)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def kill(self) -> None:
        """Without a warning."""
        self._process.kill()
        self._process.wait()

    def again(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.__enter__()
