"""Driver `websocket`: takes in messages, and answers each with its number when it is kept."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket as Connection
from starlette.websockets import WebSocketDisconnect

from eddy.links.decoders import Form
from eddy.links.driver import Home
from eddy.links.http import LARGEST
from eddy.links.intake import SAMPLES, Intake, Opened, Samples, outcome
from eddy.links.listening import Listener, Tokens
from eddy.links.senders import Senders

_POLICY = 1008  # RFC 6455, section 7.4.1


class WebSocket:
    """Each message, text or binary, is one sample or many. The answer to the n-th of a connection is `{"n": n, "kept": samples}`.

    It comes once all of it is kept, in the order of the messages. One that cannot be decoded is kept in quarantine, as is a sample of an
    origin that may not send, and its answer has `quarantined` and the `reason`. When the queue is full nothing is read until there is room.
    What was not answered when a connection ends is to be sent again.

    Args:
        listen: `host:port`.
        path: Of the address.
        token: What senders must show as `Authorization: Bearer TOKEN`. Without, only this machine is listened to.
        tokens: {name or pattern of origins: token}: who shows one speaks for these origins only; `token` speaks for all.
        certificate, key: Files, PEM, for TLS.
        largest: Bytes of a message.
        queue: Samples that wait to be kept, at most.
        allow, unknown: Who may send; see `eddy.links.senders.Senders`.
        remember: How many keys are remembered, with `unique`.
        resume: Ignored: nothing can be read again.
        home: Of the node.
        form: How a message is written; see `eddy.links.decoders.Form`.

    Attributes:
        port: Where it listens.
        counts: Of `Intake`.
    """

    at_home = True

    def __init__(
        self,
        *,
        listen: str,
        path: str = "/",
        token: str | None = None,
        tokens: dict[str, str] | None = None,
        certificate: str | None = None,
        key: str | None = None,
        largest: int = LARGEST,
        queue: int = SAMPLES,
        allow: str | Sequence[str] = (),
        unknown: str | None = None,
        remember: int = 0,
        resume: int = 0,
        home: Home | None = None,
        **form: Any,
    ) -> None:
        self._tokens = Tokens(token, tokens)
        self._senders = Senders(allow, unknown, home)
        self._opened = Opened(Form(**form), senders=self._senders)
        self._intake = Intake(self._confirm, queue)
        self.counts = self._intake.counts
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Event()
        app = Starlette(routes=[WebSocketRoute(path, self._talk)])
        self._listener = Listener(app, listen, self._tokens, certificate, key, message_bytes=largest)
        self.port = self._listener.port
        self._senders.begin()

    def read(self) -> Samples | None:
        """See `eddy.links.driver.Source`."""
        return self._intake.read()

    def kept(self, count: int) -> None:
        """See `eddy.links.driver.Source`."""
        self._intake.kept(count)

    def close(self) -> None:
        """Close all connections: what was not answered is not known."""
        self._senders.close()
        self._intake.close()
        self._listener.close()

    async def _talk(self, connection: Connection) -> None:
        known, speaks_for = self._tokens.speaks_for(connection.headers.get("authorization", ""))
        if not known:
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
                samples, faults = self._opened.open(payload, sender=sender, speaks_for=speaks_for)
                await self._offer(samples, len(payload), (answers, {"n": number, **outcome(samples, faults)}))
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
