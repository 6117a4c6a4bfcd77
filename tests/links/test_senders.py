"""Who may send: names and patterns, those who wait for a person, and what each way in does with them."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Condition, enumerate
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_websocket

from eddy.errors import LinkLost, LinkTimeout, SettingError
from eddy.fabric.ports import free_port
from eddy.links import senders
from eddy.links.decoders import Form
from eddy.links.driver import Home, start
from eddy.links.http import Http
from eddy.links.intake import Opened
from eddy.links.listening import Tokens
from eddy.links.mqtt_in import Subscribe
from eddy.links.origins import Decided, Names, is_name
from eddy.links.senders import WAITING, Approval, Senders
from eddy.links.websocket import WebSocket

ALL, KITCHEN, FLOOR = "0123456789abcdef-all", "0123456789abcdef-kitchen", "0123456789abcdef-floor"
MADE = Callable[[Any], Any]


class Desk:
    """The hub as a source sees it.

    Attributes:
        away: It does not answer.
        rules: What was decided, oldest first.
        waited: {origin: samples} that it was told of, each report once.
        asked: Questions.
        changed: With every question.
    """

    def __init__(self) -> None:
        self.away = False
        self.loses = False  # the next answer
        self.rules: list[list[Any]] = []
        self.waited: dict[str, int] = {}
        self.asked = 0
        self.changed = Condition()
        self._last = 0

    def ask(self, question: list[Any]) -> Any:
        what, (instance, number, version, told) = question
        assert (what, instance.partition("@")[0]) == ("devices", "room")
        with self.changed:
            self.asked += 1
            self.changed.notify_all()
        if self.away:
            return None
        if number != self._last:
            for origin, first_ms, last_ms, samples in told:
                assert first_ms <= last_ms
                self.waited[origin] = self.waited.get(origin, 0) + samples
            self._last = number
        if self.loses:
            self.loses = False
            return None
        return [len(self.rules), None if version == len(self.rules) else self.rules]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(senders, "EVERY_S", 0.01)
    return Desk()


@pytest.fixture
def home(tmp_path: Path, desk: Desk) -> Home:
    return Home(tmp_path, desk.ask, "room@gw")


@pytest.fixture
def sender() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


# Names and patterns


def fits(pattern: str, name: str) -> bool:
    """As the definition says, one character after the other."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(fits(pattern[1:], name[skipped:]) for skipped in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and fits(pattern[1:], name[1:])


WORDS = st.text("ab/[]!-.\nA*?", max_size=6)


@given(st.lists(WORDS, max_size=3), WORDS)
@example(["a[b]"], "ab")
@example(["[!a]*"], "[!a]b")
@example(["[a]*"], "ab")
@example(["a*"], "a\n")
@example(["a"], "A")
def test_a_star_is_any_text_a_question_mark_one_character_and_all_else_itself(patterns: list[str], name: str) -> None:
    assert (name in Names(patterns)) == any(fits(pattern, name) or pattern == name for pattern in patterns)


@given(st.lists(st.tuples(WORDS, st.booleans()), max_size=8), WORDS)
def test_of_all_decisions_that_mean_a_device_the_last_counts(rules: list[tuple[str, bool]], name: str) -> None:
    meant = [approved for origin, approved in rules if name in Names([origin])]
    assert Decided(rules).of(name) == (meant[-1] if meant else None)


@pytest.mark.timeout(10)
def test_a_pattern_that_is_meant_to_be_slow_is_not() -> None:
    assert "a" * 256 not in Names(["*a" * 100 + "b"])


@given(st.text(max_size=300))
def test_a_name_that_a_person_can_approve_means_nobody_else(name: str) -> None:
    if is_name(name):
        assert name in Names([name]) and name + "x" not in Names([name]) and name[1:] not in Names([name])


# What happens to others


@pytest.mark.parametrize(
    ("allow", "unknown", "taken"),
    [
        ((), None, "kitchen hall"),
        (["kitchen"], None, "kitchen"),
        ("kitch*", None, "kitchen"),
        ((), "refuse", ""),
        (["kitchen"], "take", "kitchen hall"),
        ((), "take", "kitchen hall"),
    ],
)
def test_what_is_not_said_follows_from_whether_anybody_is_named(allow: Any, unknown: str | None, taken: str) -> None:
    made = Senders(allow, unknown)
    assert " ".join(one for one in ("kitchen", "hall") if not made.refusal(one)) == taken


def test_waiting_needs_a_hub_and_other_words_are_told() -> None:
    with pytest.raises(SettingError, match="with a hub"):
        Senders(unknown="wait")
    with pytest.raises(SettingError, match="take, refuse or wait"):
        Senders(unknown="ask")


