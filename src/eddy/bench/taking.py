"""The processes of `eddy bench ingest`: those who send, a node that takes in, and a subscriber that throws away.

`python -m eddy.bench.taking ROLE ARGUMENTS`, where the arguments are a JSON object; each prints one JSON object a line.
"""

import http.client
import json
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

from eddy.bench.chain import host
from eddy.errors import LinkLost

TOPIC = "plant/7/temp"
SESSION = "bench"
_PATIENCE_S = 120.0
_WAIT_S = 0.01
_CHUNK = 256  # messages that are written at once


def say(**what: Any) -> None:
    """To whoever started this process."""
    print(json.dumps(what), flush=True)


def take(program: list[Any], folder: str, samples: int) -> None:
    """A node with one source, whose samples nobody but its journal takes; says how many were kept in how many seconds."""
    from eddy.fabric.mesh import Mesh, free_endpoint
    from eddy.kernel.assignment import ASSIGN, Assignment, message
    from eddy.kernel.charter import Charter
    from eddy.kernel.host import Host
    from eddy.knowledge.spool import connect
    from eddy.links.driver import Home
    from eddy.node import programs
    from eddy.node.drivers import Drivers
    from eddy.node.journal import SqliteJournal
    from eddy.node.service import settle

    mesh = Mesh(["@gw"], free_endpoint("tcp"))
    host = Host("gw", SqliteJournal(connect(Path(folder) / "gw.db")), lambda program: programs.build(program, {}), doors=False)
    drivers = Drivers(host, {}, Home(Path(folder), lambda question: None))
    charter = Charter("took", 1, ["source", program, []], {}, b"new", "took", [], [], True)
    host.receive(message(ASSIGN, Assignment("took", 1, 1, "gw", ["gw"], [], False, False, [], {}, charter.sealed).plain()))
    settle()
    began_s, first, said, cpu_s = 0.0, 0, False, 0.0
    end_s = time.monotonic() + _PATIENCE_S
    while (kept := host.kept("took")) < samples and time.monotonic() < end_s:
        mesh.receive(0 if drivers.more else _WAIT_S)  # as a node does between two turns
        drivers.turn()
        host.poll(time.monotonic_ns() // 1_000_000, time.time_ns())
        if not said and drivers.up("took"):
            said = True
            say(up=True)
        if kept and not first:
            began_s, first, cpu_s = time.monotonic(), kept, time.process_time()
    seconds = time.monotonic() - began_s
    drivers.turn()  # the last ones are acknowledged
    say(kept=kept - first, seconds=seconds, cpu_s=time.process_time() - cpu_s)
    drivers.close()
    mesh.close()


def bare(port: int, version: int, messages: int) -> None:
    """A subscriber that acknowledges and throws away; says how many in how many seconds."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    count, began_s, cpu_s, done = 0, 0.0, 0.0, Event()

    def on_message(client: Client, userdata: Any, message: Any) -> None:
        nonlocal count, began_s, cpu_s
        if not count:
            began_s, cpu_s = time.monotonic(), time.process_time()
        count += 1
        if count == messages:
            done.set()

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
    client.on_message = on_message
    client.on_subscribe = lambda *about: say(up=True)
    if version == 5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = 4096
        client.connect("127.0.0.1", port, properties=properties)
    else:
        client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe(TOPIC, 1)
    done.wait(_PATIENCE_S)
    say(kept=count, seconds=time.monotonic() - began_s, cpu_s=time.process_time() - cpu_s)
    client.disconnect()
    client.loop_stop()


def publish(port: int, messages: int, values: int) -> None:
    """Publishes as fast as the broker takes it, quality of service 1, MQTT 3.1.1 (OASIS, 2014): no library is in the way.

    Args:
        port: Of the broker.
        messages: How many.
        values: In each; 0 for a single sample in JSON, else so many in CBOR.
    """
    payloads = list(_payloads(messages, values))
    with socket.create_connection(("127.0.0.1", port)) as line:
        _greet(line, b"bench")
        acknowledged = 0
        over = Event()

        def hear() -> None:
            nonlocal acknowledged
            size = 0
            while acknowledged < messages and (data := line.recv(1 << 16)):
                size += len(data)
                acknowledged = size // 4
            over.set()

        Thread(target=hear, daemon=True).start()
        waiting: list[bytes] = []
        for number, payload in enumerate(payloads):
            waiting.append(_publish(number, payload))
            if len(waiting) == _CHUNK:
                line.sendall(b"".join(waiting))
                waiting = []
        line.sendall(b"".join(waiting))
        over.wait(_PATIENCE_S)
        say(acknowledged=acknowledged)


def flood(port: int, values: int, rate: float) -> None:
    """Publishes until it is ended, so many messages a second, 0 for as many as the broker takes; says every second how many samples.

    Args:
        values: Samples in a message, in CBOR; 0 for a single one in JSON.
    """
    from eddy.kernel.codec import encode

    payloads = [encode(list(range(at, at + values))) for at in range(100)] if values else list(_payloads(1000, 0))
    with socket.create_connection(("127.0.0.1", port)) as line:
        _greet(line, b"flood")
        heard = [0]

        def hear() -> None:
            while data := line.recv(1 << 16):
                heard[0] += len(data)

        Thread(target=hear, daemon=True).start()
        sent, began_s = 0, time.monotonic()
        due_s = began_s
        while True:
            now_s = time.monotonic()
            if now_s >= due_s:
                due_s = now_s + 1
                say(published=heard[0] // 4 * max(1, values))
            allowed = min(_CHUNK, 8 * _CHUNK - (sent - heard[0] // 4), int((now_s - began_s) * rate) - sent if rate else _CHUNK)
            if allowed > 0:
                line.sendall(b"".join(_publish(number, payloads[number % len(payloads)]) for number in range(sent, sent + allowed)))
                sent += allowed
            else:
                time.sleep(0.002)


def pace(port: int, seconds: float, every_s: float) -> None:
    """Posts one sample at a time for so long; says how long the answers took."""
    took_ms: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    end_s = time.monotonic() + seconds
    for body in _payloads(1_000_000, 0):
        began_s = time.monotonic()
        if began_s > end_s:
            break
        connection.request("POST", "/", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            took_ms.append(1000 * (time.monotonic() - began_s))
        time.sleep(max(0.0, every_s - (time.monotonic() - began_s)))
    took_ms.sort()
    say(ms={"p50": round(took_ms[len(took_ms) // 2], 1), "p99": round(took_ms[len(took_ms) * 99 // 100], 1)})


def post(port: int, posts: int, samples: int, clients: int) -> None:
    """Posts over connections that stay open; says how many samples were answered in how many seconds, and how long an answer took."""
    took: list[float] = []

    def work(share: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        for _ in range(share):
            body = b"\n".join(_payloads(samples, 0))
            began_s = time.monotonic()
            while True:
                connection.request("POST", "/", body, {"Content-Type": "application/x-ndjson"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    break
            took.append(time.monotonic() - began_s)
        connection.close()

    threads = [Thread(target=work, args=(posts // clients,)) for _ in range(clients)]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began_s
    say(kept=len(took) * samples, seconds=seconds, median_ms=1000 * sorted(took)[len(took) // 2])


def broker(port: int) -> None:
    """amqtt, where nothing better is installed."""
    from eddy.links.broker import Broker

    made = Broker("127.0.0.1", port)
    say(up=True)
    sys.stdin.read()
    made.close()


def _payloads(messages: int, values: int) -> Iterator[bytes]:
    if values:
        from eddy.kernel.codec import encode

        for number in range(messages):
            yield encode({"id": number, "temp": [2000 + (number + i) % 300 for i in range(values)]})
        return
    for number in range(messages):
        yield b'{"id": %d, "at": %d.125, "temp": %d.%d, "unit": "Cel"}' % (number, 1_700_000_000 + number, 20 + number % 5, number % 10)


def _greet(line: socket.socket, name: bytes) -> None:
    """CONNECT, without a session; raises LinkLost."""
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name
    line.sendall(b"\x10" + _length(len(body)) + body)
    if line.recv(4)[3:] != b"\x00":
        raise LinkLost("the broker does not let us in: is it another one than this measurement has started?")


def _publish(number: int, payload: bytes) -> bytes:
    """PUBLISH of quality of service 1."""
    body = struct.pack(">H", len(TOPIC)) + TOPIC.encode() + struct.pack(">H", number % 65535 + 1) + payload
    return b"\x32" + _length(len(body)) + body


def _length(size: int) -> bytes:
    """Remaining length of a packet (section 2.2.3)."""
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"take": take, "bare": bare, "publish": publish, "post": post, "broker": broker}
    roles |= {"host": host, "flood": flood, "pace": pace}
    roles[sys.argv[1]](**json.loads(sys.argv[2]))
