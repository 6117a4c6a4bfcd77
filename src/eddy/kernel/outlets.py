"""What a producer of a stream says to its consumers, and how often: one outbox for each, repeated until it is acknowledged."""

from eddy.kernel.assignment import BATCH, message
from eddy.kernel.batch import read_ack
from eddy.kernel.hop import Outbox

RETRY_MS = 200
MAX_RETRY_MS = 1000  # after a cut, what waits goes on at most so late
BATCH_BYTES = 32768  # an entry of a log holds a batch, and a record of the hop at most 65,535 bytes


class Outlets:
    """The outboxes of one producer.

    Args:
        boxes: {consumer: outbox}; may change at any time.
        retry_ms: What is not acknowledged is sent again after this time. A consumer that is slower than that, or away, is sent less and
            less, so that repeats do not take from it the time to answer (exponential backoff; an answer to what was sent twice says
            nothing about how slow it is: Karn and Partridge, SIGCOMM 1987).
    """

    def __init__(self, boxes: dict[str, Outbox], retry_ms: int = RETRY_MS) -> None:
        self.boxes = boxes
        self._retry_ms = retry_ms
        self._now = 0  # ms, as last told
        self._sent: dict[str, int] = {}  # when, ms
        self._wait: dict[str, int] = {}  # for its acknowledgement, ms
        self._twice: list[str] = []  # consumers that were sent the same again

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
        sent = self._sent.pop(consumer, None)
        if sent is not None and consumer not in self._twice:
            self._wait[consumer] = max(self._retry_ms, min(2 * (self._now - sent), MAX_RETRY_MS))
        return True

    def again(self, consumer: str) -> None:
        """A consumer is somewhere else now, and may not have got what was sent."""
        self._sent.pop(consumer, None)
        self._wait.pop(consumer, None)

    def speak(self, now_ms: int, below: int | None = None) -> "list[tuple[str, bytes]]":
        """(consumer, message) of what is to be sent now; `below` as in `Outbox.batch`."""
        self._now = now_ms
        out = []
        for consumer, box in self.boxes.items():
            new = consumer not in self._sent
            wait = self._wait.get(consumer, self._retry_ms)
            if new or now_ms - self._sent[consumer] >= wait:
                batch = box.batch(BATCH_BYTES, below)
                if batch is not None:
                    self._sent[consumer] = now_ms
                    self._note(consumer, new, wait)
                    out.append((consumer, message(BATCH, consumer, batch)))
        return out

    def _note(self, consumer: str, new: bool, wait: int) -> None:
        if consumer in self._twice:
            self._twice.remove(consumer)
        if not new:
            self._twice.append(consumer)
            self._wait[consumer] = max(self._retry_ms, min(2 * wait, MAX_RETRY_MS))
