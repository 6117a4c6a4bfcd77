"""An edge node of Sparkplug B whose payloads are written by Eclipse Tahu's own Python."""

import time
from types import TracebackType
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

tahu = pytest.importorskip("tahutils.tahu.sparkplug_b", reason="tahutils, Eclipse Tahu's payloads, is not installed here (see Makefile)")
KINDS: dict[str, int] = {name: number for name, number in vars(tahu.MetricDataType).items() if isinstance(number, int)}

Metric = tuple[str | None, int | None, str, Any, int]
"""Name, alias, datatype, value, time in ms; a value None is null."""


def payload(*metrics: Metric, seq: int | None = None, sent_ms: int | None = None) -> Any:
    """As Tahu makes it; `SerializeToString` gives the bytes."""
    made = tahu.Payload()
    for name, alias, kind, value, at_ms in metrics:
        if value is None:
            tahu.addNullMetric(made, name, alias, KINDS[kind], at_ms)
        else:
            tahu.addMetric(made, name, alias, KINDS[kind], value, at_ms)
    if seq is not None:
        made.seq = seq
    if sent_ms is not None:
        made.timestamp = sent_ms
    return made


class Edge:
    """`plant/press` with a device `oven`: its births hold all metrics, and what comes later their aliases alone. A context manager.

    Args:
        port: Of the broker.

    Attributes:
        asked: How often it was asked for a rebirth.
    """

    def __init__(self, port: int) -> None:
        self.asked = 0
        self._seq = 0
        self._at_ms = time.time_ns() // 1_000_000
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._heard
        self._client.will_set("spBv1.0/plant/NDEATH/press", payload(("bdSeq", None, "Int64", 0, 0)).SerializeToString(), 1)
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("spBv1.0/plant/NCMD/press", 1)
        self._client.loop_start()

    def __enter__(self) -> "Edge":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def born(self) -> int:
        """Say what there is, 20.5 degrees among it, and when that was."""
        self._seq = 0
        at_ms = self._next_ms()
        rebirth: Metric = ("Node Control/Rebirth", None, "Boolean", False, at_ms)
        self._say("NBIRTH/press", ("bdSeq", None, "Int64", 0, at_ms), rebirth, ("uptime", 1, "UInt32", 5, at_ms), at_ms=at_ms)
        at_ms = self._next_ms()
        hot: Metric = ("Temperature/Hot", 2, "Float", 20.5, at_ms)
        self._say("DBIRTH/press/oven", hot, ("doors", 3, "Int8", -1, at_ms), ("state", 4, "String", "idle", at_ms), at_ms=at_ms)
        return at_ms

    def hot(self, temperature: float) -> int:
        """Say it by its alias, and when that was."""
        at_ms = self._next_ms()
        self._say("DDATA/press/oven", (None, 2, "Float", temperature, at_ms), at_ms=at_ms)
        return at_ms

    def die(self) -> None:
        """Without taking leave, so that the broker says it."""
        self._client.loop_stop()
        connection: Any = self._client.socket()
        connection.close()

    def _say(self, topic: str, *metrics: Metric, at_ms: int) -> None:
        kind, _, whose = topic.partition("/")
        made = payload(*metrics, seq=self._seq, sent_ms=at_ms)
        if kind.endswith("DATA"):
            for metric in made.metrics:
                metric.ClearField("datatype")
        self._client.publish(f"spBv1.0/plant/{kind}/{whose}", made.SerializeToString()).wait_for_publish(10)
        self._seq = (self._seq + 1) % 256

    def _next_ms(self) -> int:
        self._at_ms += 1
        return self._at_ms

    def _heard(self, client: Client, userdata: Any, message: Any) -> None:
        command = tahu.Payload.FromString(message.payload)
        (metric,) = command.metrics
        self.asked += (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", KINDS["Boolean"], True)
