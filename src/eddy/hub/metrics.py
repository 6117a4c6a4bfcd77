"""How nodes, instances and alarms are, in the text format that Prometheus reads (exposition format 0.0.4).

The label of an instance is `function`: `instance` is what Prometheus calls the place that it reads from.
"""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, get_args

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from eddy.errors import UnknownName
from eddy.hub.description import state_of
from eddy.hub.state import Hub
from eddy.hub.view import FunctionView, HubView, NodeState, is_alarm

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_AT_ONCE = 16  # owners of alarms that are asked
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

router = APIRouter(tags=["metrics"])


@router.get(
    "/metrics",
    summary="For Prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "Exposition format 0.0.4.", "content": {"text/plain": {}}}},
)
def metrics(hub: Hub) -> PlainTextResponse:
    """As it is now. Alarms of an owner that does not answer within two seconds are left out, and counted."""
    return PlainTextResponse(text(hub), media_type=MEDIA_TYPE)


def text(hub: HubView) -> str:
    """All metrics of a hub."""
    nodes, functions = {node.name: node for node in hub.nodes()}, hub.functions()
    told = _Text()
    told.metric("eddy_nodes", "gauge", "Nodes by state: up, silent (not heard lately, which is not dead), gone.")
    states = Counter(node.state for node in nodes.values())
    for state in get_args(NodeState):
        told.value(states[state], state=state)
    told.metric("eddy_node_up", "gauge", "1 for a node that was heard lately, else 0.")
    for node in nodes.values():
        told.value(int(node.state == "up"), node=node.name, tier=node.tier)
    told.metric("eddy_node_heard_seconds", "gauge", "Seconds since a node was heard; none for one that never was.")
    for node in nodes.values():
        if node.heard_ms is not None:
            told.value(node.heard_ms / 1000, node=node.name, tier=node.tier)
    told.metric(
        "eddy_instances", "gauge", "Sources, functions and sinks: running, moving, stopped, or as their node is: silent, gone, missing."
    )
    up = {name: node.state for name, node in nodes.items()}
    counted = Counter((one.app, one.kind, _state(one, up)) for one in functions)
    for (app, kind, state), count in sorted(counted.items()):
        told.value(count, app=app, kind=kind, state=state)
    told.metric("eddy_pending_outputs", "gauge", "Outputs that some consumer has not acknowledged yet.")
    for app in hub.apps():
        try:
            told.value(hub.progress(app)["pending"], app=app)
        except UnknownName:  # it was removed just now
            continue
    told.metric("eddy_faults_total", "counter", "How often the code of an instance raised an error; begins anew with its node.")
    for one in functions:
        told.value(one.faults, app=one.app, function=one.instance)
    told.metric("eddy_devices_waiting", "gauge", "Devices that wait until somebody approves them, for sources where one does.")
    for (app, source), count in sorted(Counter((one.app, one.source) for one in hub.devices() if one.waits).items()):
        told.value(count, app=app, source=source)
    _alarms(hub, [one for one in functions if is_alarm(one)], up, told)
    for what, newest in (("decisions", hub.decisions(None, None, 1)), ("events", hub.events(None, 1))):
        told.metric(f"eddy_{what}_total", "counter", f"Number of the newest of the hub's {what}; PostgreSQL may leave numbers out.")
        told.value(newest[0].number if newest else 0)
    return "".join(f"{line}\n" for line in told.lines)


def _state(one: FunctionView, nodes: Mapping[str, NodeState]) -> str:
    at = nodes.get(one.node, "missing")
    return state_of(one) if at == "up" else at


def _alarms(hub: HubView, alarms: list[FunctionView], nodes: Mapping[str, NodeState], told: "_Text") -> None:
    there = [one for one in alarms if nodes.get(one.node) == "up"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers: list[Any] = list(pool.map(lambda one: _ask(hub, one.instance), there))
    known = [(one, rows) for one, rows in zip(there, answers, strict=True) if rows is not None]
    told.metric("eddy_alarms_raised", "gauge", "Origins for which an alarm is raised, acknowledged or not.")
    for one, rows in known:
        told.value(len(rows), app=one.app, function=one.instance)
    told.metric("eddy_alarms_unacknowledged", "gauge", "Of these, those that nobody has acknowledged.")
    for one, rows in known:
        told.value(sum(not row[3] for row in rows), app=one.app, function=one.instance)
    told.metric("eddy_alarms_unknown", "gauge", "Alarms whose owner is not up or has not answered: whether they are raised is not known.")
    told.value(len(alarms) - len(known))


def _ask(hub: HubView, instance: str) -> Any:
    try:
        return hub.ask(instance, "alarms")
    except UnknownName:  # it was removed just now
        return None


class _Text:
    """Lines of the format."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._name = ""

    def metric(self, name: str, kind: Literal["gauge", "counter"], text: str) -> None:
        """What the next values are of."""
        self._name = name
        self.lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]

    def value(self, value: float, **labels: str) -> None:
        """One of them."""
        told = ",".join(f'{name}="{label.translate(_ESCAPED)}"' for name, label in labels.items())
        self.lines.append(self._name + (f"{{{told}}}" if told else "") + f" {value}")
