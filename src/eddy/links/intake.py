"""Between those who send and the node that reads: a bounded queue, and a receipt for each message once its samples are kept."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Condition
from typing import Any

from eddy.errors import Undecodable
from eddy.links.decoders import Decoder, quarantined
from eddy.links.origins import Names
from eddy.links.senders import Senders, shown

AT_ONCE = 1024
"""Samples that are read at once, or those of one message."""

SAMPLES = 8192
PAYLOAD_BYTES = 16 << 20
_PATIENCE_S = 0.5
_LINGER_S = 0.002  # for more to come: a node takes what was read every 10 ms, and being woken for each message costs more than it

_OURS = {"from", "quarantine"}  # what a sender calls so must not pass for what a source says

Samples = list[tuple[int, Any]]
Message = tuple[Samples, int, Any]
"""Its samples, its bytes, its receipt."""


class Intake:
    """What has come in and is not kept yet. Those who send call `offer` from their threads, the node's source thread reads.

    Args:
        confirm: Called from the node's loop with the receipts of messages whose samples are all kept, in the order of `offer`.
        samples, payload_bytes: What may be here that is not kept; more is not taken.

    Attributes:
        counts: `messages` and `samples` taken; `refused` messages for which there was no room.
    """

    def __init__(self, confirm: Callable[[list[Any]], None], samples: int = SAMPLES, payload_bytes: int = PAYLOAD_BYTES) -> None:
        self.counts = {"messages": 0, "samples": 0, "refused": 0}
        self._confirm = confirm
        self._samples, self._payload_bytes = samples, payload_bytes
        self._changed = Condition()
        self._queue: deque[Samples] = deque()
        self._receipts: deque[tuple[int, int, Any]] = deque()  # of which sample it is the last, bytes of the message, receipt
        self._offered = 0
        self._kept = 0
        self._bytes = 0
        self._fault: Exception | None = None
        self._closed = False

    def offer(self, samples: Samples, size: int, receipt: Any, wait_s: float = 0.0) -> bool:
        """A message.

        Args:
            samples: Of it; none for one that says nothing new: its receipt leaves when everything before it is kept.
            size: Bytes of the message.
            receipt: For `confirm`.
            wait_s: How long to wait for room.

        Returns:
            Whether there was room.
        """
        taken = self.offer_all([(samples, size, receipt)], wait_s) == 1
        self.counts["refused"] += not taken and not wait_s
        return taken

    def full(self, size: int) -> bool:
        """Whether there is no room for a message of so many bytes, which is refused then."""
        no_room = not self._room(1, size)
        self.counts["refused"] += no_room
        return no_room

    def offer_all(self, messages: Sequence[Message], wait_s: float = 0.0) -> int:
        """Several messages; returns how many there was room for, the first ones."""
        taken = 0
        with self._changed:
            for samples, size, receipt in messages:
                if wait_s and not self._room(len(samples), size):
                    self._changed.notify_all()  # whoever reads makes the room
                    self._changed.wait_for(partial(self._room, len(samples), size), wait_s)
                if self._closed or not self._room(len(samples), size):
                    break
                taken += 1
                self._offered += len(samples)
                self._bytes += size
                self.counts["messages"] += 1
                self.counts["samples"] += len(samples)
                self._receipts.append((self._offered, size, receipt))
                if samples:
                    self._queue.append(samples)
            self._changed.notify_all()
            nothing_waits = self._kept == self._offered
        if nothing_waits:
            self.kept(0)
        return taken

    def read(self) -> Samples | None:
        """The samples of some messages, in order; waits half a second for the first. Raises what `fail` was given."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._fault or self._closed, _PATIENCE_S)
            if self._fault:
                raise self._fault
            if not self._queue:
                return None
            few = len(self._queue) < AT_ONCE
        if few:
            time.sleep(_LINGER_S)
        with self._changed:
            out = [*self._queue.popleft()]  # whoever offered it may still count it
            while self._queue and len(out) + len(self._queue[0]) <= AT_ONCE:
                out += self._queue.popleft()
            return out

    def kept(self, count: int) -> None:
        """So many of the samples that were read are kept."""
        done = []
        with self._changed:
            self._kept = max(self._kept, count)
            while self._receipts and self._receipts[0][0] <= self._kept:
                _, size, receipt = self._receipts.popleft()
                self._bytes -= size
                done.append(receipt)
            self._changed.notify_all()
        if done:
            self._confirm(done)

    def fail(self, error: Exception) -> None:
        """Whoever reads shall raise this: the driver is started again, and what is not kept comes again from who sent it."""
        with self._changed:
            self._fault = error
            self._changed.notify_all()

    def close(self) -> list[Any]:
        """Take no more; returns the receipts that nobody gets."""
        with self._changed:
            self._closed = True
            rest = [receipt for _, _, receipt in self._receipts]
            self._receipts.clear()
            self._changed.notify_all()
            return rest

    def _room(self, samples: int, size: int) -> bool:
        waiting = self._offered - self._kept
        return self._closed or not waiting or (waiting + samples <= self._samples and self._bytes + size <= self._payload_bytes)


