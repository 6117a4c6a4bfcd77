"""A broker within the node, for a first run without one: amqtt in a thread of its own.

What it acknowledges to a publisher is its own promise: it keeps nothing on disk, nor for a subscriber that is away. What it had is gone
with the node.
"""

import asyncio
from threading import Event, Thread
from typing import Any

from eddy.errors import LinkLost, ToolMissing

_PATIENCE_S = 10


class Broker:
    """Listens for MQTT 3.1.1 at an address of this machine, and lets everybody in who reaches it, once its node has subscribed.

    Args:
        host, port: Where.
        first: Client that comes in before others; without, everybody does at once.

    Raises:
        ToolMissing: amqtt is not installed.
        LinkLost: The port is taken.
    """

    def __init__(self, host: str, port: int, first: str = "") -> None:
        try:
            from amqtt.broker import Broker as Amqtt  # type: ignore[import-untyped]
        except ImportError:
            raise ToolMissing("`broker: embedded` needs the package amqtt: pip install 'eddy[knowledge]'") from None
        self._made: Any = Amqtt
        self._where = f"{host}:{port}"
        self._first = first
        self._loop = asyncio.new_event_loop()
        self._up = Event()
        self._over = asyncio.Event()
        self._fault: Exception | None = None
        self._thread = Thread(target=self._run, name="broker", daemon=True)
        self._thread.start()
        if not self._up.wait(_PATIENCE_S) or self._fault:
            raise LinkLost(f"a broker cannot listen at {self._where} ({self._fault or 'it does not start'}): is one there already?")

    def close(self) -> None:
        """Stop it."""
        try:
            self._loop.call_soon_threadsafe(self._over.set)
        except RuntimeError:
            return
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # whatever it says: the driver is tried again
            self._fault = error
        finally:
            self._up.set()
            self._loop.close()

    async def _serve(self) -> None:
        anyone: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        plugins = {"eddy.links.gate.Gate": {"first": self._first}} if self._first else anyone
        broker = self._made({"listeners": {"default": {"type": "tcp", "bind": self._where}}, "plugins": plugins})
        await broker.start()
        self._up.set()
        await self._over.wait()
        await broker.shutdown()
