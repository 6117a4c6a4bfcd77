"""Nodes, hub, sources and sinks on Zenoh, peer to peer: no broker, and nobody in the middle whose end would stop the others.

It only carries. What is lost here is repeated by the hop, and what comes twice is dropped there. Addresses are those of
`eddy.kernel.assignment`: `@` is the hub, `@name` a node, any other name whoever claims it now.
"""

import json
import queue
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from eddy.errors import LinkLost, SettingError

WAITING = 65536
"""Messages that wait to be taken; more are dropped, and their senders repeat them."""


class Mesh:
    """One end.

    Args:
        addresses: What this end is called, for good.
        listen: Zenoh endpoint, such as `tcp/127.0.0.1:7447`; on loopback only, as long as links are not authenticated.
        connect: Endpoints of others. One that is up is enough: the rest is learned from it.

    Attributes:
        dropped: Messages for which there was no room.

    Raises:
        SettingError: An endpoint that is reachable from elsewhere.
        LinkLost: The endpoint cannot be opened.
    """

    def __init__(self, addresses: Iterable[str], listen: str, connect: Iterable[str] = ()) -> None:
        import zenoh

        for endpoint in (listen, *connect):
            if not endpoint.startswith("tcp/127.0.0.1:"):
                raise SettingError(f"endpoint {endpoint}: links are not authenticated yet, so only tcp/127.0.0.1:PORT is taken")
        config = zenoh.Config()
        settings = {"mode": "peer", "listen/endpoints": [listen], "connect/endpoints": list(connect), "scouting/multicast/enabled": False}
        for name, value in settings.items():
            config.insert_json5(name, json.dumps(value))
        self.dropped = 0
        self._came: queue.Queue[bytes] = queue.Queue(WAITING)
        try:
            self._session: Any = zenoh.open(config)
        except zenoh.ZError as error:
            raise LinkLost(f"cannot open {listen}: {error}; is another node there?") from None
        self._fixed = [self._subscribe(address) for address in addresses]
        self._claimed: dict[str, Any] = {}

    def claim(self, addresses: list[str]) -> None:
        """Messages to these are for this end now, and to those claimed before and not named are not."""
        for address in addresses:
            if address not in self._claimed:
                self._claimed[address] = self._subscribe(address)
        for address in [address for address in self._claimed if address not in addresses]:
            self._claimed.pop(address).undeclare()

    def send(self, to: str, data: bytes) -> None:
        """Send a message; lost when nobody claims the address."""
        self._session.put(_key(to), data)

    def take(self, wait_s: float) -> list[bytes]:
        """Everything that has come, after waiting for the first at most so long."""
        came: list[bytes] = []
        with suppress(queue.Empty):
            came.append(self._came.get(timeout=wait_s))
            while True:
                came.append(self._came.get_nowait())
        return came

    def close(self) -> None:
        """Leave."""
        self._session.close()

    def _subscribe(self, address: str) -> Any:
        return self._session.declare_subscriber(_key(address), self._hear)

    def _hear(self, sample: Any) -> None:
        """On a thread of Zenoh, which must not wait."""
        try:
            self._came.put_nowait(bytes(sample.payload))
        except queue.Full:
            self.dropped += 1


def _key(address: str) -> str:
    if address == "@":
        return "eddy/hub"
    room, name = ("node", address[1:]) if address.startswith("@") else ("to", address)
    return f"eddy/{room}/{quote(name, safe='')}"


def free_endpoint() -> str:
    """An endpoint on loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp/127.0.0.1:{probe.getsockname()[1]}"
