"""Things: descriptions that hold, at paths that work, and that stay when a function moves."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import wot
from fake_hub import FakeHub
from fastapi.testclient import TestClient

from eddy.hub.api import create

TOKEN = "0123456789abcdef0123"


@pytest.fixture
def hub() -> FakeHub:
    hub = FakeHub()
    hub.last["judge"] = [3, 1_700_000_000_000_000_000, [1, b"\x00"]]
    return hub


@pytest.fixture
def client(hub: FakeHub) -> TestClient:
    return TestClient(create(hub, None), base_url="http://127.0.0.1:8787")


def test_each_node_and_each_function_is_a_thing_as_the_standard_wants_it(client: TestClient) -> None:
    answer = client.get("/things")
    assert answer.headers["content-type"] == "application/ld+json"
    for td in answer.json():
        wot.check(td)
        own = client.get(td["base"].rstrip("/"))
        assert own.headers["content-type"] == "application/td+json"
        assert own.json() == td
    assert len({td["id"] for td in answer.json()}) == 6


def test_descriptions_pass_the_schema_of_the_w3c(client: TestClient) -> None:
    file = os.environ.get("EDDY_TD_SCHEMA")
    if not file:
        pytest.skip("EDDY_TD_SCHEMA names no td-json-schema-validation.json of the W3C")
    validator = pytest.importorskip("jsonschema").Draft7Validator(json.loads(Path(file).read_text()))
    for td in client.get("/things").json():
        assert list(validator.iter_errors(td)) == []
    assert list(validator.iter_errors({"title": "nothing"}))


def test_every_property_is_read_where_its_form_points_and_is_what_its_schema_says(client: TestClient) -> None:
    read = 0
    for td in client.get("/things").json():
        ways = {url: operation for operation, url, _ in wot.check(td)}
        for name, schema in td["properties"].items():
            url = td["base"] + schema["forms"][0]["href"]
            assert ways[url] == "readproperty"
            answer = client.get(url)
            assert answer.status_code == 200, url
            assert wot.holds(schema, answer.json()), (name, answer.json())
            read += 1
    assert read == 30


def test_the_last_output_has_names_and_no_raw_bytes(hub: FakeHub, client: TestClient) -> None:
    path = "/things/judge/properties/last"
    assert client.get(path).json() == {"seq": 3, "time_ns": 1_700_000_000_000_000_000, "value": [1, {"base64": "AA=="}]}
    hub.last["judge"] = []
    assert client.get(path).json() is None
    hub.last["judge"] = None
    assert client.get(path).status_code == 504


def test_a_thing_stays_where_it_is_when_its_function_moves(hub: FakeHub, client: TestClient) -> None:
    path = "/things/judge"
    before = client.get(path).json()
    assert client.post(before["base"] + "actions/move", json={"node": "cloud", "why": "closer"}).status_code == 204
    assert client.get(f"{path}/properties/state").json() == "moving"
    hub.finish("judge")
    assert client.get(path).json() == before
    assert [client.get(f"{path}/properties/{name}").json() for name in ("state", "node", "term")] == ["running", "cloud", 2]


def test_actions_are_invoked_where_their_forms_point(hub: FakeHub, client: TestClient) -> None:
    bodies: dict[str, Any] = {"move": {"node": "cloud"}, "configure": {"threshold": 7}, "gone": {"why": "flooded"}}
    for path in ("/things/judge", "/things/@pump-3"):
        td = client.get(path).json()
        for name, action in td["actions"].items():
            assert client.post(td["base"] + action["forms"][0]["href"], json=bodies[name]).status_code == 204
    assert hub.settings == {"judge": {"threshold": 7}}
    assert {node.name: node.state for node in hub.nodes()}["pump-3"] == "gone"


def test_what_is_not_there_is_told_with_what_is(client: TestClient) -> None:
    for path, named in {
        "/things/gw": "there is no function 'gw'",
        "/things/@gv": "did you mean gw?",
        "/things/judge/properties/nod": "did you mean node?",
        "/things/@gw/properties/term": "there is no property 'term'",
        "/things/@gw/events/moved": "there is no event 'moved': there are state",
    }.items():
        answer = client.get(path)
        assert answer.status_code == 404
        assert named in answer.json()["detail"]
    assert client.post("/things/judge/actions/configure", json={"x": 0.5}).status_code == 422
    assert client.post("/things/judge/actions/gone", json={}).status_code == 404


def test_a_hub_with_a_token_says_so_in_descriptions(hub: FakeHub) -> None:
    client = TestClient(create(hub, TOKEN), base_url="http://127.0.0.1:8787", headers={"Authorization": f"Bearer {TOKEN}"})
    td = client.get("/things/judge").json()
    wot.check(td)
    assert td["securityDefinitions"][td["security"]]["scheme"] == "bearer"
