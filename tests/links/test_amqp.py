"""What comes from a queue of a RabbitMQ is acknowledged when it is kept, and is there once, however often its node is killed."""

import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from certificates import certificate
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, BlockingConnection, ConnectionParameters, frame  # type: ignore[import-untyped]
from pika.exceptions import AMQPError, UnroutableError  # type: ignore[import-untyped]
from pika.spec import BasicProperties as Plain  # type: ignore[import-untyped]
from rabbit import RabbitMQ
from running import Running
from typer.testing import CliRunner

from eddy.cli.main import app as command
from eddy.errors import LinkLost, LinkTimeout, Refused, SettingError, ToolMissing
from eddy.fabric.ports import free_port
from eddy.links.amqp_in import Consume
from eddy.links.driver import Home, start
from eddy.links.send import sender
from eddy.node.sources import SourceThread

APP = """
app: queued
nodes:
  gw: {tier: gateway}
sources:
  took: {at: gw, unique: id, driver: amqp, to: "env:QUEUE_BROKER", queue: kept, exchange: plant, routing_key: "plant.*.temp"}
sinks:
  record: {from: took, at: gw, driver: log, file: record.jsonl}
"""
USERS = {"o'ada": ("s3cret/", "", "", "^theirs$"), "bob": ("s3cret", "^$", "^$", "^$")}


def take(source: Any, count: int) -> list[Any]:
    """So many values of a source, or more."""
    out: list[Any] = []
    while len(out) < count:
        out += [value for _, value in source.read() or []]
    return out


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory, cert: tuple[str, str]) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("rabbit"), USERS, cert) as broker:
        yield broker


