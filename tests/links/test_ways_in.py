"""What comes in over a network or as a file is answered when it is kept, bounded while it is not, and never dropped in silence."""

import csv
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from certificates import certificate
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

from eddy.errors import KeyFileError, LinkLost, SettingError
from eddy.fabric.ports import free_port
from eddy.functions.unique import Unique
from eddy.kernel.function import Sample
from eddy.links.driver import Home
from eddy.links.folder import Folder
from eddy.links.http import Http
from eddy.links.intake import Intake
from eddy.links.mqtt_in import Subscribe
from eddy.links.websocket import WebSocket

HERE = Path(__file__).parent
TOKEN = "0123456789abcdef"


def take(source: Any, count: int) -> list[Any]:
    """So many values of a source, or more."""
    out: list[Any] = []
    while len(out) < count:
        out += [value for _, value in source.read() or []]
    return out


@pytest.fixture
def sender() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


# The queue


def test_receipts_leave_in_order_when_all_before_them_is_kept() -> None:
    left: list[Any] = []
    intake = Intake(left.extend)
    for name, samples in (("a", 2), ("b", 0), ("c", 1), ("d", 0)):
        assert intake.offer([(0, name)] * samples, 1, name)
    assert [len(intake.read() or []), left] == [3, []]
    for count, receipts in ((1, ""), (2, "ab"), (3, "abcd")):
        intake.kept(count)
        assert left == list(receipts)
    assert intake.offer([], 1, "e") and left[-1] == "e"  # nothing new, and nothing that waits


def test_what_is_not_kept_is_bounded_by_samples_and_by_bytes_but_one_message_always_fits() -> None:
    intake = Intake(lambda receipts: None, samples=10, payload_bytes=100)
    assert intake.offer([(0, 0)] * 20, 5, None)
    assert not intake.offer([(0, 0)], 5, None)
    intake.read()
    intake.kept(20)
    assert intake.offer([(0, 0)], 90, None) and not intake.offer([(0, 0)], 11, None) and intake.offer([(0, 0)], 10, None)
    assert intake.counts == {"messages": 3, "samples": 22, "refused": 2}


def test_who_waits_for_room_gets_it_when_something_is_kept(sender: ThreadPoolExecutor) -> None:
    intake = Intake(lambda receipts: None, samples=1)
    assert intake.offer([(0, 0)], 1, None)
    waiting = sender.submit(intake.offer, [(0, 1)], 1, None, 10.0)
    intake.read()
    intake.kept(1)
    assert waiting.result(5)


# HTTP


def post(
    source: Any, body: bytes, kind: str = "application/json", token: str = "", tls: ssl.SSLContext | None = None
) -> tuple[int, Any, Any]:
    """Status, body, headers."""
    headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
    url = f"{'https' if tls else 'http'}://127.0.0.1:{source.port}/"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20, context=tls) as said:
            return said.status, json.load(said), said.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def test_a_post_is_answered_when_all_of_it_is_kept(opened: Any, sender: ThreadPoolExecutor) -> None:
    source = opened(Http(listen="127.0.0.1:0", scale=10))
    posted = sender.submit(post, source, b"[1.5, 2]")
    assert take(source, 2) == [15, 20]
    source.kept(1)
    assert not posted.done()
    source.kept(2)
    assert posted.result(5)[:2] == (200, {"kept": 2, "quarantined": 0})
    assert sender.submit(post, source, b"[]").result(5)[:2] == (200, {"kept": 0, "quarantined": 0})


def test_what_cannot_be_decoded_is_kept_in_quarantine_and_then_refused(opened: Any, sender: ThreadPoolExecutor) -> None:
    source = opened(Http(listen="127.0.0.1:0"))
    posted = sender.submit(post, source, b"{")
    shown = take(source, 1)[0]
    assert (shown["payload"], shown["size"], shown["from"]) == (b"{", 1, "127.0.0.1") and "no JSON" in shown["quarantine"]
    assert not posted.done()
    source.kept(1)
    assert posted.result(5)[0] == 400
    lines = sender.submit(post, source, b"1\n{\n\n3\n", "application/x-ndjson")
    assert take(source, 3)[::2] == [1, 3]
    source.kept(4)
    status, said, _ = lines.result(5)
    assert (status, said["kept"], said["quarantined"]) == (200, 2, 1)


