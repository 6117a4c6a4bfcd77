"""Alarm confirmation: an episode starts when k of the last n windows are anomalous, and ends after a quiet stretch.

A single anomalous window is noise; a worn bearing stays anomalous. Counting k in n is the usual voting rule of process monitoring
(supplementary run rules, Western Electric 1956). Windows are counted by their index, not by their arrival: a window that was never
reported (normal windows are thinned on the device) or that was lost counts as normal, so thinning cannot turn five far-apart anomalies
into "five in a row".

    >>> rule = Confirm(k=2, n=3)
    >>> [rule.update(index, anomalous) for index, anomalous in ((0, True), (7, True), (9, True), (30, False))]
    [None, None, 'raised', 'cleared']

Cost: O(n) memory and time for a window.
"""

from typing import Any, Literal

from eddy.errors import SettingError

Change = Literal["raised", "cleared"] | None


class Confirm:
    """The rule "k of the last n windows", with one episode from the raise to the clear.

    Args:
        k: Anomalous windows that raise the alarm.
        n: Length of the stretch, windows.
        quiet: Windows without any anomaly that end the episode; `n` when None. More than n makes one episode of a flickering alarm.
        state: What `state()` returned, to go on from there.

    Raises:
        SettingError: Not 1 <= k <= n, or quiet < 1.
    """

    def __init__(self, k: int, n: int, quiet: int | None = None, state: dict[str, Any] | None = None) -> None:
        self.k, self.n, self.quiet = k, n, n if quiet is None else quiet
        if not 1 <= k <= n or self.quiet < 1:
            raise SettingError(f"the alarm rule {k} of {n} (quiet after {self.quiet}) cannot be met: use 1 <= k <= n and quiet >= 1")
        state = state or {}
        self.raised: bool = state.get("raised", False)
        self._last: int = state.get("last", -1)  # index of the newest window seen
        self._recent: list[int] = list(state.get("recent", ()))  # indices of anomalous windows among the last n, oldest first
        self._newest_anomaly: int = state.get("anomaly", -1)

    def update(self, index: int, anomalous: bool) -> Change:
        """Count one window.

        Args:
            index: Position of the window at its origin. An index that is not above the last one means that the origin began to count
                anew: the stretch starts afresh, an open episode stays open. The same index twice counts once.
            anomalous: The verdict on it.

        Returns:
            "raised" or "cleared" when this window starts or ends an episode, else None.
        """
        if index == self._last:
            return None
        if index < self._last:
            self._recent, self._newest_anomaly = [], index if self.raised else -1
        self._last = index
        self._recent = [i for i in self._recent if i > index - self.n]
        if anomalous:
            self._recent.append(index)
            self._newest_anomaly = index
        if not self.raised and len(self._recent) >= self.k:
            self.raised = True
            return "raised"
        if self.raised and index - self._newest_anomaly >= self.quiet:
            self.raised = False
            return "cleared"
        return None

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain data."""
        return {"raised": self.raised, "last": self._last, "recent": list(self._recent), "anomaly": self._newest_anomaly}
