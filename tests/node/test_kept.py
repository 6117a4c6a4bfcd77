"""A source that answers its senders answers when what they sent can no longer be lost, and not a moment earlier."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from eddy.errors import SettingError
from eddy.fabric.mesh import free_endpoint
from eddy.kernel.assignment import ACK, ASSIGN, Assignment, message
from eddy.kernel.batch import encode_ack
from eddy.kernel.charter import Charter
from eddy.kernel.host import Host
from eddy.knowledge.spool import connect
from eddy.node import programs
from eddy.node.drivers import Drivers
from eddy.node.journal import SqliteJournal
from eddy.node.sources import SourceThread

# The thread of a source


class Post:
    """A source of numbers that fails once, and writes down what it is told."""

    def __init__(self, resume: int, fail_at: int = -1) -> None:
        self.at, self.fail_at = resume, fail_at
        self.told: list[int] = []
        self.complaint: Exception | None = None

    def read(self) -> Any:
        if self.at == self.fail_at:
            raise OSError("gone")
        self.at += 1
        return (self.at, self.at)

    def kept(self, count: int) -> None:
        if self.complaint:
            raise self.complaint
        self.told.append(count)


def started(kept: int, *fail_at: int) -> tuple[SourceThread, list[Post]]:
    made: list[Post] = []

    def start(resume: int) -> Post:
        made.append(Post(resume, fail_at[len(made)] if len(made) < len(fail_at) else -1))
        return made[-1]

    return SourceThread(start, kept), made


def test_a_driver_is_told_how_many_of_its_own_samples_are_kept_each_count_once() -> None:
    source, made = started(100)
    for _ in range(5):
        source.turn()
    for kept in (100, 102, 102, 105, 104):
        source.keep(kept)
    assert made[0].told == [2, 5]


def test_a_driver_that_was_started_again_hears_nothing_of_what_the_one_before_gave() -> None:
    source, made = started(0, 3)
    for _ in range(6):  # three samples, a failure, two of the next one
        source.turn()
    for kept in (2, 3, 4, 5):
        source.keep(kept)
    assert [post.told for post in made] == [[], [1, 2]]


def test_a_driver_that_fails_when_it_is_told_is_started_again() -> None:
    source, made = started(0)
    source.turn()
    made[0].complaint = OSError("no way back")
    source.keep(1)
    assert (source.turn(), source.fault) == (1.0, "OSError: no way back")
    source.turn()
    source.keep(2)
    assert made[1].told == [1]


# With a host


class Gateway:
    """A node's host and drivers with a source `posts`, turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.port = int(free_endpoint("tcp").rpartition(":")[2])
        self.revise(1)
        self.file = folder / "gw.db"
        self.version = 0
        self.open()

    def revise(self, revision: int, **more: Any) -> None:
        arguments = {"listen": f"127.0.0.1:{self.port}", "unique": "n", "value": "v", **more}
        program = ["source", ["eddy.links.http", "Http", arguments], []]
        self.sealed = Charter("posts", revision, program, {}, b"new", "posts", [], [], True).sealed

    def open(self) -> None:
        self.host = Host("gw", SqliteJournal(connect(self.file)), lambda program: programs.build(program, {}))
        self.drivers = Drivers(self.host, {})

    def assign(self, term: int = 1, follower: str = "") -> None:
        self.version += 1
        nodes = ["gw", follower] if follower else ["gw"]
        said = Assignment("posts", term, self.version, "gw", nodes, nodes[1:], False, self.version > 1, ["log"], {}, self.sealed)
        self.host.receive(message(ASSIGN, said.plain()))

    def poll(self) -> None:
        self.host.poll(self.version, 0)

    def fed(self, count: int) -> None:
        """Turn the drivers until so many samples were fed."""
        while sum(source.fed for source in self.drivers._sources.values()) < count:
            self.drivers.turn()

    def taken(self) -> int:
        replica = self.host.replica("posts")
        assert replica
        return replica.taken

    def post(self, value: Any) -> tuple[int, Any]:
        end = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", json.dumps(value).encode(), timeout=20) as said:
                    return said.status, json.load(said)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.load(error)
            except urllib.error.URLError:  # it does not listen yet
                if time.monotonic() > end:
                    raise


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path)
    made.assign()
    made.poll()
    made.drivers.turn()
    yield made
    made.drivers.close()


@pytest.fixture
def sender() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_who_posts_is_answered_after_the_commit_and_what_was_answered_survives(gateway: Gateway, sender: ThreadPoolExecutor) -> None:
    posted = sender.submit(gateway.post, [{"n": 1, "v": 5}, {"n": 2, "v": 6}])
    gateway.fed(2)
    assert not posted.done() and gateway.taken() == 0
    gateway.poll()
    assert gateway.taken() == 2 and not posted.done()
    gateway.drivers.turn()
    assert posted.result(5) == (200, {"kept": 2, "quarantined": 0})
    again = Host("gw", SqliteJournal(connect(gateway.file)), lambda program: programs.build(program, {}))
    replica = again.replica("posts")
    assert replica and (replica.taken, replica.emitted) == (2, 2)


def test_what_comes_again_is_answered_and_counts_once_also_after_a_restart(gateway: Gateway, sender: ThreadPoolExecutor) -> None:
    def post(total: int) -> None:
        posted = sender.submit(gateway.post, {"n": 7, "v": 1})
        gateway.fed(total)
        gateway.poll()
        gateway.drivers.turn()
        assert posted.result(5)[0] == 200

    post(1)
    post(2)
    gateway.drivers.close()
    gateway.open()
    gateway.drivers.turn()
    post(3)
    replica = gateway.host.replica("posts")
    assert replica and (replica.taken, replica.emitted) == (3, 1)


