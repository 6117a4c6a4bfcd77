"""Sparkplug B: who is born, what aliases stand for, and when an edge node is asked to say so again (Sparkplug 3.0, sections 4 to 6)."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from eddy.errors import SettingError, Undecodable
from eddy.links.decoders import SAMPLES, WHOLE, Reading, digest
from eddy.links.plain import SAMPLE_BYTES, Plain, time_ns
from eddy.links.sparkplug_payload import parser, rebirth, value_of

NODES = 10_000
"""Edge nodes that are remembered, at most."""

METRICS = 100_000
"""Likewise, metrics of their births: by alias, or by name where there is none."""

REBIRTH_S = 10.0
"""Between two rebirths that are asked of an edge node, at least."""

ONLINE = "online"
_SESSION = "bdSeq"
_NUMBERS = 256  # of messages, then from 0 again
_LONGEST = 1024  # characters of a topic, and of the name of a metric: both are remembered
_SAID = {"NBIRTH": 4, "NDEATH": 4, "NDATA": 4, "NCMD": 4, "DBIRTH": 5, "DDEATH": 5, "DDATA": 5, "DCMD": 5}  # levels of their topics


@dataclass(slots=True)
class _Node:
    """An edge node.

    Attributes:
        name: `GROUP/EDGE`.
        born: {alias, or (device, name) of what has none: (name, datatype)}.
        number: Of its last message; None when that is not known.
        session: Number of its last birth, which the death of that session has, too.
        asked_s: When it was asked for a rebirth.
    """

    name: str
    born: dict[Any, tuple[str, int]] = field(default_factory=dict)
    number: int | None = None
    session: int | None = None
    asked_s: float | None = None


@dataclass(slots=True)
class _Sample:
    time_ns: int | None
    value: dict[str, Any] = field(default_factory=dict)
    size: int = 0


class Sparkplug:
    """Decodes what edge nodes publish: a `Decoder` with a memory, for one thread.

    Metrics of a message that have the same time are one sample, `{metric: value}`, of `GROUP/EDGE` or `GROUP/EDGE/DEVICE`. Where one comes
    twice, or there are more than a sample holds, another one of that time begins. A birth says `"online": true` besides, a death
    `"online": false`. The death of an edge node was written when it connected: its time is when it comes, and one of a session that a
    later birth has ended says nothing.

    What aliases stand for, and the datatypes of metrics that come without, is known from births, and by this object only. Of more than
    `NODES` edge nodes those are forgotten that have been silent for longest, and of more than `METRICS` metrics those of these. A message
    with an alias that is not known cannot be decoded. Its edge node is then asked for a rebirth, as when the number of a message shows that
    one is missing.

    Args:
        value: Metrics that are wanted, one or several; all without. Where it is one, samples are its value.
        scale: Counts per unit, as of `eddy.links.decoders.Form`.
        unique: `.`: the key of a sample is all of it.
        ask: Publishes a command, (topic, payload); None: nobody is asked.
        clock: Seconds, for `REBIRTH_S`.
        form: Ignored: these messages say themselves what they hold.

    Attributes:
        unique: Whether samples have a key.
        jumps: How often messages were missing.

    Raises:
        SettingError: No such key.
        ToolMissing: The package protobuf is not here.
    """

    def __init__(
        self,
        *,
        value: str | Sequence[str] = (),
        scale: int | None = None,
        unique: str = "",
        ask: Callable[[str, bytes], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        **form: Any,
    ) -> None:
        if unique not in ("", WHOLE):
            raise SettingError(f"unique {unique!r}: a message of Sparkplug has no such key; write '.', or leave it out")
        wanted = [value] if isinstance(value, str) else list(value)
        self._wanted = frozenset(wanted)
        self._only = wanted[0] if len(wanted) == 1 else None
        self._scale = scale
        self._ask, self._clock = ask, clock
        self._parse = parser()
        self._nodes: dict[str, _Node] = {}  # who was heard last is the last one
        self._metrics = 0
        self.unique = bool(unique)
        self.jumps = 0

    def decode(self, payload: bytes, now_ns: int = 0, sender: str | None = None) -> list[Reading]:
        """The samples of a message; none of commands.

        Args:
            payload: The message.
            now_ns: The time.
            sender: Its topic.

        Raises:
            Undecodable: It is none of Sparkplug, or what it holds cannot be stored; no sample of it is used.
        """
        said, name, device = _place(sender or "")
        if said in ("NCMD", "DCMD", "STATE"):
            return []
        message = self._parse(payload)
        if len(message.metrics) > SAMPLES:
            raise Undecodable(f"the message holds {len(message.metrics)} metrics: send at most {SAMPLES} at once")
        node = self._heard(name)
        try:
            found = self._death(node, message) if said == "NDEATH" else self._news(said, node, device, message, now_ns)
            return list(self._readings(f"{name}/{device}" if device else name, found))
        except UnicodeDecodeError as error:
            raise Undecodable(f"the message has a name or text that is no UTF-8 at its byte {error.start}") from None

    def _heard(self, name: str) -> _Node:
        node = self._nodes.pop(name, None) or _Node(name)
        self._nodes[name] = node
        self._bound()
        return node

    def _bound(self) -> None:
        while len(self._nodes) > NODES:
            self._metrics -= len(self._nodes.pop(next(iter(self._nodes))).born)
        for node in self._nodes.values():
            if self._metrics <= METRICS:
                break
            self._metrics -= len(node.born)
            node.born = {}  # but not when it was asked last: one with too many metrics would be asked for them without end

    def _death(self, node: _Node, message: Any) -> Iterator[tuple[int | None, str, Any]]:
        session = _session(message)
        if session is None or node.session is None or session == node.session:
            yield None, ONLINE, False

    def _news(self, said: str, node: _Node, device: str, message: Any, now_ns: int) -> Iterator[tuple[int | None, str, Any]]:
        """(time in ms or None for now, metric, value) of all that is wanted; what the message says about its edge node is noted."""
        sent_ms = message.timestamp if message.HasField("timestamp") else None
        if message.HasField("seq"):
            if said != "NBIRTH" and node.number is not None and message.seq != (node.number + 1) % _NUMBERS:
                self.jumps += 1
                self._ask_again(node, now_ns)
            node.number = message.seq
        if said == "DDEATH":
            yield sent_ms, ONLINE, False
            return
        if said.endswith("BIRTH"):
            self._learn(said, node, device, message)
            yield sent_ms, ONLINE, True
        for metric in message.metrics:
            name, datatype = self._named(metric, node, device, now_ns)
            if not self._wanted or name in self._wanted:
                at_ms = metric.timestamp if metric.HasField("timestamp") else sent_ms
                yield at_ms, name, value_of(metric, datatype, f"metric {name[:80]!r}")

    def _learn(self, said: str, node: _Node, device: str, message: Any) -> None:
        """From a birth: that of an edge node begins anew, that of a device adds to it."""
        named = ((metric, metric.name) for metric in message.metrics)
        born = {_key(metric, device): (name, metric.datatype) for metric, name in named if 0 < len(name) <= _LONGEST}
        if said == "NBIRTH":
            node.session = _session(message)
        else:
            born = node.born | born
        self._metrics += len(born) - len(node.born)
        node.born = born
        self._bound()

    def _named(self, metric: Any, node: _Node, device: str, now_ns: int) -> tuple[str, int]:
        """Its name and datatype."""
        known = node.born.get(_key(metric, device))
        name = metric.name or (known[0] if known else "")
        if not name and metric.HasField("alias"):
            self._ask_again(node, now_ns)
            raise Undecodable(f"alias {metric.alias} of {node.name} is not known: its birth was not heard")
        if not 0 < len(name) <= _LONGEST:
            raise Undecodable(f"a metric of {node.name} has a name of {len(name)} characters: expected 1 to {_LONGEST}")
        datatype = metric.datatype or (known[1] if known else None)
        if datatype is None and not metric.is_null:
            self._ask_again(node, now_ns)
            raise Undecodable(f"metric {name[:80]!r} of {node.name} comes without its datatype: its birth was not heard")
        return name, datatype or 0

    def _ask_again(self, node: _Node, now_ns: int) -> None:
        """For a rebirth, if that was not done just now."""
        now_s = self._clock()
        if self._ask and (node.asked_s is None or now_s - node.asked_s >= REBIRTH_S):
            node.asked_s = now_s
            group, _, edge = node.name.partition("/")
            self._ask(f"spBv1.0/{group}/NCMD/{edge}", rebirth(now_ns // 1_000_000))

    def _readings(self, origin: str, found: Iterable[tuple[int | None, str, Any]]) -> Iterator[Reading]:
        plain = Plain(self._scale)
        samples: list[_Sample] = []
        latest: dict[int | None, _Sample] = {}
        for at_ms, name, value in found:
            if self._wanted and name not in self._wanted:
                continue
            before = plain.size
            stored = plain.value({name: value})
            size = plain.size - before
            sample = latest.get(at_ms)
            if sample is None or name in sample.value or sample.size + size > SAMPLE_BYTES:
                at_ns = None if at_ms is None else time_ns(at_ms, "ms", f"the timestamp of metric {name[:80]!r}")
                sample = latest[at_ms] = _Sample(at_ns)
                samples.append(sample)
            sample.value.update(stored)
            sample.size += size
        for one in samples:
            whole = one.value if self._only is None else one.value[self._only]
            yield Reading(one.time_ns, origin, whole, digest(one.time_ns, origin, whole) if self.unique else None)


def _place(topic: str) -> tuple[str, str, str]:
    """What a message says, of which edge node, and of which of its devices, if it is one."""
    levels = topic.split("/")
    if levels[0] == "spBv1.0" and all(levels) and len(topic) <= _LONGEST:
        if len(levels) == 3 and levels[1] == "STATE":
            return "STATE", "", ""
        if len(levels) > 3 and _SAID.get(levels[2]) == len(levels):
            return levels[2], f"{levels[1]}/{levels[3]}", "".join(levels[4:])
    raise Undecodable(f"topic {topic[:100]!r} is none of Sparkplug B, such as spBv1.0/GROUP/NDATA/EDGE or spBv1.0/GROUP/DDATA/EDGE/DEVICE")


def _key(metric: Any, device: str) -> Any:
    return metric.alias if metric.HasField("alias") else (device, metric.name)


def _session(message: Any) -> int | None:
    """The number that births and deaths of a session have in common."""
    for metric in message.metrics:
        if metric.name == _SESSION:
            field = metric.WhichOneof("value")
            return getattr(metric, field) if field in ("int_value", "long_value") else None
    return None
