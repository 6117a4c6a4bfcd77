"""Whatever comes in on whatever way: samples in the lake or a row in quarantine with reason and origin, counted to the last one.

A node with a source for each way and form, and a lake behind all of them, gets valid messages, damaged ones, and hostile ones. What its
answers say is compared with what is in the tables.
"""

import http.client
import json
import os
import random
import re
import shutil
import subprocess
import threading
import tty
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import cbor2
import pytest
from deltalake import DeltaTable
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from websockets.sync.client import connect as open_websocket

from eddy.errors import Undecodable
from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.kernel.assignment import ASSIGN, Assignment, message
from eddy.kernel.charter import Charter
from eddy.links.cutting import Records
from eddy.links.decoders import Form
from eddy.links.serial_in import LARGEST
from eddy.node.drivers import door
from eddy.node.service import Node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MESSAGES = 100_000
SHOWN = 4096
PATHS = {"time": "at", "value": "temp", "origin": "who", "scale": 10}
FORMS: dict[str, dict[str, Any]] = {
    "json": {},
    "paths": PATHS,
    "keyed": {"unique": ".", "scale": 100},
    "senml": {"format": "senml", "scale": 100},
    "senmlcbor": {"format": "senml-cbor", "scale": 100},
    "cbor": {"format": "cbor", "scale": 10},
    "csv": {"format": "csv", "columns": ["at", "temp", "who"], **PATHS},
    "raw": {"format": "raw", "struct": "<dhB", "columns": ["at", "temp", "who"], **PATHS},
}
PUBLISHED = {**FORMS, "sparkplug": {"format": "sparkplug", "scale": 10}}
"""What comes over MQTT."""