class Opened:
    """Samples of messages as a source gives them on, in a form.

    A sample is its value; `{"from": origin, "value": value}` where it is known who measured it, or where a value has such names itself,
    and with `"key"` where the form says what tells one from the other; such a map says `"resent": true` of a message that was sent before.
    What cannot be decoded, or is of an origin that may not send, is a sample, too: see `eddy.links.decoders.quarantined`.

    Args:
        form: Of the messages.
        now_ns: The clock, for messages that say no time.
        senders: Who may send; everybody without.

    Attributes:
        quarantined: Messages that could not be decoded, and samples of who may not send.
    """

    def __init__(self, form: Decoder, now_ns: Callable[[], int] = time.time_ns, senders: Senders | None = None) -> None:
        self._form = form
        self.now_ns = now_ns
        self._senders = None if senders and senders.everybody else senders
        self.quarantined = 0

    def open(
        self,
        payload: bytes,
        origin: str | None = None,
        sender: str | None = None,
        speaks_for: Names | None = None,
        resent: bool = False,
    ) -> tuple[Samples, list[str]]:
        """The samples of a message, and for each of these that is in quarantine, why.

        Args:
            payload: The message.
            origin: Who measured samples that do not say so.
            sender: Who sent it, for what goes to quarantine, where `origin` stands for it, and for the decoder. It counts as the origin of
                samples that have none when it is looked at who may send.
            speaks_for: Whose samples this sender may bring; all when None.
            resent: It has been sent before.
        """
        now_ns = self.now_ns()
        try:
            readings = self._form.decode(payload, now_ns, sender)
        except Undecodable as error:
            self.quarantined += 1
            return [(now_ns, quarantined(payload, str(error), sender or origin))], [str(error)]
        samples: Samples = []
        faults = []
        checked = speaks_for is not None or self._senders is not None
        for at, who, value, key in readings:
            if who is None:
                who = origin  # noqa: PLW2901
            if checked and (fault := self._refusal(who or sender or "", speaks_for)):
                faults.append(fault)
                one = payload if len(readings) == 1 else repr({"time_ns": at, "value": value}).encode(errors="replace")
                samples.append((now_ns, quarantined(one, fault, who or sender)))
                continue
            ours = {"resent": True} if resent else {}
            if self._form.unique:
                value = {"key": key, "from": who, "value": value, **ours}  # noqa: PLW2901
            elif who is not None or (isinstance(value, dict) and not _OURS.isdisjoint(value)):
                value = {"from": who, "value": value, **ours}  # noqa: PLW2901
            samples.append((now_ns if at is None else at, value))
        self.quarantined += len(faults)
        return samples, faults

    def _refusal(self, origin: str, speaks_for: Names | None) -> str:
        if speaks_for is not None and origin not in speaks_for:
            return f"origin {shown(origin)} is none that this token speaks for: see `tokens` of this source"
        return self._senders.refusal(origin) if self._senders else ""


def outcome(samples: Samples, faults: list[str]) -> dict[str, Any]:
    """What a sender is told of its message once it is kept."""
    if not faults:
        return {"kept": len(samples)}
    return {"kept": len(samples) - len(faults), "quarantined": len(faults), "reason": faults[0]}
