"""Driver `websocket`: takes in messages, and answers each with its number when it is kept."""

import asyncio
import json
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as Connection
from starlette.websockets import WebSocketDisconnect

from eddy.links.decoders import Form
from eddy.links.http import LARGEST
from eddy.links.intake import SAMPLES, Intake, Opened, Samples
from eddy.links.listening import Listener, allowed

_POLICY = 1008  # RFC 6455, section 7.4.1


class WebSocket:
    """Each message, text or binary, is one sample or many. The answer to the n-th of a connection is `{"n": n, "kept": samples}`.

    It comes once all of it is kept, in the order of the messages. One that cannot be decoded is kept in quarantine, and its answer has the
    `reason`. When the queue is full nothing is read until there is room. What was not answered when a connection ends is to be sent again.

    Args:
        listen: `host:port`.
        path: Of the address.
        token: What senders must show as `Authorization: Bearer TOKEN`. Without, only this machine is listened to.
        certificate, key: Files, PEM, for TLS.
        largest: Bytes of a message.
        queue: Samples that wait to be kept, at most.
        remember: How many keys are remembered, with `unique`.
        resume: Ignored: nothing can be read again.
        form: How a message is written; see `eddy.links.decoders.Form`.

    Attributes:
        port: Where it listens.
        counts: Of `Intake`.
    """

    def __init__(
        self,
        *,
        listen: str,
        path: str = "/",
        token: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        largest: int = LARGEST,
        queue: int = SAMPLES,
        remember: int = 0,
        resume: int = 0,
        **form: Any,
    ) -> None:
        self._opened = Opened(Form(**form))
        self._intake = Intake(self._confirm, queue)
        self.counts = self._intake.counts
        self._token = token
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Event()
        app = Starlette(routes=[WebSocketRoute(path, self._talk)])
        self._listener = Listener(app, listen, token, certificate, key, message_bytes=largest)
        self.port = self._listener.port

    def read(self) -> Samples | None:
        """See `eddy.links.driver.Source`."""
        return self._intake.read()

    def kept(self, count: int) -> None:
        """See `eddy.links.driver.Source`."""
        self._intake.kept(count)

    def close(self) -> None:
        """Close all connections: what was not answered is not known."""
        self._intake.close()
        self._listener.close()

    async def _talk(self, connection: Connection) -> None:
        if not allowed(connection.headers.get("authorization", ""), self._token):
            await connection.close(_POLICY)
            return
        self._loop = asyncio.get_running_loop()
        await connection.accept()
        answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        writing = asyncio.create_task(_write(connection, answers))
        sender = connection.client.host if connection.client else None
        try:
            number = 0
            while (payload := await _next(connection)) is not None:
                samples, fault = self._opened.open(payload, sender=sender)
                answer = {"n": number, "kept": 0, "quarantined": 1, "reason": fault} if fault else {"n": number, "kept": len(samples)}
                await self._offer(samples, len(payload), (answers, answer))
                number += 1
        finally:
            writing.cancel()

    async def _offer(self, samples: Samples, size: int, receipt: Any) -> None:
        while True:
            self._room.clear()
            if self._intake.offer(samples, size, receipt):
                return
            await self._room.wait()

    def _confirm(self, receipts: list[tuple["asyncio.Queue[dict[str, Any]]", dict[str, Any]]]) -> None:
        def tell() -> None:
            for answers, answer in receipts:
                answers.put_nowait(answer)
            self._room.set()

        assert self._loop
        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:
            return  # the server has stopped already


async def _next(connection: Connection) -> bytes | None:
    """The next message; None when there will be none."""
    message = await connection.receive()
    if message["type"] == "websocket.disconnect":
        return None
    text = message.get("text")
    return text.encode() if text is not None else bytes(message.get("bytes") or b"")


async def _write(connection: Connection, answers: "asyncio.Queue[dict[str, Any]]") -> None:
    try:
        while True:
            await connection.send_text(json.dumps(await answers.get()))
    except (WebSocketDisconnect, RuntimeError):
        return  # they have gone
