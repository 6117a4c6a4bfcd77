"""The alarms of one device: episodes of confirmed anomalies, and those of the plain rule beside them.

A window counts as a confirmed anomaly when the champion on the device called it anomalous and the pool agrees.
"""

from collections.abc import Sequence
from typing import Any

from eddy.functions.rule import Change, Confirm
from eddy.kernel.features import NAMES
from eddy.knowledge.records import ANOMALOUS, Window
from eddy.pool.baseline import Baseline

DETECTOR, RULE = "pool", "rule"

_RMS = NAMES.index("rms")


class Watch:
    """Both detectors of a device, with plain-data state.

    Args:
        k: Confirmed anomalies that raise the alarm.
        n: Among so many windows.
        quiet: Windows without a confirmed anomaly that end it.
        state: What `state()` returned, to go on from there.
    """

    def __init__(self, k: int, n: int, quiet: int, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self._rule = Confirm(k, n, quiet, state.get("pool"))
        self._baseline = Baseline(state.get("rule"))

    @property
    def raised(self) -> bool:
        """Whether an alarm of the pool is open."""
        return self._rule.raised

    def learn(self, windows: Sequence[Window]) -> None:
        """Training windows: the plain rule learns from the same windows as the champion."""
        self._baseline.learn([window.features[_RMS] for window in windows])

    def judge(self, window: Window, outcome: bool) -> tuple[bool, list[tuple[str, Change]]]:
        """Count a judged window.

        Args:
            window: As reported.
            outcome: What the pool says.

        Returns:
            (the plain rule's opinion, [(detector, "raised" or "cleared")] of the alarms that change with it).
        """
        above, rule = self._baseline.update(window.features[_RMS])
        pool = self._rule.update(window.position, window.label == ANOMALOUS and outcome)
        return above, [(name, change) for name, change in ((DETECTOR, pool), (RULE, rule)) if change]

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain data."""
        return {"pool": self._rule.state(), "rule": self._baseline.state()}
