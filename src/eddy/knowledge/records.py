"""What the judge of a pool puts out, read with care: it becomes rows, or a `SampleError` that names what is wrong.

A device is trusted to be itself, not to be right: its flash may rot and its firmware may be of another age.
"""

from dataclasses import dataclass
from typing import Any

from eddy.errors import SampleError
from eddy.kernel.features import NAMES

NORMAL, ANOMALOUS, TRAINING = LABELS = 0, 1, 2
NEWS = 3  # a label that no window has
JUDGED = (NORMAL, ANOMALOUS)  # labels that a champion gives
UNSCORED = -1
ONE = 1 << 16  # 1.0 as a Q16 score
WIDTH = len(NAMES)  # features in a reported window

_SEQUENCE = range(0, 1 << 32)
_INT32 = range(-(1 << 31), 1 << 31)
_COUNT = range(0, 1 << 63)


@dataclass(frozen=True, slots=True)
class Window:
    """One reported window.

    Attributes:
        origin: The device.
        seq: Its number among what was said about the device.
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
        seq: Its number among what was said about the device.
        time_ns: Sample time.
        kind: What happened: trained, installed, refused, gap.
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

    def sequence(self) -> int:
        """The sequence of the package that it is about.

        Raises:
            SampleError: There is none that a package could have.
        """
        return _integer(self.value.get("sequence"), f"the sequence of the event {self.kind!r}", _SEQUENCE)


def _integer(value: Any, name: str, allowed: range) -> int:
    if type(value) is not int or value not in allowed:
        raise SampleError(f"{name} is {value!r:.40}; expected an integer from {allowed.start} to {allowed.stop - 1}")
    return value


@dataclass(frozen=True, slots=True)
class Report:
    """One output of `eddy.pool.judging.Judge`: a judged window, or news.

    Attributes:
        origin: Of what was judged.
        held: Normal windows that were held back before it.
        score, label, row: As reported; of news the row is empty.
        news: What a model says about itself; None for a window.
        judged: Whether a pool has judged it.
        outcome: The pool's verdict: anomalous.
        ballot: {model: (score Q16, opinion)} of everyone who was asked.
        weight, total: Of the anomalous voices, of all.
    """

    origin: str
    held: int
    score: int
    label: int
    row: tuple[int, ...]
    news: dict[str, Any] | None
    judged: bool
    outcome: bool
    ballot: dict[str, tuple[int, int]]
    weight: int
    total: int


def report(value: Any) -> Report:
    """The report in a sample.

    Raises:
        SampleError: It has another shape, or a number is out of range.
    """
    match value:
        case [int(), int() as verdict, dict() | list() as row, held, str() as origin, label, _, score, dict() as ballot, weight, total]:
            news = row if isinstance(row, dict) else None
            if news is not None and not isinstance(news.get("e"), str):
                raise SampleError(f"news of {origin} say not under 'e' what happened")
            return Report(
                origin,
                _integer(held, "number of windows held back", _COUNT),
                _integer(score, "score", range(UNSCORED, ONE + 1)),
                _integer(label, "label", range(NORMAL, NEWS) if news is None else range(NEWS, NEWS + 1)),
                () if isinstance(row, dict) else tuple(_integer(f, "feature", _INT32) for f in row),
                None if news is None else plain(news),
                verdict in JUDGED,
                verdict == ANOMALOUS,
                {str(name): _opinion(said) for name, said in ballot.items()},
                _integer(weight, "weight", _COUNT),
                _integer(total, "weight", _COUNT),
            )
    raise SampleError(f"{value!r:.80} is no output of a pool")


def _opinion(said: Any) -> tuple[int, int]:
    match said:
        case [score, 0 | 1 as opinion]:
            return _integer(score, "score", range(ONE + 1)), int(opinion)
    raise SampleError(f"{said!r:.40} is no score with an opinion")


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: bytes as hexadecimal text, keys as text."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else key.hex() if isinstance(key, bytes) else str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.hex() if isinstance(value, bytes | bytearray) else value
