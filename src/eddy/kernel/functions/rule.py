"""Says when a condition becomes true, and when it stops being so."""

from eddy.kernel.function import Function, Sample
from eddy.kernel.functions.condition import Condition

MYPY = False
if MYPY:
    from typing import Any


class Rule(Function):
    """Samples in; out `[1, time_ns]` when the condition becomes true, and `[0, time_ns]` when it becomes false again.

    Args:
        when: The condition, see `eddy.kernel.functions.condition`.

    Raises:
        BadInput: It is no condition.
    """

    def __init__(self, when: "list[Any]") -> None:
        self._condition = Condition(when)
        self._held = False

    def on(self, sample: Sample) -> "list[Any]":
        """One more sample; emits on a change only."""
        held = self._condition.holds(sample.value, sample.time_ns)
        if held == self._held:
            return []
        self._held = held
        return [[1 if held else 0, sample.time_ns]]

    def gap(self, sample: Sample) -> "list[Any]":
        """What is missing cannot be anomalous."""
        self._condition.missed(sample.value.last - sample.seq + 1)
        return []

    def state(self) -> "Any":
        """Whether it holds, and what the condition remembers."""
        return [self._held, self._condition.state()]

    def restore(self, state: "Any") -> None:
        """Go on within an episode."""
        self._held, condition = state
        self._condition.restore(condition)