def test_a_full_queue_says_when_to_come_back_and_a_large_body_is_not_read(opened: Any, sender: ThreadPoolExecutor) -> None:
    source = opened(Http(listen="127.0.0.1:0", queue=3, largest=100))
    posted = sender.submit(post, source, b"[1, 2, 3]")
    take(source, 3)
    status, _, headers = post(source, b"4")
    assert (status, headers["Retry-After"], source.counts["refused"]) == (429, "1", 1)
    source.kept(3)
    assert posted.result(5)[0] == 200
    assert post(source, b" " * 101)[0] == 413
    with socket.create_connection(("127.0.0.1", source.port)) as raw:  # one that does not say how much comes
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b" " * 101 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_who_waits_when_the_source_ends_hears_that_nothing_is_known(sender: ThreadPoolExecutor) -> None:
    source = Http(listen="127.0.0.1:0")
    posted = sender.submit(post, source, b"1")
    take(source, 1)
    source.close()
    assert posted.result(5)[0] == 503


def test_a_token_is_asked_for_and_one_that_can_be_guessed_is_none(opened: Any, sender: ThreadPoolExecutor) -> None:
    source = opened(Http(listen="127.0.0.1:0", token=TOKEN))
    assert [post(source, b"1")[0], post(source, b"1", token="0" * 16)[0]] == [401, 401]
    posted = sender.submit(post, source, b"1", token=TOKEN)
    take(source, 1)
    source.kept(1)
    assert posted.result(5)[0] == 200
    with pytest.raises(SettingError, match="16 or more"):
        Http(listen="127.0.0.1:0", token="short")


@pytest.mark.parametrize("made", [Http, WebSocket])
def test_it_listens_where_it_can_and_to_this_machine_only(made: Any, opened: Any) -> None:
    taken = opened(made(listen="127.0.0.1:0"))
    with pytest.raises(LinkLost, match="is something else there"):
        made(listen=f"127.0.0.1:{taken.port}")
    for listen in ("0.0.0.0:0", "example.org:80"):
        with pytest.raises(SettingError, match="reached by strangers"):
            made(listen=listen)
    for listen in ("8080", "127.0.0.1:x", "127.0.0.1:70000"):
        with pytest.raises(SettingError, match="no address"):
            made(listen=listen)


def test_it_speaks_tls(tmp_path: Path, opened: Any, sender: ThreadPoolExecutor) -> None:
    cert, key = certificate(tmp_path)
    source = opened(Http(listen="127.0.0.1:0", certificate=cert, key=key))
    posted = sender.submit(post, source, b"1", tls=ssl.create_default_context(cafile=cert))
    take(source, 1)
    source.kept(1)
    assert posted.result(5)[0] == 200
    with pytest.raises(KeyFileError, match="cannot be used for TLS"):
        Http(listen="127.0.0.1:0", certificate=key, key=cert)
    with pytest.raises(SettingError, match="both"):
        Http(listen="127.0.0.1:0", certificate=cert)


# WebSocket


def talk(source: Any, token: str = "") -> ClientConnection:
    return open_websocket(f"ws://127.0.0.1:{source.port}/", additional_headers={"Authorization": f"Bearer {token}"} if token else {})


def test_each_message_is_answered_with_its_number_when_it_is_kept(opened: Any) -> None:
    source = opened(WebSocket(listen="127.0.0.1:0"))
    with talk(source) as one, talk(source) as other:
        one.send("1")
        assert take(source, 1) == [1]
        one.send(b"[2, 3]")
        assert take(source, 2) == [2, 3]
        one.send("{")
        assert "no JSON" in take(source, 1)[0]["quarantine"]
        other.send("4")
        assert take(source, 1) == [4]
        source.kept(2)
        assert json.loads(one.recv(5)) == {"n": 0, "kept": 1}
        with pytest.raises(TimeoutError):
            one.recv(0.05)
        source.kept(5)
        assert json.loads(one.recv(5)) == {"n": 1, "kept": 2}
        refused = json.loads(one.recv(5))
        assert (refused["n"], refused["kept"], refused["quarantined"]) == (2, 0, 1)
        assert json.loads(other.recv(5)) == {"n": 0, "kept": 1}