def test_a_sample_of_who_may_not_send_is_in_quarantine_and_the_others_of_its_message_are_taken() -> None:
    opened = Opened(Form(origin="who", scale=10), lambda: 5, Senders(["kitchen", "floor-1/*"]))
    samples, faults = opened.open(b'[{"who": "kitchen", "v": 1}, {"who": "cellar", "v": 2.5}, {"who": "floor-1/a", "v": 3}]')
    assert [value["value"] for _, value in samples if "value" in value] == [{"v": 10}, {"v": 30}]
    (shown,) = [value for _, value in samples if "quarantine" in value]
    assert [shown["quarantine"]] == faults and "origin cellar is not allowed here" in faults[0]
    assert (shown["from"], shown["payload"]) == ("cellar", repr({"time_ns": None, "value": {"v": 25}}).encode())
    alone = b'{"who": "cellar", "v": 2.5}'
    assert opened.open(alone)[0][0][1]["payload"] == alone
    assert opened.quarantined == 2


def test_who_is_not_named_goes_by_where_the_message_came_from() -> None:
    opened = Opened(Form(), lambda: 5, Senders(["10.0.0.*"]))
    assert opened.open(b"1", sender="10.0.0.7") == ([(5, 1)], [])
    assert "origin 10.0.1.7 is not" in opened.open(b"1", sender="10.0.1.7")[1][0]
    assert opened.open(b"1")[1]


# Those who wait


def test_a_device_waits_until_it_is_approved_and_can_be_refused_again(desk: Desk, home: Home) -> None:
    made = Approval(home)
    assert made.refusal("kit chen") == "origin kit chen waits for approval: eddy devices approve 'kit chen' --source room"
    made.refusal("kit chen")
    made.refusal("hall")
    made.tell()
    assert desk.waited == {"kit chen": 2, "hall": 1}
    desk.rules = [["kit chen", True]]
    made.tell()
    assert made.refusal("kit chen") == "" and "waits" in made.refusal("hall")
    desk.rules = [["kit chen", True], ["k*", False]]
    made.tell()
    assert "origin kit chen was refused: " in made.refusal("kit chen")
    made.tell()
    assert desk.waited == {"kit chen": 2, "hall": 2}  # who was refused waits no more


def test_what_was_decided_holds_across_a_restart_while_the_hub_is_away(desk: Desk, home: Home) -> None:
    desk.rules = [["kitchen", True], ["cellar", False]]
    Approval(home)
    desk.away = True
    again = Approval(home)
    assert again.refusal("kitchen") == "" and "was refused" in again.refusal("cellar") and "waits" in again.refusal("hall")
    again.tell()
    desk.away, desk.rules = False, []  # taken back in the meantime
    again.tell()
    assert "waits" in again.refusal("kitchen") and desk.waited == {"hall": 1}
    desk.away = True
    assert "waits" in Approval(home).refusal("kitchen")


def test_a_source_that_comes_to_another_node_asks_before_it_takes_anything(desk: Desk, home: Home, tmp_path: Path) -> None:
    desk.rules = [["kitchen", True]]
    (tmp_path / "other").mkdir()
    assert Approval(Home(tmp_path / "other", desk.ask, "room@other")).refusal("kitchen") == ""


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "rules": [1]}'])
def test_a_damaged_list_is_as_none(desk: Desk, home: Home, damage: bytes) -> None:
    desk.rules = [["kitchen", True]]
    Approval(home)
    (file,) = home.folder.iterdir()
    file.write_bytes(damage)
    desk.away = True
    with pytest.raises(LinkTimeout, match="nobody is taken until it does"):
        Approval(home)
    desk.away = False
    assert Approval(home).refusal("kitchen") == ""


def test_a_report_whose_answer_is_lost_counts_once(desk: Desk, home: Home) -> None:
    made = Approval(home)
    made.refusal("kitchen")
    desk.loses = True
    made.tell()
    made.refusal("kitchen")
    made.tell()
    made.tell()
    assert desk.waited == {"kitchen": 2}


def test_what_the_hub_says_or_fails_to_ends_nothing(desk: Desk, home: Home) -> None:
    def fail(question: list[Any]) -> Any:
        raise RuntimeError("the session is closed")

    Approval(home)
    made = Approval(Home(home.folder, fail, home.instance))
    assert "waits" in made.refusal("kitchen")