class Publisher:
    """Publishes at a broker with confirms, and hears what is answered in a queue of its own."""

    def __init__(self, port: int) -> None:
        self.connection = BlockingConnection(ConnectionParameters("127.0.0.1", port))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.back = self.channel.queue_declare("", exclusive=True).method.queue

    def say(self, queue: str, body: str | bytes, asks: str | None = None, exchange: str = "", **about: Any) -> None:
        properties = about.pop("properties", None) or BasicProperties(
            delivery_mode=2, reply_to=self.back if asks is not None else None, correlation_id=asks, **about
        )
        self.channel.basic_publish(exchange, queue, body, properties, mandatory=True)

    def hear(self) -> tuple[Any, Any] | None:
        """An answer and its correlation id, if one is there."""
        _, about, body = self.channel.basic_get(self.back, auto_ack=True)
        return None if about is None else (json.loads(body), about.correlation_id)

    def heard(self) -> tuple[Any, Any]:
        """The next answer."""
        while (said := self.hear()) is None:
            self.connection.process_data_events(0.01)
        return said

    def waiting(self, queue: str) -> int:
        """Messages that nobody has been given."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    def close(self) -> None:
        with suppress(AMQPError):
            self.connection.close()


@pytest.fixture
def publisher(rabbit: RabbitMQ, opened: Any) -> Publisher:
    made: Publisher = opened(Publisher(rabbit.port))
    return made


def at(rabbit: RabbitMQ) -> str:
    return f"amqp://127.0.0.1:{rabbit.port}"


@pytest.mark.slow
def test_what_was_not_kept_comes_again_and_what_was_does_not(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    first = Consume(to=at(rabbit), queue="again")
    for number in range(6):
        publisher.say("again", str(number))
    assert take(first, 6) == list(range(6))
    first.kept(4)
    first.close()
    publisher.say("again", "6")  # while nobody is there
    second = opened(Consume(to=at(rabbit) + "/", queue="again"))
    assert take(second, 3) == [4, 5, 6]
    second.close()
    third = opened(Consume(to=at(rabbit), queue="again", unique="."))
    assert [(sample["value"], sample["resent"]) for sample in take(third, 3)] == [(4, True), (5, True), (6, True)]


@pytest.mark.slow
def test_who_asks_is_answered_when_it_is_kept_and_only_then_the_message_is_acknowledged(
    rabbit: RabbitMQ, publisher: Publisher, opened: Any
) -> None:
    source = opened(Consume(to=at(rabbit), queue="asks", prefetch=1))  # so what comes next says that the one before is acknowledged
    for number, body in enumerate(("[1, 2]", "{", "3")):
        publisher.say("asks", body, str(number))
    take(source, 2)
    source.kept(1)
    assert source.read() is None and publisher.hear() is None
    source.kept(2)
    assert publisher.heard() == ({"kept": 2}, "0")
    assert "no JSON" in take(source, 1)[0]["quarantine"]
    assert publisher.hear() is None
    source.kept(3)
    said, about = publisher.heard()
    assert (said["kept"], said["quarantined"], about) == (0, 1, "1") and "no JSON" in said["reason"]
    assert take(source, 1) == [3]


class Between:
    """Passes on bytes between clients and a broker. On the first connection the broker may be held back; it may be cut, too."""

    def __init__(self, port: int) -> None:
        self.listening = Event()
        self.listening.set()
        self._broker = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._sockets: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """The first connection, in the middle of whatever it is at."""
        for end in self._sockets[:2]:
            end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listening.set()
        for end in (self._server, *self._sockets):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._server.accept()[0]
                broker = socket.create_connection(("127.0.0.1", self._broker))
                first = not self._sockets
                self._sockets += [client, broker]
                Thread(target=self._pass, args=(client, broker, None), daemon=True).start()
                Thread(target=self._pass, args=(broker, client, self.listening if first else None), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, gate: Event | None) -> None:
        with suppress(OSError):
            while said := one.recv(65536):
                if gate:
                    gate.wait()
                other.sendall(said)


@pytest.mark.slow
def test_a_message_is_acknowledged_in_its_turn_when_the_broker_has_its_receipt(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    between = opened(Between(rabbit.port))
    source = opened(Consume(to=f"amqp://127.0.0.1:{between.port}", queue="turn", prefetch=2))
    between.listening.clear()
    publisher.say("turn", "1", "a")
    for number in (2, 3):
        publisher.say("turn", str(number))
    assert take(source, 2) == [1, 2]
    source.kept(2)
    assert publisher.heard() == ({"kept": 1}, "a")
    assert source.read() is None
    between.listening.set()
    assert take(source, 1) == [3]


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["before", "after"])
def test_who_cannot_be_answered_is_answered_later(rabbit: RabbitMQ, publisher: Publisher, opened: Any, kept: str) -> None:
    between = opened(Between(rabbit.port))
    source = Consume(to=f"amqp://127.0.0.1:{between.port}", queue=f"later-{kept}")
    between.listening.clear()
    publisher.say(f"later-{kept}", "1", "a")
    take(source, 1)
    if kept == "before":
        source.kept(1)
        assert publisher.heard() == ({"kept": 1}, "a")  # but the source does not know that
    between.cut()
    with pytest.raises(LinkLost, match="has gone"):
        take(source, 1)
    source.kept(1)
    source.close()
    again = opened(Consume(to=at(rabbit), queue=f"later-{kept}"))
    assert take(again, 1) == [1]
    again.kept(1)
    assert publisher.heard() == ({"kept": 1}, "a")


@pytest.mark.slow
def test_nobody_is_told_more_than_once_of_a_message_and_thousands_are_told_in_their_turn(
    rabbit: RabbitMQ, publisher: Publisher, opened: Any
) -> None:
    source = opened(Consume(to=at(rabbit), queue="many", prefetch=100))
    for number in range(300):
        publisher.say("many", str(number), str(number) if number % 3 else None)
    found: list[Any] = []
    while len(found) < 300:
        found += take(source, 1)
        source.kept(len(found))
    assert found == list(range(300))
    asked = [str(number) for number in range(300) if number % 3]
    assert [publisher.heard()[1] for _ in asked] == asked
    assert publisher.hear() is None


@pytest.mark.slow
def test_the_queue_is_bound_and_the_routing_key_says_who_measured_it(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    source = opened(Consume(to=at(rabbit), queue="bound", exchange="amq.topic", routing_key=["a.*.t", "b.#"], largest=10, value="v"))
    publisher.say("a.1.t", '{"v": 1}', exchange="amq.topic")
    publisher.say("b", b"\xff", exchange="amq.topic")
    publisher.say("b.x", '{"v": 1234567890}', exchange="amq.topic")
    with pytest.raises(UnroutableError):
        publisher.say("c", "1", exchange="amq.topic")
    found = take(source, 3)
    assert found[0] == {"from": "a.1.t", "value": 1}
    assert [(sample["from"], sample["size"]) for sample in found[1:]] == [("b", 1), ("b.x", 17)]
    assert "no UTF-8" in found[1]["quarantine"] and "10 bytes" in found[2]["quarantine"]
    fan = opened(Consume(to=at(rabbit), queue="fan", exchange="amq.fanout"))
    publisher.say("", "1", exchange="amq.fanout")
    assert take(fan, 1) == [1]


@pytest.mark.slow
def test_who_may_not_send_is_told_so_and_its_message_is_in_quarantine(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    source = opened(Consume(to=at(rabbit), queue="allow", exchange="amq.topic", routing_key="room.#", allow="room.kitchen.*"))
    for key in ("room.kitchen.1", "room.hall"):
        publisher.say(key, "1", key, exchange="amq.topic")
    found = take(source, 2)
    assert found[0] == {"from": "room.kitchen.1", "value": 1} and (found[1]["from"], found[1]["payload"]) == ("room.hall", b"1")
    source.kept(2)
    assert publisher.heard() == ({"kept": 1}, "room.kitchen.1")
    answer, asked = publisher.heard()
    assert (answer["kept"], answer["quarantined"], asked) == (0, 1, "room.hall") and "room.hall is not allowed here" in answer["reason"]


@pytest.mark.slow
def test_who_is_not_known_waits_until_it_is_approved(
    rabbit: RabbitMQ, publisher: Publisher, opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eddy.links.senders.EVERY_S", 0.01)
    answers = iter([[0, None]])
    home = Home(tmp_path, lambda question: next(answers, [1, [["wait", True]]]), "plant")
    source = opened(Consume(to=at(rabbit), queue="wait", unknown="wait", home=home))
    found: list[Any] = []
    while not found or isinstance(found[-1], dict):
        publisher.say("wait", "1")
        found += take(source, 1)
        source.kept(len(found))
    assert found[-1] == 1 and all("waits for approval" in one["quarantine"] for one in found[:-1])


class Raw(BasicProperties):  # type: ignore[misc]
    """Properties with bytes in the place of texts, and headers as they are on the wire."""

    def __init__(self, table: bytes = b"", **about: Any) -> None:
        super().__init__(**about)
        self._table = table

    def encode(self) -> list[bytes]:
        pieces: list[bytes] = super().encode()
        if not self._table:
            return pieces
        (flags,) = struct.unpack(">H", pieces[0])
        assert not flags, "headers stand in the middle"
        return [struct.pack(">HI", BasicProperties.FLAG_HEADERS, len(self._table)), self._table]


def nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return table


@pytest.mark.slow
def test_whatever_a_broker_lets_through_costs_one_message_only(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    source = opened(SourceThread(lambda resume: Consume(to=at(rabbit), queue="odd", exchange="amq.topic", routing_key="#", prefetch=1)))
    publisher.channel.queue_declare("odd", durable=True)
    publisher.channel.queue_bind("odd", "amq.topic", "#")
    source.begin()
    strange: list[tuple[Any, Any]] = [
        ("k", Raw(b"\x01xT" + b"\xff" * 8)),  # a time beyond the calendar
        ("k", Raw(nested(2000))),
        ("k", Raw(b"\x03\xff\xfe\xfdS\x00\x00\x00\x01\xff")),
        ("k", Raw(reply_to=b"\xff\xfe", correlation_id=b"\xff")),
        ("k", Raw(reply_to=publisher.back, correlation_id=b"\xff", content_type=b"\xff")),
        ("k", Raw(reply_to="nobody", correlation_id="x" * 255)),
        ("k" * 255, Raw()),
        ("k", Raw(reply_to="amq.rabbitmq.reply-to.made.up", correlation_id="")),  # of some brokers it ends the connection
        ("", Raw()),
        ("k", Raw()),
    ]
    for number, (key, properties) in enumerate(strange):
        publisher.say(key, str(number), exchange="amq.topic", properties=properties)
    for number in range(len(strange)):
        (sample,) = source.take(1, 10)  # so the one before is acknowledged
        assert (sample[1]["value"] if isinstance(sample[1], dict) else sample[1]) == number
        source.keep(number + 1)
    assert publisher.heard() == ({"kept": 1}, b"\xff")


TEXT = st.none() | st.text(max_size=20)


@given(
    st.builds(
        BasicProperties,
        content_type=TEXT,
        content_encoding=TEXT,
        headers=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(-5, 5) | st.none()),
        priority=st.none() | st.integers(0, 255),
        correlation_id=TEXT,
        reply_to=TEXT,
        timestamp=st.none() | st.integers(0, (1 << 64) - 1),
        cluster_id=TEXT,
    )
)
def test_properties_are_read_as_they_were_sent_but_for_headers(properties: BasicProperties) -> None:
    sent = frame.Header(1, 7, properties).marshal()
    size, header = frame.decode_frame(sent)
    properties.headers = None
    assert size == len(sent) and Plain.encode(header.properties) == properties.encode()


@pytest.mark.slow
def test_no_more_is_taken_than_is_acknowledged_and_large_messages_wait_for_room(
    rabbit: RabbitMQ, publisher: Publisher, opened: Any
) -> None:
    source = opened(Consume(to=at(rabbit), queue="bounded", prefetch=3))
    big = json.dumps(list(range(5000)))
    for _ in range(4):
        publisher.say("bounded", big)
    assert len(take(source, 5000)) == 5000  # two of these are more than may wait
    assert source.read() is None and publisher.waiting("bounded") == 1
    for count in range(1, 4):
        source.kept(5000 * count)
        assert len(take(source, 5000)) == 5000
    assert source.counts["samples"] == 20000


@pytest.mark.slow
def test_a_queue_that_goes_is_noticed(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    source = opened(Consume(to=at(rabbit), queue="goes"))
    publisher.channel.queue_delete("goes")
    with pytest.raises(LinkLost, match="was it deleted"):
        take(source, 1)


@pytest.mark.slow
def test_a_queue_of_others_is_taken_as_it_is_when_it_is_durable(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    publisher.channel.queue_declare("theirs", durable=True, arguments={"x-max-length": 5})
    publisher.say("theirs", "1")
    source = Consume(to=at(rabbit), queue="theirs")
    assert take(source, 1) == [1]
    source.close()
    publisher.channel.queue_declare("light", durable=False)
    with pytest.raises(LinkLost, match="durable"):
        Consume(to=at(rabbit), queue="light")


@pytest.mark.slow
def test_who_may_not_answer_is_told_and_the_messages_are_taken_all_the_same(rabbit: RabbitMQ, publisher: Publisher, opened: Any) -> None:
    publisher.channel.queue_delete("theirs")
    publisher.channel.queue_declare("theirs", durable=True)
    source = opened(Consume(to=f"amqp://o'ada:s3cret%2F@127.0.0.1:{rabbit.port}", queue="theirs"))
    publisher.say("theirs", "1", "a")
    publisher.say("theirs", "2")
    take(source, 2)
    source.kept(2)
    with pytest.raises(LinkLost, match="ACCESS_REFUSED") as told:
        take(source, 1)
    assert "ada" not in str(told.value) and "this user" in str(told.value)
    source.close()
    assert publisher.waiting("theirs") == 0


@pytest.mark.slow
def test_what_does_not_let_us_in_is_told_without_user_and_password(
    rabbit: RabbitMQ, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher.channel.queue_declare("q", durable=True)
    for to, why in (
        (f"amqp://bob:wr0ng@127.0.0.1:{rabbit.port}", "refuses user and password"),
        (f"amqp://bob:s3cret@127.0.0.1:{rabbit.port}/other", "no such virtual host"),
        (f"amqp://bob:s3cret@127.0.0.1:{rabbit.port}", "ACCESS_REFUSED"),
        (f"amqp://bob:s3cret@127.0.0.1:{free_port()}", r"the broker 127\.0\.0\.1:\d+ cannot be reached \(Connection refused\)"),
        (f"amqp://bob:s3cret@127.0.0.1:{rabbit.tls_port}", "does not speak|gone|reached"),
        (f"amqps://bob:s3cret@127.0.0.1:{rabbit.tls_port}", "certificate"),
    ):
        with pytest.raises(LinkLost, match=why) as told:
            Consume(to=to, queue="q", timeout_s=5)
        assert not any(secret in str(told.value) + caplog.text for secret in ("bob", "s3cret", "wr0ng"))


@pytest.mark.slow
def test_it_speaks_tls(rabbit: RabbitMQ, publisher: Publisher, cert: tuple[str, str], opened: Any) -> None:
    source = opened(Consume(to=f"amqps://127.0.0.1:{rabbit.tls_port}/%2F", queue="tls", ca=cert[0]))
    publisher.say("tls", "1")
    assert take(source, 1) == [1]


@pytest.mark.parametrize(
    "wrong", [{"to": "mqtt://h"}, {"to": "amqp://h:x"}, {"to": "amqp://"}, {"to": "amqp://h?heartbeat=1"}, {"routing_key": "a"}]
)
def test_settings_that_cannot_be_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Consume(**{"to": "amqp://127.0.0.1:1", "queue": "a", **wrong})


@pytest.mark.slow
def test_rows_are_sent_into_a_queue_and_the_node_says_that_it_has_kept_them(rabbit: RabbitMQ, publisher: Publisher, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a\n" + "".join(f"{number}\n" for number in range(100)), encoding="utf-8")
    source, over = Consume(to=at(rabbit), queue="rows", value="a"), Event()
    found: list[Any] = []

    def node() -> None:
        while not over.is_set():
            found.extend(value for _, value in source.read() or [])
            source.kept(len(found))

    keeping = Thread(target=node)
    keeping.start()
    done = CliRunner().invoke(command, ["send", str(file), "--to", at(rabbit), "--topic", "rows", "--batch", "3", "--json", "-"])
    over.set()
    keeping.join()
    source.close()
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["rows"], said["kept"], said["promise"]) == (100, 100, "node") and found == list(range(100))
    nobody = sender(at(rabbit), "rows", patience_s=0.2)
    nobody.send(b"1")
    with pytest.raises(LinkTimeout, match="does a source consume"):
        nobody.finish()
    nobody.close()
    none = sender(at(rabbit), "no-such-queue")
    none.send(b"1")
    with pytest.raises(Refused, match="no queue"):
        none.finish()
    none.close()
    with pytest.raises(SettingError, match="which queue"):
        sender(at(rabbit))


class Asker:
    """Publishes numbers and asks for receipts; what it has none for it sends again when its connection is lost."""

    def __init__(self, port: int) -> None:
        self.receipts: set[int] = set()
        self.next = 0
        self._port = port
        self._publisher: Publisher | None = None

    def reached(self, receipts: int) -> bool:
        """Take a step; whether there are so many receipts."""
        try:
            self._step()
        except (AMQPError, OSError):
            self.close()
            self._publisher = None
        return len(self.receipts) >= receipts

    def close(self) -> None:
        if self._publisher:
            self._publisher.close()

    def _step(self) -> None:
        if self._publisher is None:
            self._publisher = Publisher(self._port)
            self._publisher.channel.exchange_declare("plant", "topic", durable=True)
            for number in sorted(set(range(self.next)) - self.receipts):
                self._say(self._publisher, number)
        while (said := self._publisher.hear()) is not None:
            assert said[0] == {"kept": 1}
            self.receipts.add(int(said[1]))
        if self.next - len(self.receipts) < 100:
            with suppress(UnroutableError):  # the node has not bound its queue yet
                self._say(self._publisher, self.next)
                self.next += 1

    def _say(self, publisher: Publisher, number: int) -> None:
        publisher.say("plant.7.temp", json.dumps({"id": number}), str(number), "plant")


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "every"), [(2, 0), pytest.param(40, 8, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_what_the_broker_or_the_node_acknowledged_is_there_once_however_often_the_node_is_killed(
    rabbit: RabbitMQ, opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, every: int
) -> None:
    """In the long campaign the broker is killed, too, after so many kills of the node."""
    monkeypatch.setenv("QUEUE_BROKER", at(rabbit))
    asker = opened(Asker(rabbit.port))
    with Running(tmp_path / "app", APP) as app:
        for number in range(1, kills + 1):
            app.until(lambda number=number: asker.reached(100 * number), 90)  # type: ignore[misc]
            app.kill("gw")
            if every and not number % every:
                rabbit.again()
        app.until(lambda: asker.reached(100 * (kills + 1)), 90)
        record = app.folder / "record.jsonl"

        def keys() -> Counter[int]:
            return Counter(json.loads(line)["value"]["key"] for line in record.read_text().splitlines())

        app.until(lambda: len(keys()) == asker.next, 90)
        found = keys()
    assert found == Counter(range(asker.next)) and asker.receipts <= set(found)


def test_the_package_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("eddy.links.amqp", "eddy.links.amqp_in", "eddy.links.send_amqp"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "pika", None)
    for make in (
        lambda: start(["eddy.links.amqp_in", "Consume", {"to": "amqp://127.0.0.1", "queue": "a"}]),
        lambda: sender("amqp://127.0.0.1", "a"),
    ):
        with pytest.raises(ToolMissing, match=r"eddy\[knowledge\]"):
            make()