def test_nothing_is_read_from_a_websocket_while_the_queue_is_full(opened: Any) -> None:
    source = opened(WebSocket(listen="127.0.0.1:0", queue=2))
    with talk(source) as one:
        for number in range(10):
            one.send(str(number))
        found: list[Any] = []
        while len(found) < 10:
            found += take(source, 1)
            assert source.counts["samples"] <= len(found) + 2
            source.kept(len(found))
        assert found == list(range(10))
        assert [json.loads(one.recv(5))["n"] for _ in range(10)] == list(range(10))


def test_fragments_are_one_message_and_one_that_is_too_large_ends_its_own_connection_only(opened: Any) -> None:
    source = opened(WebSocket(listen="127.0.0.1:0", largest=100))
    with talk(source) as one, talk(source) as other:
        one.send(["[1", ", ", "2]"])
        assert take(source, 2) == [1, 2]
        other.send(["1" * 60, "1" * 60])
        with pytest.raises(ConnectionClosedError) as told:
            other.recv(5)
        assert told.value.rcvd and told.value.rcvd.code == 1009
        source.kept(2)
        assert json.loads(one.recv(5)) == {"n": 0, "kept": 2}
        one.send("3")
        assert take(source, 1) == [3]


def test_a_websocket_without_the_token_is_not_opened(opened: Any) -> None:
    source = opened(WebSocket(listen="127.0.0.1:0", token=TOKEN))
    with pytest.raises(InvalidStatus, match="403"), talk(source):
        pass
    with talk(source, TOKEN) as one:
        one.send("1")
        assert take(source, 1) == [1]


