"""An app with three ways into one lake, who sends on each of them, and what is in the lake afterwards."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from running import Running
from senders import Mosquitto, Poster, Publisher, Sender, Talker

from eddy.fabric.ports import free_port

APP = """
app: kept
nodes:
  gw: {tier: gateway}
sources:
  heard:  {at: gw, driver: mqtt, to: "mqtt://127.0.0.1:MQTT", topic: plant/+/temp, unique: id, value: id}
  posted: {at: gw, driver: http, listen: "127.0.0.1:HTTP", unique: id, value: id}
  talked: {at: gw, driver: websocket, listen: "127.0.0.1:TALK", unique: id, value: id}
sinks:
  lake: {from: [heard, posted, talked], at: gw, driver: lake}
"""
LAKE = ".eddy/nodes/gw/lake"


def app_and_senders(broker: Mosquitto) -> tuple[str, dict[str, Sender]]:
    """The text of the app, and who sends into each of its streams."""
    senders = {"heard": Publisher(broker.port), "posted": Poster(free_port()), "talked": Talker(free_port())}
    text = APP
    for name, word in (("heard", "MQTT"), ("posted", "HTTP"), ("talked", "TALK")):
        text = text.replace(word, str(senders[name].port))
    return text, senders


def acknowledged(senders: Mapping[str, Sender]) -> dict[str, set[int]]:
    """What each of them was told to be kept."""
    return {name: set(sender.acknowledged) for name, sender in senders.items()}


def told(app: Running, senders: Mapping[str, Sender], more: int) -> None:
    """Wait until each of them was told of so many more."""
    before = {name: len(sender.acknowledged) for name, sender in senders.items()}
    app.until(lambda: all(len(sender.acknowledged) >= before[name] + more for name, sender in senders.items()), 90)


def found(lake: Path, stream: str) -> Counter[int]:
    """How often each number is in the table of a stream, read without Eddy."""
    if not (lake / stream / "_delta_log").exists():
        return Counter()
    table = DeltaTable(str(lake / stream))
    if "value" not in [field.name for field in table.schema().fields]:
        return Counter()
    return Counter(pa.table(table.to_pyarrow_table(columns=["value"]))["value"].to_pylist())


def arrived(lake: Path, stream: str) -> Counter[int]:
    """The same while it is written to: what cannot be read at the moment is not there."""
    try:
        return found(lake, stream)
    except (DeltaError, pa.ArrowException):
        return Counter()


def report(**figures: Any) -> None:
    """What a campaign has counted so far, for those who run it with -s."""
    print(json.dumps(figures), flush=True)
