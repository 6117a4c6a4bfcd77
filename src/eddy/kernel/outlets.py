"""What a producer of a stream says to its consumers, and how often: one outbox for each, repeated until it is acknowledged."""

from eddy.kernel.assignment import BATCH, message
from eddy.kernel.batch import read_ack
from eddy.kernel.hop import Outbox

RETRY_MS = 200
BATCH_BYTES = 32768  # an entry of a log holds a batch, and a record of the hop at most 65,535 bytes


class Outlets:
    """The outboxes of one producer.

    Args:
        boxes: {consumer: outbox}; may change at any time.
        retry_ms: What is not acknowledged is sent again after this time.
        max_bytes: Of a batch.

    Attributes:
        narrow: {consumer: most bytes of a batch} of those that take less.
    """

    def __init__(self, boxes: dict[str, Outbox], retry_ms: int = RETRY_MS, max_bytes: int = BATCH_BYTES) -> None:
        self.boxes = boxes
        self.narrow: dict[str, int] = {}
        self._retry_ms = retry_ms
        self._max_bytes = max_bytes
        self._sent: dict[str, int] = {}  # when, ms

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
        self._sent.pop(consumer, None)
        return True

    def again(self, consumer: str) -> None:
        """A consumer is somewhere else now, and may not have got what was sent."""
        self._sent.pop(consumer, None)

    def speak(self, now_ms: int, below: int | None = None) -> "list[tuple[str, bytes]]":
        """(consumer, message) of what is to be sent now; `below` as in `Outbox.batch`."""
        out = []
        for consumer, box in self.boxes.items():
            if consumer not in self._sent or now_ms - self._sent[consumer] >= self._retry_ms:
                batch = box.batch(min(self._max_bytes, self.narrow.get(consumer, self._max_bytes)), below)
                if batch is not None:
                    self._sent[consumer] = now_ms
                    out.append((consumer, message(BATCH, consumer, batch)))
        return out
