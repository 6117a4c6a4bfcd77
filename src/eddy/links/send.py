"""Senders: bring messages to a running source, and know of each whether it is kept. Few are on their way at a time.

http://, https://    each post is answered when it is kept; one that is not known to be kept is posted again
ws://, wss://        each message is answered when it is kept
amqp://, amqps://    AMQP 0-9-1: each message asks for an answer, which comes when it is kept
mqtt://, mqtts://    MQTT 5: with a response topic, so the node answers when it is kept; 3.1.1: the broker has it
"""

import json
import ssl
import time
import uuid
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Condition
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from eddy.errors import LinkLost, LinkTimeout, Refused, SettingError, ToolMissing
from eddy.links.mqtt import broker_address

INFLIGHT = 64
"""Messages on their way, at most."""

_OLDER = "if it knows MQTT 3.1.1 only, add --mqtt-version 4"
_AGAIN = (429, 503)
_PAUSE_S = 0.5


class Sender(Protocol):
    """A way to a source.

    Attributes:
        kept, quarantined: Samples that the node said so of; of a broker, messages that it has.
        reason: Why the last one in quarantine is there.
        promise: Whose word it is: `node` or `broker`.
    """

    kept: int
    quarantined: int
    reason: str
    promise: str

    def send(self, body: bytes) -> None:
        """One message; waits while too many are on their way."""

    def finish(self) -> None:
        """Wait until every message is known to be kept."""

    def close(self) -> None:
        """Let go of the connection."""


def sender(
    to: str, topic: str = "", version: int = 5, token: str = "", ca: str | None = None, inflight: int = INFLIGHT, patience_s: float = 30.0
) -> Sender:
    """A way to the source at an address.

    Args:
        to: With one of the schemes above; of MQTT, that of the broker.
        topic: Of MQTT; of AMQP, the queue.
        version: Of MQTT, 5 or 4 (3.1.1).
        token: Shown as `Authorization: Bearer`; of HTTP and WebSockets.
        ca: File, PEM: whom to trust, for TLS.
        inflight: Messages on their way, at most.
        patience_s: How long it waits for an answer.

    Raises:
        SettingError: No such address.
        LinkLost, LinkTimeout: Nobody is there.
        ToolMissing: WebSockets and AMQP need a package that is not here.
    """
    address = urlsplit(to)
    match address.scheme:
        case "http" | "https" if address.hostname:
            return _Post(address, token, _trusting(ca), patience_s)
        case "ws" | "wss" if address.hostname:
            return _Talk(to, token, _trusting(ca) if address.scheme == "wss" else None, inflight, patience_s)
        case "mqtt" | "mqtts":
            if not topic or "+" in topic or "#" in topic:
                raise SettingError("which topic shall be published to? Name one, without + and #")
            return _Published(to, topic, version, ca, inflight, patience_s)
        case "amqp" | "amqps":
            if not topic:
                raise SettingError("which queue shall the messages go to? Name it with the topic")
            from eddy.links.send_amqp import Queued

            return Queued(to, topic, ca, inflight, patience_s)
    raise SettingError(
        f"{to!r} is nothing to send to: write mqtt://host:port, amqp://host:port, http://host:port/path or ws://host:port/path"
    )


class Counting:
    """What the answers said."""

    promise = "node"

    def __init__(self) -> None:
        self.kept = self.quarantined = 0
        self.reason = ""

    def _heard(self, answer: dict[str, Any]) -> None:
        self.kept += int(answer.get("kept", 0))
        self.quarantined += int(answer.get("quarantined", 0))
        self.reason = str(answer.get("reason", self.reason))