def exchange(port: int, said: bytes) -> bytes:
    """What is answered until the other end closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(said)
        return b"".join(iter(lambda: raw.recv(4096), b""))


def test_lies_about_a_body_end_one_connection_and_nothing_of_it_is_taken(opened: Any, sender: ThreadPoolExecutor) -> None:
    source = opened(Http(listen="127.0.0.1:0"))
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    for lie in (
        b"Content-Length: x\r\n\r\n1",
        b"Content-Length: -1\r\n\r\n1",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n\r\n1",
        b"\x00\xff: 1\r\n\r\n",
    ):
        assert not exchange(source.port, head + lie).startswith(b"HTTP/1.1 2"), lie[:40]
    with socket.create_connection(("127.0.0.1", source.port)) as raw:  # more is announced than comes
        raw.sendall(head + b"Content-Length: 100\r\n\r\n12")
    posted = sender.submit(post, source, b"7")
    assert take(source, 1) == [7]
    source.kept(1)
    assert posted.result(5)[0] == 200 and source.counts["messages"] == 1


def test_who_does_not_say_what_it_wants_is_not_waited_for(opened: Any, sender: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eddy.links.listening.HEAD_S", 0.1)
    monkeypatch.setattr("eddy.links.http.PATIENCE_S", 0.3)
    source = opened(Http(listen="127.0.0.1:0"))
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    assert exchange(source.port, b"") == exchange(source.port, head) == b""
    assert exchange(source.port, head + b"Content-Length: 9\r\n\r\n1").startswith(b"HTTP/1.1 408")
    posted = sender.submit(post, source, b"1")  # who waits for an answer is left alone
    take(source, 1)
    assert posted.result(5)[0] == 503


# MQTT


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["amqtt", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    port, version = free_port(), 4
    if request.param == "amqtt":
        process = subprocess.Popen([sys.executable, HERE / "broker.py", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout and process.stdout.readline() == b"up\n"
        process.stdout.close()
    else:
        if not shutil.which("mosquitto"):
            pytest.skip("mosquitto, a broker that speaks MQTT 5, is not installed here")
        version = 5
        process = subprocess.Popen([str(shutil.which("mosquitto")), "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not listens(port):
            assert process.poll() is None
    yield f"mqtt://127.0.0.1:{port}", version
    process.kill()
    process.wait()


class Publisher:
    """Publishes at a broker, and hears what is said to `back`."""

    def __init__(self, where: str, version: int) -> None:
        self.heard: Queue[Any] = Queue()
        ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
        self.client.on_message = lambda client, userdata, message: self.heard.put(message)
        self.client.on_subscribe = lambda *about: ready.set()
        self.client.connect("127.0.0.1", int(where.rpartition(":")[2]))
        self.client.loop_start()
        self.client.subscribe("back", qos=1)
        assert ready.wait(5)

    def say(self, topic: str, payload: str | bytes, asks: bytes = b"") -> None:
        properties = None
        if asks:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic, properties.CorrelationData = "back", asks
        self.client.publish(topic, payload, 1, properties=properties).wait_for_publish(5)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def publisher(broker: tuple[str, int], opened: Any) -> Publisher:
    made: Publisher = opened(Publisher(*broker))
    return made


@pytest.mark.slow
def test_what_was_not_kept_comes_again_and_what_was_does_not(broker: tuple[str, int], publisher: Publisher, opened: Any) -> None:
    where, version = broker
    if version == 4:
        pytest.skip("amqtt keeps nothing for a subscriber that is away")
    options: dict[str, Any] = {"to": where, "topic": "again/+", "version": version, "client": "again"}
    first = Subscribe(**options)
    for number in range(6):
        publisher.say("again/a", str(number))
    assert take(first, 6) == [{"from": "again/a", "value": number} for number in range(6)]
    first.kept(4)
    publisher.say("again/b", "6")  # behind the acknowledgements on the same connections
    take(first, 1)
    first.close()
    publisher.say("again/c", "7")  # while nobody is there
    second = opened(Subscribe(**options))
    found = {sample["value"]: sample.get("resent", False) for sample in take(second, 4)}
    assert found == {4: True, 5: True, 6: True, 7: False}


@pytest.mark.slow
def test_a_topic_without_wildcards_gives_values_and_a_bad_message_goes_to_quarantine(
    broker: tuple[str, int], publisher: Publisher, opened: Any
) -> None:
    source = opened(Subscribe(to=broker[0], topic=["one", "two"], version=broker[1], largest=10, value="v"))
    publisher.say("one", '{"v": 1}')
    publisher.say("two", b"\xff")
    publisher.say("two", '{"v": 1234567890}')
    found = take(source, 3)
    assert found[0] == 1
    assert [(sample["from"], sample["size"]) for sample in found[1:]] == [("two", 1), ("two", 17)]
    assert "no UTF-8" in found[1]["quarantine"] and "10 bytes" in found[2]["quarantine"]


@pytest.mark.slow
def test_a_broker_that_goes_is_noticed_and_one_that_is_not_there_told_without_the_password(opened: Any) -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, HERE / "broker.py", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout and process.stdout.readline() == b"up\n"
    source = opened(Subscribe(to=f"mqtt://127.0.0.1:{port}", topic="a", version=4))
    process.kill()
    process.wait()
    process.stdout.close()
    with pytest.raises(LinkLost, match="has gone"):
        take(source, 1)
    with pytest.raises(LinkLost, match=r"the broker 127\.0\.0\.1:\d+ cannot be reached") as told:
        Subscribe(to=f"mqtt://ada:s3cret@127.0.0.1:{port}", topic="a")
    assert "s3cret" not in str(told.value)


@pytest.mark.slow
def test_who_asks_hears_at_the_response_topic_when_it_is_kept(broker: tuple[str, int], publisher: Publisher, opened: Any) -> None:
    if broker[1] == 4:
        pytest.skip("MQTT 3.1.1 knows no response topics")
    source = opened(Subscribe(to=broker[0], topic="asks"))
    publisher.say("asks", "[1, 2]", b"\x01")
    publisher.say("asks", "{", b"\x02")
    take(source, 3)
    source.kept(2)
    message = publisher.heard.get(timeout=5)
    assert (json.loads(message.payload), message.properties.CorrelationData) == ({"kept": 2}, b"\x01")
    assert publisher.heard.empty()
    source.kept(3)
    message = publisher.heard.get(timeout=5)
    assert (json.loads(message.payload)["quarantined"], message.properties.CorrelationData) == (1, b"\x02")


def test_a_message_is_acknowledged_in_its_turn_when_the_broker_has_its_receipt(opened: Any) -> None:
    asks = b"\x08\x00\x01r"  # the property with the response topic

    def packet(connection: socket.socket) -> tuple[int, bytes]:  # all are shorter than 128 bytes
        kind, size = connection.recv(2, socket.MSG_WAITALL)
        return kind, connection.recv(size, socket.MSG_WAITALL) if size else b""

    def message(number: int, properties: bytes) -> bytes:
        body = b"\x00\x01t" + bytes([0, number, len(properties)]) + properties + b"1"
        return bytes([0x32, len(body)]) + body

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        source = pool.submit(lambda: opened(Subscribe(to=f"mqtt://127.0.0.1:{server.getsockname()[1]}", topic="t")))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            assert packet(connection)[0] == 0x10
            connection.sendall(b"\x20\x03\x00\x00\x00")
            subscribe = packet(connection)[1]
            connection.sendall(b"\x90\x04" + subscribe[:2] + b"\x00\x01")
            driver = source.result(5)
            connection.sendall(message(1, b"") + message(2, asks) + message(3, b""))
            take(driver, 3)
            driver.kept(3)
            kind, receipt = packet(connection)
            assert packet(connection) == (0x40, b"\x00\x01")
            assert kind == 0x32 and receipt.startswith(b"\x00\x01r")
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                packet(connection)
            connection.settimeout(5)
            connection.sendall(b"\x40\x02" + receipt[3:5])
            assert [packet(connection), packet(connection)] == [(0x40, b"\x00\x02"), (0x40, b"\x00\x03")]
            driver.close()


@pytest.mark.slow
def test_two_share_the_work_of_a_topic(broker: tuple[str, int], publisher: Publisher, opened: Any) -> None:
    if broker[1] == 4:
        pytest.skip("amqtt shares no subscriptions")
    workers = [opened(Subscribe(to=broker[0], topic="$share/work/jobs/#")) for _ in range(2)]
    for number in range(20):
        publisher.say("jobs/a", str(number))
    found = [[sample["value"] for sample in take(worker, 1)] for worker in workers]
    while sum(map(len, found)) < 20:
        for worker, list_ in zip(workers, found, strict=True):
            list_ += [value["value"] for _, value in worker.read() or []]
    assert all(found) and sorted(found[0] + found[1]) == list(range(20))


@pytest.mark.slow
def test_a_first_run_needs_no_broker(tmp_path: Path, opened: Any) -> None:
    where = f"mqtt://127.0.0.1:{free_port()}"
    source = opened(Subscribe(to=where, topic="#", broker="embedded", home=Home(tmp_path, lambda question: None)))
    publisher = opened(Publisher(where, 4))
    publisher.say("a/b", "[1]")
    assert take(source, 1) == [{"from": "a/b", "value": 1}]
    source.kept(1)
    (name,) = [file.read_text() for file in tmp_path.glob("mqtt-*.id")]
    assert name.startswith("eddy-")
    with pytest.raises(LinkLost, match="is one there already"):
        Subscribe(to=where, topic="#", broker="embedded")


@pytest.mark.parametrize("wrong", [{"to": "http://h"}, {"to": "mqtt://h:x"}, {"version": 3}, {"broker": "mine"}])
def test_settings_that_cannot_be_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Subscribe(**{"to": "mqtt://127.0.0.1:1", "topic": "a", **wrong})


# Folders


def write(folder: Path, name: str, rows: list[list[str]]) -> None:
    """A file that is whole when it has its name."""
    folder.mkdir(exist_ok=True)
    with (folder / (name + ".part")).open("w", newline="") as file:
        csv.writer(file).writerows([["at", "temp"], *rows])
    (folder / (name + ".part")).rename(folder / name)


def test_each_file_is_read_once_whole_and_a_restart_goes_on_behind_what_was_kept(tmp_path: Path) -> None:
    folder, home = tmp_path / "in", Home(tmp_path, lambda question: None)
    options: dict[str, Any] = {"folder": str(folder), "home": home, "time": "at", "scale": 10}
    write(folder, "b.csv", [["1", "20.5"], ["2", "20.6"]])
    first = Folder(**options)
    assert first.read() == [(10**9, {"from": "b.csv", "value": {"temp": 205}}), (2 * 10**9, {"from": "b.csv", "value": {"temp": 206}})]
    write(folder, "a.csv", [["3", "1"], ["4", "2"], ["5", "3"]])  # by name it comes first, and yet after what was there
    assert [value["value"]["temp"] for _, value in first.read() or []] == [10, 20, 30]
    everything = [205, 206, 10, 20, 30]
    for kept in range(6):
        again = Folder(**options, resume=kept)
        rest: list[int] = []
        while len(rest) < 5 - kept:
            rest += [value["value"]["temp"] for _, value in again.read() or []]
        assert rest == everything[kept:]
    (folder / "b.csv").unlink()  # what is behind us may go
    assert [value["value"]["temp"] for _, value in Folder(**options, resume=3).read() or []] == [20, 30]


def temperatures(source: Folder) -> list[Any]:
    """What the next look brings; of what is no row the reason."""
    return [value["value"]["temp"] if "value" in value else value["quarantine"] for _, value in source.read() or []]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A folder that can be looked into without waiting."""
    monkeypatch.setattr("eddy.links.folder._LOOK_S", 0)
    return {"folder": str(tmp_path / "in"), "home": Home(tmp_path, lambda question: None), "time": "at"}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_with_other_content_under_its_name_is_new_data(watched: dict[str, Any], in_place: bool, restarted: bool) -> None:
    inbox = Path(watched["folder"])
    source = Folder(**watched)
    write(inbox, "a.csv", [["1", "20"], ["2", "21"]])
    write(inbox, "b.csv", [["1", "50"]])
    assert [temperatures(source), temperatures(source)] == [[20, 21], [50]]
    if restarted:
        source = Folder(**watched, resume=3)
    was = (inbox / "a.csv").stat()
    if in_place:
        (inbox / "a.csv").write_text("at,temp\n3,22\n4,23\n")
    else:
        write(inbox, "a.csv", [["3", "22"], ["4", "23"]])
        os.utime(inbox / "a.csv", ns=(was.st_mtime_ns, was.st_mtime_ns))  # as who copies files with their times does
    assert [temperatures(source) for _ in range(4)] == [[], [22, 23], [], []]
    assert [temperatures(Folder(**watched, resume=kept)) for kept in (3, 4, 5)] == [[22, 23], [23], []]


