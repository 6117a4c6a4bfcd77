"""Thing Descriptions of nodes and functions, as the W3C Recommendation "WoT Thing Description 1.1" (2023) wants them."""

from typing import Any
from urllib.parse import quote

from eddy.hub.view import FunctionView, NodeView

CONTEXT = "https://www.w3.org/2022/wot/td/v1.1"

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_NAMES = {"type": "array", "items": _TEXT}
_WHY = {"type": "string", "maxLength": 500, "description": "The reason, for the ledger."}
_OUTPUT = {
    "seq": {**_NUMBER, "description": "Its number."},
    "time_ns": {**_NUMBER, "unit": "ns", "description": "When it was measured, since 1970."},
    "value": {"description": "Plain data, as the function makes it."},
}


def of_node(node: NodeView, base: str, secured: bool) -> dict[str, Any]:
    """The description of a node.

    Args:
        node: Which.
        base: URL of the hub.
        secured: Whether it wants a bearer token.
    """
    title, text = f"Node {node.name}", f"A {node.tier} that hosts functions."
    made = _thing(f"@{node.name}", f"urn:eddy:node:{quote(node.name)}", title, text, base, secured)
    made["properties"] = {
        "state": _property({"type": "string", "enum": ["up", "silent", "gone"]}, "Silent is not dead.", "state"),
        "tier": _property({"type": "string", "enum": ["device", "gateway", "cloud"]}, "What it is.", "tier"),
        "heard": _property({"oneOf": [_NUMBER, {"type": "null"}], "unit": "ms"}, "Age of its last report.", "heard"),
        "functions": _property(_NAMES, "Instances that it owns.", "functions"),
        "copies": _property(_NAMES, "Instances that it follows.", "copies"),
    }
    dead = {"type": "object", "properties": {"why": _WHY}}
    made["actions"] = {"gone": _action(dead, "Declare it dead: what it owned may go to others.", "gone")}
    made["events"] = {"state": _event(_TEXT, "Its state has changed.", "state")}
    return made


def of_function(function: FunctionView, base: str, secured: bool) -> dict[str, Any]:
    """The description of an instance; the same wherever it runs. Arguments as in `of_node`."""
    name = function.instance
    made = _thing(name, f"urn:eddy:function:{quote(name)}", name, f"A {function.kind} of the app {function.app}.", base, secured)
    count = {"entries": {**_NUMBER, "description": "Of its input log."}, "faults": _NUMBER}
    last = {"oneOf": [{"type": "object", "properties": _OUTPUT}, {"type": "null"}]}
    made["properties"] = {
        "state": _property({"type": "string", "enum": ["running", "moving", "stopped"]}, "What it does.", "state"),
        "node": _property(_TEXT, "The node that owns it.", "node"),
        "term": _property(_NUMBER, "Of its owner; rises with every change of owner.", "term"),
        "counts": _property({"type": "object", "properties": count}, "What it has taken.", "counts"),
        "last": _property(last, "Its last output; null before the first.", "last"),
    }
    wanted = {"type": "object", "required": ["node"], "properties": {"node": _TEXT, "why": _WHY}}
    made["actions"] = {
        "move": _action(wanted, "Another node shall own it.", "move"),
        "configure": _action({"type": "object"}, "New settings: plain data, fractions as scaled integers.", "configure", idempotent=False),
    }
    moved = {"type": "object", "properties": {"node": _TEXT, "term": _NUMBER, "why": _TEXT}}
    fault = {"type": "object", "properties": {"faults": _NUMBER, "fault": _TEXT}}
    made["events"] = {
        "output": _event({"type": "object", "properties": _OUTPUT}, "The newest output; a fast stream is thinned.", "output"),
        "moved": _event(moved, "Another node owns it.", "moved"),
        "fault": _event(fault, "Its code raised an error.", "fault"),
    }
    return made


def state_of(function: FunctionView) -> str:
    """What an instance does: `running`, `moving` or `stopped`."""
    if function.wanted != function.node:
        return "moving"
    return "stopped" if function.stopped else "running"


def _thing(path: str, identity: str, title: str, text: str, base: str, secured: bool) -> dict[str, Any]:
    scheme = {"scheme": "bearer", "in": "header", "name": "Authorization"} if secured else {"scheme": "nosec"}
    return {
        "@context": CONTEXT,
        "id": identity,
        "title": title,
        "description": text,
        "base": f"{base}things/{quote(path, safe='@')}/",
        "securityDefinitions": {"hub": scheme},
        "security": "hub",
        "links": [{"rel": "collection", "href": f"{base}things", "type": "application/ld+json"}],
    }


def _property(schema: dict[str, Any], text: str, name: str) -> dict[str, Any]:
    form = {"op": "readproperty", "href": f"properties/{name}", "contentType": "application/json"}
    return {**schema, "description": text, "readOnly": True, "forms": [form]}


def _action(schema: dict[str, Any], text: str, name: str, idempotent: bool = True) -> dict[str, Any]:
    form = {"op": "invokeaction", "href": f"actions/{name}", "contentType": "application/json"}
    return {"description": text, "input": schema, "safe": False, "idempotent": idempotent, "forms": [form]}


def _event(schema: dict[str, Any], text: str, name: str) -> dict[str, Any]:
    form = {"op": ["subscribeevent", "unsubscribeevent"], "href": f"events/{name}", "subprotocol": "sse"}
    form["contentType"] = "text/event-stream"
    return {"description": text, "data": schema, "forms": [form]}
