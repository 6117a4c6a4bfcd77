"""Driver `mqtt`: a sample as a message to a broker."""

from collections.abc import Mapping
from threading import Event
from typing import Any
from urllib.parse import SplitResult, urlsplit

from eddy.errors import LinkLost, LinkTimeout, SettingError
from eddy.links.driver import as_json
from eddy.spec.measured import alarm

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Publish:
    """Publishes `{"key", "time_ns", "value"}` as JSON with quality of service 1, and waits until the broker has it.

    The key is also the user property `key` of the message (MQTT 5, section 3.3.2.3.7). A broker's acknowledgement is its own promise: what
    it does with the message afterwards is not known here.

    Args:
        to: `mqtt://host:port`, or `mqtts://` for TLS; user and password may stand before the host. Messages name host and port only.
        topic: Where to publish.
        version: 5, or 4 for brokers that know MQTT 3.1.1 only; these get the key in the payload alone.
        timeout_s: How long connecting, and each acknowledgement, may take.
        alarms: What is known of the values of alarms, see `eddy.spec.measured.alarm`: they are told as they were measured.

    Attributes:
        connections: How often the broker has let us in: after a break that is done anew, unasked.

    Raises:
        SettingError: No such address or version.
        LinkLost, LinkTimeout: The broker is not there or does not let us in.
    """

    def __init__(self, *, to: str, topic: str, version: int = 5, timeout_s: int = 10, alarms: Mapping[str, Any] | None = None) -> None:
        from paho.mqtt.client import Client, ConnectFlags
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        address, port, self._where = broker_address(to, version)
        self._topic = topic
        self._alarms = alarms or {}
        self._version = version
        self._timeout_s = timeout_s
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
        if address.username:
            self._client.username_pw_set(address.username, address.password)
        if address.scheme == "mqtts":
            self._client.tls_set()
        self.connections = 0
        answered, answer = Event(), []

        def on_connect(client: Client, userdata: Any, flags: ConnectFlags, reason: Any, properties: Any) -> None:
            answer.append(reason)
            self.connections += not reason.is_failure
            answered.set()

        self._client.on_connect = on_connect
        self._client.connect_timeout = timeout_s
        try:
            self._client.connect(str(address.hostname), port)
        except OSError as error:
            raise LinkLost(f"{self._where} cannot be reached ({error.strerror or type(error).__name__}): it is tried again") from None
        self._client.loop_start()
        if not answered.wait(timeout_s) or answer[0].is_failure:
            self.close()
            why = f"refuses us: {answer[0]}" if answer else f"has not answered within {timeout_s} s; an old one may need `version: 4`"
            raise LinkLost(f"{self._where} {why}")

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Publish it.

        Raises:
            LinkLost, LinkTimeout: The broker has not acknowledged it.
        """
        self.publish(self._topic, as_json(key, time_ns, alarm(value, self._alarms)), key)

    def publish(self, topic: str, payload: bytes, key: str = "", retain: bool = False) -> None:
        """Publish JSON, and wait for the broker.

        Args:
            topic: Where.
            payload: UTF-8.
            key: The user property, if not empty.
            retain: The broker keeps it for those who come later.

        Raises:
            LinkLost, LinkTimeout: The broker has not acknowledged it.
        """
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = None
        if self._version == 5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            if key:
                properties.UserProperty = ("key", key)
            properties.ContentType = "application/json"
        try:
            message = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
            message.wait_for_publish(self._timeout_s)
        except (RuntimeError, ValueError) as error:
            raise LinkLost(f"{self._where} is gone ({error}): it is tried again") from None
        if not message.is_published():
            raise LinkTimeout(f"{self._where} has not acknowledged a message within {self._timeout_s} s: it is tried again")

    def safe(self, value: Any) -> None:
        """Publish it as a sample of its own, key `safe`."""
        self.write("safe", 0, value)

    def close(self) -> None:
        """Take leave of the broker."""
        self._client.disconnect()
        self._client.loop_stop()


def broker_address(to: str, version: int) -> tuple[SplitResult, int, str]:
    """The address of a broker, its port, and how messages call it: without user and password; raises SettingError."""
    way = "write mqtt://host:port, mqtts://host:port, or env:NAME for one in the environment"
    try:
        address = urlsplit(to)
        port = address.port or _PORTS.get(address.scheme, 0)
    except ValueError:
        raise SettingError(f"`to` of mqtt is no address: {way}") from None
    if address.scheme not in _PORTS or not port or not address.hostname or version not in (4, 5):
        raise SettingError(f"`to` of mqtt is no such address, or `version` neither 4 nor 5: {way}")
    return address, port, f"the broker {address.hostname}:{port}"