def test_a_file_that_was_only_touched_or_copied_anew_is_not_read_again(watched: dict[str, Any]) -> None:
    inbox = Path(watched["folder"])
    source = Folder(**watched)
    write(inbox, "a.csv", [["1", "20"]])
    assert temperatures(source) == [20]
    os.utime(inbox / "a.csv", ns=(5, 5))
    assert [temperatures(source) for _ in range(3)] == [[], [], []]
    write(inbox, "a.csv", [["1", "20"]])
    assert [temperatures(source) for _ in range(3)] == [[], [], []]


def test_a_file_that_is_being_written_anew_is_left_until_it_stays_as_it_is(watched: dict[str, Any]) -> None:
    inbox = Path(watched["folder"])
    source = Folder(**watched)
    write(inbox, "a.csv", [["1", "20"]])
    assert temperatures(source) == [20]
    for number in range(2, 6):
        with (inbox / "a.csv").open("a") as file:
            file.write(f"{number},21\n")
        assert temperatures(source) == []
    assert temperatures(source) == [21, 21, 21, 21]


def test_a_file_that_is_written_further_is_read_on_also_after_restarts(watched: dict[str, Any]) -> None:
    inbox, everything = Path(watched["folder"]), [0, 1, 2, 3, 4, 47, 5]
    write(inbox, "a.csv", [["0", "0"], ["1", "1"], ["2", "2"]])
    source = Folder(**watched)
    seen = temperatures(source)
    for text in ("3,3\n", "4,4", "7\n", "5,5\n"):  # half a row, and what it should have been
        with (inbox / "a.csv").open("a") as file:
            file.write(text)
        source = Folder(**watched, resume=len(seen))
        for _ in range(3):
            seen += temperatures(source)
    assert seen == everything
    for kept in range(len(everything) + 1):
        source, rest = Folder(**watched, resume=kept), list[int]()
        for _ in range(8):
            rest += temperatures(source)
        assert rest == (everything[kept:] if kept > 4 else [*everything[kept:4], 47, 47, 5])


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_goes_before_all_of_it_was_kept_is_told_and_what_took_its_place_is_read(watched: dict[str, Any], gone: bool) -> None:
    inbox = Path(watched["folder"])
    write(inbox, "a.csv", [["1", "20"], ["2", "21"], ["3", "22"]])
    assert temperatures(Folder(**watched)) == [20, 21, 22]
    write(inbox, "a.csv", [["9", "90"]])
    if gone:
        (inbox / "a.csv").unlink()
    source = Folder(**watched, resume=2)
    (why,) = temperatures(source)
    assert why.startswith("a.csv cannot be read further:")
    assert gone or "another file took its place when 2 samples of it were kept" in why
    if gone:
        write(inbox, "a.csv", [["9", "90"]])
    assert [temperatures(source) for _ in range(3)] == [[], [90], []]
    assert temperatures(Folder(**watched, resume=3)) == [90]


