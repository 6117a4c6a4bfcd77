"""What a producer of a stream says to its consumers, and how often: one outbox for each, repeated until it is acknowledged."""

from eddy.kernel.assignment import BATCH, message
from eddy.kernel.batch import read_ack
from eddy.kernel.hop import Outbox

RETRY_MS = 200
MAX_RETRY_MS = 1000  # after a cut, what waits goes on at most so late
MAX_PATIENCE_MS = 5000  # for an answer of a consumer that has been slow
DOOR = "!"  # behind the name of a sink: its driver
BATCH_BYTES = 32768  # an entry of a log holds a batch, and a record of the hop at most 65,535 bytes


class Outlets:
    """The outboxes of one producer.

    Args:
        boxes: {consumer: outbox}; may change at any time.
        retry_ms: What is not acknowledged is sent again after this time, and then less and less often. A consumer that needs longer
            for its answers is given twice the time of its last one: repeats would only take from it the time to answer.
        max_bytes: Of a batch.
        doors: Whether drivers are told; else they look for themselves.

    Attributes:
        narrow: {consumer: most bytes of a batch} of those that take less.
    """

    def __init__(self, boxes: dict[str, Outbox], retry_ms: int = RETRY_MS, max_bytes: int = BATCH_BYTES, doors: bool = True) -> None:
        self.boxes = boxes
        self.narrow: dict[str, int] = {}
        self._retry_ms = retry_ms
        self._max_bytes = max_bytes
        self._doors = doors
        self._now = 0  # ms, as last told
        self._sent: dict[str, tuple[int, int, int]] = {}  # when first, when last, when again after that, ms
        self._patience: dict[str, int] = {}  # ms

    def acked(self, consumer: str, ack: bytes) -> bool:
        """A consumer has outputs; whether that is news.

        Raises:
            CodecError, SampleError: No acknowledgement.
            Fenced: The consumer has heard of a later owner.
        """
        read_ack(ack)
        box = self.boxes.get(consumer)
        if box is None:
            return False
        before = box.floor()
        if not box.acknowledge(ack) or box.floor() <= before:
            return False
        if consumer in self._sent:
            first, _, _ = self._sent.pop(consumer)
            self._patience[consumer] = max(self._retry_ms, min(2 * (self._now - first), MAX_PATIENCE_MS))
        return True

    def again(self, consumer: str) -> None:
        """A consumer is somewhere else now, and may not have got what was sent."""
        self._sent.pop(consumer, None)
        self._patience.pop(consumer, None)

    def speak(self, now_ms: int, below: int | None = None) -> "list[tuple[str, bytes]]":
        """(consumer, message) of what is to be sent now; `below` as in `Outbox.batch`."""
        self._now = now_ms
        out = []
        for consumer, box in self.boxes.items():
            if not self._doors and consumer.endswith(DOOR):
                continue
            patience = self._patience.get(consumer, self._retry_ms)
            first, last, wait = self._sent.get(consumer, (now_ms, now_ms, 0))
            if now_ms - last >= wait:
                width = min(self._max_bytes, self.narrow.get(consumer, self._max_bytes))
                # A repeat of much would take from a consumer who is only slow the time to answer: a part of it is enough to be heard.
                batch = box.batch(min(width, self._max_bytes) if consumer in self._sent else width, below)
                if batch is not None:
                    self._sent[consumer] = (first, now_ms, max(patience, min(2 * wait, MAX_RETRY_MS)))
                    out.append((consumer, message(BATCH, consumer, batch)))
        return out
