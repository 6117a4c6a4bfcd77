"""The verbs that speak to a hub, over a real port: what people see, what programs get, and what is said when something is wrong."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from certificates import certificate as self_signed
from fake_hub import FakeHub, device, function, node
from rich.console import Console
from typer.testing import CliRunner

from eddy.cli import client, logs, move, status
from eddy.cli.main import app
from eddy.errors import KeyFileError, LinkLost
from eddy.hub.api import create
from eddy.hub.server import Server
from eddy.hub.view import Event

TOKEN = "0123456789abcdef0123"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    hub = FakeHub()
    with Server(create(hub, None, poll_s=0.005), port=0) as server:
        monkeypatch.setenv("EDDY_HUB", server.url)
        yield hub


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens while a verb waits, one after the other; when there is nothing left, the person presses Ctrl-C."""
    steps: list[Callable[[], None]] = []

    def pause(seconds: float) -> None:
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(client, "pause", pause)
    return steps


def call(*arguments: str | Path, **environment: str) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "160", **environment})


def flat(text: str) -> str:
    return " ".join(text.split())


# eddy status


def test_status_shows_who_hosts_what_and_who_is_silent(hub: FakeHub) -> None:
    hub.move("judge", "cloud", "test")
    hub.fail("detect@pump-3", "division by zero")
    shown = call("status")
    assert shown.exit_code == 0, shown.stderr
    lines = [line.strip("├└│─ ") for line in shown.stdout.splitlines()]
    assert lines == [
        "3 nodes, 3 functions",
        "cloud  gateway  up",
        "judge  copy",
        "gw  gateway  up",
        "judge  function, term 1  → cloud",
        "pump-3  device  silent, last heard 9.0 s ago",
        "features@pump-3  function, term 1",
        "detect@pump-3  function, term 1  1 faults: division by zero",
    ]


def test_status_as_json_stands_alone_on_standard_output(hub: FakeHub) -> None:
    found = json.loads(call("status", "--json", "-").stdout)
    assert [one["name"] for one in found["nodes"]] == ["cloud", "gw", "pump-3"]
    assert found["functions"][0]["program"][2] == {"key": {"base64": "AP8="}}


def test_status_that_follows_shows_what_changes(hub: FakeHub, pauses: list[Callable[[], None]]) -> None:
    pauses.append(lambda: hub.move("judge", "cloud", "test"))
    pauses.append(lambda: hub.finish("judge"))
    shown = call("status", "--follow", "--json", "-")
    assert shown.exit_code == 0, shown.stderr
    owners = [{one["instance"]: one["node"] for one in json.loads(line)["functions"]}["judge"] for line in shown.stdout.splitlines()]
    assert owners == ["gw", "gw", "cloud"]


def test_functions_of_a_node_that_is_not_there_are_not_hidden() -> None:
    console = Console(file=io.StringIO(), record=True, width=120)
    console.print(status.tree([node("gw", functions=["a"])], [function("a"), function("b", node="ghost", wanted="ghost", stopped=True)]))
    assert "ghost?  b  function, term 1  stopped" in console.export_text()


@pytest.mark.parametrize(
    ("heard_ms", "said"), [(None, "never"), (120, "0.1 s ago"), (61_000, "61 s ago"), (150_000, "2 min ago"), (10**8, "27 h ago")]
)
def test_ages_are_told_as_people_say_them(heard_ms: int | None, said: str) -> None:
    assert status.age(heard_ms) == said


# eddy move


def test_a_move_is_waited_for_and_told_step_by_step(hub: FakeHub, pauses: list[Callable[[], None]]) -> None:
    pauses += [lambda: hub.reach("judge", in_sync=["cloud", "gw"]), lambda: hub.reach("judge", stopped=True), lambda: hub.finish("judge")]
    shown = call("move", "judge", "cloud", "--why", "gw is full", "--json", "-")
    assert shown.exit_code == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert (found["function"], found["from"], found["to"], found["term"]) == ("judge", "gw", "cloud", 2)
    assert shown.stderr.splitlines()[:3] == [
        "cloud gets a copy from gw and catches up",
        "cloud has caught up: gw stops",
        "gw has stopped: cloud takes over",
    ]
    assert "judge has moved from gw to cloud in" in shown.stderr
    assert hub.decisions("judge", None, 9)[0].why == "gw is full"


