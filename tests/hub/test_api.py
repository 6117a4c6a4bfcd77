"""The hub's API: what it shows, what it lets people order, whom it turns away."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fake_hub import FakeHub, device
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import SettingError
from eddy.hub import plain
from eddy.hub.access import Guard, check_listen, is_loopback
from eddy.hub.api import create

TOKEN = "0123456789abcdef0123"
API = "/api/v1"


def client_of(hub: FakeHub, token: str | None = None) -> TestClient:
    return TestClient(create(hub, token), base_url="http://127.0.0.1:8787")


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def client(hub: FakeHub) -> Iterator[TestClient]:
    with client_of(hub) as client:
        yield client


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    return found


# What it shows


def test_nodes_say_what_they_own_and_for_how_long_they_are_silent(client: TestClient) -> None:
    assert [node["name"] for node in client.get(f"{API}/nodes").json()] == ["cloud", "gw", "pump-3"]
    pump = client.get(f"{API}/nodes/pump-3").json()
    assert (pump["tier"], pump["state"], pump["heard_ms"], pump["functions"]) == (
        "device",
        "silent",
        9000,
        ["features@pump-3", "detect@pump-3"],
    )


def test_bytes_in_a_program_become_base64(client: TestClient) -> None:
    assert client.get(f"{API}/functions/judge").json()["program"][2] == {"key": {"base64": "AP8="}}


def test_an_unknown_name_is_told_with_those_that_look_like_it(client: TestClient) -> None:
    found = problem(client.get(f"{API}/functions/detect"), 404)
    assert found["detail"] == "there is no function 'detect': did you mean detect@pump-3?"
    assert found["code"] == 163
    assert client.get(found["type"]).json()["name"] == "UnknownName"
    assert "did you mean gw?" in problem(client.get(f"{API}/nodes/gww"), 404)["detail"]


def test_a_path_that_is_none_and_a_method_that_is_none_are_problems_too(client: TestClient) -> None:
    assert problem(client.get(f"{API}/nonsense"), 404)["type"] == "about:blank"
    assert problem(client.delete(f"{API}/nodes"), 405)["detail"].startswith("DELETE /api/v1/nodes")


def test_the_ledger_and_events_are_read_in_pages(hub: FakeHub, client: TestClient) -> None:
    for number in range(5):
        hub.decide("judge", f"step {number}", "test")
        hub.happen("gw", "fault", "judge", f"fault {number}")
    hub.decide("detect@pump-3", "place on pump-3", "test")
    newest = client.get(f"{API}/decisions", params={"instance": "judge", "limit": 2}).json()
    assert [one["what"] for one in newest] == ["step 3", "step 4"]
    assert [one["number"] for one in client.get(f"{API}/decisions", params={"after": 2, "limit": 2}).json()] == [3, 4]
    assert [one["text"] for one in client.get(f"{API}/events", params={"after": 3}).json()] == ["fault 3", "fault 4"]
    problem(client.get(f"{API}/events", params={"limit": 1001}), 422)


def test_an_owner_that_does_not_answer_is_a_timeout(hub: FakeHub, client: TestClient) -> None:
    hub.last["judge"] = [7, 1_700_000_000_000_000_000, [65536, 1, b"\x01"]]
    assert client.get(f"{API}/functions/judge/answers/last").json() == {
        "answer": [7, 1_700_000_000_000_000_000, [65536, 1, {"base64": "AQ=="}]]
    }
    assert client.get(f"{API}/functions/judge/answers/state-size").json() == {"answer": 4711}
    hub.last["judge"] = None
    assert problem(client.get(f"{API}/functions/judge/answers/last"), 504)["code"] == 402


# Orders


def test_a_move_is_accepted_and_done_when_the_node_says_so(hub: FakeHub, client: TestClient) -> None:
    wanted = client.put(f"{API}/functions/judge/placement", json={"node": "cloud", "why": "gw is full"})
    assert wanted.status_code == 202
    assert wanted.json() == {"node": "gw", "term": 1, "wanted": "cloud"}
    hub.finish("judge")
    assert client.get(f"{API}/functions/judge/placement").json() == {"node": "cloud", "term": 2, "wanted": "cloud"}
    assert hub.decisions("judge", 0, 1)[0].why == "gw is full"


def test_who_moves_what_somebody_else_has_moved_is_told(hub: FakeHub, client: TestClient) -> None:
    path = f"{API}/functions/judge/placement"
    seen = client.get(path).headers["etag"]
    first = client.put(path, json={"node": "cloud"}, headers={"If-Match": seen})
    assert first.status_code == 202
    assert problem(client.put(path, json={"node": "pump-3"}, headers={"If-Match": seen}), 412)["code"] == 267
    assert hub.functions()[2].wanted == "cloud"
    assert client.put(path, json={"node": "gw"}, headers={"If-Match": f'"other", {first.headers["etag"]}'}).status_code == 202


@pytest.mark.parametrize(
    ("instance", "node", "status"), [("jugde", "gw", 404), ("judge", "gv", 404), ("features@pump-3", "cloud", 409), ("judge", "", 422)]
)
def test_a_move_that_cannot_be_is_refused(client: TestClient, instance: str, node: str, status: int) -> None:
    problem(client.put(f"{API}/functions/{instance}/placement", json={"node": node}), status)


def test_a_misspelt_field_is_refused_and_named(client: TestClient) -> None:
    found = problem(client.put(f"{API}/functions/judge/placement", json={"node": "cloud", "wyh": "typo"}), 422)
    assert "body/wyh" in found["detail"]


def test_settings_are_plain_data(hub: FakeHub, client: TestClient) -> None:
    path = f"{API}/functions/judge/settings"
    assert client.post(path, json={"threshold": 39321, "key": {"base64": "AP8="}}).status_code == 202
    assert hub.settings == {"judge": {"threshold": 39321, "key": b"\x00\xff"}}
    for wrong in ({"threshold": 0.6}, {"n": 2**64}, {"key": {"base64": "%"}}, {"deep": [[[[[[[[[]]]]]]]]]}):
        assert "no plain data" in problem(client.post(path, json=wrong), 422)["detail"]
    assert problem(client.post(path, content=b'{"a": "\\ud800"}', headers={"content-type": "application/json"}), 422)["code"] == 153


def test_devices_are_listed_and_decided_about(hub: FakeHub, client: TestClient) -> None:
    hub.waiting = [device("cellar", state="refused", by="ada", decided_ms=5), device("kitchen"), device("hall", source="door")]
    assert client.get(f"{API}/devices").json()[1] == {
        "app": "pump-guard",
        "source": "room",
        "origin": "kitchen",
        "state": "waiting",
        "first_ms": 1000,
        "last_ms": 2000,
        "waited": 3,
        "by": "",
        "decided_ms": None,
    }
    found = client.get(f"{API}/devices", params={"state": "waiting", "source": "room"}).json()
    assert [one["origin"] for one in found] == ["kitchen"]
    problem(client.get(f"{API}/devices", params={"state": "gone"}), 422)
    hub.waiting.append(device("", waited=5000))
    assert client.get(f"{API}/devices/waiting").json() == {"count": 2}
    path = f"{API}/apps/pump-guard/sources/room/devices"
    assert client.post(path, json={"origin": "floor-1/*", "approved": True, "by": "ada"}).status_code == 204
    assert (hub.waiting[-1].origin, hub.waiting[-1].state, hub.waiting[-1].by) == ("floor-1/*", "approved", "ada")
    for wrong in ({"origin": ""}, {"origin": "a\nb"}, {"origin": "x" * 257}, {"by": ""}, {"approved": None}, {"why": "typo"}):
        problem(client.post(path, json={"origin": "a", "approved": True, "by": "ada", **wrong}), 422)
    problem(client.post(f"{API}/apps/pump-gard/sources/room/devices", json={"origin": "a", "approved": True, "by": "ada"}), 404)


def test_a_plan_changes_nothing_and_applying_answers_with_it(hub: FakeHub, client: TestClient) -> None:
    app = {"text": "app: mill\n", "files": {"rms.py": "eA=="}}
    planned = client.post(f"{API}/plan", json=app).json()
    assert hub.apps() == ["pump-guard"]
    assert client.put(f"{API}/apps/mill", json=app).json() == planned
    assert client.get(f"{API}/apps").json() == ["mill", "pump-guard"]
    assert planned["figures"] == {"files": 1}
    assert problem(client.post(f"{API}/plan", json={"text": "app: impossible"}), 409)["code"] == 251


def test_two_people_who_change_an_app_do_not_overwrite_each_other(hub: FakeHub, client: TestClient) -> None:
    path = f"{API}/apps/pump-guard"
    read = client.get(path)
    assert (read.text, read.headers["content-type"]) == ("app: pump-guard\n", "application/yaml")
    match = {"If-Match": read.headers["etag"]}
    assert client.put(path, json={"text": "app: pump-guard\nversion: 1\n"}, headers=match).status_code == 200
    problem(client.put(path, json={"text": "app: pump-guard\nversion: 2\n"}, headers=match), 412)
    problem(client.delete(path, headers=match), 412)
    assert hub.app("pump-guard") == "app: pump-guard\nversion: 1\n"
    problem(client.put(f"{API}/apps/new", json={"text": "app: new"}, headers={"If-Match": "*"}), 412)
    assert client.delete(path).status_code == 204
    problem(client.get(path), 404)


@pytest.mark.parametrize("text", ["app: other", "version: 1", "[", "a: &a [*a]", "[" * 600])
def test_an_app_is_applied_under_its_own_name(client: TestClient, text: str) -> None:
    problem(client.put(f"{API}/apps/mill", json={"text": text}), 422)


@pytest.mark.parametrize("path", ["../x.py", "/etc/x.py", "a//b.py", "a/../b.py", "", "a\nb"])
def test_files_of_an_app_stay_in_its_folder(client: TestClient, path: str) -> None:
    problem(client.post(f"{API}/plan", json={"text": "app: mill", "files": {path: "eA=="}}), 422)


def test_a_dead_node_is_declared_so_by_a_person(hub: FakeHub, client: TestClient) -> None:
    assert client.post(f"{API}/nodes/pump-3/gone", json={"why": "flooded"}).status_code == 204
    assert client.get(f"{API}/nodes/pump-3").json()["state"] == "gone"
    problem(client.post(f"{API}/nodes/pump-9/gone", json={}), 404)
    assert [event.text for event in hub.events(None, 9)] == ["flooded"]


def test_a_node_joins_with_a_token_made_for_it(client: TestClient) -> None:
    made = client.post(f"{API}/tokens", json={"node": "pump-4", "expires_s": 60})
    assert (made.status_code, made.json(), made.headers["cache-control"]) == (201, {"token": "join-pump-4-60"}, "no-store")
    joined = client.post(f"{API}/enrolments", json={"csr": "pem", "proof": "proof of the token"})
    assert joined.status_code == 201
    assert joined.json()["chain"].startswith("-----BEGIN CERTIFICATE-----")
    problem(client.post(f"{API}/enrolments", json={"csr": "pem", "proof": "old"}), 409)


def test_a_fault_of_the_hub_shows_no_trace(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("secret inner thing")

    monkeypatch.setattr(hub, "nodes", broken)
    client = TestClient(create(hub, None), base_url="http://127.0.0.1", raise_server_exceptions=False)
    answer = client.get(f"{API}/nodes")
    assert problem(answer, 500)["code"] == 0
    assert "secret" not in answer.text


# Who may speak


def test_everything_but_health_and_enrolment_wants_the_token(hub: FakeHub) -> None:
    client = client_of(hub, TOKEN)
    for method, path in [("GET", f"{API}/nodes"), ("GET", "/openapi.json"), ("GET", "/things"), ("GET", "/"), ("POST", "/healthz")]:
        refused = client.request(method, path)
        assert problem(refused, 401)["code"] == 266
        assert refused.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.post(f"{API}/enrolments", json={"csr": "pem", "proof": "proof of the token"}).status_code == 201
    assert client.get(f"{API}/nodes", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("given", ["", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer{TOKEN}"])
def test_nothing_but_the_token_opens(hub: FakeHub, given: str) -> None:
    assert client_of(hub, TOKEN).get(f"{API}/nodes", headers={"Authorization": given}).status_code == 401


def test_without_a_token_only_names_of_this_machine_are_answered(hub: FakeHub) -> None:
    client = client_of(hub)
    for host in ("evil.example", "evil.example:8787", "192.168.1.7", "127.0.0.1.evil.example", ""):
        problem(client.get("/healthz", headers={"Host": host}), 421)
    for host in ("localhost", "localhost:8787", "127.0.0.1", "[::1]:8787", "[::1]"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200, host


def test_without_a_token_no_page_from_elsewhere_gives_orders(hub: FakeHub) -> None:
    client = client_of(hub)
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[", ""):
        problem(client.post(f"{API}/nodes/gw/gone", json={}, headers={"Origin": origin}), 421)
    assert {node.state for node in hub.nodes()} == {"up", "silent"}
    assert client.post(f"{API}/nodes/gw/gone", json={}, headers={"Origin": "http://127.0.0.1:8787"}).status_code == 204


def test_strangers_are_not_listened_to_without_a_token(hub: FakeHub) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.7", "hub.example"):
        with pytest.raises(SettingError, match="set a token"):
            check_listen(host, secured=False)
        check_listen(host, secured=True)
    for host in ("127.0.0.1", "::1", "localhost"):
        check_listen(host, secured=False)
        assert is_loopback(host)
    for token in ("short", "ein sehr langes Token", "täglich-frische-brötchen"):
        with pytest.raises(SettingError, match="openssl rand"):
            create(hub, token)


def test_a_body_is_bounded_whether_it_says_its_length_or_not() -> None:
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(len((await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    client = TestClient(Guard(app, None, max_body=100), base_url="http://127.0.0.1")
    assert client.post("/", content=b"x" * 100).text == "fine"
    assert client.post("/", content=iter([b"x" * 60, b"x" * 40])).text == "fine"
    problem(client.post("/", content=b"x" * 101), 413)
    problem(client.post("/", content=iter([b"x" * 60, b"x" * 41])), 413)
    problem(client.post("/", content=b"x", headers={"Content-Length": "-1"}), 413)
    assert seen == [100, 100]


# The schema


def test_every_path_and_field_is_described(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], f"{method} {path}"
            assert operation["description"], f"{method} {path}"
            assert set(operation["responses"]) >= {"4XX", "5XX"}, f"{method} {path}"
            assert "HTTPValidationError" not in json.dumps(operation)
    for name, model in schema["components"]["schemas"].items():
        for field, described in model["properties"].items():
            assert described.get("description"), f"{name}.{field}"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text().filter(lambda key: key != "base64"), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_plain_data_comes_back_from_json(value: Any) -> None:
    assert plain.from_json(json.loads(json.dumps(plain.to_json(value)))) == value