def test_a_list_of_files_from_before_they_were_looked_at_closely_holds(watched: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path / "in", "a.csv", [["1", "20"]])
    assert temperatures(Folder(**watched)) == [20]
    (taken,) = tmp_path.glob(".folder-*.json")
    taken.write_text('[["a.csv", 1]]')
    source = Folder(**watched, resume=1)
    assert [temperatures(source) for _ in range(3)] == [[], [], []]
    write(tmp_path / "in", "a.csv", [["2", "21"]])
    assert [temperatures(source) for _ in range(3)] == [[], [21], []]


def test_rows_that_cannot_be_decoded_go_to_quarantine_with_their_place(tmp_path: Path) -> None:
    write(tmp_path / "in", "a.csv", [["1", "20"], ["noon", "21"], ["3"], ["4", ""]])
    source = Folder(folder=str(tmp_path / "in"), home=Home(tmp_path, lambda question: None), time="at")
    found = [value for _, value in source.read() or []]
    assert found[0]["value"] == {"temp": 20} and found[3]["value"] == {"temp": None}
    assert found[1]["quarantine"].startswith("a.csv:3: at is 'noon'") and found[2]["quarantine"].startswith(
        "a.csv:4: the line has 1 fields"
    )


def test_a_bad_row_costs_itself_only_and_what_it_held_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"at,temp\n1,\xff\n2,20\n3," + b"9" * 140_000 + b"\n4,5,6\n5,21\n")
    (tmp_path / "in" / "b.csv").write_bytes(b"at,temp,temp\n1,2,3\n")
    (tmp_path / "in" / "c.parquet").write_bytes(b"PAR1" + b"\x00" * 40 + b"PAR1")
    source = Folder(folder=str(tmp_path / "in"), home=Home(tmp_path, lambda question: None), time="at", value="temp")
    found = take(source, 7)
    assert [value["value"] for value in found if "value" in value] == [20, 21]
    reasons = [value["quarantine"] for value in found if "quarantine" in value]
    assert "half a character" in reasons[0] and "field limit" in reasons[1] and "3 fields" in reasons[2] and "same name" in reasons[3]
    assert found[3]["payload"] == b"['4', '5', '6']" and "c.parquet cannot be read" in reasons[4]


