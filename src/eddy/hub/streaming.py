"""Server-sent events (HTML Living Standard, 9.2), with positions from which a listener goes on after a break.

A `Follow` says what is new after a position. Listeners pull, so a slow one costs no memory, and one that comes back with `Last-Event-ID`
misses nothing that the hub still has.
"""

import json
from asyncio import get_running_loop, sleep
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from heapq import merge
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from eddy.errors import EddyError, SettingError
from eddy.hub.view import Decision, Event, HubView

PAGE = 200
"""News that are fetched at once."""

ALIVE_S = 15.0
"""After so long without news a comment is sent, so that both ends notice a dead connection."""


@dataclass(frozen=True, slots=True)
class News:
    """One server-sent event.

    Attributes:
        position: Its id: where to go on after it.
        kind: Its type.
        data: What happened, as JSON.
    """

    position: str
    kind: str
    data: Any

    def wire(self) -> bytes:
        """As bytes of the stream."""
        return f"id: {self.position}\nevent: {self.kind}\ndata: {json.dumps(self.data)}\n\n".encode()


class Follow(Protocol):
    """Something that can be followed. Called from worker threads, one at a time."""

    def now(self) -> str:
        """The position of whoever wants to know the future only."""

    def after(self, position: str) -> tuple[list[News], str]:
        """(news after a position, oldest first; where to go on). Raises EddyError when there is nothing to follow any more."""


class Feed:
    """Decisions and events of the hub, or those about one instance. A position is `DECISION.EVENT`: the last number of either.

    Args:
        hub: Whose.
        instance: About this one only; None for all.
    """

    def __init__(self, hub: HubView, instance: str | None = None) -> None:
        self._hub = hub
        self._instance = instance

    def now(self) -> str:
        """See `Follow`."""
        decisions, events = self._hub.decisions(None, None, 1), self._hub.events(None, 1)
        return f"{decisions[-1].number if decisions else 0}.{events[-1].number if events else 0}"

    def after(self, position: str) -> tuple[list[News], str]:
        """See `Follow`; raises SettingError for a position that is none."""
        decided, happened = _numbers(position)
        news = []
        pages: list[list[Decision | Event]] = [[*self._hub.decisions(self._instance, decided, PAGE)], [*self._hub.events(happened, PAGE)]]
        for item in merge(*pages, key=lambda item: item.time_ms):  # which keeps either in the order of its numbers
            if isinstance(item, Decision):
                decided, kind = item.number, "decision"
            else:
                happened, kind = item.number, "event"
            if self._instance in (None, item.instance):
                news.append(News(f"{decided}.{happened}", kind, asdict(item)))
        return news, f"{decided}.{happened}"


class Watch:
    """One value that changes, such as the owner of an instance: what is new is how it is now. Changes in between may be left out.

    Args:
        kind: Type of the events.
        look: Says (position, data) now; the position changes with the data. None when it cannot be told now.
    """

    def __init__(self, kind: str, look: Callable[[], tuple[str, Any] | None]) -> None:
        self._kind = kind
        self._look = look

    def now(self) -> str:
        """See `Follow`."""
        seen = self._look()
        return seen[0] if seen else ""

    def after(self, position: str) -> tuple[list[News], str]:
        """See `Follow`."""
        seen = self._look()
        if seen is None or seen[0] == position:
            return [], position
        return [News(seen[0], self._kind, seen[1])], seen[0]


async def stream(follow: Follow, position: str, every_s: float, closing: Callable[[], bool]) -> AsyncIterator[bytes]:
    """What follows a position, as bytes, until the hub closes or there is nothing to follow.

    Args:
        follow: What is followed.
        position: After where.
        every_s: How often to look for news, s.
        closing: Whether the hub is about to end.
    """
    spoke = get_running_loop().time()
    yield f"id: {position}\n\n".encode()  # no event: the listener knows where it is, even when nothing comes before a break
    while not closing():
        try:
            news, position = await run_in_threadpool(follow.after, position)
        except EddyError:
            return
        for item in news:
            yield item.wire()
        now = get_running_loop().time()
        if news:
            spoke = now
        elif now - spoke >= ALIVE_S:
            spoke = now
            yield b":\n\n"
        if len(news) < PAGE:
            await sleep(every_s)


def _numbers(position: str) -> tuple[int, int]:
    decided, dot, happened = position.partition(".")
    if not (dot and _is_number(decided) and _is_number(happened)):
        raise SettingError(f"{position!r} is no position of this stream: give the id of an event that came from it")
    return int(decided), int(happened)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
