"""Several functions as one: what always stays together needs no streams in between."""

from eddy.kernel.function import Function, Sample
from eddy.kernel.functions import load

MYPY = False
if MYPY:
    from typing import Any

_MS = 1000000


class Chain(Function):
    """What the first function emits goes to the second, and so on; the last one's outputs are the chain's.

    Every stage sees what it would see if it were hosted alone: dense numbers, and the time of the input or tick that caused the sample.
    Only stream and origin have no names within a chain. Settings and models go to every stage, each takes what it knows.

    Args:
        stages: Their programs, in order.

    Raises:
        BadInput, Refused: As `eddy.kernel.functions.load`.
    """

    def __init__(self, stages: "list[Any]") -> None:
        self._stages = [load(program) for program in stages]
        self._emitted = [0] * len(stages)
        self._ticked_ns = [0] * len(stages)
        self._pace()

    def on(self, sample: Sample) -> "list[Any]":
        """Through all stages."""
        return self._after(0, self._stages[0].on(sample), sample.time_ns)

    def tick(self, time_ns: int) -> "list[Any]":
        """A tick for each stage whose time has come."""
        out = []
        for i in range(len(self._stages)):
            every_ms = self._stages[i].every_ms
            if every_ms and (time_ns - self._ticked_ns[i] >= every_ms * _MS or time_ns < self._ticked_ns[i]):
                self._ticked_ns[i] = time_ns
                out += self._after(i, self._stages[i].tick(time_ns), time_ns)
        self._pace()
        return out

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """The same settings for every stage."""
        out = []
        for i in range(len(self._stages)):
            out += self._after(i, self._stages[i].configure(settings), 0)
        return out

    def model(self, data: bytes) -> "list[Any]":
        """The same model for every stage."""
        out = []
        for i in range(len(self._stages)):
            out += self._after(i, self._stages[i].model(data), 0)
        return out

    def gap(self, sample: Sample) -> "list[Any]":
        """Samples of the chain's input are missing."""
        return self._after(0, self._stages[0].gap(sample), sample.time_ns)

    def _after(self, stage: int, values: "list[Any]", time_ns: int) -> "list[Any]":
        """Bring what a stage has emitted through those behind it."""
        for i in range(stage + 1, len(self._stages)):
            if not values:
                break
            out = []
            for value in values:
                out += self._stages[i].on(Sample("", "", self._emitted[i - 1], time_ns, value))
                self._emitted[i - 1] += 1
            values = out
        self._pace()
        return values

    def _pace(self) -> None:
        paces = [stage.every_ms for stage in self._stages if stage.every_ms]
        self.every_ms = min(paces) if paces else 0

    def state(self) -> "Any":
        """The states of all stages, and how much went from one to the next."""
        return [self._emitted[:], self._ticked_ns[:], [stage.state() for stage in self._stages]]

    def restore(self, state: "Any") -> None:
        """Go on in every stage."""
        self._emitted, self._ticked_ns, states = state
        for i in range(len(self._stages)):
            self._stages[i].restore(states[i])
        self._pace()