PACK = [{"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1.7e9, "n": "temp", "v": 23.5}, {"n": "on", "vb": True}, {"n": "x", "vs": "y", "t": 1}]
VALID: dict[str, list[bytes]] = {
    "json": [b'{"temp": 20.5, "tags": ["a", 1]}', b"[1, 2, 3.75]", b'"warm"', b"1\n2\n3", b'{"a": {"b": [1, {"c": null}]}}', b"true"],
    "paths": [b'{"at": 1700000000.125, "temp": -3.5, "who": "a"}', b'[{"at": "2024-01-01T00:00:00Z", "temp": 1, "who": 7}]'],
    "keyed": [b'{"n": 1, "v": 2}', b"[1, 1, 2]"],
    "senml": [json.dumps(PACK).encode()],
    "senmlcbor": [cbor2.dumps([{-2: "dev/", -3: 1.7e9, 0: "t", 2: 23.5}, {0: "h", 2: 40}, {0: "d", 8: b"12"}])],
    "cbor": [cbor2.dumps(value) for value in ({"t": [1, 2.5, "x"]}, [1, -2, 2**40], b"raw", {"a": {"b": None}})],
    "csv": [b"1700000000,20.5,a\n1700000001,,b\n", b"2024-01-01T00:00:00Z,1,c"],
    "raw": [bytes(8) + b"\x01\x02\x03", (bytes(8) + b"\xff\x7f\x09") * 3],
    "sparkplug": [  # written by Eclipse Tahu: a birth, what comes by its aliases, and an array, a text and a data set
        bytes.fromhex("0880d095ffbc3112150a03686f7410011880d095ffbc312009650000a44112110a026f6e10021880d095ffbc31200b70011800"),
        bytes.fromhex("0880d095ffbc31121010011880d095ffbc312009656666aa41120d10021880d095ffbc31200b70001801"),
        bytes.fromhex(
            "0880d095ffbc3112100a016e1880d095ffbc31200250fdff03120f0a01731880d095ffbc31200c7a0178120c0a016120178201040100feff"
            "12230a01741880d095ffbc3120108a01140801120163180a220b0a0921000000000000f83f"
        ),
    ],
}
NESTED = b"[" * 100_000
HOSTILE = [
    *(
        b"",
        b" ",
        b"\n\n",
        b"null",
        b"[]",
        b"{}",
        b"[[]]",
        b"[null]",
        b'""',
        b'{"": 1}',
        b"\x00",
        b"\xff\xfe1",
        b"\xef\xbb\xbf1",
        b"\xef\xbb\xbf",
    ),
    *(NESTED, b'{"a":' * 50_000, b"[" * 5 + b"]" * 5, b"[" * 60 + b"]" * 60, b"\x81" * 70_000, b"\xa1\x00" * 1000, b"\x9f" * 1000),
    *(b"1e999", b"-1e99999", b"1e-99999999", b"1e99999999999999999999", b"9" * 5000, b'{"a": ' + b"9" * 400 + b"}", b"NaN", b"-Infinity"),
    *(b"18446744073709551615", b"18446744073709551616", b"-18446744073709551616", b"9223372036854775808", b"0.30000000000000004"),
    *(
        rb'"\ud800"',
        rb'{"\udc00": 1}',
        rb'"\u0000"',
        b'{"n":' + b'"' + b"n" * 300 + b'"}',
        b'{"' + b"n" * 300 + b'": 1}',
        b'"' + b"\xc3" + b'"',
    ),
    *(
        b'{"a": 1, "a": 2}',
        b'{"A": 1, "a": 2}',
        b'{"a b": 1, "a;b": 2}',
        b'{"time": 1, "day": 2, "origin": "x", "Seq": 3}',
        b'{"a": 1, "a_": 2}',
    ),
    *(
        b'{"value": 5}',
        b'{"from": "thief", "value": 5}',
        b'{"from": 1, "value": {"quarantine": "no"}}',
        b'{"quarantine": "mine", "payload": 7}',
    ),
    *(b'{"key": 1, "from": "thief", "value": 5}', b'{"quarantine": {"a": 1}, "from": ["x"], "payload": {"b": 1}, "size": -1}'),
    *(b"[" + b"0," * 70_000 + b"0]", b"[" + b",".join([b"{}"] * 70_000) + b"]", b'"' + b"x" * 20_000 + b'"', b"x" * (1 << 20)),
    b"{" + b",".join(b'"c%d": 1' % n for n in range(300)) + b"}",
    *(
        bytes.fromhex(code)
        for code in ("d9d9f701", "c249010000000000000000", "c48221196ab3", "d81c81d81d00", "d90100820101", "bf6161019f0203ffff")
    ),
    *(
        bytes.fromhex(code)
        for code in (
            "f97e00",
            "fb7ff0000000000000",
            "5f42010243030405ff",
            "a201020103",
            "a1820102f6",
            "f7",
            "f8ff",
            "c0613f",
            "c11bffffffffffffffff",
        )
    ),
    *(b'1700000000,"20', b'a,b,c\r\n"x""y",1,2', b"1,2", b"1,2,3,4", b"1e400,1,a", b"1,\x00,a", b"1,_1_0,a", b"1,1,\xe2\x80\xae", b",,"),
]


SERIAL = {form: options for form, options in FORMS.items() if "cbor" not in form}
BEGIN = b"\xaa\x55"  # of a raw record on a serial port


class Chance:
    """Where the messages come from."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def message(self, form: str) -> bytes:
        """One of this form: valid, damaged, hostile, of another form, or noise."""
        kind = self.random.randrange(20)
        if kind == 0:
            return self.random.choice(HOSTILE)
        if kind == 1:
            return self.random.choice(self.random.choice(list(VALID.values())))
        if kind == 2:
            return self.random.randbytes(self.random.randrange(60))
        if kind < 6 and form in ("json", "cbor"):
            value = self.value(3)
            return json.dumps(value).encode() if form == "json" else cbor2.dumps(value)
        valid = self.random.choice(VALID[form])
        return valid if kind < 8 else self.damaged(valid)

    def value(self, depth: int) -> Any:
        """Something that is well-formed."""
        pick = self.random.randrange(11 if depth else 8)
        if pick > 8:
            return {
                self.random.choice("abcABC_ ;") * self.random.randrange(4): self.value(depth - 1) for _ in range(self.random.randrange(5))
            }
        if pick == 8:
            return [self.value(depth - 1) for _ in range(self.random.randrange(5))]
        number = self.random.choice([0, 1, -1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**22, 10**25])
        return [number, number / 8, self.random.random(), float("inf"), None, True, "\x00ä\ud7ff"[: self.random.randrange(4)], ""][pick]

    def damaged(self, data: bytes) -> bytes:
        """With one to three changes."""
        changed = bytearray(data)
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(changed) + 1)
            end = min(len(changed), at + self.random.randrange(1, 6))
            kind = self.random.randrange(5)
            if kind == 0:
                changed[at:end] = self.random.randbytes(end - at)
            elif kind == 1:
                del changed[at:end]
            elif kind == 2:
                changed[at:at] = changed[at:end] * self.random.randrange(1, 5)
            elif kind == 3:
                changed[at:at] = self.random.choice(
                    [b"9", b"e", b"-", b'"', b"\\", b"\x00", b",", b"{", b"]", b"\xff", b"\x9f", b"null", b"\n"]
                )
            else:
                del changed[at:]
        return bytes(changed)


class Gateway:
    """A node on a thread, with a source for each way and form, and a lake behind them."""

    def __init__(self, folder: Path, broker: int) -> None:
        self.lake, self.incoming, self.ports = folder / "lake", folder / "in", dict[str, int]()
        self.node = Node("gw", folder, Mesh(["@gw"], free_endpoint("tcp")))
        self.fault: BaseException | None = None
        self.terminals: dict[str, tuple[int, int]] = {}
        names = []
        for form, options in SERIAL.items():
            name = f"serial-{form}"
            self.terminals[name] = os.openpty()
            tty.setraw(self.terminals[name][1])
            start = {"start": BEGIN.hex()} if form == "raw" else {}
            where = {"port": os.ttyname(self.terminals[name][1]), "queue": 100}
            self.place(name, ["eddy.links.serial_in", "Serial", {**where, **start, **options}])
            names.append(name)
        for form, options in FORMS.items():
            for way, driver in (("http", "Http"), ("websocket", "WebSocket")):
                name = f"{way}-{form}"
                self.ports[name] = int(free_endpoint("tcp").rpartition(":")[2])
                self.place(name, [f"eddy.links.{way}", driver, {"listen": f"127.0.0.1:{self.ports[name]}", **options}])
                names.append(name)
        for form, options in PUBLISHED.items() if broker else ():
            name = f"mqtt-{form}"
            where = {"to": f"mqtt://127.0.0.1:{broker}", "topic": f"{form}/#", "session_ms": 0, "client": form}
            if form == "sparkplug":
                where["topic"] = ["spBv1.0/#", "sparkplug/#"]
            self.place(name, ["eddy.links.mqtt_in", "Subscribe", {**where, **options}])
            names.append(name)
        self.place("folder", ["eddy.links.folder", "Folder", {"folder": str(self.incoming), "time": "at", "value": "temp", "scale": 10}])
        charter = Charter(
            "lake",
            1,
            ["sink", ["eddy.knowledge.lake", "Lake", {"to": str(self.lake), "fsync": False}], {}],
            {},
            b"new",
            "lake",
            [*names, "folder"],
            [],
            True,
        )
        self.assign(charter, [door("lake")])
        self.names = [*names, "folder"]
        self.going = True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def place(self, name: str, driver: list[Any]) -> None:
        self.assign(Charter(name, 1, ["source", driver, []], {}, b"new", name, [], [], True), ["lake"])

    def assign(self, charter: Charter, consumers: list[str]) -> None:
        said = Assignment(charter.instance, 1, 1, "gw", ["gw"], [], False, False, consumers, {}, charter.sealed)
        self.node.host.receive(message(ASSIGN, said.plain()))

    def run(self) -> None:
        try:
            while self.going:
                self.node.turn()
        except BaseException as error:
            self.fault = error

    def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            assert self.thread.is_alive(), self.fault
            threading.Event().wait(0.02)

    def settled(self) -> bool:
        """Everything that came in is in the lake."""
        replicas = [self.node.host.replica(name) for name in [*self.names, "lake"]]
        return all(replica and not replica.pending() for replica in replicas)

    def close(self) -> None:
        self.going = False
        self.thread.join()
        self.node.close()
        for one in self.terminals.values():
            for end in one:
                os.close(end)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """Its port; 0 where there is none."""
    if not shutil.which("mosquitto"):
        yield 0
        return
    port, file = int(free_endpoint("tcp").rpartition(":")[2]), tmp_path / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
    with subprocess.Popen(
        [str(shutil.which("mosquitto")), "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        yield port
        process.kill()


@pytest.fixture
def gateway(tmp_path: Path, broker: int) -> Iterator[Gateway]:
    made = Gateway(tmp_path, broker)
    yield made
    made.close()


Answer = tuple[str, bytes, int, str]
"""Source, message, samples kept, and the reason when it was not."""


def posted(name: str, port: int, messages: list[bytes]) -> list[Answer]:
    """What the answers say. A message goes for itself, or as a line with others."""
    out: list[Answer] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for one in messages:
        connection.request("POST", "/", one)
        with connection.getresponse() as response:
            said = json.load(response)
        assert response.status in (200, 400, 413), (said, one[:100])
        if response.status != 413:
            assert said["quarantined"] == (response.status == 400)
            out.append((name, one, said["kept"], said.get("reason", "")))
    connection.close()
    return out


def lines(name: str, port: int, messages: list[bytes]) -> tuple[int, int, int]:
    """Many in one body: how many lines that say something, what was kept, what is in quarantine."""
    body = b"\n".join(messages)[: 1 << 20]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", body, {"Content-Type": "application/x-ndjson"})
    with connection.getresponse() as response:
        said = json.load(response)
    connection.close()
    assert response.status in (200, 400), said
    return sum(bool(line.strip()) and not is_empty_list(line) for line in body.split(b"\n")), said["kept"], said["quarantined"]


def is_empty_list(line: bytes) -> bool:
    """A message of no samples."""
    try:
        return bool(json.loads(line) == [])
    except (ValueError, RecursionError):
        return False


def talked(name: str, port: int, messages: list[bytes]) -> list[Answer]:
    """All of them at once, and the answers in their order."""
    with open_websocket(f"ws://127.0.0.1:{port}/", max_size=None, compression=None) as connection:
        sender = threading.Thread(target=lambda: deque(map(connection.send, messages), 0))
        sender.start()
        said = [json.loads(connection.recv(60)) for _ in messages]
        sender.join()
    assert [one["n"] for one in said] == list(range(len(messages)))
    return [(name, one, answer["kept"], answer.get("reason", "")) for one, answer in zip(messages, said, strict=True)]


def typed(name: str, terminal: int, messages: list[bytes]) -> list[Answer]:
    """As lines, or as records with noise between them; a serial port answers nothing, so this is what is expected of each."""
    form = name.partition("-")[2]
    if form == "raw":
        stream = BEGIN.join([b"", *messages])
        found = [(message, why) for message, why in Records(11, BEGIN, LARGEST).feed(stream)]
    else:
        stream = b"\n" + b"\n".join(messages) + b"\n"
        lines = [line for line in stream.split(b"\n") if line.strip() or len(line) > LARGEST]
        found = [(line[:LARGEST], "long") if len(line) > LARGEST else (line.removesuffix(b"\r"), "") for line in lines]
    out: list[Answer] = []
    decoder = Form(**FORMS[form])
    for one, why in found:
        try:
            out.append((name, one, 0, why) if why else (name, one, len(decoder.decode(one)), ""))
        except Undecodable as error:
            out.append((name, one, 0, str(error)))
    while stream:
        stream = stream[os.write(terminal, stream[:4096]) :]
    return out


TOPICS = ("a", "a/b", " ", "//", "ä/日本", "a" * 300, "a;b=c{}", "'; DROP TABLE", "../..", "$x", "\u202e")

SAID = (
    "NBIRTH/edge",
    "NDATA/edge",
    "DBIRTH/edge/a",
    "DDATA/edge/a",
    "NDATA/edge",
    "DDEATH/edge/a",
    "NCMD/edge",
    "NDEATH/edge",
    "DDATA/x/ä",
)


def topic(form: str, number: int) -> str:
    """Of the n-th message."""
    if form == "sparkplug" and number % 10:
        return f"spBv1.0/plant/{SAID[number // 10 % len(SAID)]}"
    return f"{form}/{TOPICS[number % len(TOPICS)]}"


def published(port: int, messages: list[tuple[str, bytes]]) -> list[Answer]:
    """With a receipt for each."""
    heard: Queue[Any] = Queue()
    ready = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda client, userdata, message: heard.put(message)
    client.on_subscribe = lambda *about: ready.set()
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("receipts", 1)
    assert ready.wait(10)
    for number, (form, payload) in enumerate(messages):
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic, properties.CorrelationData = "receipts", str(number).encode()
        client.publish(topic(form, number), payload, 1, properties=properties)
    out = []
    for _ in messages:
        receipt = heard.get(timeout=60)
        form, payload = messages[int(receipt.properties.CorrelationData)]
        said = json.loads(receipt.payload)
        out.append((f"mqtt-{form}", payload, said["kept"], said.get("reason", "")))
    client.disconnect()
    client.loop_stop()
    return out


def filed(folder: Path, messages: list[bytes]) -> int:
    """A CSV file of damaged rows; returns how many there are. Quotes and ends of lines are left out: they may make one row of two."""
    folder.mkdir(exist_ok=True)
    found = [line for line in (re.sub(rb'["\r\n]', b"_", message)[:2000] for message in messages) if line]
    (folder / "a.part").write_bytes(b"at,temp,who\n" + b"\n".join(found) + b"\n")
    (folder / "a.part").rename(folder / "a.csv")
    return len(found)


def rows(lake: Path, table: str) -> list[dict[str, Any]]:
    if not (lake / table).exists():
        return []
    found: list[dict[str, Any]] = DeltaTable(str(lake / table)).to_pyarrow_table().to_pylist()
    return found


def campaign(gateway: Gateway, broker: int, count: int) -> None:
    chance = Chance(count)
    each = count // (2 * len(FORMS) + (len(PUBLISHED) if broker else 0))
    http_ = {form: [chance.message(form) for _ in range(each)] for form in FORMS}
    socket_ = {form: [*HOSTILE, *(chance.message(form) for _ in range(each))] for form in FORMS}
    typed_ = {form: [*HOSTILE, *(chance.message(form) for _ in range(each))] for form in SERIAL}
    mqtt_ = [(form, chance.message(form)) for _ in range(each) for form in PUBLISHED] if broker else []
    gateway.until(lambda: all(gateway.node._drivers.up(name) for name in gateway.names))
    in_file = filed(gateway.incoming, [*HOSTILE, *(chance.message("csv") for _ in range(each))])
    answers: list[Answer] = []
    ndjson: dict[str, list[tuple[int, int, int]]] = {}
    with ThreadPoolExecutor(64) as pool:
        jobs = []
        for form in FORMS:
            name, port = f"http-{form}", gateway.ports[f"http-{form}"]
            alone, together = http_[form][: each // 4], http_[form][each // 4 :]
            jobs += [pool.submit(posted, name, port, alone[n::4]) for n in range(4)]
            ndjson[name] = []
            for at in range(0, len(together), 100):
                part = [one for one in together[at : at + 100] if len(one) < 2000]
                ndjson[name].append(pool.submit(lines, name, port, part))  # type: ignore[arg-type]
            name = f"websocket-{form}"
            jobs.append(pool.submit(talked, name, gateway.ports[name], [one for one in socket_[form] if len(one) <= 1 << 20]))
        for form, found in typed_.items():
            jobs.append(pool.submit(typed, f"serial-{form}", gateway.terminals[f"serial-{form}"][0], found))
        if mqtt_:
            jobs.append(pool.submit(published, broker, mqtt_))
        for job in jobs:
            answers += job.result()
        together_ = {name: [job.result() for job in found] for name, found in ndjson.items()}  # type: ignore[attr-defined]
    gateway.until(lambda: gateway.node.host.kept("folder") >= in_file)
    for form in SERIAL:
        expected = sum(kept + bool(reason) for name, _, kept, reason in answers if name == f"serial-{form}")
        gateway.until(lambda form=form, expected=expected: gateway.node.host.kept(f"serial-{form}") >= expected)  # type: ignore[misc]
    gateway.until(gateway.settled)

    quarantine = rows(gateway.lake, "quarantine")
    assert all(row["reason"] and row["origin"] and row["stream"] in gateway.names for row in quarantine)
    told = [row for row in quarantine if row["sender"]]
    of_file = [row for row in quarantine if row["stream"] == "folder"]
    assert len(of_file) + len(rows(gateway.lake, "folder")) == in_file and len(of_file) > in_file // 4
    assert all("a.csv" in (row["sender"], row["origin"]) and row["payload"] for row in of_file)
    for name in gateway.names[:-1]:
        mine = [answer for answer in answers if answer[0] == name]
        kept = sum(answer[2] for answer in mine) + sum(part[1] for part in together_.get(name, []))
        refused = sum(bool(answer[3]) for answer in mine) + sum(part[2] for part in together_.get(name, []))
        from_source = [row for row in told if row["stream"] == name]
        from_lake = [row for row in quarantine if row["stream"] == name and not row["sender"]]
        replica = gateway.node.host.replica(name)
        assert replica
        assert (replica.faults, gateway.node.host.kept(name)) == (0, kept + refused), (name, replica.fault)
        assert len(from_source) == refused, name
        passed = kept if not name.endswith("keyed") else replica.emitted - refused
        assert len(rows(gateway.lake, name)) + len(from_lake) == passed, name
        lost = Counter(answer[1][:SHOWN] for answer in mine if answer[3]) - Counter(row["payload"] for row in from_source)
        assert not lost, name
        if name.startswith("http"):
            assert {row["sender"] for row in from_source} <= {"127.0.0.1"}
        assert all(part[0] <= part[1] + part[2] or "json" not in name for part in together_.get(name, []))
    assert gateway.node.host.counts == {"malformed": 0, "refused": 0} and not gateway.node.host._incidents


@pytest.mark.parametrize("count", [MESSAGES // 50, pytest.param(MESSAGES, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_every_message_is_samples_or_a_row_in_quarantine(gateway: Gateway, broker: int, count: int) -> None:
    campaign(gateway, broker, count)
