"""Following the hub over a real port: nothing is missed, nothing comes twice, and everything ends when it ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import httpx2
import pytest
from fake_hub import FakeHub
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import LinkLost, SettingError
from eddy.hub.api import create
from eddy.hub.server import Server
from eddy.hub.streaming import PAGE, Feed, Watch

TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeHub, str]]:
    hub = FakeHub()
    with Server(create(hub, None, poll_s=0.005), port=0) as server:
        yield hub, server.url


@contextmanager
def following(url: str, **headers: str) -> Iterator[Iterator[tuple[str, str, Any]]]:
    """(id, kind, data) of each event."""
    with httpx2.stream("GET", url, headers=headers, timeout=5, trust_env=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()
        lines = answer.iter_lines()
        assert next(lines).startswith("id: ")

        def read() -> Iterator[tuple[str, str, Any]]:
            fields: dict[str, str] = {}
            for line in lines:
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    yield fields["id"], fields["event"], json.loads(fields["data"])
                    fields = {}

        yield read()


def test_decisions_and_events_come_as_they_happen(served: tuple[FakeHub, str]) -> None:
    hub, url = served
    hub.decide("judge", "old", "before anybody listened")
    with following(f"{url}/api/v1/events/stream") as news:
        hub.decide("judge", "want it on cloud", "test")
        hub.happen("gw", "fault", "judge", "division by zero")
        assert [(kind, data.get("what", data.get("text"))) for _, kind, data in (next(news), next(news))] == [
            ("decision", "want it on cloud"),
            ("event", "division by zero"),
        ]


def test_who_comes_back_misses_nothing(served: tuple[FakeHub, str]) -> None:
    hub, url = served
    with following(f"{url}/api/v1/events/stream?instance=judge") as news:
        hub.happen("gw", "fault", "judge", "one")
        position, _, _ = next(news)
    hub.happen("gw", "fault", "detect@pump-3", "not asked for")
    hub.happen("gw", "fault", "judge", "two")
    hub.happen("gw", "fault", "judge", "three")
    with following(f"{url}/api/v1/events/stream?instance=judge", **{"Last-Event-ID": position}) as news:
        assert [next(news)[2]["text"], next(news)[2]["text"]] == ["two", "three"]


def test_a_position_that_is_none_is_a_problem_and_no_stream(served: tuple[FakeHub, str]) -> None:
    for wrong in ("x", "1", "-1.0", "1.2.3", "²." * 2, "9" * 30 + ".0"):
        answer = httpx2.get(f"{served[1]}/api/v1/events/stream", headers=[(b"Last-Event-ID", wrong.encode())], trust_env=False)
        assert answer.status_code == 422, wrong
        assert answer.json()["code"] == 153


def test_a_thing_tells_its_outputs_moves_and_faults(served: tuple[FakeHub, str]) -> None:
    hub, url = served
    with following(f"{url}/things/judge/events/output") as news:
        hub.last["judge"] = [8, 5, [1, b"\x00"]]
        assert next(news) == ("8", "output", {"seq": 8, "time_ns": 5, "value": [1, {"base64": "AA=="}]})
    with following(f"{url}/things/judge/events/fault") as news:
        hub.fail("judge", "division by zero")
        assert next(news)[2] == {"faults": 1, "fault": "division by zero"}
    with following(f"{url}/things/judge/events/moved") as news:
        hub.move("judge", "cloud", "test")
        hub.finish("judge")
        assert next(news) == ("2", "moved", {"node": "cloud", "term": 2, "why": "gw has stopped for it"})
    hub.move("judge", "gw", "test")
    hub.finish("judge")
    with following(f"{url}/things/judge/events/moved", **{"Last-Event-ID": "2"}) as news:
        assert next(news)[0] == "3"
    with following(f"{url}/things/@gw/events/state") as news:
        hub.declare_gone("gw", "test")
        assert next(news)[2] == "gone"


def test_streams_end_when_the_hub_ends() -> None:
    server = Server(create(FakeHub(), None, poll_s=0.005), port=0)
    server.start()
    with following(f"{server.url}/api/v1/events/stream") as news:
        server.close()
        assert list(news) == []
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{server.url}/healthz", trust_env=False)


def test_a_taken_port_and_an_open_one_are_refused(served: tuple[FakeHub, str]) -> None:
    taken = int(served[1].rpartition(":")[2])
    with pytest.raises(LinkLost, match=f"port {taken}"):
        Server(create(FakeHub(), None), port=taken).start()
    with pytest.raises(SettingError, match="set a token"):
        Server(create(FakeHub(), None), host="0.0.0.0", port=0)
    with Server(create(FakeHub(), TOKEN), host="0.0.0.0", port=0) as server:
        port = server.url.rpartition(":")[2]
        assert httpx2.get(f"http://127.0.0.1:{port}/api/v1/nodes", trust_env=False).status_code == 401


def test_answers_do_not_wait_for_the_acknowledgements_of_tcp(served: tuple[FakeHub, str]) -> None:
    took = []
    with httpx2.Client(trust_env=False) as client:
        for _ in range(21):
            begun = perf_counter()
            client.get(f"{served[1]}/healthz")
            took.append(perf_counter() - begun)
    assert median(took) < 0.03  # a delayed acknowledgement takes 40 ms


# Without a network


@given(st.lists(st.sampled_from(["decision", "event", "other"]), max_size=40), st.integers(0, 40), st.booleans())
def test_a_feed_gives_everything_once_wherever_it_is_taken_up(happened: list[str], cut: int, only: bool) -> None:
    hub, expected = FakeHub(), []
    for number, kind in enumerate(happened):
        instance = "detect@pump-3" if kind == "other" else "judge"
        if kind == "decision":
            hub.decide(instance, str(number), "test")
        else:
            hub.happen("gw", "fault", instance, str(number))
        if not only or instance == "judge":
            expected.append(str(number))
    feed = Feed(hub, "judge" if only else None)
    every, end = feed.after("0.0")
    assert [news.data.get("what", news.data.get("text")) for news in every] == expected
    assert feed.after(end) == ([], end)
    assert Feed(hub).now() == Feed(hub).after("0.0")[1]
    some = every[:cut]
    assert some + feed.after(some[-1].position if some else "0.0")[0] == every


def test_a_feed_of_one_gets_past_pages_of_others() -> None:
    hub = FakeHub()
    for _ in range(PAGE + 1):
        hub.happen("gw", "fault", "detect@pump-3")
    hub.happen("gw", "fault", "judge", "mine")
    nothing, position = Feed(hub, "judge").after("0.0")
    found, _ = Feed(hub, "judge").after(position)
    assert nothing == []
    assert [news.data["text"] for news in found] == ["mine"]


def test_a_watch_is_silent_until_there_is_something_new() -> None:
    seen: list[tuple[str, int] | None] = [None]
    watch = Watch("output", lambda: seen[-1])
    assert (watch.now(), watch.after("")) == ("", ([], ""))
    seen.append(("1", 10))
    assert [(news.position, news.data) for news in watch.after("")[0]] == [("1", 10)]
    assert watch.after("1") == ([], "1")
