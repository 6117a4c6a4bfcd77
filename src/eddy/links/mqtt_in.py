"""Driver `mqtt` of a source: takes in messages, and acknowledges each to the broker when it is kept."""

import json
import uuid
from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from eddy.errors import LinkLost, SettingError
from eddy.links.decoders import Decoder, Form, quarantined
from eddy.links.driver import Home
from eddy.links.intake import SAMPLES, Intake, Message, Opened, Samples, outcome
from eddy.links.mqtt import broker_address
from eddy.links.mqtt_line import Line
from eddy.links.senders import Senders
from eddy.links.sparkplug import Sparkplug
from eddy.security import keyfile

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

LARGEST = 1 << 20
INFLIGHT = 4096
WEEK_MS = 7 * 24 * 3600 * 1000
_PATIENCE_S = 0.5
_AHEAD = 512  # samples that are decoded ahead of there being room for them: meanwhile the node's other threads wait
_MOST = 65535  # messages that a broker takes ahead of acknowledgements, when it does not say
_FAILED = 128  # reason codes from here on


class Subscribe:
    """Subscribes with quality of service 1 in a session that the broker keeps, so that what comes while this node is away waits there.

    A message is acknowledged (PUBACK) once all its samples are kept. When the connection is lost, what was not acknowledged comes again:
    `unique` sees to it that it counts once. A message with a response topic (MQTT 5, section 4.10) is answered there, with its correlation
    data, once it is kept: `{"kept": samples}`, or `{"kept": 0, "quarantined": 1, "reason": ...}`. That is the receipt of this node; what a
    publisher hears from the broker is the broker's promise.

    Args:
        to: `mqtt://host:port`, or `mqtts://` for TLS; user and password may stand before the host. Messages name host and port only.
        topic: What to subscribe to, one or several; `+` and `#` as usual, `$share/GROUP/...` to share the work with others. Where there is
            a `+` or `#`, the topic of a message is who measured it, unless the message says so.
        version: 5, or 4 for brokers that know MQTT 3.1.1 only.
        client: Name of the session; one that the node makes up and keeps, without.
        session_ms: How long the broker shall keep the session when this node is away (MQTT 5; with 3.1.1 it decides).
        inflight: Messages that the broker may send ahead of acknowledgements (MQTT 5).
        ca, certificate, key: Files, PEM, for TLS: whom to trust, and who this is.
        broker: `embedded` starts one within the node, at the address of `to`.
        largest: Bytes of a message; what is longer goes to quarantine.
        queue: Samples that wait to be kept, at most.
        timeout_s: How long connecting may take.
        allow, unknown: Who may send; see `eddy.links.senders.Senders`.
        remember: How many keys are remembered, with `unique`.
        rebirth: Whether edge nodes of Sparkplug are asked for what was missed of them.
        resume: Ignored: the broker knows what was acknowledged.
        home: Of the node.
        form: How a message is written; see `eddy.links.decoders.Form`, and `eddy.links.sparkplug.Sparkplug` for `format: sparkplug`.

    Raises:
        SettingError: No such address, topic or version.
        LinkLost: The broker is not there or does not let us in.
    """

    at_home = True

    def __init__(
        self,
        *,
        to: str,
        topic: str | Sequence[str],
        version: int = 5,
        client: str = "",
        session_ms: int = WEEK_MS,
        inflight: int = INFLIGHT,
        ca: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        broker: str | None = None,
        largest: int = LARGEST,
        queue: int = SAMPLES,
        timeout_s: int = 10,
        allow: str | Sequence[str] = (),
        unknown: str | None = None,
        remember: int = 0,
        rebirth: bool = True,
        resume: int = 0,
        home: Home | None = None,
        **form: Any,
    ) -> None:
        if broker not in (None, "embedded"):
            raise SettingError(f"broker {broker!r}: write `broker: embedded`, or leave it out and name one with `to`")
        self._version = 4 if broker else version
        address, port, self._where = broker_address(to, self._version)
        self._topics = [topic] if isinstance(topic, str) else list(topic)
        self._many = any(sign in one for one in self._topics for sign in "+#")
        self._largest = largest
        self._senders = Senders(allow, unknown, home)
        sparkplug = form.get("format") == "sparkplug"
        decoder: Decoder = Sparkplug(ask=self._command if rebirth else None, **form) if sparkplug else Form(**form)
        self._opened = Opened(decoder, senders=self._senders)
        self._intake = Intake(self._confirm, queue)
        self.counts = self._intake.counts
        self._closed = False
        self._heard = 0
        self._burst: list[Message] = []
        self._ahead = 0  # samples in it
        self._line: Line | None = None
        self._owed: deque[tuple[int, int, int | None]] = deque()  # to be acknowledged, in order: message, quality, its receipt
        self._told: set[int] = set()  # receipts that are with the broker
        self._commands: set[int] = set()  # that are no receipts, and not with it yet
        self._ready, self._refusal = Event(), ""
        name = client or _name(home, to, self._topics)
        self._client = self._new_client(name)
        if address.username:
            self._client.username_pw_set(address.username, address.password)
        if address.scheme == "mqtts":
            try:
                self._client.tls_set(ca, certificate, key)
            except OSError as error:
                raise SettingError(f"ca, certificate and key cannot be used for TLS ({error}): name files in PEM") from None
        self._broker = _embedded(str(address.hostname), port, name) if broker else None
        try:
            self._connect(str(address.hostname), port, session_ms // 1000, inflight, timeout_s)
        except BaseException:
            self.close()
            raise
        self._senders.begin()

    def read(self) -> Samples | None:
        """See `eddy.links.driver.Source`; raises LinkLost when the connection is gone."""
        return self._intake.read()

    def kept(self, count: int) -> None:
        """See `eddy.links.driver.Source`."""
        self._intake.kept(count)

    def close(self) -> None:
        """Take leave of the broker; it keeps what was not acknowledged."""
        self._closed = True
        self._senders.close()
        self._intake.close()
        if self._line:
            self._line.close()
        if self._broker:
            self._broker.close()

    def _new_client(self, name: str) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            name,
            clean_session=False if self._version == 4 else None,
            protocol=MQTTProtocolVersion(self._version),
            # A session that goes on under a connection of its own would mix up what is to be acknowledged: the driver is started again.
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        return client

    def _connect(self, host: str, port: int, session_s: int, inflight: int, timeout_s: int) -> None:
        self._client.connect_timeout = timeout_s
        try:
            if self._version == 5:
                from paho.mqtt.packettypes import PacketTypes
                from paho.mqtt.properties import Properties

                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.SessionExpiryInterval = session_s
                properties.ReceiveMaximum = inflight
                self._client.connect(host, port, clean_start=False, properties=properties)
            else:
                self._client.connect(host, port)
        except OSError as error:
            raise LinkLost(f"{self._where} cannot be reached ({error.strerror or type(error).__name__}): it is tried again") from None
        self._line = Line(self._client, lambda: self._heard, self._flush, self._intake.fail)
        if not self._ready.wait(timeout_s) or self._refusal:
            why = self._refusal or f"has not answered within {timeout_s} s; an old one may need `version: 4`"
            raise LinkLost(f"{self._where} {why}")

    def _connected(self, client: "Client", userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refuse(f"refuses us: {reason}")
            return
        # Of receipts. Its setter wants to be told before connecting, when the broker has not said it yet; nothing is on its way.
        client._max_inflight_messages = getattr(properties, "ReceiveMaximum", _MOST)
        if flags.session_present:
            self._ready.set()  # it subscribed before; what has waited may come ahead of the answer to doing so again
        if self._version == 5:
            from paho.mqtt.subscribeoptions import SubscribeOptions

            # What it retains was taken when the session began.
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            client.subscribe([(topic, options) for topic in self._topics])
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _subscribed(self, client: "Client", userdata: Any, mid: int, reasons: list[Any], properties: Any) -> None:
        refused = [f"{topic} ({reason})" for topic, reason in zip(self._topics, reasons, strict=False) if reason.value >= _FAILED]
        if refused:
            self._refuse(f"refuses the subscription to {', '.join(refused)}")
        self._ready.set()

    def _disconnected(self, client: "Client", userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._refuse(f"has gone: {reason}")

    def _refuse(self, why: str) -> None:
        self._refusal = self._refusal or why
        self._ready.set()
        self._intake.fail(LinkLost(f"{self._where} {self._refusal}"))

    def _message(self, client: "Client", userdata: Any, message: "MQTTMessage") -> None:
        """On the thread of the connection."""
        self._heard += 1
        topic = message.topic
        payload = bytes(message.payload)
        if len(payload) > self._largest:
            faults = [f"a message may have {self._largest} bytes, and this one has {len(payload)}"]
            samples: Samples = [(self._opened.now_ns(), quarantined(payload, faults[0], topic))]
        else:
            samples, faults = self._opened.open(payload, topic if self._many else None, topic, resent=message.dup)
        # Asking paho for a property that is not there is slow.
        asks = "ResponseTopic" in vars(getattr(message, "properties", None) or self)
        receipt = (message.mid, message.qos, message.properties if asks else None, outcome(samples, faults))
        self._burst.append((samples, len(payload), receipt))
        self._ahead += len(samples)
        if self._ahead >= _AHEAD:
            self._flush()

    def _flush(self) -> None:
        """Hand over what was heard in one go: what it waits for here is not read from the broker."""
        while self._burst and not self._closed:
            del self._burst[: self._intake.offer_all(self._burst, _PATIENCE_S)]
        self._ahead = 0

    def _confirm(self, receipts: list[tuple[int, int, Any, dict[str, Any]]]) -> None:
        if self._line:
            self._line.do(lambda: self._acknowledge(receipts))

    def _acknowledge(self, receipts: list[tuple[int, int, Any, dict[str, Any]]]) -> None:
        """A message with a receipt only when the broker has that: a node that ends before would have told nobody."""
        self._owed.extend((mid, qos, None if asked is None else self._answer(asked, answer)) for mid, qos, asked, answer in receipts)
        self._settle()

    def _published(self, client: "Client", userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        if mid in self._commands:
            self._commands.remove(mid)
            return
        self._told.add(mid)
        self._settle()

    def _command(self, topic: str, payload: bytes) -> None:
        """While a message is opened, so on the thread of the connection, which writes it afterwards."""
        self._commands.add(self._client.publish(topic, payload).mid)

    def _settle(self) -> None:
        while self._owed and (self._owed[0][2] is None or self._owed[0][2] in self._told):
            mid, qos, receipt = self._owed.popleft()
            if receipt is not None:
                self._told.remove(receipt)
            if qos:
                self._client.ack(mid, qos)

    def _answer(self, asked: Any, answer: dict[str, Any]) -> int | None:
        """Publish a receipt; its number."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = "application/json"
        if hasattr(asked, "CorrelationData"):
            properties.CorrelationData = asked.CorrelationData
        try:
            return self._client.publish(asked.ResponseTopic, json.dumps(answer), qos=1, properties=properties).mid
        except ValueError:
            return None  # no topic to publish to: who asked has itself to blame


def _name(home: Home | None, to: str, topics: list[str]) -> str:
    """The name of the session: made up once, and kept."""
    made = f"eddy-{uuid.uuid4().hex[:12]}"
    if home is None:
        return made
    file = Path(home.folder) / f"mqtt-{sha256(repr((to.rpartition('@')[2], topics)).encode()).hexdigest()[:12]}.id"
    keyfile.write(file, made.encode(), replace=False)
    return file.read_text().strip()


def _embedded(host: str, port: int, first: str) -> Any:
    from eddy.links.broker import Broker

    return Broker(host, port, first)