def test_what_could_not_be_kept_is_asked_for_again(desk: Desk, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Approval(home)
    desk.rules = [["kitchen", False]]
    with monkeypatch.context() as full:
        full.setattr(senders.keyfile, "write", lambda *about, **how: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(OSError, match="no space"):
            made.tell()
    made.tell()
    desk.away = True
    assert "was refused" in Approval(home).refusal("kitchen")


def test_ten_thousand_unknown_devices_take_a_bounded_place(desk: Desk, home: Home) -> None:
    made = Approval(home)
    desk.away = True
    for number in range(10_000):
        made.refusal(f"device-{number}")
        if number % 1000 == 0:
            made.tell()
    held = {*made._waiting, *(origin for origin, *_ in made._report)}
    assert len(held) <= 2 * WAITING
    desk.away = False
    made.tell()
    made.tell()
    assert sum(desk.waited.values()) == 10_000 and len(desk.waited) <= 2 * WAITING


@pytest.mark.parametrize("origin", ["*", "a?", "x" * 257, "a\nb", ""])
def test_what_is_no_name_cannot_be_approved_by_mistake(desk: Desk, home: Home, origin: str) -> None:
    made = Approval(home)
    said = made.refusal(origin)
    assert "cannot be approved" in said and len(said) < 300
    made.tell()
    assert desk.waited == {}


# Each way in


def take(source: Any, count: int) -> list[Any]:
    out: list[Any] = []
    while len(out) < count:
        out += [value for _, value in source.read() or []]
    return out


def post(port: int, body: Any, token: str = "") -> tuple[int, Any]:
    import urllib.error
    import urllib.request

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as said:
            return said.status, json.load(said)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def approved(desk: Desk, *rules: list[Any]) -> None:
    """The source has heard of it: it has asked twice since, so once after the answer came."""
    with desk.changed:
        desk.rules = list(rules)
        asked = desk.asked
        assert desk.changed.wait_for(lambda: desk.asked >= asked + 2, 5)


def test_http_says_who_waits_and_takes_who_is_approved(desk: Desk, home: Home, opened: MADE, sender: ThreadPoolExecutor) -> None:
    source = opened(Http(listen="127.0.0.1:0", origin="room", allow=["hall"], unknown="wait", home=home))
    kept = 0

    def said(body: Any, count: int) -> tuple[list[Any], tuple[int, Any]]:
        nonlocal kept
        posted = sender.submit(post, source.port, body)
        found = take(source, count)
        kept += count
        source.kept(kept)
        return found, posted.result(5)

    both = [{"room": "hall", "v": 1}, {"room": "kitchen", "v": 2}]
    found, (status, answer) = said(both, 2)
    assert found[0] == {"from": "hall", "value": {"v": 1}} and found[1]["from"] == "kitchen"
    reason = "origin kitchen waits for approval: eddy devices approve kitchen --source room"
    assert (status, answer) == (200, {"kept": 1, "quarantined": 1, "reason": reason})
    assert said(both[1], 1)[1][0] == 400
    approved(desk, ["kitchen", True])
    assert said(both, 2)[1] == (200, {"kept": 2, "quarantined": 0})
    assert desk.waited == {"kitchen": 2}
    approved(desk, ["kitchen", True], ["kitchen", False])
    assert "was refused" in said(both, 2)[1][1]["reason"]


def test_a_websocket_says_who_waits_and_takes_who_is_approved(desk: Desk, home: Home, opened: MADE) -> None:
    source = opened(WebSocket(listen="127.0.0.1:0", origin="room", unknown="wait", home=home))
    with open_websocket(f"ws://127.0.0.1:{source.port}/") as one:
        one.send('[{"room": "kitchen", "v": 1}]')
        assert "waits" in take(source, 1)[0]["quarantine"]
        source.kept(1)
        answer = json.loads(one.recv(5))
        assert (answer["n"], answer["kept"], answer["quarantined"]) == (0, 0, 1) and "waits for approval" in answer["reason"]
        approved(desk, ["k*", True])
        one.send('[{"room": "kitchen", "v": 1}]')
        assert take(source, 1) == [{"from": "kitchen", "value": {"v": 1}}]
        source.kept(2)
        assert json.loads(one.recv(5)) == {"n": 1, "kept": 1}


@pytest.mark.slow
def test_mqtt_takes_topics_that_are_allowed_or_approved(desk: Desk, home: Home, opened: MADE) -> None:
    where = f"mqtt://127.0.0.1:{free_port()}"
    source = opened(Subscribe(to=where, topic="#", broker="embedded", allow="hall/*", unknown="wait", home=home))
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", int(where.rpartition(":")[2]))
    client.loop_start()
    try:
        for topic in ("hall/a", "kitchen"):
            client.publish(topic, "1", 1).wait_for_publish(5)
        found = take(source, 2)
        assert found[0] == {"from": "hall/a", "value": 1}
        assert (found[1]["from"], found[1]["payload"]) == ("kitchen", b"1") and "waits for approval" in found[1]["quarantine"]
        approved(desk, ["kitchen", True])
        client.publish("kitchen", "2", 1).wait_for_publish(5)
        assert take(source, 1) == [{"from": "kitchen", "value": 2}]
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_source_that_is_closed_asks_no_more(desk: Desk, home: Home) -> None:
    before = set(enumerate())
    source = Http(listen="127.0.0.1:0", unknown="wait", home=home)
    (asks,) = [one for one in set(enumerate()) - before if one.name == "approval"]
    approved(desk)
    with pytest.raises(LinkLost):
        Http(listen=f"127.0.0.1:{source.port}", unknown="wait", home=home)
    assert [one for one in set(enumerate()) - before if one.name == "approval"] == [asks]  # who does not come to listen leaves none behind
    source.close()
    asks.join(5)
    assert not asks.is_alive()


# Tokens


def test_a_token_speaks_for_its_origins_only(opened: MADE, sender: ThreadPoolExecutor) -> None:
    tokens = {"kitchen": KITCHEN, "floor-1/*": FLOOR, "cellar": FLOOR}
    source = opened(Http(listen="127.0.0.1:0", origin="room", token=ALL, tokens=tokens))
    kept = 0
    body = [{"room": room} for room in ("kitchen", "floor-1/a", "cellar", "attic")]
    for token, taken in ((ALL, "kitchen floor-1/a cellar attic"), (KITCHEN, "kitchen"), (FLOOR, "floor-1/a cellar")):
        posted = sender.submit(post, source.port, body, token)
        found = take(source, 4)
        kept += 4
        source.kept(kept)
        assert [one["from"] for one in found if "value" in one] == taken.split()
        status, answer = posted.result(5)
        assert (status, answer["kept"], answer["quarantined"]) == (200, len(taken.split()), 4 - len(taken.split()))
        assert "reason" not in answer or "none that this token speaks for" in answer["reason"]
        assert not any(secret in json.dumps(answer) + repr(found) for secret in (ALL, KITCHEN, FLOOR))
    assert [post(source.port, body)[0], post(source.port, body, KITCHEN + "x")[0]] == [401, 401]


def test_a_websocket_speaks_for_the_origins_of_its_token(opened: MADE) -> None:
    source = opened(WebSocket(listen="127.0.0.1:0", origin="room", tokens={"kitchen": KITCHEN}))
    where = f"ws://127.0.0.1:{source.port}/"
    with pytest.raises(InvalidStatus, match="403"), open_websocket(where):
        pass
    with open_websocket(where, additional_headers={"Authorization": f"Bearer {KITCHEN}"}) as one:
        one.send('[{"room": "kitchen"}, {"room": "hall"}]')
        found = take(source, 2)
        assert found[0]["from"] == "kitchen" and "origin hall is none that this token speaks for" in found[1]["quarantine"]


def test_a_token_that_may_speak_does_not_make_a_device_that_may_send(opened: MADE, sender: ThreadPoolExecutor) -> None:
    source = opened(Http(listen="127.0.0.1:0", origin="room", tokens={"*": ALL}, allow=["kitchen"]))
    posted = sender.submit(post, source.port, {"room": "hall"}, ALL)
    assert "hall is not allowed here" in take(source, 1)[0]["quarantine"]
    source.kept(1)
    assert posted.result(5)[0] == 400


def test_tokens_come_from_the_environment_and_no_error_shows_one(monkeypatch: pytest.MonkeyPatch) -> None:
    program = ["eddy.links.http", "Http", {"listen": "0.0.0.0:0", "tokens": {"kitchen": "env:A_TOKEN"}}]
    monkeypatch.delenv("A_TOKEN", raising=False)
    with pytest.raises(SettingError, match=r"tokens\.kitchen is to come from the environment variable A_TOKEN"):
        start(program)
    monkeypatch.setitem(os.environ, "A_TOKEN", "s3cret")
    with pytest.raises(SettingError, match="the token of kitchen must have 16 or more") as told:
        start(program)
    assert "s3cret" not in str(told.value)
    with pytest.raises(SettingError, match="are the same") as same:
        Tokens(ALL, {"kitchen": ALL})
    assert ALL not in str(same.value)


def test_strangers_are_listened_to_with_tokens_only(opened: MADE) -> None:
    with pytest.raises(SettingError, match="reached by strangers"):
        Http(listen="0.0.0.0:0", tokens={})
    opened(Http(listen="0.0.0.0:0", tokens={"kitchen": KITCHEN}))


def test_every_token_is_compared_whether_or_not_one_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[bytes] = []
    compare = hmac.compare_digest

    def count(one: Any, other: Any) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", count)
    made = Tokens(ALL, {"kitchen": KITCHEN, "floor": FLOOR})
    for header in (f"Bearer {KITCHEN}", "Bearer nobody", "", f"Bearer {ALL}"):
        compared.clear()
        made.speaks_for(header)
        assert len(set(compared)) == 3
