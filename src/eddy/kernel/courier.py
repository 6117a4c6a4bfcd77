"""Messages of the fabric over a slow line, the same at both ends: what need not be said twice is not.

Everything on the fabric is repeated until it is answered, which is cheap where millions of bytes a second are carried and not where it is
240. So of messages about one thing only the newest waits, one is on its way at a time, and what has just arrived is not said again in the
same words.
"""

from eddy.kernel.assignment import ASSIGN, BATCH, HEARD, NEXT, read
from eddy.kernel.batch import Batch
from eddy.kernel.codec import encode
from eddy.kernel.comm import FABRIC

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from eddy.kernel.comm import DataComm

AGAIN_MS = 20000  # line time in which nothing is said twice in the same words


class _Sent:
    """The last message about something."""

    def __init__(self, data: bytes, handle: int, now_ms: int) -> None:
        self.data = data
        self.handle: int | None = handle  # None once it has arrived
        self.when_ms = now_ms  # it left; once it has arrived, when it did


class Courier:
    """One end.

    Args:
        comm: The line.
        arrived: Called when a message has arrived: for whom, bytes, and how long it took, ms.
    """

    def __init__(self, comm: "DataComm", arrived: "Callable[[str, int, int], None]" = lambda to, size, took_ms: None) -> None:
        self._comm = comm
        self._arrived = arrived
        self._waiting: list[tuple[tuple[Any, ...], bytes]] = []  # oldest subject first; a dict keeps no order on MicroPython
        self._sent: dict[tuple[Any, ...], _Sent] = {}

    def put(self, to: str, data: bytes) -> None:
        """A message to go; raises CodecError, SampleError for what is none."""
        subject, said = _subject(to, data), encode([to, data])
        for i in range(len(self._waiting)):
            if self._waiting[i][0] == subject:
                self._waiting[i] = (subject, said)
                return
        self._waiting.append((subject, said))

    def idle(self) -> bool:
        """Nothing waits."""
        return not self._waiting

    def turn(self, now_ms: int) -> None:
        """Hear what has arrived, and send the next one."""
        for handle, outcome in self._comm.arq.finished():
            for subject in list(self._sent):
                sent = self._sent[subject]
                if sent.handle == handle:
                    if outcome == "delivered":
                        self._arrived(subject[0], len(sent.data), now_ms - sent.when_ms)
                    else:
                        del self._sent[subject]
                    sent.handle, sent.when_ms = None, now_ms
        if any(sent.handle is not None for sent in self._sent.values()):
            return
        while self._waiting:
            subject, data = self._waiting.pop(0)
            last = self._sent.get(subject)
            if last and (last.data == data or subject[1] == HEARD) and now_ms - last.when_ms < AGAIN_MS:
                continue
            self._sent[subject] = _Sent(data, self._comm.send(FABRIC, data), now_ms)
            return


def _subject(to: str, data: bytes) -> "tuple[Any, ...]":
    """What a message is about: a later one about the same replaces it."""
    parts = read(data, True)
    if parts[0] == BATCH:
        batch = Batch(parts[2], True)
        return (to, BATCH, batch.stream, batch.origin)
    if parts[0] == ASSIGN:
        return (to, ASSIGN, parts[1][0])
    if parts[0] == HEARD:
        return (to, HEARD)
    return (to, parts[0], parts[1], parts[2] if parts[0] == NEXT else "")
