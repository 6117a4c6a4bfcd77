"""Nodes and functions as things of the Web of Things: a description each, at one path that stays the same wherever they run.

`/things/features@pump-3` is an instance, `/things/@pump-3` a node, as in addresses of the fabric. Descriptions follow the W3C
Recommendation "Web of Things (WoT) Thing Description 1.1" (2023), the directory its "WoT Discovery".
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Path, Request
from starlette.responses import JSONResponse, StreamingResponse

from eddy.hub import description, orders
from eddy.hub.names import unknown
from eddy.hub.orders import Gone, Place
from eddy.hub.plain import from_json, to_json
from eddy.hub.state import Hub, LastEventId, answer, events_of, find_function, find_node
from eddy.hub.streaming import Watch
from eddy.hub.view import FunctionView, HubView, NodeView

TD = "application/td+json"
THINGS = "application/ld+json"

router = APIRouter(prefix="/things", tags=["things"])

Thing = Annotated[str, Path(min_length=1, max_length=200, description="An instance, or a node after `@`.", examples=["features@pump-3"])]
Affordance = Annotated[str, Path(min_length=1, max_length=50)]
_Found = TypeVar("_Found")
_Look = Callable[[HubView, str], tuple[str, Any] | None]

_FUNCTION: dict[str, Callable[[HubView, FunctionView], Any]] = {
    "state": lambda hub, function: description.state_of(function),
    "node": lambda hub, function: function.node,
    "term": lambda hub, function: function.term,
    "counts": lambda hub, function: {"entries": function.index, "faults": function.faults},
    "last": lambda hub, function: _output(answer(hub, function.instance, "last")),
}
_NODE: dict[str, Callable[[NodeView], Any]] = {
    "state": lambda node: node.state,
    "tier": lambda node: node.tier,
    "heard": lambda node: node.heard_ms,
    "functions": lambda node: node.functions,
    "copies": lambda node: node.copies,
}


@router.get("", summary="All things", response_class=JSONResponse, responses={200: {"content": {THINGS: {}}}})
def directory(request: Request, hub: Hub) -> JSONResponse:
    """The description of each node and each instance."""
    base, secured = str(request.base_url), request.app.state.secured
    found = [description.of_node(node, base, secured) for node in hub.nodes()]
    found += [description.of_function(function, base, secured) for function in hub.functions()]
    return JSONResponse(found, media_type=THINGS)


@router.get("/{thing}", summary="A thing's description", response_class=JSONResponse, responses={200: {"content": {TD: {}}}})
def thing(request: Request, hub: Hub, thing: Thing) -> JSONResponse:
    """The same path before, during and after a move."""
    base, secured = str(request.base_url), request.app.state.secured
    node = _node(hub, thing)
    found = description.of_node(node, base, secured) if node else description.of_function(find_function(hub, thing), base, secured)
    return JSONResponse(found, media_type=TD)


@router.get("/{thing}/properties/{name}", summary="Read a property")
def read(hub: Hub, thing: Thing, name: Affordance) -> Any:
    """As its description says."""
    node = _node(hub, thing)
    if node:
        return _one(_NODE, "property", name)(node)
    return _one(_FUNCTION, "property", name)(hub, find_function(hub, thing))


@router.post("/{thing}/actions/move", status_code=204, summary="Move an instance")
def move(hub: Hub, thing: Thing, order: Place) -> None:
    """Done when the property `node` says so, or the event `moved`."""
    with orders.changing:
        hub.move(find_function(hub, thing).instance, order.node, order.why)


@router.post("/{thing}/actions/configure", status_code=204, summary="New settings for an instance")
def configure(hub: Hub, thing: Thing, settings: Annotated[dict[str, Any], Body(examples=[{"threshold": 39321}])]) -> None:
    """Plain data: fractions as scaled integers."""
    hub.configure(find_function(hub, thing).instance, from_json(settings))


@router.post("/{thing}/actions/gone", status_code=204, summary="Declare a node dead")
def gone(hub: Hub, thing: Thing, order: Gone) -> None:
    """What it owned may go to others."""
    node = _node(hub, thing)
    if node is None:
        raise unknown("action", "gone", ("move", "configure"))
    hub.declare_gone(node.name, order.why)


@router.get(
    "/{thing}/events/{name}",
    summary="Subscribe to an event",
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}},
)
def subscribe(request: Request, hub: Hub, thing: Thing, name: Affordance, last_event_id: LastEventId = None) -> StreamingResponse:
    """Each says how it is now; several changes at once may come as one."""
    node = _node(hub, thing)
    if node:
        look = _bound(_one(_NODE_EVENTS, "event", name), hub, node.name)
    else:
        look = _bound(_one(_FUNCTION_EVENTS, "event", name), hub, find_function(hub, thing).instance)
    return events_of(request, Watch(name, look), last_event_id)


def _node(hub: HubView, thing: str) -> NodeView | None:
    return find_node(hub, thing[1:]) if thing.startswith("@") else None


def _one(among: Mapping[str, _Found], kind: str, name: str) -> _Found:
    if name not in among:
        raise unknown(kind, name, among)
    return among[name]


def _bound(look: _Look, hub: HubView, instance: str) -> Callable[[], tuple[str, Any] | None]:
    return lambda: look(hub, instance)


def _state(hub: HubView, node: str) -> tuple[str, Any]:
    state = find_node(hub, node).state
    return state, state


def _moved(hub: HubView, instance: str) -> tuple[str, Any]:
    function = find_function(hub, instance)
    return str(function.term), {"node": function.node, "term": function.term, "why": function.why}


def _fault(hub: HubView, instance: str) -> tuple[str, Any]:
    function = find_function(hub, instance)
    return str(function.faults), {"faults": function.faults, "fault": function.fault}


def _last(hub: HubView, instance: str) -> tuple[str, Any] | None:
    find_function(hub, instance)
    said = hub.ask(instance, "last")
    return (str(said[0]), _output(said)) if said else None


def _output(said: list[Any]) -> dict[str, Any] | None:
    """What `HubView.ask` says of the last output, with names."""
    return {"seq": said[0], "time_ns": said[1], "value": to_json(said[2])} if said else None


_NODE_EVENTS: dict[str, _Look] = {"state": _state}
_FUNCTION_EVENTS: dict[str, _Look] = {"output": _last, "moved": _moved, "fault": _fault}
