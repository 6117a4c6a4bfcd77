"""Nodes, hub, sources and sinks on Zenoh, peer to peer: no broker, and nobody in the middle whose end would stop the others.

It only carries. What is lost here is repeated by the hop, and what comes twice is dropped there. Addresses are those of
`eddy.kernel.assignment`: `@` is the hub, `@name` a node, any other name whoever claims it now.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from eddy.errors import TooLarge
from eddy.fabric import keys
from eddy.fabric.mailbox import Mailbox
from eddy.fabric.ports import free_port
from eddy.fabric.presence import Presence
from eddy.fabric.session import MAX_MESSAGE_BYTES, open_session
from eddy.kernel.assignment import ASSIGN, HEARD, HUB, kind
from eddy.security.identity import Identity

WAITING = 65536
"""Messages that wait to be taken; more are dropped, and their senders repeat them."""

WAITING_BYTES = 64 << 20
"""Likewise, in bytes."""

LOOKING_ON = 1024
"""Samples that wait for somebody who looks on; the oldest are dropped for newer ones."""


class Mesh:
    """One end. Its methods are called by one thread, except `ask` and `publish`, which any may call.

    Args:
        addresses: What this end is called, for good.
        listen: Endpoint: `tls/HOST:PORT`, or without an identity `tcp/127.0.0.1:PORT`.
        connect: Endpoints of others, which are tried again and again. One that is up is enough: the rest is learned from it.
        identity: Key and certificate of this end. Without one nothing but loopback is taken.
        peers: Names of the nodes that are let in, each confined to its own address. None lets all in that the hub has signed, and tells
            only the hub from the others. Fixed as long as this end is open.
        gossip: Learn of others from those that are connected; else only the endpoints that are named are used.

    Raises:
        SettingError: An endpoint that is not for this identity, or reachable from elsewhere without one.
        LinkLost: The endpoint cannot be opened.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        listen: str,
        connect: Iterable[str] = (),
        identity: Identity | None = None,
        peers: Iterable[str] | None = None,
        gossip: bool = True,
    ) -> None:
        fixed = list(addresses)
        self._hub = HUB in fixed
        self._came: Mailbox[tuple[str, bytes] | _Question] = Mailbox(WAITING, WAITING_BYTES)
        self._answer: Callable[[bytes], bytes | None] | None = None
        self._session: Any = open_session(listen, connect, identity, peers, gossip)
        self._fixed = [self._declare(address) for address in fixed]
        self._claimed: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}
        self._presence = Presence(self._session, fixed)

    @property
    def dropped(self) -> int:
        """Messages for which there was no room."""
        return self._came.dropped

    def claim(self, addresses: list[str]) -> None:
        """Messages to these are for this end now, and to those claimed before and not named are not."""
        for address in addresses:
            if address not in self._claimed:
                self._claimed[address] = self._declare(address)
        for address in [address for address in self._claimed if address not in addresses]:
            for declared in self._claimed.pop(address):
                declared.undeclare()

    def send(self, to: str, data: bytes) -> None:
        """Send a message; lost when nobody claims the address, or when the link does not keep up.

        Raises:
            TooLarge: No end puts a message of this size together.
        """
        _check_size(data)
        self._session.put(keys.to_address(to, self._hub), data)  # Zenoh drops rather than blocks, by default

    def receive(self, wait_s: float) -> list[tuple[str, bytes]]:
        """(address, message) of everything that has come, after waiting for the first at most so long.

        Questions that came are answered on the way.
        """
        came: list[tuple[str, bytes]] = []
        for item in self._came.take(wait_s):
            if isinstance(item, tuple):
                came.append(item)
            else:
                item.answer(self._answer)
        return came

    def take(self, wait_s: float) -> list[bytes]:
        """As `receive`, for who has one address only."""
        return [data for _, data in self.receive(wait_s)]

    def ask(self, address: str, question: bytes, timeout_s: float) -> bytes | None:
        """Ask whoever has the address, and wait; None when no answer came in time. For what may be asked twice: nothing repeats it.

        Raises:
            TooLarge: No end puts a message of this size together.
        """
        _check_size(question)
        key = keys.to_address(address, self._hub)
        for reply in self._session.get(key, payload=question, timeout=timeout_s):
            if reply.ok is not None:
                return bytes(reply.ok.payload)
        return None

    def answer(self, callback: Callable[[bytes], bytes | None]) -> None:
        """Questions to the addresses of this end are answered by this, on the thread that calls `take`; None says nothing."""
        self._answer = callback

    def publish(self, stream: str, data: bytes) -> bool:
        """Show something to those who look on, if anybody does; not acknowledged, and dropped when they are slow.

        Returns:
            Whether anybody looks on; `listened` tells before the work of making `data`.
        """
        if not self.listened(stream):
            return False
        self._publishers[stream].put(data)
        return True

    def listened(self, stream: str) -> bool:
        """Whether anybody looks on."""
        if stream not in self._publishers:
            self._publishers[stream] = self._session.declare_publisher(keys.of_stream(stream))
        return bool(self._publishers[stream].matching_status.matching)

    def subscribe(self, stream: str) -> "Subscription":
        """Look on."""
        return Subscription(self._session, keys.of_stream(stream))

    def alive(self) -> list[str]:
        """Addresses of others that have appeared since the last call."""
        return self._presence.appeared()

    def gone(self) -> list[str]:
        """Addresses of others that have gone since the last call: at once when a process ends, after the lease when a link is cut."""
        return self._presence.disappeared()

    def here(self) -> list[str]:
        """Addresses of others that are here now."""
        return self._presence.here()

    def close(self) -> None:
        """Leave."""
        self._session.close()

    def _declare(self, address: str) -> list[Any]:
        declared: list[Any] = []
        for key in keys.of_address(address):
            hear = partial(self._hear_anybody if key.startswith("eddy/node/") else self._hear, address)
            declared.append(self._session.declare_subscriber(key, hear))
            declared.append(self._session.declare_queryable(key, self._hear_question))
        return declared

    # These run on a thread of Zenoh, which must not wait.

    def _hear(self, address: str, sample: Any) -> None:
        data = bytes(sample.payload)
        self._came.put((address, data), len(data))

    def _hear_anybody(self, address: str, sample: Any) -> None:
        data = bytes(sample.payload)
        if kind(data) not in (ASSIGN, HEARD):  # the hub's orders come where only the hub may speak
            self._came.put((address, data), len(data))

    def _hear_question(self, query: Any) -> None:
        question = _Question(query)
        self._came.put(question, len(question.data))


