"""The second opinion beside every pool: "rms above mean + 5 standard deviations, three reported windows in a row".

Over the IMS and FEMTO recordings this plain rule is the most dependable one (no false alarm and no miss when it learns from the first
15 to 30 % of life), if not the earliest. It has no vote; its verdict stands beside the pool's and it has alarms of its own.

The run is counted over the windows that are reported, not over their indices: a champion that has gone blind reports every n-th window
only, and it is then that the second opinion is needed. All integers: x > mean + 5 sigma is tested as (n·x - S)² > 25·(n·Q - S²) with S
the sum and Q the sum of squares of the n training windows, so the outcome is exact.
"""

from collections.abc import Sequence
from typing import Any

from eddy.functions.rule import Change, Confirm

SIGMAS = 5
RUN = 3


class Baseline:
    """The rule on one feature of one device.

    Args:
        state: What `state()` returned, to go on from there.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self._count: int = state.get("count", 0)
        self._sum: int = state.get("sum", 0)
        self._squares: int = state.get("squares", 0)
        self._reports: int = state.get("reports", 0)
        self._rule = Confirm(RUN, RUN, state=state.get("rule"))

    def learn(self, values: Sequence[int]) -> None:
        """Take the feature's values in the training windows as normal, instead of those before."""
        self._count, self._sum, self._squares = len(values), sum(values), sum(value * value for value in values)

    def above(self, value: int) -> bool:
        """Whether `value` lies more than five standard deviations (of the population) above the mean of the training windows."""
        excess = self._count * value - self._sum
        return self._count > 1 and excess > 0 and excess * excess > SIGMAS * SIGMAS * (self._count * self._squares - self._sum**2)

    def update(self, value: int) -> tuple[bool, Change]:
        """Judge a reported window.

        Returns:
            (value above the limit, "raised" or "cleared" when the rule's own alarm changes with it).
        """
        above = self.above(value)
        self._reports += 1
        return above, self._rule.update(self._reports, above)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain data."""
        return {"count": self._count, "sum": self._sum, "squares": self._squares, "reports": self._reports, "rule": self._rule.state()}
