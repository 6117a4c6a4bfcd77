"""Two ingest workers on one shared subscription of a Mosquitto, a hub on a PostgreSQL, one lake: a worker dies, and nothing is missing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import postgres
import pytest
from certificates import certificate
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from eddy.cli.client import Hub
from eddy.errors import EddyError
from eddy.fabric.ports import free_port
from eddy.hub.terms import Terms, open_database
from eddy.knowledge.query import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "scale-out.md"
SOURCES = ("took@worker-1", "took@worker-2")
IN_FLIGHT = 500
BEFORE, AFTER = 3000, 3000
MOSQUITTO = shutil.which("mosquitto")


def app_of_the_page() -> str:
    """The app that the page about scaling out shows."""
    (text,) = re.findall(r"```yaml\n(app: ingest\n.*?)```", HOWTO.read_text(encoding="utf-8"), re.DOTALL)
    return str(text)


class Publisher(threading.Thread):
    """Publishes numbers, and counts who has been told that they are kept; as many are on their way as `IN_FLIGHT` at most."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.receipts: set[int] = set()
        self.next, self.goal, self.lost = 0, 0, 0
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_inflight_messages_set(IN_FLIGHT)
        self.client.on_message = self.heard
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("receipts", 1)
        self.client.loop_start()

    def heard(self, client: Client, userdata: Any, message: Any) -> None:
        self.receipts.add(int(message.properties.CorrelationData))

    def run(self) -> None:
        while self.goal >= 0:
            if self.next < self.goal and self.next - self.lost - len(self.receipts) < IN_FLIGHT:
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.ResponseTopic, properties.CorrelationData = "receipts", str(self.next).encode()
                self.client.publish(f"plant/{self.next % 7}/temp", json.dumps({"id": self.next, "v": self.next}), 1, properties=properties)
                self.next += 1
            else:
                os.sched_yield()

    def close(self) -> None:
        self.goal = -1
        self.join()
        self.client.disconnect()
        self.client.loop_stop()


class Site:
    """The processes, started as the page says."""

    def __init__(self, folder: Path, broker: int, database: str) -> None:
        self.folder, self.broker, self.database = folder, broker, database
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.api = f"127.0.0.1:{free_port()}"
        self.url, self.tls = f"https://{self.api}", certificate(folder)
        (folder / "eddy.yaml").write_text(app_of_the_page(), encoding="utf-8")
        self.hub: Any = None

    def begin(self) -> None:
        """Hub, nodes, and the app on them."""
        fabric = f"127.0.0.1:{free_port()}"
        tls = ["--certificate", self.tls[0], "--key", self.tls[1]]
        self.start("hub", "hub", "run", "--listen", fabric, "--api", self.api, "--database", self.database, *tls)
        self.until((self.folder / "eddy-hub" / "api.url").exists, 60)
        self.hub = Hub(self.url, ca=Path(self.tls[0]))
        for name, tier in (("worker-1", "gateway"), ("worker-2", "gateway"), ("store", "cloud")):
            token = self.hub.call("POST", "tokens", {"node": name})["token"]
            self.start_node(name, "--tier", tier, "--listen", f"127.0.0.1:{free_port()}", "--hub", self.url, token=token)
        self.until(lambda: {one.name for one in self.hub.nodes() if one.state == "up"} >= {"worker-1", "worker-2", "store"}, 60)
        subprocess.run(
            self.command("up", "--hub", self.url), cwd=self.folder, env={**os.environ, "EDDY_CA": self.tls[0]}, check=True, timeout=60
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "eddy", *words]

    def start(self, name: str, *words: str, token: str = "") -> None:
        environment = {word: value for word, value in os.environ.items() if not word.startswith("EDDY_")}
        environment |= {"EDDY_CA": self.tls[0], "EDDY_JOIN_TOKEN": token, "BROKER": f"mqtt://127.0.0.1:{self.broker}"}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(self.command(*words), cwd=self.folder, env=environment, stdout=log, stderr=log)

    def start_node(self, name: str, *more: str, token: str = "") -> None:
        self.start(name, "node", "run", "--name", name, *more, token=token)

    def until(self, holds: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if holds():
                    return
            except (EddyError, OSError):
                pass
            logs = {name: (self.folder / f"{name}.log").read_text(errors="replace")[-600:] for name in self.processes}
            assert time.monotonic() < end, logs
            os.sched_yield()

    def where(self) -> dict[str, str]:
        """Source → its node."""
        return {one.instance: one.node for one in self.hub.functions() if one.kind == "source"}

    def said(self, source: str) -> int:
        """How many samples a source has given."""
        last = self.hub.call("GET", f"functions/{source}/answers/last")["answer"]
        return int(last[0]) + 1 if last else 0

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with Lake(self.folder / "lake") as lake:
            return [tuple(row.values()) for row in lake.query(sql).rows()]

    def close(self) -> None:
        if self.hub:
            self.hub.__exit__(None, None, None)
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(20)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (initdb and pg_ctl)")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'eddy[postgres]'")
    port, file = free_port(), tmp_path / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
    with ExitStack() as stack:
        broker = subprocess.Popen([MOSQUITTO, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(broker.wait)
        stack.callback(broker.kill)
        made = Site(tmp_path, port, stack.enter_context(postgres.server(programs)))
        stack.callback(made.close)
        made.begin()
        yield made


def test_of_two_workers_one_is_killed_and_the_other_takes_over_without_loss_or_doubles(site: Site) -> None:
    publisher = Publisher(site.broker)
    publisher.start()

    def both() -> bool:
        publisher.goal = publisher.next + 1
        site.until(lambda: publisher.next == publisher.goal, 10)
        publisher.lost = publisher.next - len(publisher.receipts)  # while there is no session: a message for nobody
        return all(site.said(source) for source in SOURCES)

    site.until(both, 60)
    first = publisher.next
    publisher.goal = first + BEFORE + AFTER
    site.until(lambda: len(publisher.receipts) > BEFORE, 60)
    before = {source: site.said(source) for source in SOURCES}
    killed = site.processes.pop("worker-1")
    killed.kill()
    killed.wait()
    at_the_kill = publisher.next
    assert at_the_kill < publisher.goal  # it was in the middle
    site.until(lambda: set(site.where().values()) == {"worker-2"}, 30)
    site.until(lambda: set(range(first, publisher.goal)) <= publisher.receipts, 60)
    after = {source: site.said(source) for source in SOURCES}
    publisher.close()
    site.until(lambda: site.rows("SELECT count(*) FROM took")[0][0] >= len(publisher.receipts), 60)

    found = Counter(value for (value,) in site.rows("SELECT value FROM took"))
    assert set(found) >= publisher.receipts and set(found.values()) == {1}
    for source in SOURCES:  # each had its share of the load, and has it now, on the same node
        assert before[source] > BEFORE / 4 and after[source] - before[source] > AFTER / 4
    engine = open_database(site.database)
    assert {assignment.owner for assignment, *_ in Terms(engine).all()} == {"worker-2", "store"}
    engine.dispose()

    site.start_node("worker-1", "--listen", f"127.0.0.1:{free_port()}")
    site.until(lambda: "worker-1" in site.hub.function("took@worker-1").in_sync, 30)
    site.hub.move("took@worker-1", "worker-1", "it is back")
    site.until(lambda: site.where() == {source: source.partition("@")[2] for source in SOURCES}, 30)