class Subscription:
    """What somebody who looks on sees of a stream.

    Attributes:
        seen: Where it waits; `dropped` counts what did not wait long enough.
    """

    def __init__(self, session: Any, key: str) -> None:
        self.seen: Mailbox[bytes] = Mailbox(LOOKING_ON, WAITING_BYTES, newest=True)
        self._subscriber = session.declare_subscriber(key, self._see)

    def take(self, wait_s: float) -> list[bytes]:
        """Everything that was published, after waiting for the first at most so long."""
        return self.seen.take(wait_s)

    def close(self) -> None:
        """Look away."""
        self._subscriber.undeclare()

    def _see(self, sample: Any) -> None:
        data = bytes(sample.payload)
        self.seen.put(data, len(data))


class _Question:
    """One that waits for `take`."""

    def __init__(self, query: Any) -> None:
        self.data = bytes(query.payload or b"")
        self._query = query

    def answer(self, callback: Callable[[bytes], bytes | None] | None) -> None:
        try:
            said = callback(self.data) if callback else None
            if said is not None:
                self._query.reply(self._query.key_expr, said)
        finally:
            self._query.drop()  # or the asker waits until its time is over


def _check_size(data: bytes) -> None:
    if len(data) > MAX_MESSAGE_BYTES:
        raise TooLarge(f"a message of {len(data)} bytes: at most {MAX_MESSAGE_BYTES} are carried; send it in parts")


def free_endpoint(protocol: str = "tcp") -> str:
    """An endpoint on loopback that nobody listens at; `tls` for ends with an identity."""
    return f"{protocol}/127.0.0.1:{free_port()}"