def test_a_move_to_where_it_is_is_done_at_once(hub: FakeHub, pauses: list[Callable[[], None]]) -> None:
    assert flat(call("move", "judge", "gw").stdout) == "judge is on gw already, term 1"


def test_a_move_that_takes_too_long_is_told_and_goes_on(hub: FakeHub, pauses: list[Callable[[], None]]) -> None:
    pauses += [lambda: None] * 100
    shown = call("move", "judge", "pump-3", "--timeout", "0.5")
    assert shown.exit_code == 1
    assert "judge is still on gw after 0.5 s (pump-3 gets a copy from gw and catches up; pump-3 is silent)" in shown.stderr
    assert "eddy move judge gw" in shown.stderr
    assert hub.functions()[2].wanted == "pump-3"


def test_a_move_that_somebody_else_turns_round_ends(hub: FakeHub, pauses: list[Callable[[], None]]) -> None:
    pauses.append(lambda: hub.move("judge", "gw", "the cloud is dear"))
    shown = call("move", "judge", "cloud")
    assert shown.exit_code == 1
    assert "judge is wanted on gw by now (the cloud is dear)" in shown.stderr


def test_a_move_that_is_not_allowed_or_misspelt_moves_nothing(hub: FakeHub) -> None:
    for arguments, said in {
        ("detect", "gw"): "there is no function 'detect': did you mean detect@pump-3? (code 163)",
        ("judge", "claud"): "there is no node 'claud': did you mean cloud? (code 163)",
        ("features@pump-3", "gw"): "its input is private there (code 200)",
    }.items():
        shown = call("move", *arguments)
        assert (shown.exit_code, shown.stdout) == (1, "")
        assert said in shown.stderr
    assert [one.wanted for one in hub.functions()] == ["pump-3", "pump-3", "gw"]


def test_each_step_of_a_move_has_words() -> None:
    assert move.step(function("f"), "cloud").startswith("cloud gets a copy")
    assert move.step(function("f", in_sync=["gw", "cloud"], stopped=True), "cloud") == "gw has stopped: cloud takes over"


# eddy devices


def test_devices_are_listed_with_who_decided(hub: FakeHub) -> None:
    assert call("devices").stdout == "No device has waited.\n"
    hub.waiting = [device("", waited=5000), device("cellar", state="refused", by="ada", decided_ms=5), device("[kitchen]")]
    lines = call("devices").stdout.splitlines()
    at = [logs.moment(ms) for ms in (1000, 2000, 5)]
    assert lines == [
        f"room  (others: there is no room for their names)  waiting  5000 waited from {at[0]} to {at[1]}",
        f"room  cellar  refused by ada, {at[2]}  3 waited from {at[0]} to {at[1]}",
        f"room  [kitchen]  waiting  3 waited from {at[0]} to {at[1]}",
    ]
    assert [one["origin"] for one in json.loads(call("devices", "--waiting", "--json", "-").stdout)["devices"]] == ["", "[kitchen]"]
    hub.waiting = []
    assert call("devices", "--waiting").stdout == "No device waits.\n"