def test_nobody_is_answered_before_a_follower_in_sync_has_it(gateway: Gateway, sender: ThreadPoolExecutor) -> None:
    gateway.assign(follower="b")
    gateway.poll()
    posted = sender.submit(gateway.post, {"n": 1, "v": 5})
    gateway.fed(1)
    for _ in range(3):
        gateway.poll()
        gateway.drivers.turn()
    assert gateway.taken() == 1 and gateway.host.kept("posts") == 0 and not posted.done()
    gateway.assign()  # the hub has taken it off the list
    gateway.poll()
    gateway.drivers.turn()
    assert posted.result(5)[0] == 200


def test_an_owner_that_was_replaced_answers_that_nothing_is_known(gateway: Gateway, sender: ThreadPoolExecutor) -> None:
    posted: Future[Any] = sender.submit(gateway.post, {"n": 1, "v": 5})
    gateway.fed(1)
    replica = gateway.host.replica("posts")
    assert replica
    box = replica.outboxes["log"]
    gateway.host.receive(message(ACK, "log", encode_ack("posts", "posts", box._birth, 9, -1)))  # from the time of a later owner
    gateway.poll()
    assert gateway.taken() == 0
    gateway.assign(term=10)  # and here again
    gateway.drivers.turn()
    assert posted.result(5)[0] == 503
    again = sender.submit(gateway.post, {"n": 1, "v": 5})
    gateway.fed(1)
    gateway.poll()
    gateway.drivers.turn()
    assert again.result(5)[0] == 200 and gateway.taken() == 1


def test_strangers_are_not_listened_to_without_a_token() -> None:
    with pytest.raises(SettingError, match="strangers"):
        programs.start(["eddy.links.http", "Http", {"listen": "0.0.0.0:0"}], {})


class Odd:
    """What a driver of somebody's own may say."""

    def __init__(self, said: list[Any]) -> None:
        self.said = said

    def read(self) -> Any:
        if not self.said:
            raise EOFError
        return self.said.pop(0)


def test_what_no_log_can_hold_is_told_and_does_not_end_the_node(gateway: Gateway) -> None:
    deep: Any = 1
    for _ in range(7):
        deep = [deep]
    odd = [(1, 0.5), (2, deep), (3, "\ud800"), (1 << 64, 1), (4, b"x" * 40_000), (5, 1 << 70), (6, 7)]
    gateway.drivers._sources["posts"].thread.close()
    gateway.drivers._sources["posts"].thread = SourceThread(lambda kept: Odd([odd])).begin()
    gateway.fed(len(odd))
    gateway.poll()
    replica = gateway.host.replica("posts")
    assert replica and (replica.taken, replica.emitted, replica.faults) == (7, 7, 0) and replica.last[2] == 7


def test_a_source_that_never_ends_takes_its_share_of_a_turn_and_what_waits_is_bounded(gateway: Gateway) -> None:
    class Flood:
        def read(self) -> Any:
            return [(0, bytes(300))] * 500

    gateway.drivers._sources["posts"].thread.close()
    gateway.drivers._sources["posts"].thread = SourceThread(lambda kept: Flood()).begin()
    replica = gateway.host.replica("posts")
    assert replica
    fed = [0]
    while not replica.full():  # nobody takes what is emitted
        gateway.drivers.turn()
        fed.append(gateway.drivers._sources["posts"].fed)
        gateway.poll()
    gateway.drivers.turn()
    gateway.poll()
    assert gateway.drivers._sources["posts"].fed == fed[-1]
    assert max(after - before for before, after in pairwise(fed)) <= 1024
    box = replica.outboxes["log"]
    assert box.overflowed == 0 and (7 << 20) < box.size() < (9 << 20) and replica.emitted == fed[-1]


def test_a_driver_of_a_changed_app_begins_anew_and_what_was_kept_counts_on(gateway: Gateway, sender: ThreadPoolExecutor) -> None:
    def post(number: int, total: int) -> tuple[int, Any]:
        posted = sender.submit(gateway.post, {"n": number, "v": 1, "who": "cellar"})
        while gateway.taken() < total:
            gateway.drivers.turn()
            gateway.poll()
        gateway.drivers.turn()
        return posted.result(5)

    assert post(1, 1) == (200, {"kept": 1, "quarantined": 0})
    assert gateway.drivers.state("posts") == [1, True, ""]
    gateway.revise(2, origin="who", allow=["kitchen"])
    gateway.assign()
    gateway.poll()
    assert gateway.drivers.state("posts") is None  # the driver is that of the app as it was
    gateway.drivers.turn()
    while not gateway.drivers.up("posts"):
        gateway.drivers.turn()
    status, said = post(2, 2)
    assert (status, said["kept"], said["quarantined"]) == (400, 0, 1) and "cellar is not allowed here" in said["reason"]
    replica = gateway.host.replica("posts")
    assert replica and (replica.taken, replica.emitted) == (2, 2)
    assert gateway.drivers.state("posts") == [2, True, ""] and gateway.drivers.state("nobody") is None


def test_a_driver_says_why_it_does_not_work(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        gateway.revise(2, listen=f"127.0.0.1:{other.getsockname()[1]}")
        gateway.assign()
        gateway.poll()
        gateway.drivers.turn()
        while (state := gateway.drivers.state("posts") or [])[1:] in ([], [False, ""]):
            gateway.drivers.turn()
    assert state[:2] == [2, False] and "LinkLost: cannot listen at" in state[2]