def test_parquet_is_read_where_pyarrow_is(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "in").mkdir()
    at = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]
    parquet.write_table(pyarrow.table({"at": at, "temp": [1.25, None], "room": ["a", "b"]}), tmp_path / "in" / "x.parquet")
    source = Folder(folder=str(tmp_path / "in"), home=Home(tmp_path, lambda question: None), time="at", origin="room", scale=100)
    day = 86400 * 10**9
    want = [(19723 * day, {"from": "a", "value": {"temp": 125}}), (19724 * day, {"from": "b", "value": {"temp": None}})]
    assert source.read() == want


# Once


def test_a_key_counts_once_for_each_origin_within_what_is_remembered_wherever_the_state_goes() -> None:
    def passed(function: Unique, key: Any, origin: str) -> bool:
        return bool(function.on(Sample("s", "o", 0, 0, {"key": key, "from": origin, "value": 1})))

    one = Unique(remember=3)
    assert [passed(one, *what) for what in ((1, "a"), (1, "b"), (1, "a"), ("1", "a"))] == [True, True, False, True]
    other = Unique(remember=3)
    other.restore(one.state())
    assert [passed(other, *what) for what in ((1, "a"), (1, "b"), ("1", "a"), (2, "a"), (1, "a"))] == [False, False, False, True, True]
    assert other.on(Sample("s", "o", 0, 0, {"quarantine": "why"})) == [{"quarantine": "why"}]


def test_the_package_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from eddy.errors import ToolMissing

    for missing, make in (
        ("cbor2", lambda: Http(listen="127.0.0.1:0", format="cbor")),
        ("websockets", lambda: WebSocket(listen="127.0.0.1:0")),
        ("amqtt.broker", lambda: Subscribe(to="mqtt://127.0.0.1:1", topic="a", broker="embedded")),
    ):
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(ToolMissing, match=r"eddy\[knowledge\]"):
            make()
