"""Who may send: which origins a source takes, which it does not, and which wait until a person has decided at the hub."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from threading import Event, Lock, Thread
from typing import Any

from eddy.errors import LinkTimeout, SettingError
from eddy.links.driver import Home
from eddy.links.origins import LONGEST, Decided, Names, is_name
from eddy.security import keyfile

DEVICES = "devices"
"""What a node asks the hub: `[instance, number of the report, version of what it knows, [[origin, first_ms, last_ms, samples], ...]]`.

Answered with `[version, [[name or pattern, whether it is approved], ...]]`, the oldest first, or `[version, None]` when that is known.
A report with the number of the last one is that one again.
"""

WAITING = 1000
"""Origins of a source that wait, at most; what others send is counted under the origin ""."""

EVERY_S = 2.0


class Senders:
    """Whose samples a source takes. `refusal` may be called from any thread.

    Args:
        allow: Names and patterns of origins that it takes, see `eddy.links.origins.Names`.
        unknown: What happens to all others: `take`, `refuse`, or `wait` until they are approved at the hub. Without, `refuse` where `allow`
            names somebody, and `take` where it does not.
        home: Of the node; needed for `wait`.

    Attributes:
        everybody: All origins are taken: nobody needs to ask.

    Raises:
        SettingError: No such way to treat others, or no hub to wait for.
    """

    def __init__(self, allow: str | Sequence[str] = (), unknown: str | None = None, home: Home | None = None) -> None:
        listed = [allow] if isinstance(allow, str) else list(allow)
        how = unknown or ("refuse" if listed else "take")
        if how not in ("take", "refuse", "wait"):
            raise SettingError(f"unknown: {how!r} is nothing to do with other origins: write take, refuse or wait")
        if how == "wait" and home is None:
            raise SettingError("unknown: wait is for sources of a node with a hub, where devices are approved: write refuse here")
        self.everybody = how == "take"
        self._allow = Names(listed)
        self._approval = Approval(home) if how == "wait" and home else None

    def refusal(self, origin: str) -> str:
        """Why a sample of this origin is not taken; "" when it is."""
        if self.everybody or origin in self._allow:
            return ""
        if self._approval:
            return self._approval.refusal(origin)
        return f"origin {shown(origin)} is not allowed here: name it in `allow` of this source"

    def begin(self) -> None:
        """The source is there: go on asking the hub."""
        if self._approval:
            self._approval.begin()

    def close(self) -> None:
        """Ask no more."""
        if self._approval:
            self._approval.close()


class Approval:
    """Devices of one source that wait, and what people have decided about them.

    The hub is asked once at the start, for two seconds at most, and then every two seconds in a thread: who sends never waits for it. What
    it has said is kept in the node's folder and holds while it is away.

    Raises:
        LinkTimeout: The hub does not answer, and has said nothing to this node before: devices that are approved would be taken for others.
    """

    def __init__(self, home: Home) -> None:
        self._instance, self._ask = home.instance, home.ask
        self._file = Path(home.folder) / f"devices-{home.instance}.json"
        kept = _kept(self._file)
        self._version, self._decided = kept or (0, Decided())
        self._known = kept is not None
        self._waiting: dict[str, list[int]] = {}  # origin → first, last, samples; bounded by `WAITING`
        self._report: list[list[Any]] = []  # what the hub has not answered yet
        self._number = time.time_ns()
        self._lock = Lock()
        self._closed = Event()
        self._turn()
        if not self._known:
            raise LinkTimeout("the hub does not answer who may send here: nobody is taken until it does")

    def refusal(self, origin: str) -> str:
        """Why a sample of this origin is not taken, which is noted; "" when it is."""
        approved = self._decided.of(origin)
        if approved:
            return ""
        source = self._instance.partition("@")[0]
        order = f"eddy devices approve {quote(origin)} --source {source}"
        if approved is False:
            return f"origin {shown(origin)} was refused: {order} takes it again"
        if not is_name(origin):
            return f"origin {shown(origin)} cannot be approved: a name has up to {LONGEST} printable characters, and neither * nor ?"
        self._note(origin)
        return f"origin {origin} waits for approval: {order}"

    def tell(self) -> None:
        """Tell the hub who waits, and take from it what was decided."""
        with self._lock:
            if not self._report:
                self._report = [[origin, *seen] for origin, seen in self._waiting.items()]
                self._waiting = {}
                self._number += 1
        said = self._ask([DEVICES, [self._instance, self._number, self._version, self._report]])
        if said is None:
            return
        version, rules = said
        self._report = []
        if rules is not None or not self._known:
            rules = rules or []
            keyfile.write(self._file, json.dumps({"version": version, "rules": rules}).encode(), replace=True)
            self._decided = Decided(map(tuple, rules))
            self._version, self._known = version, True

    def begin(self) -> None:
        """Do so from now on."""
        Thread(target=self._run, name="approval", daemon=True).start()

    def close(self) -> None:
        """Ask no more; a question that is under way is not waited for."""
        self._closed.set()

    def _note(self, origin: str) -> None:
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            name = origin if origin in self._waiting or len(self._waiting) < WAITING else ""
            seen = self._waiting.setdefault(name, [now_ms, now_ms, 0])
            seen[1] = now_ms
            seen[2] += 1

    def _run(self) -> None:
        while not self._closed.wait(EVERY_S):
            self._turn()

    def _turn(self) -> None:
        try:
            self.tell()
        except Exception:  # the mesh may be closing, or the disk full: what is known holds, and it is tried again
            return


def shown(origin: str) -> str:
    """An origin in a message to people, whatever it is."""
    return origin if 0 < len(origin) <= LONGEST and origin.isprintable() else repr(origin[:40])


def _kept(file: Path) -> tuple[int, "Decided[bool]"] | None:
    """Version and decisions as they were kept; None where there is no such file, or a damaged one."""
    try:
        kept = json.loads(file.read_bytes())
        return kept["version"], Decided([(origin, approved) for origin, approved in kept["rules"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None
