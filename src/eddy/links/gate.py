"""Who gets into the embedded broker: everybody, but not before its own node listens.

A broker keeps nothing for a topic without a subscriber, and acknowledges it all the same. Loaded by amqtt, by its name.
"""

from dataclasses import dataclass
from typing import Any

from amqtt.plugins.base import BaseAuthPlugin  # type: ignore[import-untyped]


class Gate(BaseAuthPlugin):  # type: ignore[misc]
    """Opens when the client `first` has subscribed."""

    @dataclass
    class Config:
        """Of the plugin."""

        first: str

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._first = self._get_config_option("first")
        self._open = False

    async def authenticate(self, *, session: Any) -> bool:
        """Whether a client may come in."""
        return self._open or session.client_id == self._first

    async def on_broker_client_subscribed(self, *, client_id: str, **about: Any) -> None:
        """Called by the broker."""
        self._open = self._open or client_id == self._first