def test_the_status_has_the_hub_count_who_waits(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.waiting = [device("", waited=5000), device("cellar", state="refused", by="ada", decided_ms=5), device("kitchen")]
    monkeypatch.delattr(client.Hub, "devices")
    assert "devices that wait for approval: 1; see eddy devices --waiting" in call("status").stdout
    assert json.loads(call("status", "--json", "-").stdout)["devices_waiting"] == 1


def test_a_device_is_approved_and_refused_at_its_source(hub: FakeHub) -> None:
    hub.reach("judge", kind="source", name="room")
    shown = call("devices", "approve", "floor-1/*", "--source", "room", "--by", "ada", "--json", "-")
    assert shown.exit_code == 0, shown.stderr
    assert json.loads(shown.stdout) == {"app": "pump-guard", "source": "room", "origin": "floor-1/*", "state": "approved", "by": "ada"}
    assert "floor-1/* may send to room, says ada" in shown.stderr and "stays there" in shown.stderr
    assert "kitchen may not send to room" in call("devices", "refuse", "kitchen", "--source", "room").stdout
    assert [(one.origin, one.state) for one in hub.waiting] == [("floor-1/*", "approved"), ("kitchen", "refused")]
    assert hub.waiting[1].by


def test_a_source_that_is_not_there_or_in_two_apps_is_told(hub: FakeHub) -> None:
    hub.reach("judge", kind="source", name="room")
    missing = call("devices", "approve", "kitchen", "--source", "rom")
    assert missing.exit_code == 1 and "there is no source 'rom': did you mean room?" in missing.stderr
    hub.reach("detect@pump-3", kind="source", name="room", app="other")
    several = call("devices", "approve", "kitchen", "--source", "room")
    assert several.exit_code == 1 and "other and pump-guard have a source room: name one of them with --app" in flat(several.stderr)
    assert call("devices", "approve", "kitchen", "--source", "room", "--app", "pump-guard").exit_code == 0


# eddy logs, eddy why


def test_logs_show_decisions_and_events_in_their_order(hub: FakeHub) -> None:
    hub.decide("judge", "place on gw", "near its inputs")
    hub.happen("gw", "fault", "judge", "division [by] zero")
    hub.decide("detect@pump-3", "place on pump-3", "private")
    lines = call("logs").stdout.splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [
        "judge  place on gw  (term 1; near its inputs)",
        "judge on gw  fault  division [by] zero",
        "detect@pump-3  place on pump-3  (term 1; private)",
    ]
    found = json.loads(call("logs", "judge", "--json", "-").stdout)["entries"]
    assert [(one["type"], one.get("what", one.get("text"))) for one in found] == [
        ("decision", "place on gw"),
        ("event", "division [by] zero"),
    ]
    assert len(call("logs", "-n", "1").stdout.splitlines()) == 1
    assert call("logs", "-n", "0").stdout == ""
    assert "did you mean detect@pump-3?" in call("logs", "detect", "-f").stderr


def test_logs_that_follow_take_up_a_stream_that_broke(monkeypatch: pytest.MonkeyPatch, pauses: list[Callable[[], None]]) -> None:
    asked: list[str | None] = []
    pauses += [lambda: None] * 2

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 2:
            raise httpx2.ConnectError("restarting")
        number = len(asked)
        event = json.dumps(
            {"number": number, "time_ms": 0, "node": "gw", "kind": "back", "instance": "", "text": f"part {number}", "more": 1}
        )
        return httpx2.Response(200, text=f"id: 0.{number}0\n\n:\n\nid: 0.{number}1\nevent: event\ndata: {event}\n\n")

    hub = client.Hub("http://hub:1", transport=httpx2.MockTransport(answer))
    told: list[Any] = []
    logs._follow(hub.follow(), told.append)
    assert asked == [None, "0.11", "0.11"]
    assert [item.text for item in told if isinstance(item, Event)] == ["part 1", "part 3"]


def test_logs_that_follow_miss_nothing_between_the_past_and_the_stream(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Out(io.StringIO):
        def write(self, text: str) -> int:
            shown.append(json.loads(text)["what"])
            if len(shown) == 3:
                raise KeyboardInterrupt
            hub.decide("judge", f"after {shown[-1]}", "test")
            return len(text)

    hub.decide("judge", "first", "test")
    monkeypatch.setattr(sys, "stdout", Out())
    logs.logs("judge", follow=True, last=50, hub=os.environ["EDDY_HUB"], token_file=None, json="-")
    assert shown == ["first", "after first", "after after first"]


def test_follow_and_a_file_do_not_go_together(hub: FakeHub, tmp_path: Path) -> None:
    assert "give --json -" in call("logs", "-f", "--json", tmp_path / "x.json").stderr


def test_why_tells_where_since_when_and_everything_decided(hub: FakeHub) -> None:
    hub.decide("judge", "place on gw", "near its inputs")
    hub.move("judge", "cloud", "gw is full")
    hub.finish("judge")
    for number in range(1100):
        hub.decide("judge", f"in sync: {number}", "nodes came and went")
    shown = call("why", "judge")
    assert shown.stdout.startswith("judge is on cloud since 1970")
    assert "because gw has stopped for it" in shown.stdout
    assert "place on gw  (term 1; near its inputs)" in shown.stdout
    found = json.loads(call("why", "judge", "--json", "-").stdout)
    assert (found["reason"], found["since_ms"], len(found["decisions"])) == ("gw has stopped for it", 2000, 1103)


# eddy node


def test_nodes_are_listed_and_a_dead_one_is_declared_so(hub: FakeHub) -> None:
    assert "pump-3 device silent 9.0 s ago 2 0 tls/pump-3:7447" in flat(call("node", "list").stdout)
    shown = call("node", "gone", "pump-3", "--why", "flooded", "--json", "-")
    assert json.loads(shown.stdout) == {"node": "pump-3", "owns": ["detect@pump-3", "features@pump-3"]}
    assert hub.nodes()[2].state == "gone"
    assert call("node", "gone", "pump-3").exit_code == 2


def test_a_join_token_stands_alone_on_standard_output(hub: FakeHub) -> None:
    assert call("node", "token", "--node", "pump-4", "--expires", "60").stdout == "join-pump-4-60\n"
    assert json.loads(call("node", "token", "--json", "-").stdout) == {"token": "join-any-3600", "node": None, "expires_s": 3600}


# What is said when something is wrong


def test_a_hub_that_is_not_there_is_told_with_what_to_do() -> None:
    for verb in (["status"], ["move", "a", "b"], ["logs"], ["why", "a"], ["node", "list"]):
        shown = call(*verb, "--hub", "http://127.0.0.1:9")
        assert (shown.exit_code, shown.stdout) == (1, "")
        assert "no hub is at http://127.0.0.1:9" in shown.stderr
        assert "name the right one with --hub or EDDY_HUB" in shown.stderr
        assert "Traceback" not in shown.stderr
    assert "is no URL of a hub" in call("status", "--hub", "127.0.0.1:8787").stderr


@pytest.fixture
def closed() -> Iterator[str]:
    with Server(create(FakeHub(), TOKEN), port=0) as server:
        yield server.url


def test_the_token_comes_from_the_environment_or_a_file_of_ones_own(closed: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    assert "wants its token" in call("status", "--hub", closed).stderr
    assert call("status", "--hub", closed, EDDY_TOKEN=TOKEN[1:]).exit_code == 1
    assert call("status", "--hub", closed, EDDY_TOKEN=TOKEN).exit_code == 0
    assert call("status", "--hub", closed, "--token-file", file).exit_code == 0
    assert call("status", "--hub", closed, EDDY_TOKEN_FILE=str(file)).exit_code == 0
    file.chmod(0o644)
    assert "others can read this token (mode 0644)" in call("status", "--hub", closed, "--token-file", file).stderr
    assert "name the file" in call("status", "--hub", closed, "--token-file", tmp_path / "none").stderr


def test_the_token_goes_over_tls_to_a_hub_that_is_vouched_for(tmp_path: Path) -> None:
    certificate, key = map(Path, self_signed(tmp_path))
    with Server(create(FakeHub(), TOKEN), port=0, certificate=certificate, key=key) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert call("status", "--hub", server.url, EDDY_TOKEN=TOKEN, EDDY_CA=str(certificate)).exit_code == 0
        refused = call("status", "--hub", server.url, EDDY_TOKEN=TOKEN)
        assert (refused.exit_code, "let EDDY_CA name" in refused.stderr) == (1, True)
    assert "holds no certificate" in call("status", "--hub", server.url, EDDY_CA=str(key)).stderr
    with pytest.raises(KeyFileError, match="cannot be used for TLS"):
        Server(create(FakeHub(), TOKEN), port=0, certificate=key, key=certificate)


@pytest.mark.parametrize("answer", [(200, "<html>"), (502, "bad gateway"), (200, '[{"name": "gw"}]'), (404, '{"detail": "no"}')])
def test_something_else_that_answers_there_is_not_taken_for_a_hub(answer: tuple[int, str]) -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(answer[0], text=answer[1]))
    with client.Hub("http://hub:1", transport=transport) as there, pytest.raises(client.LinkError, match=r"no hub of Eddy|does not know"):
        there.nodes()


def test_a_hub_that_hangs_is_told() -> None:
    def hang(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("late")

    with (
        client.Hub("http://hub:1", transport=httpx2.MockTransport(hang)) as there,
        pytest.raises(client.LinkTimeout, match="does not answer"),
    ):
        there.functions()


def test_following_gives_up_when_the_hub_stays_away(pauses: list[Callable[[], None]]) -> None:
    pauses += [lambda: None] * 100

    def gone(request: httpx2.Request) -> httpx2.Response:
        if len(pauses) == 100:
            return httpx2.Response(200, text="id: 0.0\n\n")
        raise httpx2.ConnectError("refused")

    with client.Hub("http://hub:1", transport=httpx2.MockTransport(gone)) as there, pytest.raises(LinkLost):
        list(there.follow())
    assert len(pauses) == 100 - client.ATTEMPTS
