"""Listens for people's devices: an ASGI app in a thread, on loopback unless it asks for a token."""

import hmac
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from eddy.errors import KeyFileError, LinkLost, SettingError, ToolMissing

MIN_TOKEN = 16
"""Characters."""

HEAD_S = 10.0
"""So long a connection may be open without a request that has begun and is not answered."""

_CLOSE_S = 2
_BACKLOG = 2048


class Listener:
    """An app behind a port.

    Args:
        app: ASGI.
        listen: `host:port`; port 0 takes a free one.
        token: What senders must show (RFC 6750); without, only this machine is listened to.
        certificate, key: Files, PEM, for TLS.
        connections: More at once are answered with 503.
        message_bytes: Of a message of a WebSocket, at most; None for an app without any.

    Attributes:
        host, port: Where it listens.

    Raises:
        SettingError: No address, a token that can be guessed, or strangers could reach it without one.
        KeyFileError: Certificate and key cannot be used.
        LinkLost: The port is taken, or the address is not this machine's.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        listen: str,
        token: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        connections: int = 500,
        message_bytes: int | None = None,
    ) -> None:
        import uvicorn

        if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
            raise SettingError(f"the token must have {MIN_TOKEN} or more letters and digits: make one with `openssl rand -hex 16`")
        if bool(certificate) != bool(key):
            raise SettingError("TLS needs both `certificate` and `key`, files in PEM")
        host, port = address(listen)
        if token is None and not _is_loopback(host):
            raise SettingError(f"{listen} can be reached by strangers: give `token: env:NAME`, or listen at 127.0.0.1")
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


def allowed(header: str, token: str | None) -> bool:
    """Whether the header `Authorization` shows the token, if there is one."""
    return token is None or hmac.compare_digest(header.encode(), f"Bearer {token}".encode())


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
