"""A sender over AMQP 0-9-1: each message asks for an answer, which comes when the node has kept it."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from eddy.errors import LinkLost, LinkTimeout, Refused
from eddy.links.amqp import broker, pika, words
from eddy.links.send import Counting

_LOOK_S = 0.5


class Queued(Counting):
    """See `eddy.links.send.Sender`. A message for a queue that is not there comes back, and is refused."""

    def __init__(self, to: str, queue: str, ca: str | None, inflight: int, patience_s: float) -> None:
        super().__init__()
        parameters, self._where, self._user = broker(to, patience_s, ca)
        self._queue, self._inflight, self._patience_s = queue, inflight, patience_s
        self._waiting, self._unknown = 0, False
        try:
            self._connection = pika.BlockingConnection(parameters)
            self._channel = self._connection.channel()
            self._channel.add_on_return_callback(self._returned)
            answers = self._channel.queue_declare("", exclusive=True).method.queue
            self._channel.basic_consume(answers, self._answered, auto_ack=True)
        except (pika.exceptions.AMQPError, OSError) as error:
            raise LinkLost(f"{self._where} {words(error, self._user)}") from None
        self._about = pika.BasicProperties(content_type="application/json", reply_to=answers, delivery_mode=pika.DeliveryMode.Persistent)

    def send(self, body: bytes) -> None:
        self._wait(lambda: self._waiting < self._inflight)
        self._waiting += 1
        try:
            self._channel.basic_publish("", self._queue, body, self._about, mandatory=True)
        except pika.exceptions.AMQPError as error:
            raise self._gone(error) from None

    def finish(self) -> None:
        self._wait(lambda: not self._waiting)

    def close(self) -> None:
        with suppress(pika.exceptions.AMQPError):  # it may be gone already
            self._connection.close()

    def _wait(self, holds: Callable[[], bool]) -> None:
        waiting, end_s = self._waiting, time.monotonic() + self._patience_s
        while not holds():
            try:
                self._connection.process_data_events(_LOOK_S)
            except pika.exceptions.AMQPError as error:
                raise self._gone(error) from None
            if self._unknown:
                raise Refused(f"{self._where} has no queue {self._queue}: does a source consume it?")
            if self._waiting < waiting:  # as long as something comes there is hope
                waiting, end_s = self._waiting, time.monotonic() + self._patience_s
            elif time.monotonic() > end_s:
                way = "does a source consume that queue?"
                raise LinkTimeout(f"within {self._patience_s:g} s nobody behind {self._where} has answered: {way}")

    def _answered(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._heard(json.loads(body))
        self._waiting -= 1

    def _returned(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._unknown = True

    def _gone(self, error: pika.exceptions.AMQPError) -> LinkLost:
        unsure = f"of {self._waiting} messages it is not known whether they are kept"
        return LinkLost(f"{self._where} {words(error, self._user)}; {unsure}; send them again")
