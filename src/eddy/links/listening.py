"""Listens for people's devices: an ASGI app in a thread, on loopback unless it asks for a token; and whose tokens these are."""

import hmac
import ipaddress
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

from eddy.errors import KeyFileError, LinkLost, SettingError, ToolMissing
from eddy.links.origins import Names

MIN_TOKEN = 16
"""Characters."""

HEAD_S = 10.0
"""So long a connection may be open without a request that has begun and is not answered."""

_CLOSE_S = 2
_BACKLOG = 2048


class Tokens:
    """What senders show (RFC 6750), and for whom they speak then.

    Args:
        token: Speaks for all origins.
        tokens: {name or pattern of origins: what speaks for these}; the same token may stand at several.

    Attributes:
        asked: There is one: who shows none is turned away.

    Raises:
        SettingError: One can be guessed, or speaks for all and for some.
    """

    def __init__(self, token: str | None = None, tokens: Mapping[str, str] | None = None) -> None:
        several: dict[str, list[str]] = {}
        for origins, one in (tokens or {}).items():
            _check_token(one, f"the token of {origins}")
            several.setdefault(one, []).append(origins)
        self._scopes: list[tuple[bytes, Names | None]] = [(f"Bearer {one}".encode(), Names(several[one])) for one in several]
        if token is not None:
            _check_token(token, "the token")
            if token in several:
                raise SettingError(f"`token` and that of {several[token][0]} are the same: one speaks for all, the other must be another")
            self._scopes.append((f"Bearer {token}".encode(), None))
        self.asked = bool(self._scopes)

    def speaks_for(self, header: str) -> tuple[bool, Names | None]:
        """Whether who shows this header `Authorization` may speak, and for whom: all when None. All are compared, each in constant time."""
        shown = header.encode()
        fits = [scope for one, scope in self._scopes if hmac.compare_digest(shown, one)]
        return (True, fits[0]) if fits else (not self.asked, None)


class Listener:
    """An app behind a port.

    Args:
        app: ASGI.
        listen: `host:port`; port 0 takes a free one.
        tokens: What senders must show; without any, only this machine is listened to.
        certificate, key: Files, PEM, for TLS.
        connections: More at once are answered with 503.
        message_bytes: Of a message of a WebSocket, at most; None for an app without any.

    Attributes:
        host, port: Where it listens.

    Raises:
        SettingError: No address, or strangers could reach it without a token.
        KeyFileError: Certificate and key cannot be used.
        LinkLost: The port is taken, or the address is not this machine's.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        listen: str,
        tokens: Tokens,
        certificate: str | None = None,
        key: str | None = None,
        connections: int = 500,
        message_bytes: int | None = None,
    ) -> None:
        import uvicorn

        if bool(certificate) != bool(key):
            raise SettingError("TLS needs both `certificate` and `key`, files in PEM")
        host, port = address(listen)
        if not tokens.asked and not _is_loopback(host):
            raise SettingError(f"{listen} can be reached by strangers: give `token: env:NAME` or `tokens`, or listen at 127.0.0.1")
        websockets: Any = "none"
        if message_bytes is not None:
            websockets = _websockets()
        try:
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=_CLOSE_S,
                limit_concurrency=connections,
                http=_patient(),
                backlog=_BACKLOG,
                ws=websockets,
                ws_max_size=message_bytes or 1,
                ssl_certfile=Path(certificate) if certificate else None,
                ssl_keyfile=Path(key) if key else None,
            )
            config.load()
        except OSError as error:
            raise KeyFileError(f"{certificate} and {key} cannot be used for TLS ({error}): name a certificate and its key, PEM") from None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise LinkLost(f"cannot listen at {listen} ({error.strerror}): is something else there? It is tried again") from None
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as in eddy.hub.server
        self.host, self.port = listening.getsockname()[:2]
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, name="listener", kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer what was asked, and stop."""
        self._server.should_exit = True
        self._thread.join(_CLOSE_S + 3)


def address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`; raises SettingError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise SettingError(f"{text!r} is no address to listen at: write host:port, such as 127.0.0.1:8090")
    return host.strip("[]"), int(port)


def _check_token(token: str, what: str) -> None:
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable():
        raise SettingError(f"{what} must have {MIN_TOKEN} or more letters and digits: make one with `openssl rand -hex 16`")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _patient() -> Any:
    """Speaks HTTP with those who say within `HEAD_S` what they want: one that never does would keep its connection, and so one of few."""
    import asyncio

    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(HEAD_S, self._look, None)

        def _look(self, before: Any) -> None:
            if self.transport.is_closing() or self.transport.get_protocol() is not self:
                return
            served = self.cycle  # the request that is answered now, or was last
            if served is before and (served is None or served.response_complete):
                self.transport.close()
            else:
                self.loop.call_later(HEAD_S, self._look, served)

    return Patient


def _websockets() -> str:
    try:
        import websockets  # noqa: F401 - only to see whether it is there
    except ImportError:
        raise ToolMissing("WebSockets need the package websockets: pip install 'eddy[knowledge]'") from None
    return "websockets-sansio"
