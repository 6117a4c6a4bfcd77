"""What can be ordered of the hub: moves, settings, apps, letting nodes in and giving them up.

Desired state has entity tags. Whoever sends one as `If-Match` changes what they have seen, or gets 412 (RFC 9110, 13.1.1): no update is
lost between two people. The comparison holds among all requests to this hub.
"""

from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from eddy.errors import Outdated, SettingError
from eddy.hub.plain import from_json
from eddy.hub.state import AppName, Hub, Instance, Name, NodeName, Why, app_tag, find_app, find_function, find_node, placement_tag
from eddy.hub.view import FunctionView
from eddy.links.origins import LONGEST

YEAR_S = 366 * 86400

router = APIRouter(tags=["orders"])
enrolment = APIRouter(tags=["orders"])

_LINE = r"^[^\x00-\x1f\x7f]*$"

SourceName = Annotated[str, Path(min_length=1, max_length=200, description="What the app calls a source.", examples=["room"])]
IfMatch = Annotated[str | None, Header(max_length=1000, description="Carry it out only if this is still the `ETag`.")]

changing = Lock()
"""Held by whoever compares desired state and then changes it."""


class _Order(BaseModel):
    """The body of a request: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Gone(_Order):
    """A node is dead."""

    why: Why = "declared by a person"
    """How it is known."""


class Place(_Order):
    """Where an instance shall be."""

    node: Annotated[Name, Field(examples=["gw"])]
    """The node that shall own it."""
    why: Why = "asked for"
    """The reason, for the ledger."""


class Placement(BaseModel):
    """Where an instance is and shall be."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    node: str
    """The node that owns it."""
    term: int
    """Of this owner."""
    wanted: str
    """The node that shall own it."""


class Admission(_Order):
    """Whether a device may send."""

    origin: Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=_LINE, examples=["kitchen", "floor-1/*"])]
    """Its name, or a pattern: `*` stands for any characters, `?` for one."""
    approved: bool
    """Its samples are taken from now on; else they go to quarantine. What is there already stays there."""
    by: Annotated[str, Field(min_length=1, max_length=100, pattern=_LINE, examples=["ada"])]
    """Who says so."""


FilePath = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*$")]
"""Of a file beside an app's file: nothing that leads out of its folder."""


class AppFiles(_Order):
    """An app."""

    text: Annotated[str, Field(max_length=1 << 20, examples=["app: pump-guard\nnodes: {gw: {tier: gateway}}\n"])]
    """Its file, YAML."""
    files: Annotated[dict[FilePath, str], Field(max_length=100, examples=[{"rms.py": "Y2xhc3MgUm1zOiAuLi4="}])] = {}
    """Functions and drivers of its own: path beside the app's file → content in base64."""


class Enrolment(_Order):
    """A node asks to be let in."""

    csr: Annotated[str, Field(max_length=1 << 16)]
    """Certificate signing request, PEM; its common name is the node's."""
    proof: Annotated[str, Field(max_length=4096)]
    """That it has a join token."""


class TokenWanted(_Order):
    """A join token."""

    node: Annotated[Name | None, Field(examples=["pump-3"])] = None
    """For this node only."""
    expires_s: Annotated[int, Field(ge=1, le=YEAR_S, examples=[3600])] = 3600
    """It is worth nothing after so long, s."""


@router.post("/nodes/{node}/gone", status_code=204, summary="Declare a node dead")
def gone(hub: Hub, node: NodeName, order: Gone) -> None:
    """What it owned may go to others. Unreachable is not dead: only a person knows, or a lease."""
    find_node(hub, node)
    hub.declare_gone(node, order.why)


@router.get("/functions/{instance}/placement", summary="Where an instance is and shall be")
def placement(hub: Hub, instance: Instance, response: Response) -> Placement:
    """Its `ETag` changes with the owner and with what is wanted."""
    return _placement(find_function(hub, instance), response)


@router.put("/functions/{instance}/placement", status_code=202, summary="Move an instance")
def move(hub: Hub, instance: Instance, order: Place, response: Response, if_match: IfMatch = None) -> Placement:
    """Accepted means wanted: it is done when `node` says so, without a sample lost or doubled. May be repeated."""
    with _unchanged(if_match) as check:
        check(placement_tag(find_function(hub, instance)))
        hub.move(instance, order.node, order.why)
        return _placement(find_function(hub, instance), response)


