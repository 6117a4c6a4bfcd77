"""Driver `http`: takes in what is posted, and answers when it is kept."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eddy.links.decoders import Form
from eddy.links.driver import Home
from eddy.links.intake import SAMPLES, Intake, Opened, Samples, outcome
from eddy.links.listening import Listener, Tokens
from eddy.links.origins import Names
from eddy.links.senders import Senders

LARGEST = 1 << 20
PATIENCE_S = 30.0
"""How long a sender waits until it is told that nothing is known."""


class Http:
    """POST one value, a list, or several lines of one each (`application/x-ndjson`); the answer comes once all of it is kept.

    200 with `{"kept": samples, "quarantined": samples}`; 400 when none could be taken, and then that is kept in quarantine; 401
    without the token; 408 when the body does not come within 30 s; 413 above `largest`; 429 with `Retry-After` when the
    queue is full; 503 when it is not known whether it is kept: send again.
    A line that cannot be decoded goes to quarantine, as does a sample of an origin that may not send; the others are taken.

    Args:
        listen: `host:port`.
        path: Where to post.
        token: What senders must show as `Authorization: Bearer TOKEN`. Without, only this machine is listened to.
        tokens: {name or pattern of origins: token}: who shows one speaks for these origins only; `token` speaks for all.
        certificate, key: Files, PEM, for TLS.
        largest: Bytes of a body.
        queue: Samples that wait to be kept, at most.
        allow, unknown: Who may send; see `eddy.links.senders.Senders`.
        remember: How many keys are remembered, with `unique`.
        resume: Ignored: nothing can be read again.
        home: Of the node.
        form: How a body is written; see `eddy.links.decoders.Form`.

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
        self._intake = Intake(_answer, queue)
        self.counts = self._intake.counts
        self._largest = largest
        app = Starlette(routes=[Route(path, self._post, methods=["POST"])])
        self._listener = Listener(app, listen, self._tokens, certificate, key)
        self.port = self._listener.port
        self._senders.begin()

    def read(self) -> Samples | None:
        """See `eddy.links.driver.Source`."""
        return self._intake.read()

    def kept(self, count: int) -> None:
        """See `eddy.links.driver.Source`."""
        self._intake.kept(count)

    def close(self) -> None:
        """Tell those who wait that nothing is known, and stop."""
        self._senders.close()
        _tell(self._intake.close(), False)
        self._listener.close()

    async def _post(self, request: Request) -> Response:
        known, speaks_for = self._tokens.speaks_for(request.headers.get("authorization", ""))
        if not known:
            return _problem(401, "no token, or not the right one: send Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        try:
            body = await asyncio.wait_for(self._body(request), PATIENCE_S)
        except ClientDisconnect:
            return Response(status_code=400)
        except TimeoutError:
            return _problem(408, f"a body must be here within {PATIENCE_S:.0f} s: send less at once", {"Connection": "close"})
        if body is None:
            return _problem(413, f"a body may have {self._largest} bytes: send less at once")
        return await self._taken(request, body, speaks_for)

    async def _taken(self, request: Request, body: bytes, speaks_for: Names | None) -> Response:
        if self._intake.full(len(body)):  # before any work is done for it
            return self._refused()
        origin = request.client.host if request.client else ""
        samples, faults = self._samples(body, request.headers.get("content-type", ""), origin, speaks_for)
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self._intake.offer(samples, len(body), told):
            return self._refused()
        try:
            known = await asyncio.wait_for(told, PATIENCE_S)
        except TimeoutError:
            known = False
        if not known:
            return _problem(503, "it is not known whether this is kept: send it again", {"Retry-After": "1"})
        said = {"quarantined": 0, **outcome(samples, faults)}
        return JSONResponse(said, 400 if faults and not said["kept"] else 200)

    @staticmethod
    def _refused() -> Response:
        return _problem(429, "more comes in than can be kept: send it again later", {"Retry-After": "1"})

    async def _body(self, request: Request) -> bytes | None:
        """None when it is too large."""
        if int(request.headers.get("content-length", "0") or 0) > self._largest:
            return None
        parts, size = [], 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > self._largest:
                return None
        return b"".join(parts)

    def _samples(self, body: bytes, kind: str, origin: str, speaks_for: Names | None) -> tuple[Samples, list[str]]:
        """The samples of a body, and what is wrong with those in quarantine."""
        lines = [line for line in body.split(b"\n") if line.strip()] if "ndjson" in kind or "jsonl" in kind else [body]
        samples: Samples = []
        faults = []
        for line in lines:
            found, wrong = self._opened.open(line, sender=origin, speaks_for=speaks_for)
            samples += found
            faults += wrong
        return samples, faults


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"status": status, "detail": detail}, status, headers, "application/problem+json")


def _answer(told: list["asyncio.Future[bool]"]) -> None:
    _tell(told, True)


def _tell(told: list["asyncio.Future[bool]"], known: bool) -> None:
    if not told:
        return

    def tell() -> None:
        for one in told:
            if not one.done():
                one.set_result(known)

    try:
        told[0].get_loop().call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the server has stopped already
