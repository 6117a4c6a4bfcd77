"""The thread of an MQTT connection: reads what is there in one go, and does what others want done on it."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_AT_ONCE = 256  # packets that are read before anything else is done
_LINGER_S = 0.001  # when all was read, for more to come: a wait for each message costs more than the message
_LOOK_S = 1.0  # between two looks at what keeps the connection alive


class Line:
    """Runs a client that is connected. The client is used by this thread alone, so that an acknowledgement wakes nobody for itself.

    Args:
        client: Of paho, without a loop of its own.
        heard: How many messages have come: as long as that rises, there may be more.
        after: Called when some have come.
        failed: Called with what ended the thread, when it was not `close`.
        name: Of the thread.
    """

    def __init__(
        self, client: "Client", heard: Callable[[], int], after: Callable[[], None], failed: Callable[[Exception], None], name: str = "mqtt"
    ) -> None:
        self._client = client
        self._heard = heard
        self._after = after
        self._failed = failed
        self._closing = False
        self._jobs: deque[Callable[[], Any]] = deque()
        self._awake, self._wake = socket.socketpair()
        self._awake.setblocking(False)
        self._wake.setblocking(False)
        client.on_socket_register_write = lambda *about: None  # else every packet would be written for itself, by whoever makes it
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], Any]) -> None:
        """Have something done on the thread."""
        self._jobs.append(job)
        self._rouse()

    def close(self) -> None:
        """Take leave of the broker, and end."""
        self._closing = True
        self._rouse()
        self._thread.join(5)
        self._awake.close()
        self._wake.close()

    def _rouse(self) -> None:
        with suppress(OSError):  # when it is full, the thread is awake anyway
            self._wake.send(b"x")

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # of the client or a job: nobody else would hear of it
            self._failed(error)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._awake, selectors.EVENT_READ)
            connection: Any = self._client.socket()
            if connection is not None:
                ready.register(connection, selectors.EVENT_READ)
            more = False
            while not self._closing and self._client.socket() is connection is not None:
                if self._client.want_write():
                    ready.modify(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
                    ready.select(0 if more else _LOOK_S)
                    ready.modify(connection, selectors.EVENT_READ)
                else:
                    ready.select(0 if more else _LOOK_S)
                more = self._turn()
        if self._closing and self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()

    def _turn(self) -> bool:
        """What is due; whether there may be more at once."""
        with suppress(BlockingIOError):
            self._awake.recv(4096)
        while self._jobs:
            self._jobs.popleft()()
        first = self._heard()
        for _ in range(_AT_ONCE):
            before = self._heard()
            if self._client.loop_read() or self._heard() == before or self._closing:
                break
        if self._heard() != first:
            self._after()
            if self._heard() == before:
                time.sleep(_LINGER_S)
        if self._client.want_write():
            self._client.loop_write()
        self._client.loop_misc()
        return self._heard() != before
