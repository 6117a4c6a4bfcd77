"""Who may speak to the hub's API, and how much: one bearer token (RFC 6750), loopback only without one, bodies of bounded size."""

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eddy.errors import NotAllowed, SettingError, TooLarge
from eddy.hub import problems

MAX_BODY = 8 << 20
"""Bytes of a request's body; an app with its files is the largest."""

MIN_TOKEN = 16
"""Characters of a token."""

OPEN = frozenset({("GET", "/healthz"), ("POST", "/api/v1/enrolments")})
"""What needs no token: an enrolment carries its own proof."""


def check_token(token: str | None) -> None:
    """Refuse a token that is none.

    Raises:
        SettingError: It can be guessed, or is no text of one line.
    """
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise SettingError(f"the token must have {MIN_TOKEN} or more letters and digits: make one with `openssl rand -hex 16`")


def check_listen(host: str, secured: bool) -> None:
    """Refuse to listen where strangers are without a token.

    Args:
        host: Address or name that the hub shall listen at.
        secured: Whether a token is set.

    Raises:
        SettingError: Others could reach it, and no token is set.
    """
    if not secured and not is_loopback(host):
        raise SettingError(f"the hub would listen at {host} for everybody: set a token, or listen at 127.0.0.1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host's address or name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI middleware that turns away whoever may not speak, and whoever says too much.

    Without a token it also turns away what comes under names that are not this machine's, so that no web page that a person opens reaches
    the hub, be it by a name that its owner lets point to 127.0.0.1 (DNS rebinding) or from another origin (request forgery).

    Args:
        app: What is guarded.
        token: The bearer token; None for none.
        max_body: Bytes of a request's body.
    """

    def __init__(self, app: ASGIApp, token: str | None, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._token = token
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI hands it over."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal is not None:
            await refusal(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._bounded(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
        """The answer to whom is turned away, before anything of the body was read; None to let them pass."""
        if self._token is None:
            asked = [_host(b"http://" + headers.get(b"host", b"")), *(_host(headers[name]) for name in (b"origin",) if name in headers)]
            for host in asked:
                if not is_loopback(host):
                    error = NotAllowed(f"this hub has no token, so it answers to 127.0.0.1 and localhost, not to {host!r}")
                    return problems.response(421, error)
        elif (scope.get("method"), scope["path"]) not in OPEN and not self._known(headers.get(b"authorization", b"")):
            error = NotAllowed("this hub wants its token: send it as 'Authorization: Bearer ...', or set EDDY_TOKEN")
            return problems.response(401, error, {"WWW-Authenticate": 'Bearer realm="eddy"'})
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._max_body:
            return problems.response(413, self._too_large())
        return None

    def _known(self, authorization: bytes) -> bool:
        scheme, _, given = authorization.partition(b" ")
        assert self._token is not None
        return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token.encode())

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A body may come in pieces and without its length: it is counted, then handed over whole."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_body:
                await problems.response(413, self._too_large(), {"Connection": "close"})(scope, receive, send)
                return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, replayed, send)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self._max_body} bytes, which is all that this hub takes")


def _host(url: bytes) -> str:
    """The name in a URL; empty when there is none."""
    try:
        return urlsplit(url.decode("latin-1")).hostname or ""
    except ValueError:
        return ""