@router.post("/functions/{instance}/settings", status_code=202, summary="New settings for a running instance")
def configure(
    hub: Hub,
    instance: Instance,
    settings: Annotated[dict[str, Any], Body(examples=[{"threshold": 39321}], description="Plain data: fractions as scaled integers.")],
) -> None:
    """They become an entry of its input log, at one place between two samples wherever it runs."""
    find_function(hub, instance)
    hub.configure(instance, from_json(settings))


@router.post("/apps/{app}/sources/{source}/devices", status_code=204, summary="Approve or refuse a device")
def admit(hub: Hub, app: AppName, source: SourceName, order: Admission) -> None:
    """Of what was said about a device the last word counts. The node of the source knows within seconds."""
    find_app(hub, app)
    hub.admit(app, source, order.origin, order.approved, order.by)


@router.post("/plan", summary="What applying an app would do")
def plan(hub: Hub, order: AppFiles) -> dict[str, Any]:
    """Changes nothing. 409 with the reasons when no placement satisfies every constraint."""
    _name(order.text)
    return hub.apply(order.text, _files(order), dry=True)


@router.put("/apps/{app}", summary="Place an app, or change one that runs")
def apply(hub: Hub, app: AppName, order: AppFiles, if_match: IfMatch = None) -> dict[str, Any]:
    """Answers with the plan that is carried out from now on. `If-Match: *` only changes what is there."""
    if _name(order.text) != app:
        raise SettingError(f"the file says 'app: {_name(order.text)}', the path {app}: they must be the same")
    with _unchanged(if_match) as check:
        check(app_tag(hub.app(app)) if app in hub.apps() else None)
        return hub.apply(order.text, _files(order), dry=False)


@router.delete("/apps/{app}", status_code=204, summary="Stop an app")
def remove(hub: Hub, app: AppName, if_match: IfMatch = None) -> None:
    """All that belongs to it stops and is forgotten; the ledger keeps what was."""
    with _unchanged(if_match) as check:
        check(app_tag(find_app(hub, app)))
        hub.remove(app)


@enrolment.post("/enrolments", status_code=201, summary="Let a node in")
def enrol(hub: Hub, request: Enrolment) -> dict[str, str]:
    """Needs no other token than the proof.

    Answers with `chain`, its certificate with those up to the hub's authority, PEM; and `fabric`, the endpoint of the hub among nodes.
    """
    return {"chain": hub.enrol(request.csr, request.proof), "fabric": hub.fabric}


@router.post("/tokens", status_code=201, summary="A token with which a node may join")
def token(hub: Hub, order: TokenWanted, response: Response) -> dict[str, str]:
    """Whoever has it can join until it expires: hand it over on a safe way."""
    response.headers["Cache-Control"] = "no-store"
    return {"token": hub.token(order.node, order.expires_s)}


@contextmanager
def _unchanged(if_match: str | None) -> Iterator[Any]:
    """While it lasts nobody else changes desired state; what it gives compares the entity tag with what was asked for."""

    def check(tag: str | None) -> None:
        if if_match is not None and (tag is None or not (if_match.strip() == "*" or tag in [one.strip() for one in if_match.split(",")])):
            raise Outdated("it is not what If-Match says any more: read it again, then decide again")

    with changing:
        yield check


def _placement(function: FunctionView, response: Response) -> Placement:
    response.headers["ETag"] = placement_tag(function)
    return Placement(node=function.node, term=function.term, wanted=function.wanted)


def _files(order: AppFiles) -> dict[str, bytes]:
    try:
        return {path: b64decode(content, validate=True) for path, content in order.files.items()}
    except ValueError as error:
        raise SettingError(f"a file's content is no base64 ({error})") from None


def _name(text: str) -> str:
    """What an app's file calls it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        name = YAML(typ="safe").load(text)["app"]
    except (YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise SettingError(f"the file does not say 'app: NAME' ({' '.join(str(error).split())})") from None
    if not isinstance(name, str):
        raise SettingError(f"the file says 'app: {name}', which is no name")
    return name
