"""Sinks bring samples out once, and say what is wrong without telling secrets."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from eddy.errors import BadInput, LinkError, LinkLost, LinkTimeout, Refused, SettingError
from eddy.fabric.ports import free_port
from eddy.links.driver import start, with_secrets
from eddy.links.gpio import Pin
from eddy.links.homeassistant import HomeAssistant
from eddy.links.log import Log
from eddy.links.mqtt import Publish
from eddy.links.webhook import Webhook

HERE = Path(__file__).parent


# Drivers and secrets


def test_a_driver_is_started_from_its_program_and_gets_its_secrets_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path / "a.log"))
    arguments = {"file": "env:PLACE"}
    log = start(["eddy.links.log", "Log", arguments])
    log.write("k", 1, 2)
    log.close()
    assert (tmp_path / "a.log").exists() and arguments == {"file": "env:PLACE"}


def test_a_secret_that_is_not_there_is_told_by_its_name() -> None:
    with pytest.raises(SettingError, match="to is to come from the environment variable NOBODY_SET_THIS"):
        with_secrets({"to": "env:NOBODY_SET_THIS"})


def test_a_secret_comes_from_a_file_as_docker_and_systemd_hand_it_out(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret=\n")
    assert with_secrets({"keys": {"a": f"secret:{file}"}, "to": "secretive"}) == {"keys": {"a": "s3cret="}, "to": "secretive"}


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"\n", "it is empty"), (b"\xff", "it is no text"), (b"s3cret" * 20_000, "more than 64 KiB")],
)
def test_a_file_without_a_secret_is_told_by_its_name(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(SettingError, match=f"keys.a is to come from the file .*/token, which does not hold it .*{why}") as told:
        with_secrets({"keys": {"a": f"secret:{tmp_path / 'token'}"}})
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (["os", "system", {}], Refused),
        (["eddy.links.log", "os", {}], Refused),
        (["eddy.links.log", "StorageFull", {}], Refused),
        (["eddy.links.log", "Log", {"path": "x"}], BadInput),
    ],
)
def test_what_is_no_driver_is_not_started(program: list[Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        start(program)


# Log


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_key_is_written_once_also_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "alarms.jsonl"
    for _ in range(2):
        log = Log(file=str(file))
        for key in ("a", "b", "a"):
            log.write(key, 7, [1, b"\x0f"])
        log.close()
    assert lines(file) == [{"key": key, "time_ns": 7, "value": [1, "0f"]} for key in ("a", "b")]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_line_that_a_crash_cut_off_is_written_again_whole(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "alarms.jsonl"
    log = Log(file=str(file))
    log.write("a", 1, "first")
    log.write("b", 2, "second")
    log.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    again = Log(file=str(file))
    again.write("b", 2, "second")
    again.close()
    assert file.read_bytes() == whole


def test_lines_of_other_people_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "alarms.jsonl"
    file.write_text("hello\n[1]\n{}\n")
    log = Log(file=str(file))
    log.write("a", 1, None)
    log.close()
    assert json.loads(file.read_text().splitlines()[-1])["key"] == "a"


# Alarms

RAISED = {"alarm": "hot", "state": "raised", "origin": "b-1", "at": 5, "since": 5, "value": 812}
HOT = {"hot": {"per": {"value": 10}, "units": {"value": "Cel"}}}


def test_an_alarm_is_told_in_its_unit_and_what_is_none_as_it_is(tmp_path: Path) -> None:
    log = Log(file=str(tmp_path / "told.jsonl"), alarms=HOT)
    others = [RAISED | {"alarm": "dry"}, RAISED | {"alarm": ["hot"]}, {"value": 812}, 812, [812]]
    for number, value in enumerate([RAISED, RAISED | {"value": None}, *others]):
        log.write(str(number), 5, value)
    log.close()
    found = [line["value"] for line in lines(tmp_path / "told.jsonl")]
    assert found == [RAISED | {"value": 81.2, "unit": "Cel"}, RAISED | {"value": None, "unit": "Cel"}, *others]


# Pin


def test_a_pin_follows_a_rule_and_goes_to_its_safe_level(tmp_path: Path) -> None:
    pin = Pin(pin=5, folder=str(tmp_path))
    assert pin.level() == 0
    pin.write("a", 1, [1, 1])
    assert pin.level() == 1 and (tmp_path / "gpio5").read_text() == "1\n"
    pin.safe("off")
    assert Pin(pin=5, folder=str(tmp_path)).level() == 0
    pin.write("b", 2, True)
    assert pin.level() == 1


@pytest.mark.parametrize("value", ["maybe", None, {}])
def test_what_is_no_level_is_told(tmp_path: Path, value: Any) -> None:
    with pytest.raises(BadInput):
        Pin(pin=5, folder=str(tmp_path)).safe(value)
    with pytest.raises(SettingError):
        Pin(pin=256, folder=str(tmp_path))


# Webhook


class Receiver:
    """A web server that remembers what was posted and answers as told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        self.answer = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append((self.path, self.headers["Idempotency-Key"], body))
                self.send_response(receiver.answer)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *about: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/s3cret"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_sample_is_posted_with_its_key(receiver: Receiver) -> None:
    Webhook(to=receiver.url).write("alarm/4", 9, [1, 9])
    path, key, body = receiver.heard[0]
    assert (path, key, json.loads(body)) == ("/hook/s3cret", "alarm/4", {"key": "alarm/4", "time_ns": 9, "value": [1, 9]})


