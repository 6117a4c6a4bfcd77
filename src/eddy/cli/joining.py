"""How a node joins a hub: over HTTP, with a token on the one side and a proof of it on the wire."""

from eddy.cli.client import Hub
from eddy.security.identity import Identity


def join(hub: Hub, identity: Identity, token: str) -> str:
    """Let a node in.

    Args:
        hub: The hub's API.
        identity: Of the node; has its certificate afterwards.
        token: A join token; it does not leave this machine.

    Returns:
        The endpoint at which the hub is reached among nodes.

    Raises:
        EddyError: As `Identity.request` and `accept`, or what the hub says.
    """
    request, proof = identity.request(token)
    answer = hub.call("POST", "enrolments", {"csr": request.decode(), "proof": proof})
    identity.accept(answer["chain"].encode())
    return str(answer["fabric"])
