"""Who is there: a liveliness token for each address of an end, and a watch on those of the others.

A token ends with its session: at once when the process ends, because its connections do; after the lease when the link or the whole machine
is silent. It says that Zenoh's threads run, not that the node does its work: that is what the reports of a node are for.
"""

import threading
from collections.abc import Iterable
from typing import Any

from eddy.fabric import keys


class Presence:
    """The tokens of one end, and what it knows of others. An address is there while any session has it."""

    def __init__(self, session: Any, addresses: Iterable[str]) -> None:
        import zenoh

        self._put = zenoh.SampleKind.PUT
        self._session = str(session.zid())
        self._lock = threading.Lock()
        self._sessions: dict[str, set[str]] = {}
        self._appeared: dict[str, None] = {}
        self._disappeared: dict[str, None] = {}
        liveliness = session.liveliness()
        self._tokens = [liveliness.declare_token(keys.token(address, self._session)) for address in addresses]
        self._watch = liveliness.declare_subscriber(keys.ALIVE + "/**", self._see, history=True)

    def appeared(self) -> list[str]:
        """Addresses that came since the last call."""
        with self._lock:
            came, self._appeared = list(self._appeared), {}
        return came

    def disappeared(self) -> list[str]:
        """Addresses that went since the last call."""
        with self._lock:
            went, self._disappeared = list(self._disappeared), {}
        return went

    def here(self) -> list[str]:
        """Addresses that are there now."""
        with self._lock:
            return sorted(self._sessions)

    def _see(self, sample: Any) -> None:
        """On a thread of Zenoh."""
        address, session = keys.read_token(str(sample.key_expr))
        if session == self._session:
            return
        with self._lock:
            if sample.kind == self._put:
                if address not in self._sessions:
                    self._appeared[address] = None
                self._sessions.setdefault(address, set()).add(session)
            elif session in self._sessions.get(address, ()):
                self._sessions[address].discard(session)
                if not self._sessions[address]:
                    del self._sessions[address]
                    self._disappeared[address] = None
