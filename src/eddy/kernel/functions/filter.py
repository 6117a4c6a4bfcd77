"""Passes only the samples for which a condition holds."""

from eddy.kernel.function import Function, Sample
from eddy.kernel.functions.condition import Condition

MYPY = False
if MYPY:
    from typing import Any


class Filter(Function):
    """Samples in, some of them out, unchanged.

    Args:
        when: The condition, see `eddy.kernel.functions.condition`.

    Raises:
        BadInput: It is no condition.
    """

    def __init__(self, when: "list[Any]") -> None:
        self._condition = Condition(when)

    def on(self, sample: Sample) -> "list[Any]":
        """Pass it or not."""
        return [sample.value] if self._condition.holds(sample.value, sample.time_ns) else []

    def gap(self, sample: Sample) -> "list[Any]":
        """What is missing cannot be anomalous."""
        self._condition.missed(sample.value.last - sample.seq + 1)
        return []

    def state(self) -> "Any":
        """What the condition remembers."""
        return self._condition.state()

    def restore(self, state: "Any") -> None:
        """Remember it again."""
        self._condition.restore(state)
