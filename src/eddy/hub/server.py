"""Serves the hub's API in a thread beside the hub's own loop."""

import socket
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from fastapi import FastAPI

from eddy.errors import KeyFileError, LinkLost
from eddy.hub.access import check_listen

PORT = 8787

CLOSE_S = 3
"""Requests that are under way at the end have so long."""

CONNECTIONS = 500
"""More at once are answered with 503."""


class Server:
    """An API behind a port; a context manager.

    Args:
        app: As `eddy.hub.api.create` makes it.
        host, port: Where to listen; port 0 takes a free one.
        certificate, key: Files, PEM, for TLS; without them the token goes over the network in clear.

    Attributes:
        url: Where it is reached, from `start` on.

    Raises:
        SettingError: Strangers could reach it, and it has no token.
        KeyFileError: Certificate and key cannot be used.
    """

    def __init__(
        self, app: FastAPI, host: str = "127.0.0.1", port: int = PORT, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        import uvicorn

        check_listen(host, app.state.secured)
        self.url = ""
        self._app = app
        self._host, self._port = host, port
        self._scheme = "https" if certificate else "http"
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=CLOSE_S,
            limit_concurrency=CONNECTIONS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        try:
            config.load()
        except OSError as error:  # of which those of TLS are a kind
            raise KeyFileError(f"{certificate} and {key} cannot be used for TLS ({error}): name a certificate and its key, PEM") from None
        self._server = uvicorn.Server(config)
        self._thread: Thread | None = None

    def start(self) -> None:
        """Listen. Who connects from now on is answered, if a moment later.

        Raises:
            LinkLost: The port is taken, or the address is not this machine's.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listening = socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            place = f"{self._host} port {self._port}"
            raise LinkLost(f"the hub cannot listen at {place} ({error.strerror}): is one running already? Take another port") from None
        # Whom it accepts inherits this. asyncio sets it on sockets of its own only; without, answers wait 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = listening.getsockname()[:2]
        self.url = f"{self._scheme}://{f'[{host}]' if family == socket.AF_INET6 else host}:{port}"
        self._thread = Thread(target=self._server.run, name="api", kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer what was asked, end the streams, and stop."""
        self._app.state.closing = True
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
