"""A Zenoh session as Eddy wants it: peer to peer, with mutual TLS beyond loopback, bounded in memory, back soon after a cut."""

import json
from collections.abc import Iterable
from typing import Any

from eddy.errors import LinkLost, SettingError
from eddy.fabric import keys
from eddy.security.identity import Identity

LEASE_MS = 10_000
"""A link on which nothing was heard for so long is given up; the other end says four times as often that it is there."""

MAX_MESSAGE_BYTES = 4 << 20
"""What is carried as one message. Of larger ones a busy link drops fragments too often."""

_SETTINGS: dict[str, Any] = {
    "mode": "peer",
    "scouting/multicast/enabled": False,
    "open/return_conditions": {"connect_scouted": False, "declares": False},  # what is sent before there is a link is repeated anyway
    "transport/link/tx/lease": LEASE_MS,
    "transport/link/rx/max_message_size": MAX_MESSAGE_BYTES + 65536,  # with its head; what an end puts together for others at most
    # A link that was cut is tried again every second, and a try that hangs, because packets vanish, is not waited for.
    "connect/retry": {"period_init_ms": 250, "period_max_ms": 1000, "period_increase_factor": 2},
    "transport/unicast/open_timeout": 1500,
    "transport/unicast/accept_timeout": 1500,
    # Between processes of one machine Zenoh would go around the link, and so around TLS.
    "transport/shared_memory/enabled": False,
}


def open_session(listen: str, connect: Iterable[str], identity: Identity | None, peers: Iterable[str] | None, gossip: bool = True) -> Any:
    """Open a session; the arguments are those of `eddy.fabric.mesh.Mesh`.

    Raises:
        SettingError: An endpoint that is not for this identity, or for none.
        KeyFileError: The identity has no certificate yet, or none that is good.
        LinkLost: The endpoint cannot be opened.
    """
    import zenoh

    settings = {**_SETTINGS, "listen/endpoints": [listen], "connect/endpoints": list(connect), "scouting/gossip/enabled": gossip}
    for endpoint in (listen, *settings["connect/endpoints"]):
        _check(endpoint, identity)
    if identity:
        settings["transport/link/tls"] = _tls(identity)
        settings["access_control"] = keys.access(peers)
    config = zenoh.Config()
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    try:
        return zenoh.open(config)
    except zenoh.ZError as error:
        raise LinkLost(f"cannot open {listen}: {error}; is another node there?") from None


def _check(endpoint: str, identity: Identity | None) -> None:
    if identity is None and not endpoint.startswith("tcp/127.0.0.1:"):
        raise SettingError(f"endpoint {endpoint}: without an identity only tcp/127.0.0.1:PORT is taken; join the hub to use tls/HOST:PORT")
    if identity is not None and not endpoint.startswith("tls/"):
        raise SettingError(f"endpoint {endpoint}: with an identity only tls/HOST:PORT is taken")


def _tls(identity: Identity) -> dict[str, Any]:
    if identity.expires() is None:
        raise SettingError(f"{identity.name} has no certificate yet: join the hub with a token first")
    key, certificate = str(identity.key_file), str(identity.certificate_file)
    return {
        "root_ca_certificate": str(identity.authority_file),
        "listen_private_key": key,
        "listen_certificate": certificate,
        "connect_private_key": key,
        "connect_certificate": certificate,
        "enable_mtls": True,
        # A certificate names a node, not a host: it is good wherever the node is. Access control looks at the name.
        "verify_name_on_connect": False,
        "close_link_on_expiration": True,
    }
