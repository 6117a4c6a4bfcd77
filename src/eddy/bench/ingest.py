"""`eddy bench ingest`: messages from a broker and over HTTP to acknowledged and durable, beside a subscriber that throws them away.

One node takes in, with its journal on disk and one commit for each turn; nobody takes its samples further, so what a sink costs comes on
top. Senders, broker, node and the bare subscriber are processes of their own, and share this machine. Rates are from the first commit (of
the bare subscriber: the first message) to the last.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eddy.bench import chain
from eddy.bench.taking import TOPIC
from eddy.errors import DeviceFailed
from eddy.fabric.ports import free_port

VALUES = 100  # in a message of the batched run
CLIENTS = 32
_MODULE = "eddy.bench.taking"


class Role:
    """A process of the measurement."""

    def __init__(self, role: str, **arguments: Any) -> None:
        command = [sys.executable, "-m", _MODULE, role, json.dumps(arguments)]
        self._role = role
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def hear(self) -> dict[str, Any]:
        """What it says next; raises DeviceFailed when it has ended without."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise DeviceFailed(
                f"the process that should {self._role} has ended with status {self._process.wait()}: see its last words above"
            )
        said: dict[str, Any] = json.loads(line)
        return said

    def end(self) -> None:
        """Ask it to end, and wait until it has."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


def run(messages: int, progress: Callable[[Any], None] = lambda event: None) -> dict[str, Any]:
    """Measure.

    Args:
        messages: Single ones over MQTT; the other runs are shorter in proportion.
        progress: Gets what is going on.
    """
    with tempfile.TemporaryDirectory() as scratch, _broker(Path(scratch)) as (name, port, version):
        progress({"event": f"{messages:,} single messages through {name}"})
        single = _mqtt(port, version, messages, 0, Path(scratch) / "single")
        bare = _bare(port, version, messages)
        progress({"event": f"messages of {VALUES} values"})
        batched = _mqtt(port, version, messages // 5, VALUES, Path(scratch) / "batched")
        progress({"event": f"posts from {CLIENTS} clients"})
        one = _http(max(CLIENTS, messages // 20), 1, Path(scratch) / "http")
        many = _http(max(CLIENTS, messages // 100), VALUES, Path(scratch) / "lines")
    return {
        "broker": name,
        "mqtt_qos1_single": {
            "samples_per_s": round(single["rate"]),
            "bare_subscriber_per_s": round(bare["rate"]),
            "share": round(single["rate"] / bare["rate"], 2),
            "cpu_us": round(single["cpu_us"], 1),
            "bare_cpu_us": round(bare["cpu_us"], 1),
        },
        "mqtt_batched": {
            "values_per_s": round(batched["rate"] * VALUES),
            "messages_per_s": round(batched["rate"]),
            "cpu_us": round(batched["cpu_us"], 1),
        },
        "http": {
            "clients": CLIENTS,
            "single_per_s": round(one["rate"]),
            "single_median_ms": round(one["median_ms"], 1),
            "batched_samples_per_s": round(many["rate"]),
        },
    }


def run_chain(minutes: float | None, overload_s: float | None, progress: Callable[[Any], None] = lambda event: None) -> dict[str, Any]:
    """Measure a whole node with a lake: for so many minutes, and with one source overloaded for so many seconds; see `chain`."""
    with tempfile.TemporaryDirectory() as scratch, _broker(Path(scratch)) as (name, port, version):
        result: dict[str, Any] = {"broker": name}
        if minutes is not None:
            result["lasting"] = chain.lasting(port, version, minutes, Path(scratch) / "lasting", progress)
        if overload_s is not None:
            result["overload"] = chain.overload(port, version, overload_s, Path(scratch) / "overload", progress)
        return result


def _mqtt(port: int, version: int, messages: int, values: int, folder: Path) -> dict[str, float]:
    """Messages a second, kept, and the processor's time for each."""
    form = {"format": "cbor", "value": "temp"} if values else {"time": "at", "value": "temp", "scale": 10}
    arguments = {"to": f"mqtt://127.0.0.1:{port}", "topic": TOPIC, "version": version, "client": folder.name, "session_ms": 0, **form}
    program = ["eddy.links.mqtt_in", "Subscribe", arguments]
    return _measured(Role("take", program=program, folder=_made(folder), samples=messages), port, values, messages)


def _bare(port: int, version: int, messages: int) -> dict[str, float]:
    return _measured(Role("bare", port=port, version=version, messages=messages), port, 0, messages)


def _measured(taker: Role, port: int, values: int, messages: int) -> dict[str, float]:
    try:
        taker.hear()
        sender = Role("publish", port=port, messages=messages, values=values)
        try:
            said = taker.hear()
        finally:
            sender.end()
    finally:
        taker.end()
    return {"rate": said["kept"] / said["seconds"], "cpu_us": 1e6 * said["cpu_s"] / said["kept"]}


def _http(posts: int, samples: int, folder: Path) -> dict[str, float]:
    port = free_port()
    arguments = {"listen": f"127.0.0.1:{port}", "time": "at", "value": "temp", "scale": 10}
    posts -= posts % CLIENTS
    taker = Role("take", program=["eddy.links.http", "Http", arguments], folder=_made(folder), samples=posts * samples)
    try:
        taker.hear()
        sender = Role("post", port=port, posts=posts, samples=samples, clients=CLIENTS)
        try:
            said = sender.hear()
        finally:
            sender.end()
    finally:
        taker.end()
    return {"rate": said["kept"] / said["seconds"], "median_ms": said["median_ms"]}


@contextmanager
def _broker(scratch: Path) -> Iterator[tuple[str, int, int]]:
    """A broker, the best that is here: its name, its port, and the version of MQTT that is spoken with it."""
    port, program = free_port(), shutil.which("mosquitto")
    if not program:
        role = Role("broker", port=port)
        try:
            role.hear()
            yield "amqtt", port, 4
        finally:
            role.end()
        return
    file = scratch / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
    process = subprocess.Popen([program, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _listens(port):
            if process.poll() is not None:
                raise DeviceFailed(f"mosquitto has ended with status {process.returncode}: try `mosquitto -p {port}`")
        yield "mosquitto", port, 5
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _made(folder: Path) -> str:
    folder.mkdir()
    return str(folder)
