"""What is sent is told to be kept by those who keep it, and by nobody else."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from eddy.cli.main import app
from eddy.errors import DataError, LinkError, LinkLost, Refused, SettingError
from eddy.fabric.ports import free_port
from eddy.links.broker import Broker
from eddy.links.driver import Home
from eddy.links.http import Http
from eddy.links.mqtt_in import Subscribe
from eddy.links.rows import messages, rows
from eddy.links.send import sender
from eddy.links.websocket import WebSocket

HERE = Path(__file__).parent
TOKEN = "0123456789abcdef"
CELLS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**15), 10**15))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@given(st.lists(st.tuples(CELLS, CELLS), max_size=20), st.sampled_from([",", ";"]), st.integers(1, 7))
def test_numbers_arrive_as_they_stand_in_the_file(
    tmp_path_factory: Any, table: list[tuple[float, float]], delimiter: str, batch: int
) -> None:
    decimal = "," if delimiter == ";" else "."
    file = tmp_path_factory.mktemp("rows") / "a.csv"
    lines = [delimiter.join(repr(cell).replace(".", decimal) for cell in row) for row in table]
    file.write_text("\n".join([f"a{delimiter}b", *lines]), encoding="utf-8")
    found: list[dict[str, float]] = []
    for count, body in messages(rows(file, delimiter, decimal), batch):
        said = json.loads(body)
        assert count == (len(said) if batch > 1 else 1)
        found += said if batch > 1 else [said]
    assert [(row["a"], row["b"]) for row in found] == table


def test_times_are_put_together_and_what_is_missing_is_null(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("Date;Time;T;U\n10/03/2004;18.00.00;13,6;-200\n", encoding="utf-8")
    said = list(rows(file, ";", ",", ("Date", "Time"), "%d/%m/%Y %H.%M.%S", ("-200",), {"station": "a"}))
    assert said == [{"time": "2004-03-10T18:00:00+00:00", "T": 13.6, "U": None, "station": "a"}]
    for time, form, why in ((("When",), None, "no column 'When'"), (("T",), "%Y", "form of the time")):
        with pytest.raises(DataError, match=why):
            list(rows(file, ";", ",", time, form))
    with pytest.raises(DataError, match="cannot be read"):
        list(rows(tmp_path / "none.csv"))


class Node:
    """Keeps what a source takes in, as a node does; until `keeps` is cleared."""

    def __init__(self, source: Any) -> None:
        self.source, self.keeps, self._over = source, Event(), Event()
        self.values: list[Any] = []
        self.keeps.set()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            self.values += [value for _, value in self.source.read() or []]
            if self.keeps.is_set():
                self.source.kept(len(self.values))

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.source.close()


@pytest.fixture
def node() -> Iterator[Callable[[Any], Node]]:
    made: list[Node] = []

    def start(source: Any) -> Node:
        made.append(Node(source))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def mosquitto() -> Iterator[int]:
    if not shutil.which("mosquitto"):
        pytest.skip("mosquitto, a broker that speaks MQTT 5, is not installed here")
    port = free_port()
    process = subprocess.Popen([str(shutil.which("mosquitto")), "-p", str(port)], stderr=subprocess.DEVNULL)
    while not listens(port):
        assert process.poll() is None
    yield port
    process.kill()
    process.wait()


def test_a_node_answers_over_http_and_a_quarantined_row_is_told(node: Callable[[Any], Node]) -> None:
    kept = node(Http(listen="127.0.0.1:0", token=TOKEN, time="at"))
    to = f"http://127.0.0.1:{kept.source.port}/"
    way = sender(to, token=TOKEN)
    way.send(b'[{"at": 1, "t": 2}, {"at": 2, "t": 3}]')
    way.send(b'[{"t": 2}]')
    way.finish()
    way.close()
    assert (way.kept, way.quarantined, way.promise) == (2, 1, "node") and "at" in way.reason
    with closing(sender(to)) as stranger, pytest.raises(Refused, match="401"):
        stranger.send(b"1")
    with pytest.raises(LinkLost):
        sender(f"http://127.0.0.1:{free_port()}/").send(b"1")


def test_a_node_that_does_not_keep_is_not_taken_at_its_word(node: Callable[[Any], Node]) -> None:
    kept = node(WebSocket(listen="127.0.0.1:0"))
    kept.keeps.clear()
    way = sender(f"ws://127.0.0.1:{kept.source.port}/", inflight=2, patience_s=1)
    way.send(b"[1, 2]")
    way.send(b"3")
    with pytest.raises(LinkError, match="has not answered"):
        way.send(b"4")
    assert way.kept == 0
    kept.keeps.set()
    way.finish()
    way.close()
    assert way.kept == 3 and kept.values == [1, 2, 3]


@pytest.mark.slow
def test_a_node_answers_over_mqtt_5(mosquitto: int, node: Callable[[Any], Node]) -> None:
    to = f"mqtt://127.0.0.1:{mosquitto}"
    with pytest.raises(LinkError, match="does a source subscribe"):
        lonely = sender(to, "nobody/listens", patience_s=0.2)
        try:
            lonely.send(b"1")
            lonely.finish()
        finally:
            lonely.close()
    kept = node(Subscribe(to=to, topic="plant/+"))
    way = sender(to, "plant/a", inflight=3)
    for number in range(50):
        way.send(b"%d" % number)
    way.finish()
    way.close()
    assert (way.kept, way.promise) == (50, "node")
    assert kept.values == [{"from": "plant/a", "value": number} for number in range(50)]


@pytest.mark.slow
def test_a_broker_that_knows_an_older_mqtt_only_is_told_with_the_way_out() -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, HERE / "broker.py", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout and process.stdout.readline() == b"up\n"
        try:
            with pytest.raises(LinkLost, match=r"Unsupported protocol version; if it knows MQTT 3\.1\.1 only, add --mqtt-version 4"):
                sender(f"mqtt://127.0.0.1:{port}", "a")
            sender(f"mqtt://127.0.0.1:{port}", "a", 4).close()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("answer", "version", "told"),
    [
        (b"", 5, "has gone: .*; if it knows MQTT 3.1.1 only, add --mqtt-version 4$"),  # it just closes
        (b"\x20\x02\x00\x01", 5, "refuses us: .*; if it knows MQTT 3.1.1 only, add --mqtt-version 4$"),
        (b"\x20\x02\x00\x00", 5, "; if it knows MQTT 3.1.1 only, add --mqtt-version 4$"),  # which is no answer of MQTT 5
        (b"\x20\x03\x00\x87\x00", 5, "refuses us: Not authorized; see whom it lets in$"),
        (b"\x20\x02\x00\x05", 4, "refuses us: Not authorized; see whom it lets in$"),
        (b"", 4, "has gone: .*; see its log$"),
    ],
)
def test_what_a_broker_says_instead_of_letting_us_in_is_told(answer: bytes, version: int, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:

        def serve() -> None:
            connection, _ = broker.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        with pytest.raises(LinkLost, match=told):
            sender(f"mqtt://127.0.0.1:{broker.getsockname()[1]}", "a", version)
        thread.join()


@pytest.mark.slow
def test_a_broker_that_does_not_answer_is_told_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker, pytest.raises(LinkError, match=r"has not answered: .* --mqtt-version 4$"):
        sender(f"mqtt://127.0.0.1:{broker.getsockname()[1]}", "a", patience_s=0.2)


@pytest.mark.slow
def test_the_embedded_broker_lets_others_in_when_its_node_listens(node: Callable[[Any], Node], tmp_path: Path) -> None:
    port = free_port()
    broker = Broker("127.0.0.1", port, "the-node")
    with pytest.raises(LinkLost, match="refuses us"):
        sender(f"mqtt://127.0.0.1:{port}", "a", 4)
    broker.close()
    port = free_port()
    kept = node(Subscribe(to=f"mqtt://127.0.0.1:{port}", topic="#", broker="embedded", home=Home(tmp_path, lambda question: None)))
    way = sender(f"mqtt://127.0.0.1:{port}", "a", 4)
    way.send(b"[1, 2, 3]")
    way.finish()
    way.close()
    while len(kept.values) < 3:
        assert kept.source
    assert (way.promise, [value["value"] for value in kept.values]) == ("broker", [1, 2, 3])


def test_the_command_says_who_has_kept_how_many_and_goes_on_where_it_stopped(node: Callable[[Any], Node], tmp_path: Path) -> None:
    kept = node(Http(listen="127.0.0.1:0", path="/in"))
    file = tmp_path / "a.csv"
    file.write_text("a,b\n" + "".join(f"{number},x\n" for number in range(10)), encoding="utf-8")
    options = ["--to", f"http://127.0.0.1:{kept.source.port}/in", "--batch", "3", "--field", "room=12"]
    done = CliRunner().invoke(app, ["send", str(file), "--skip", "4", *options, "--json", "-"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["rows"], said["kept"], said["promise"], said["quarantined"]) == (6, 6, "node", 0)
    assert kept.values == [{"a": number, "b": "x", "room": "12"} for number in range(4, 10)]
    wrong = CliRunner().invoke(app, ["send", str(file), "--to", "ftp://x"])
    assert wrong.exit_code == 1 and "Traceback" not in wrong.output


@pytest.mark.parametrize(("to", "topic"), [("ftp://h/", ""), ("http:///x", ""), ("mqtt://127.0.0.1:1", ""), ("mqtt://127.0.0.1:1", "a/#")])
def test_addresses_that_cannot_be_are_told(to: str, topic: str) -> None:
    with pytest.raises(SettingError):
        sender(to, topic)


def test_websockets_are_asked_for_when_they_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    from eddy.errors import ToolMissing

    with pytest.raises(ToolMissing):
        sender("ws://127.0.0.1:1/")
