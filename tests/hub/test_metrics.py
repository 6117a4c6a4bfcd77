"""What Prometheus reads of a hub, as its own client library parses it."""

from dataclasses import replace

import pytest
from fake_hub import FakeHub, device, function
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from eddy.hub import metrics
from eddy.hub.api import create

parser = pytest.importorskip("prometheus_client.parser")

TOKEN = "0123456789abcdef0123"
ALARM = ["eddy.kernel.functions.alarm", "Alarm", {}]


def read(hub: FakeHub) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """{metric: {labels: value}}."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parser.text_string_to_metric_families(metrics.text(hub)):
        assert family.documentation and family.type in ("gauge", "counter")
        for sample in family.samples:
            there = found.setdefault(sample.name, {})
            labels = tuple(sample.labels.items())
            assert labels not in there, "the same twice"
            there[labels] = sample.value
    return found


def test_nodes_and_instances_are_counted_by_state() -> None:
    hub = FakeHub()
    hub.move("judge", "cloud", "test")
    hub.declare_gone("cloud", "test")
    found = read(hub)
    assert found["eddy_nodes"] == {(("state", "up"),): 1, (("state", "silent"),): 1, (("state", "gone"),): 1}
    assert found["eddy_node_up"][("node", "pump-3"), ("tier", "device")] == 0
    assert found["eddy_node_up"][("node", "gw"), ("tier", "gateway")] == 1
    assert found["eddy_node_heard_seconds"][("node", "pump-3"), ("tier", "device")] == 9.0
    kinds = ("app", "pump-guard"), ("kind", "function")
    assert found["eddy_instances"] == {(*kinds, ("state", "moving")): 1, (*kinds, ("state", "silent")): 2}


def test_outputs_that_wait_faults_and_the_length_of_the_ledger_are_told() -> None:
    hub = FakeHub()
    hub.progress = lambda app: {"pending": 17}  # type: ignore[method-assign]
    for _ in range(3):
        hub.fail("judge", "division by zero")
        hub.decide("judge", "step", "test")
    found = read(hub)
    assert found["eddy_pending_outputs"] == {(("app", "pump-guard"),): 17}
    assert found["eddy_faults_total"][("app", "pump-guard"), ("function", "judge")] == 3
    assert found["eddy_faults_total"][("app", "pump-guard"), ("function", "detect@pump-3")] == 0
    assert (found["eddy_decisions_total"], found["eddy_events_total"]) == ({(): 3}, {(): 0})


def test_alarms_are_counted_and_those_that_cannot_be_asked_are_not_called_quiet() -> None:
    hub = FakeHub()
    hub.reach("judge", program=ALARM)
    hub.reach("detect@pump-3", program=ALARM)  # on a node that is silent
    hub.raised["judge"] = [["b-1", 5, 90, "", "", "Cel"], ["b-2", 6, 91, "ann", "on my way", "Cel"]]
    found = read(hub)
    judge = (("app", "pump-guard"), ("function", "judge"))
    assert (found["eddy_alarms_raised"], found["eddy_alarms_unacknowledged"]) == ({judge: 2}, {judge: 1})
    assert found["eddy_alarms_unknown"] == {(): 1}
    hub.raised["judge"] = None
    found = read(hub)
    assert "eddy_alarms_raised" not in found and found["eddy_alarms_unknown"] == {(): 2}


def test_devices_that_wait_are_counted_but_not_those_for_whom_there_is_no_room() -> None:
    hub = FakeHub()
    assert "eddy_devices_waiting" not in read(hub)
    hub.waiting = [device("", waited=5000), device("kitchen"), device("hall"), device("cellar", state="refused", by="ada")]
    assert read(hub)["eddy_devices_waiting"] == {(("app", "pump-guard"), ("source", "room")): 2}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_whatever_a_name_is_comes_back_as_it_was(name: str) -> None:
    hub = FakeHub()
    hub._functions = {name: replace(function("judge"), instance=name)}
    assert read(hub)["eddy_faults_total"] == {(("app", "pump-guard"), ("function", name)): 0}


def test_metrics_want_the_token_of_the_hub() -> None:
    hub = FakeHub()
    with TestClient(create(hub, TOKEN), base_url="http://127.0.0.1:8787") as client:
        assert client.get("/metrics").status_code == 401
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.text) == (200, metrics.text(hub))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
