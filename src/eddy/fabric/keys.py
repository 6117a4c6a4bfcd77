"""The key expressions of the fabric, and who may use which.

    eddy/hub             to the hub
    eddy/order/NAME      from the hub to a node
    eddy/node/NAME       from anybody else to a node
    eddy/to/NAME         to whoever claims the name now: an instance, a source, a sink
    eddy/stream/NAME     for people who look on
    eddy/alive/.../ID    liveliness tokens: the key of an address without `eddy/`, then the session

Zenoh matches rules against the common name in the certificate at the other end of a link, and each end enforces them on its own links, so
what a node may do does not depend on the node. Rules are fixed when a session opens: what names the other nodes have must be known then,
or else only the hub is told from the rest.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote

from eddy.kernel.assignment import HUB

ALIVE = "eddy/alive"

_SAY = ["put", "query"]
_HEAR = ["declare_subscriber", "declare_queryable", "reply"]
_SAID = ["eddy/hub", "eddy/node/*", "eddy/to/*", "eddy/stream/*"]  # by any node


def to_address(address: str, from_hub: bool) -> str:
    """The key for messages to an address."""
    if address == HUB:
        return "eddy/hub"
    if address.startswith(HUB):
        return f"eddy/{'order' if from_hub else 'node'}/{quote(address[1:], safe='')}"
    return f"eddy/to/{quote(address, safe='')}"


def of_address(address: str) -> list[str]:
    """The keys at which an address is reached."""
    return sorted({to_address(address, False), to_address(address, True)})


def of_stream(stream: str) -> str:
    """The key for those who look on."""
    return f"eddy/stream/{quote(stream, safe='')}"


def token(address: str, session: str) -> str:
    """The liveliness token of an address in a session."""
    return f"{ALIVE}/{to_address(address, False).removeprefix('eddy/')}/{session}"


def read_token(key: str) -> tuple[str, str]:
    """(address, session) of a token."""
    *room, session = key.removeprefix(ALIVE + "/").split("/")
    if room == ["hub"]:
        return HUB, session
    return (HUB if room[0] == "node" else "") + unquote(room[-1]), session


def access(peers: Iterable[str] | None) -> dict[str, Any]:
    """Zenoh's `access_control` for an end that knows these nodes by name; None when it knows none, and lets all of the hub's in."""
    known = None if peers is None else sorted({*peers} - {HUB})
    policies = [_rights("hub", [HUB], ["eddy/**"], ["eddy/hub", "eddy/to/*", "eddy/stream/*"], ["eddy/alive/**"])]
    if known is None:
        hears = ["eddy/node/*", "eddy/order/*", "eddy/to/*", "eddy/stream/*"]
        policies.append(_rights("node", None, _SAID, hears, ["eddy/alive/node/*/*", "eddy/alive/to/*/*"]))
    else:
        for name in known:
            own = [f"eddy/{room}/{quote(name, safe='')}" for room in ("node", "order")]
            alive = [f"eddy/alive/node/{quote(name, safe='')}/*", "eddy/alive/to/*/*"]
            policies.append(_rights(f"node {name}", [name], _SAID, [*own, "eddy/to/*", "eddy/stream/*"], alive))
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": [rule for rules, _ in policies for rule in rules],
        "subjects": [subject for _, subject in policies],
        "policies": [{"rules": [rule["id"] for rule in rules], "subjects": [subject["id"]]} for rules, subject in policies],
    }


def _rights(
    who: str, names: list[str] | None, says: list[str], hears: list[str], lives: list[str]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rules for links to `who`, who says, hears and lives at these keys, and the subject that they are for."""
    subject: dict[str, Any] = {"id": who} if names is None else {"id": who, "cert_common_names": names}
    watch = ["declare_liveliness_subscriber", "liveliness_query"]
    every = "eddy/**"
    return [
        _rule(f"{who} says", ["ingress"], _SAY, says),
        _rule(f"{who} is told who hears", ["egress"], _HEAR, [every]),
        _rule(f"{who} hears", ["ingress"], _HEAR, hears),
        _rule(f"{who} is told", ["egress"], _SAY, hears),
        _rule(f"{who} lives", ["ingress"], ["liveliness_token"], lives),
        _rule(f"{who} is told who lives", ["egress"], ["liveliness_token"], ["eddy/alive/**"]),
        _rule(f"{who} watches", ["ingress", "egress"], watch, ["eddy/alive/**"]),
    ], subject


def _rule(name: str, flows: list[str], messages: list[str], keys: list[str]) -> dict[str, Any]:
    return {"id": name, "permission": "allow", "flows": flows, "messages": messages, "key_exprs": keys}
