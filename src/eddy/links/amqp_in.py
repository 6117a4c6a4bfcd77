"""Driver `amqp` of a source: takes the messages of a queue, and acknowledges each to the broker when it is kept."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread
from typing import Any

from eddy.errors import LinkLost, SettingError
from eddy.links.amqp import broker, pika, words
from eddy.links.decoders import Form, quarantined
from eddy.links.driver import Home
from eddy.links.intake import Intake, Message, Opened, Samples, outcome
from eddy.links.senders import Senders

LARGEST = 1 << 20
PREFETCH = 1000
_AT_ONCE = 64  # messages that are decoded ahead of there being room for them
_LEAVE_S = 2.0
_SHUTDOWN, _FORBIDDEN, _OTHERWISE = 320, 403, 406  # AMQP 0-9-1, section 1.5: connection-forced, access-refused, precondition-failed


class Consume:
    """Consumes a durable queue of a broker for AMQP 0-9-1, which is declared if it is not there.

    A message is acknowledged (basic.ack) once all its samples are kept. When the connection is lost, what was not acknowledged comes again,
    here or to another consumer of the queue: `unique` sees to it that it counts once. A message with `reply_to` is answered in that queue,
    with its `correlation_id`, once it is kept: `{"kept": samples}`, or `{"kept": 0, "quarantined": 1, "reason": ...}`. That is the receipt
    of this node; what a publisher hears from the broker is the broker's promise. Answers have a connection of their own: a broker that
    runs out of room stops listening to one that publishes, and ends one that is asked to answer at a queue that cannot be.

    Args:
        to: `amqp://host:port/vhost`, or `amqps://` for TLS; user and password may stand before the host. Messages name host and port only.
        queue: Name of the queue. One that is there with arguments (`x-queue-type` and others) is taken as it is.
        exchange: What to bind it to; nothing, without. It must be there.
        routing_key: What to bind it with, one or several. Where there is a `*` or `#`, the routing key of a message is who measured it,
            unless the message says so.
        prefetch: Messages that the broker sends ahead of acknowledgements.
        ca, certificate, key: Files, PEM, for TLS: whom to trust, and who this is.
        largest: Bytes of a message; what is longer goes to quarantine.
        timeout_s: How long connecting may take, and how long the broker may take no answers.
        allow, unknown: Who may send; see `eddy.links.senders.Senders`.
        remember: How many keys are remembered, with `unique`.
        resume: Ignored: the broker knows what was acknowledged.
        home: Of the node.
        form: How a message is written; see `eddy.links.decoders.Form`.

    Raises:
        SettingError: No such address, or a routing key without an exchange.
        LinkLost: The broker is not there, or does not let us have the queue.
    """

    at_home = True

    def __init__(
        self,
        *,
        to: str,
        queue: str,
        exchange: str = "",
        routing_key: str | Sequence[str] = (),
        prefetch: int = PREFETCH,
        ca: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        largest: int = LARGEST,
        timeout_s: int = 10,
        allow: str | Sequence[str] = (),
        unknown: str | None = None,
        remember: int = 0,
        resume: int = 0,
        home: Home | None = None,
        **form: Any,
    ) -> None:
        keys = [routing_key] if isinstance(routing_key, str) else list(routing_key)
        if keys and not exchange:
            raise SettingError(f"routing_key {keys[0]!r} of which exchange? Name it with `exchange`")
        self._parameters, self._where, self._user = broker(to, timeout_s, ca, certificate, key)
        self._queue, self._exchange, self._prefetch, self._largest = queue, exchange, prefetch, largest
        self._keys = keys or [""] * bool(exchange)
        self._many = any(sign in one for one in keys for sign in "*#")
        self._senders = Senders(allow, unknown, home)
        self._opened = Opened(Form(**form), senders=self._senders)
        self._intake = Intake(self._confirm)
        self.counts = self._intake.counts
        self._closed, self._as_it_is = False, False
        self._heard: deque[tuple[Any, Any, bytes]] = deque()  # bounded by `prefetch`
        self._burst: list[Message] = []  # of these, what is decoded
        self._owed: deque[tuple[int, int | None]] = deque()  # to be acknowledged, in order: message, its receipt
        self._told, self._untold = 0, set[int]()  # receipts: how many, and those that the broker has not confirmed
        self._ready, self._refusal = Event(), ""
        self._loop = pika.adapters.select_connection.IOLoop()
        self._channel: Any = None
        self._answers: Any = None
        self._connections: list[Any] = []
        self._connect(self._may_answer)
        self._thread = Thread(target=self._run, name="amqp", daemon=True)
        self._thread.start()
        if not self._ready.wait(timeout_s) or self._refusal:
            self.close()
            raise LinkLost(f"{self._where} {self._refusal or f'has not answered within {timeout_s} s'}")
        self._senders.begin()

    def read(self) -> Samples | None:
        """See `eddy.links.driver.Source`; raises LinkLost when the connection is gone."""
        return self._intake.read()

    def kept(self, count: int) -> None:
        """See `eddy.links.driver.Source`."""
        self._intake.kept(count)

    def close(self) -> None:
        """Take leave of the broker; it keeps what was not acknowledged."""
        self._closed = True
        self._senders.close()
        self._intake.close()
        self._loop.add_callback_threadsafe(self._leave)
        self._thread.join(2 * _LEAVE_S)

    # What follows is called on the thread of the connection, but for `_confirm`.

    def _run(self) -> None:
        try:
            self._loop.start()
        except Exception as error:  # nobody else would hear of it
            self._refuse(f"has gone: {error}")
        self._loop.close()

    def _leave(self) -> None:
        for connection in self._connections:
            if not (connection.is_closing or connection.is_closed):
                connection.close()
        self._loop.call_later(_LEAVE_S * any(not connection.is_closed for connection in self._connections), self._loop.stop)

    def _connect(self, then: Callable[[Any], None]) -> None:
        opened = partial(_open_channel, then)
        self._connections.append(pika.SelectConnection(self._parameters, opened, self._gone, self._gone, custom_ioloop=self._loop))

    def _may_answer(self, channel: Any) -> None:
        self._answers = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.confirm_delivery(self._confirmed)
        self._connect(self._consume)

    def _consume(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_cancel_callback(lambda frame: self._refuse(f"gives no more of the queue {self._queue}: was it deleted?"))
        channel.queue_declare(self._queue, passive=self._as_it_is, durable=True)
        for key in self._keys:
            channel.queue_bind(self._queue, self._exchange, key)
        channel.basic_qos(prefetch_count=self._prefetch)
        channel.basic_consume(self._queue, self._message, callback=lambda frame: self._ready.set())

    def _channel_closed(self, channel: Any, reason: Exception) -> None:
        if _by_broker(reason):
            if channel is self._answers:
                self._untold.clear()  # who asked hears nothing; else it would come again, and be refused again
                self._settle()
            elif not self._as_it_is and _made_by_others(reason):
                self._as_it_is = True
                _open_channel(self._consume, channel.connection)
                return
        self._refuse(words(reason, self._user))

    def _gone(self, connection: Any, error: Exception) -> None:
        self._refuse(words(error, self._user))
        if self._closed and all(one.is_closed for one in self._connections):
            self._loop.stop()

    def _refuse(self, why: str) -> None:
        self._refusal = self._refusal or why
        self._ready.set()
        self._intake.fail(LinkLost(f"{self._where} {self._refusal}"))

    def _message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if not self._heard:  # once for all that is read in one go
            self._loop.add_callback(self._flush)
        self._heard.append((method, properties, body))

    def _flush(self) -> None:
        """Hand over what there is room for. Who waits for it, waits for something to be kept; then it is tried again."""
        while not self._closed:
            while self._heard and len(self._burst) < _AT_ONCE:
                self._burst.append(self._open(*self._heard.popleft()))
            taken = self._intake.offer_all(self._burst)
            del self._burst[:taken]
            if not taken:
                return

    def _open(self, method: Any, properties: Any, body: bytes) -> Message:
        key = _text(method.routing_key)
        if len(body) > self._largest:
            faults = [f"a message may have {self._largest} bytes, and this one has {len(body)}"]
            samples: Samples = [(self._opened.now_ns(), quarantined(body, faults[0], key or self._queue))]
        else:
            origin = (key or None) if self._many else None
            samples, faults = self._opened.open(body, origin, key or self._queue, resent=method.redelivered)
        return samples, len(body), (method.delivery_tag, properties, outcome(samples, faults))

    def _confirm(self, receipts: list[tuple[int, Any, dict[str, Any]]]) -> None:
        self._loop.add_callback_threadsafe(partial(self._acknowledge, receipts))

    def _acknowledge(self, receipts: list[tuple[int, Any, dict[str, Any]]]) -> None:
        """A message with a receipt only when the broker has that: a node that ends before would have told nobody."""
        self._owed.extend((tag, self._answer(asked, answer)) for tag, asked, answer in receipts)
        self._settle()
        self._flush()

    def _answer(self, asked: Any, answer: dict[str, Any]) -> int | None:
        """Publish a receipt; its number. Where that cannot be, the message is not acknowledged, either, and comes again."""
        if not asked.reply_to:
            return None
        self._told += 1
        self._untold.add(self._told)
        if not self._answers.is_open:
            return self._told
        about = {"correlation_id": asked.correlation_id, "content_type": "application/json", "delivery_mode": pika.DeliveryMode.Persistent}
        self._answers.basic_publish("", asked.reply_to, json.dumps(answer).encode(), pika.BasicProperties(**about))
        return self._told

    def _confirmed(self, frame: Any) -> None:
        """A receipt that the broker has, or has no room for."""
        last = frame.method.delivery_tag
        self._untold -= {number for number in self._untold if number <= last} if frame.method.multiple else {last}
        self._settle()

    def _settle(self) -> None:
        last = 0
        while self._owed and self._owed[0][1] not in self._untold:
            last = self._owed.popleft()[0]
        if last and self._channel.is_open:
            self._channel.basic_ack(last, multiple=True)


def _open_channel(then: Callable[[Any], None], connection: Any) -> None:
    connection.channel(on_open_callback=then)


def _by_broker(reason: Any) -> bool:
    """Whether the broker does not like what was asked for; when it is shut down, nothing was wrong with that."""
    by_broker = pika.exceptions.ChannelClosedByBroker | pika.exceptions.ConnectionClosedByBroker
    return isinstance(reason, by_broker) and reason.reply_code != _SHUTDOWN


def _made_by_others(reason: Any) -> bool:
    """Whether a queue is there that we may not declare, or that has arguments which we would have to know."""
    return reason.reply_code == _FORBIDDEN or (reason.reply_code == _OTHERWISE and "arg 'x-" in reason.reply_text)


def _text(name: str | bytes) -> str:
    """Names are UTF-8, but nobody sees to it."""
    return name if isinstance(name, str) else name.decode(errors="backslashreplace")