class _Post(Counting):
    def __init__(self, address: SplitResult, token: str, trust: ssl.SSLContext, patience_s: float) -> None:
        super().__init__()
        self._address, self._trust, self._patience_s = address, trust, patience_s
        self._path = (address.path or "/") + (f"?{address.query}" if address.query else "")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._connection: HTTPConnection | None = None

    def send(self, body: bytes) -> None:
        end_s = time.monotonic() + self._patience_s
        while True:
            status, said = self._ask(body, end_s)
            if status in (200, 400) and "kept" in said:
                self._heard(said)
                return
            if status and status not in _AGAIN:
                raise Refused(f"{self._address.netloc} answers with status {status} ({said.get('detail', '')}): check address and token")
            if time.monotonic() > end_s:
                raise LinkTimeout(f"{self._address.netloc} has not kept a message within {self._patience_s:g} s: is its node overloaded?")
            time.sleep(_PAUSE_S)

    def finish(self) -> None:
        return  # each was answered

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    def _ask(self, body: bytes, end_s: float) -> tuple[int, dict[str, Any]]:
        """Status and answer; status 0 when nobody knows what became of it."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request("POST", self._path, body, self._headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as error:
            self.close()
            self._connection = None
            if time.monotonic() > end_s or isinstance(error, ConnectionRefusedError | ssl.SSLError):
                raise LinkLost(f"{self._address.netloc} cannot be reached ({error}): does the source listen there?") from None
            return 0, {}
        try:
            said = json.loads(text)
        except ValueError:
            said = {}
        return answer.status, said if isinstance(said, dict) else {}

    def _connect(self) -> HTTPConnection:
        host, port = str(self._address.hostname), self._address.port
        if self._address.scheme == "https":
            return HTTPSConnection(host, port, timeout=self._patience_s, context=self._trust)
        return HTTPConnection(host, port, timeout=self._patience_s)


class _Talk(Counting):
    def __init__(self, to: str, token: str, trust: ssl.SSLContext | None, inflight: int, patience_s: float) -> None:
        super().__init__()
        try:
            from websockets.exceptions import WebSocketException
            from websockets.sync.client import connect
        except ImportError:
            raise ToolMissing("WebSockets need the package websockets: pip install 'eddy[knowledge]'") from None
        self._where, self._inflight, self._patience_s = urlsplit(to).netloc, inflight, patience_s
        self._waiting = 0
        self._fails = (OSError, WebSocketException)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._connection = connect(to, additional_headers=headers, ssl=trust, open_timeout=patience_s, proxy=None)
        except self._fails as error:
            raise LinkLost(f"{self._where} cannot be reached ({error}): does the source listen there, and is the token right?") from None

    def send(self, body: bytes) -> None:
        if self._waiting >= self._inflight:
            self._hear()
        try:
            self._connection.send(body.decode())
        except self._fails as error:
            raise self._gone(error) from None
        self._waiting += 1

    def finish(self) -> None:
        while self._waiting:
            self._hear()

    def close(self) -> None:
        self._connection.close()

    def _hear(self) -> None:
        try:
            self._heard(json.loads(self._connection.recv(self._patience_s)))
        except TimeoutError:
            raise LinkTimeout(f"{self._where} has not answered within {self._patience_s:g} s: is its node overloaded?") from None
        except self._fails as error:
            raise self._gone(error) from None
        self._waiting -= 1

    def _gone(self, error: Exception) -> LinkLost:
        return LinkLost(
            f"{self._where} has gone ({error}): of {self._waiting} messages it is not known whether they are kept; send them again"
        )


class _Published(Counting):
    def __init__(self, to: str, topic: str, version: int, ca: str | None, inflight: int, patience_s: float) -> None:
        super().__init__()
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        address, port, self._where = broker_address(to, version)
        self.promise = "node" if version == 5 else "broker"
        self._topic, self._inflight, self._patience_s = topic, inflight, patience_s
        self._answers = f"eddy/receipts/{uuid.uuid4().hex}"
        self._waiting, self._ready, self._fault = 0, False, ""
        self._way_out = _OLDER if version == 5 else "see its log"  # while it has not let us in
        self._changed = Condition()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version), reconnect_on_failure=False)
        if address.username:
            self._client.username_pw_set(address.username, address.password)
        if address.scheme == "mqtts":
            self._client.tls_set_context(_trusting(ca))
        self._client.max_inflight_messages_set(inflight)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *about: self._change(ready=True)
        self._client.on_disconnect = lambda client, userdata, flags, reason, properties: self._change(fault=f"has gone: {reason}")
        self._client.on_message = lambda client, userdata, message: self._answered(json.loads(message.payload))
        if version == 4:
            self._client.on_publish = lambda *about: self._answered({"kept": 1})
        self._client.connect_timeout = patience_s
        try:
            self._client.connect(str(address.hostname), port)
        except OSError as error:
            raise LinkLost(f"{self._where} cannot be reached ({error.strerror or type(error).__name__}): does it run there?") from None
        self._client.loop_start()
        try:
            self._wait(lambda: self._ready, f"has not answered: {self._way_out}")
        except BaseException:
            self.close()
            raise
        self._way_out = ""

    def send(self, body: bytes) -> None:
        self._wait(lambda: self._waiting < self._inflight, "or nobody behind it has answered: does a source subscribe to that topic?")
        with self._changed:
            self._waiting += 1
        self._client.publish(self._topic, body, 1, properties=self._asking())

    def finish(self) -> None:
        self._wait(lambda: not self._waiting, "or nobody behind it has answered: does a source subscribe to that topic?")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _asking(self) -> Any:
        if self.promise == "broker":
            return None
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = self._answers
        return properties

    def _connected(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            if reason != "Unsupported protocol version":
                self._way_out = "see whom it lets in"
            self._change(fault=f"refuses us: {reason}")
        elif self.promise == "broker":
            self._change(ready=True)
        else:
            client.subscribe(self._answers, 1)

    def _answered(self, answer: dict[str, Any]) -> None:
        with self._changed:
            self._heard(answer)
            self._waiting -= 1
            self._changed.notify_all()

    def _change(self, ready: bool = False, fault: str = "") -> None:
        with self._changed:
            self._ready, self._fault = self._ready or ready, self._fault or fault
            self._changed.notify_all()

    def _wait(self, holds: Callable[[], bool], otherwise: str) -> None:
        with self._changed:
            kept = -1
            while not holds() and not self._fault and kept != self.kept:  # as long as something comes there is hope
                kept = self.kept
                self._changed.wait_for(lambda: holds() or self._fault, self._patience_s)
            if self._fault:
                unknown = f"of {self._waiting} messages it is not known whether they are kept"
                raise LinkLost(f"{self._where} {self._fault}; {self._way_out or unknown}")
            if not holds():
                raise LinkTimeout(f"within {self._patience_s:g} s {self._where} {otherwise}")


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"{ca} cannot be used to know whom to trust ({error}): name a file in PEM") from None