def test_an_alarm_is_posted_in_its_unit(receiver: Receiver) -> None:
    Webhook(to=receiver.url, alarms=HOT).write("hot/4", 9, RAISED)
    assert json.loads(receiver.heard[0][2])["value"] == RAISED | {"value": 81.2, "unit": "Cel"}


@pytest.mark.parametrize(("status", "error"), [(404, Refused), (302, Refused), (500, LinkLost), (503, LinkLost), (429, LinkLost)])
def test_an_answer_says_whether_trying_again_helps(receiver: Receiver, status: int, error: type[Exception]) -> None:
    receiver.answer = status
    with pytest.raises(error, match=str(status)) as told:
        Webhook(to=receiver.url).write("k", 1, 1)
    assert "s3cret" not in str(told.value)
    assert len(receiver.heard) == 1


def test_a_receiver_that_is_not_there_or_silent_is_told_without_the_secret() -> None:
    with pytest.raises(LinkLost, match=r"127\.0\.0\.1 cannot be reached") as told:
        Webhook(to=f"http://127.0.0.1:{free_port()}/s3cret").write("k", 1, 1)
    assert "s3cret" not in str(told.value)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(LinkTimeout):
            Webhook(to=f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.1).write("k", 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("to", ["ftp://host/s3cret", "file:///etc/passwd", "s3cret", ""])
def test_an_address_that_is_none_is_told(to: str) -> None:
    with pytest.raises(SettingError) as told:
        Webhook(to=to)
    assert "s3cret" not in str(told.value)


# MQTT


@pytest.fixture(scope="module", params=["amqtt", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A running broker: its port, and the newest version of MQTT that it speaks."""
    port = free_port()
    if request.param == "amqtt":
        process = subprocess.Popen([sys.executable, HERE / "broker.py", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout and process.stdout.readline() == b"up\n"
    else:
        if not shutil.which("mosquitto"):
            pytest.skip("mosquitto, a broker that speaks MQTT 5, is not installed here")
        process = subprocess.Popen([str(shutil.which("mosquitto")), "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        reachable(port)
    yield port, 4 if request.param == "amqtt" else 5
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def reachable(port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
            threading.Event().wait(0.02)
    raise AssertionError("the broker does not listen")


class Listener:
    """Hears everything, from now on and what is retained: a message is (topic, payload, whether it was retained)."""

    def __init__(self, port: int, version: int, topic: str) -> None:
        self.heard: Queue[tuple[str, Any, bool]] = Queue()
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
        self._client.on_message = lambda client, userdata, one: self.heard.put((one.topic, json.loads(one.payload), one.retain))
        self._client.on_subscribe = lambda *about: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topic, qos=1)
        assert subscribed.wait(5)

    def next(self) -> tuple[str, Any, bool]:
        return self.heard.get(timeout=5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.slow
def test_a_broker_has_a_sample_when_write_returns(broker: tuple[int, int]) -> None:
    port, version = broker
    heard: Queue[Any] = Queue()
    subscribed = threading.Event()
    listener = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
    listener.on_message = lambda client, userdata, message: heard.put(message)
    listener.on_subscribe = lambda *about: subscribed.set()
    listener.connect("127.0.0.1", port)
    listener.loop_start()
    listener.subscribe("alarms", qos=1)
    assert subscribed.wait(5)
    sink = Publish(to=f"mqtt://127.0.0.1:{port}", topic="alarms", version=version, alarms=HOT)
    sink.write("alarm/1", 5, [1, 5])
    message = heard.get(timeout=5)
    assert json.loads(message.payload) == {"key": "alarm/1", "time_ns": 5, "value": [1, 5]} and message.qos == 1
    if version == 5:
        assert message.properties.UserProperty == [("key", "alarm/1")]
    sink.write("hot/2", 5, RAISED)
    assert json.loads(heard.get(timeout=5).payload)["value"] == RAISED | {"value": 81.2, "unit": "Cel"}
    sink.close()
    listener.disconnect()
    listener.loop_stop()


@pytest.mark.slow
def test_home_assistant_is_told_once_what_there_is_before_it_is_measured_and_again_when_it_comes_later(broker: tuple[int, int]) -> None:
    port, version = broker
    streams = {"room": {"scale": "10", "units": {"t": "Cel"}}}
    sink = HomeAssistant(to=f"mqtt://127.0.0.1:{port}", topic="eddy", version=version, streams=streams)
    early = Listener(port, version, "#")
    sink.write("home/gw/1", 5, ["room", "room@gw", 1, {"from": "up/stairs", "value": {"t": 215, "open": True}}])
    sink.write("home/gw/2", 6, ["room", "room@gw", 2, {"from": "up/stairs", "value": {"t": 220, "open": False}}])
    sink.write("home/gw/3", 7, ["room", "room@gw", 3, {"quarantine": "no JSON", "payload": b"?", "size": 1, "from": "x"}])
    sink.write("home/gw/4", 8, ["room", "room@gw", 4, "overflow", 9])
    (warm, temperature, _), (_, opened, _) = told = [early.next(), early.next()]
    assert warm.startswith("homeassistant/sensor/up_stairs_room_t_eddy_") and warm.endswith("/config")
    assert (temperature["unit_of_measurement"], temperature["device_class"], temperature["state_class"]) == (
        "°C",
        "temperature",
        "measurement",
    )
    assert temperature["device"] == opened["device"] and temperature["unique_id"] != opened["unique_id"]
    assert not {"unit_of_measurement", "device_class", "state_class"} & opened.keys()
    readings = [early.next() for _ in range(2)]
    assert {topic for topic, _, _ in readings} == {temperature["state_topic"], opened["state_topic"]} == {"eddy/room/up%2Fstairs"}
    assert [said["value"] for _, said, _ in readings] == [{"t": 21.5, "open": True}, {"t": 22.0, "open": False}]
    assert [(topic, said["value"]) for topic, said, _ in (early.next(), early.next())] == [
        ("eddy", {"quarantine": "no JSON", "payload": "3f", "size": 1, "from": "x"}),
        ("eddy", ["room", "room@gw", 4, "overflow", 9]),
    ]
    late = Listener(port, version, "homeassistant/#")
    assert sorted((topic, said["unique_id"]) for topic, said, _ in told) == sorted(
        (topic, said["unique_id"]) for topic, said, retained in (late.next(), late.next()) if retained
    )
    for one in (early, late, sink):
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["between two samples", "before it has acknowledged one"])
def test_home_assistant_is_told_again_by_a_broker_that_has_begun_anew(when: str) -> None:
    mosquitto = shutil.which("mosquitto")
    if not mosquitto:
        pytest.skip("mosquitto, which begins anew without what it retained, is not installed here")
    port = free_port()

    @contextmanager
    def running() -> "Iterator[subprocess.Popen[bytes]]":
        process = subprocess.Popen([mosquitto, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            reachable(port)
            yield process
        finally:
            process.kill()
            process.wait()

    def write() -> None:
        end = time.monotonic() + 20
        while True:
            try:
                return sink.write("home/gw/1", 5, ["room", "a", 1, 20])
            except LinkError:
                assert time.monotonic() < end
                threading.Event().wait(0.05)

    writing = threading.Thread(target=write)
    with running() as process:
        sink = HomeAssistant(to=f"mqtt://127.0.0.1:{port}", topic="eddy")
        write()
        if when != "between two samples":
            process.send_signal(signal.SIGSTOP)
            writing.start()
            writing.join(0.2)  # it waits for an acknowledgement
            assert writing.is_alive()
    with running():
        if when == "between two samples":
            writing.start()
        writing.join(25)
        listener = Listener(port, 5, "homeassistant/#")
        try:
            assert listener.next()[1]["name"] == "room"
        finally:
            listener.close()
            sink.close()


@pytest.mark.slow
def test_a_broker_of_the_older_version_is_named_as_such(broker: tuple[int, int]) -> None:
    port, version = broker
    if version == 5:
        pytest.skip("this one speaks both")
    with pytest.raises(LinkLost, match="Unsupported protocol version"):
        Publish(to=f"mqtt://127.0.0.1:{port}", topic="alarms")


@pytest.mark.slow
def test_a_broker_that_is_gone_is_noticed_by_the_write() -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, HERE / "broker.py", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout and process.stdout.readline() == b"up\n"
    sink = Publish(to=f"mqtt://127.0.0.1:{port}", topic="alarms", version=4, timeout_s=1)
    process.kill()
    process.wait()
    process.stdout.close()
    with pytest.raises(LinkError, match="tried again"):
        sink.write("k", 1, 1)
    sink.close()


def test_a_broker_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(LinkLost, match=r"the broker 127\.0\.0\.1:\d+ cannot be reached") as told:
        Publish(to=f"mqtt://ada:s3cret@127.0.0.1:{free_port()}", topic="alarms")
    assert "s3cret" not in str(told.value)
    with pytest.raises(SettingError):
        Publish(to="http://host", topic="alarms")
