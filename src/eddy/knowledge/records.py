"""What a device says over a hop, read with care: hop records become rows, or a `SampleError` that names what is wrong.

A device is trusted to be itself, not to be right: its flash may rot and its firmware may be of another age.
"""

from dataclasses import dataclass
from typing import Any

from eddy.errors import SampleError
from eddy.kernel.features import NAMES

WINDOWS, EVENTS = "windows", "events"
NORMAL, ANOMALOUS, TRAINING = LABELS = 0, 1, 2
JUDGED = (NORMAL, ANOMALOUS)  # labels that a champion gives
UNSCORED = -1
ONE = 1 << 16  # 1.0 as a Q16 score
WIDTH = len(NAMES)  # features in a reported window

_INT32 = range(-(1 << 31), 1 << 31)
_COUNT = range(0, 1 << 63)


@dataclass(frozen=True, slots=True)
class Window:
    """One reported window.

    Attributes:
        origin: The device.
        seq: Its number in the stream `windows`.
        time_ns: Sample time of its first sample.
        position: Index of the window at the origin; windows that were not reported leave holes.
        score: The champion's score, Q16, or -1 while training.
        label: `NORMAL`, `ANOMALOUS` or `TRAINING`.
        model_sequence: Sequence of the package whose model gave the score.
        features: One int32 for each of `eddy.kernel.features.NAMES`.
    """

    origin: str
    seq: int
    time_ns: int
    position: int
    score: int
    label: int
    model_sequence: int
    features: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a device.

    Attributes:
        origin: The device.
        seq: Its number in the stream `events`.
        time_ns: Sample time.
        kind: What happened: boot, trained, installed, confirmed, reverted, refused, sensor, dropped, storage.
        value: The whole event, plain data with text keys.
    """

    origin: str
    seq: int
    time_ns: int
    kind: str
    value: dict[str, Any]

    def number(self, key: str, default: int | None = None) -> int:
        """The non-negative integer called `key`.

        Raises:
            SampleError: It is missing (and there is no default), no integer or negative.
        """
        return _integer(self.value.get(key, default), f"{key!r} of the event {self.kind!r}", _COUNT)


def _integer(value: Any, name: str, allowed: range) -> int:
    if type(value) is not int or value not in allowed:
        raise SampleError(f"{name} is {value!r:.40}; expected an integer from {allowed.start} to {allowed.stop - 1}")
    return value


def window(origin: str, seq: int, time_ns: int, value: Any) -> Window:
    """A record of the stream `windows`: [index, score, label, model sequence, features].

    Raises:
        SampleError: It has another shape, or a number is out of range.
    """
    if not isinstance(value, list | tuple) or len(value) != 5 or not isinstance(value[4], list | tuple):
        raise SampleError(f"window {seq} of {origin} is not [index, score, label, model sequence, features]")
    position, score, label, sequence, features = value
    if len(features) != len(NAMES):
        raise SampleError(f"window {seq} of {origin} has {len(features)} features, this gateway knows {len(NAMES)}: same version on both?")
    return Window(
        origin,
        seq,
        _integer(time_ns, "sample time", range(-(1 << 63), 1 << 63)),
        _integer(position, "window index", _COUNT),
        _integer(score, "score", range(UNSCORED, ONE + 1)),
        _integer(label, "label", range(NORMAL, TRAINING + 1)),
        _integer(sequence, "model sequence", _COUNT),
        tuple(_integer(f, "feature", _INT32) for f in features),
    )


def event(origin: str, seq: int, time_ns: int, value: Any) -> Event:
    """A record of the stream `events`: a map with the kind under "e".

    Raises:
        SampleError: It has another shape.
    """
    if not isinstance(value, dict) or not isinstance(value.get("e"), str):
        raise SampleError(f"event {seq} of {origin} is not a map with its kind under 'e'")
    if "sequence" in value:
        _integer(value["sequence"], "package sequence", range(1 << 32))
    return Event(origin, seq, _integer(time_ns, "sample time", range(-(1 << 63), 1 << 63)), value["e"], plain(value))


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: bytes as hexadecimal text, keys as text."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else key.hex() if isinstance(key, bytes) else str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.hex() if isinstance(value, bytes | bytearray) else value
