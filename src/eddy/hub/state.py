"""What can be read of the hub: nodes, functions, the ledger, events."""

from dataclasses import replace
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import Field, StringConstraints
from starlette.responses import PlainTextResponse, StreamingResponse

from eddy.errors import LinkTimeout
from eddy.hub.names import unknown
from eddy.hub.plain import to_json
from eddy.hub.streaming import Feed, Follow, stream
from eddy.hub.view import Decision, DeviceState, DeviceView, Event, Found, FunctionView, HubView, NodeView

MAX_NUMBER = 2**53
"""Numbers above are none that the hub gave, and JSON's readers would round them."""

router = APIRouter(tags=["state"])


def _hub(request: Request) -> HubView:
    view: HubView = request.app.state.hub
    return view


Hub = Annotated[HubView, Depends(_hub)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
NodeName = Annotated[str, Path(min_length=1, max_length=200, description="Name of a node.", examples=["gw"])]
Instance = Annotated[str, Path(min_length=1, max_length=200, description="Name of an instance.", examples=["features@pump-3"])]
AppName = Annotated[str, Path(min_length=1, max_length=200, description="Name of an app.", examples=["pump-guard"])]
After = Annotated[int | None, Query(ge=0, le=MAX_NUMBER, description="What has a higher number; the newest when left out.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
About = Annotated[Name | None, Query(description="About this instance only.", examples=["features@pump-3"])]
Why = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$", description="The reason, for the ledger.")]
_WORDS = 'Words that all have to be there, `begin*`, and `"several words"` that follow each other.'
LastEventId = Annotated[str | None, Header(max_length=200, description="Id of the last event that came: go on after it.")]


def find_node(hub: HubView, name: str) -> NodeView:
    """The node of that name, or UnknownName."""
    nodes = {node.name: node for node in hub.nodes()}
    if name not in nodes:
        raise unknown("node", name, nodes)
    return nodes[name]


def find_function(hub: HubView, instance: str) -> FunctionView:
    """The instance of that name, or UnknownName."""
    functions = {function.instance: function for function in hub.functions()}
    if instance not in functions:
        raise unknown("function", instance, functions)
    return functions[instance]


def find_app(hub: HubView, name: str) -> str:
    """The YAML text of the app of that name, or UnknownName."""
    apps = hub.apps()
    if name not in apps:
        raise unknown("app", name, apps)
    return hub.app(name)


def answer(hub: HubView, instance: str, what: str) -> Any:
    """What the owner of an instance answers, or LinkTimeout."""
    said = hub.ask(instance, what)
    if said is None:
        raise LinkTimeout(f"the owner of {instance} did not answer: see what its node does, then ask again")
    return said


def placement_tag(function: FunctionView) -> str:
    """The entity tag (RFC 9110, 8.8.3) of where an instance is and shall be."""
    return _tag(f"{function.term}\n{function.node}\n{function.wanted}")


def app_tag(text: str) -> str:
    """The entity tag of an app's file."""
    return _tag(text)


def events_of(request: Request, follow: Follow, position: str | None) -> StreamingResponse:
    """A stream of server-sent events.

    Args:
        request: Who asks for it.
        follow: What is followed.
        position: Go on after it; None for the future only.
    """
    start = follow.now() if position is None else position
    follow.after(start)  # what is wrong with the question is answered as a problem, not as a stream that ends
    state = request.app.state
    content = stream(follow, start, state.poll_s, lambda: state.closing)
    return StreamingResponse(content, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


@router.get("/nodes", summary="All nodes")
def nodes(hub: Hub) -> list[NodeView]:
    """By name, with what they own and follow."""
    return hub.nodes()


@router.get("/nodes/{node}", summary="One node")
def node(hub: Hub, node: NodeName) -> NodeView:
    """What the hub knows of it, and for how long it has not been heard."""
    return find_node(hub, node)


@router.get("/functions", summary="All instances of sources, functions and sinks")
def functions(hub: Hub) -> list[FunctionView]:
    """By name, wherever they run."""
    return [_shown(function) for function in hub.functions()]


@router.get("/functions/{instance}", summary="One instance")
def function(hub: Hub, instance: Instance) -> FunctionView:
    """Where it is, who follows it, how it does."""
    return _shown(find_function(hub, instance))


@router.get("/functions/{instance}/answers/{what}", summary="Ask the owner of an instance")
def ask(
    hub: Hub, instance: Instance, what: Annotated[Any, Path(pattern="^(last|state-size|alarms|driver)$", examples=["last"])]
) -> dict[str, Any]:
    """`last` is its last output, `[seq, time_ns, value]` or `[]`; `state-size` is in bytes; `alarms` is what an
    alarm has raised, `[origin, since_ns, value, by, note, unit]` each, the value in that unit; `driver` is of a
    source or sink `[works, fault]`, what its driver said if it failed last. 504 when nobody answers in time."""
    find_function(hub, instance)
    return {"answer": to_json(answer(hub, instance, what))}


@router.get("/devices", summary="Devices that wait for approval, and what was decided about others")
def devices(
    hub: Hub,
    state: Annotated[DeviceState | None, Query(description="Of this state only.")] = None,
    source: Annotated[Name | None, Query(description="Of this source only.", examples=["room"])] = None,
) -> list[DeviceView]:
    """By app, source and origin."""
    return [one for one in hub.devices() if state in (None, one.state) and source in (None, one.source)]


@router.get("/devices/waiting", summary="How many devices wait for approval")
def waiting(hub: Hub) -> dict[str, int]:
    """`count`, without those for whom there was no room in the list."""
    return {"count": sum(one.waits for one in hub.devices())}


@router.get("/decisions", summary="The ledger: what was decided, and why")
def decisions(hub: Hub, instance: About = None, after: After = None, limit: Limit = 100) -> list[Decision]:
    """Oldest first."""
    return hub.decisions(instance, after, limit)


@router.get("/events", summary="What happened")
def events(hub: Hub, after: After = None, limit: Limit = 100) -> list[Event]:
    """Oldest first."""
    return hub.events(after, limit)


@router.get("/search", summary="Full-text search over decisions, events and the files of apps")
def search(
    hub: Hub, text: Annotated[str, Query(min_length=1, max_length=500, description=_WORDS, examples=["judge faul*"])], limit: Limit = 100
) -> Found:
    """What holds all the words."""
    return hub.search(text, limit)


@router.get(
    "/events/stream",
    summary="Decisions and events as they come",
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events `decision` and `event`.", "content": {"text/event-stream": {}}}},
)
def news(request: Request, hub: Hub, instance: About = None, last_event_id: LastEventId = None) -> StreamingResponse:
    """Goes on after `Last-Event-ID`, else begins now; `0.0` is the beginning of everything."""
    return events_of(request, Feed(hub, instance), last_event_id)


@router.get("/apps", summary="Apps that run")
def apps(hub: Hub) -> list[str]:
    """By name."""
    return hub.apps()


@router.get(
    "/apps/{app}",
    summary="The file of an app",
    response_class=PlainTextResponse,
    responses={200: {"description": "YAML as it was applied.", "content": {"application/yaml": {}}}},
)
def app(hub: Hub, app: AppName) -> Response:
    """Its `ETag` goes into `If-Match` of whoever changes it."""
    text = find_app(hub, app)
    return Response(text, media_type="application/yaml", headers={"ETag": app_tag(text)})


@router.get("/apps/{app}/progress", summary="How far an app is")
def progress(hub: Hub, app: AppName) -> dict[str, int]:
    """`instances`; of these `running`; sources that have `ended`; outputs that are `pending` somewhere."""
    find_app(hub, app)
    return hub.progress(app)


def _shown(function: FunctionView) -> FunctionView:
    """With its program as JSON can say it."""
    return replace(function, program=to_json(function.program))


def _tag(text: str) -> str:
    return f'"{sha256(text.encode()).hexdigest()[:16]}"'
