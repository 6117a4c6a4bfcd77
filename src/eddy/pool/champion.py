"""When the champion of a device is replaced, and by whom.

The rule of the paper (Antonini et al., Tiny-MLOps, 2022, section IV, step 9 and section V-C): after N_fp = 5 anomalies of the champion that
the pool calls normal, the model with the highest positive rank takes its place. The paper leaves the length of "a time window" open; here
it is sample time, so that a replay decides as the live run did.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eddy.errors import SettingError
from eddy.pool.rank import Rank, order

HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Replacement:
    """The replacement rule.

    Attributes:
        false_positives: N_fp: false positives of the champion that call for another one.
        within_ns: Length of the time window in which they count, sample time.
        cooldown_ns: Sample time for which a new champion is left alone after it took office.
    """

    false_positives: int = 5
    within_ns: int = 24 * HOUR_NS
    cooldown_ns: int = 0

    def __post_init__(self) -> None:
        if self.false_positives < 1 or self.within_ns < 1 or self.cooldown_ns < 0:
            raise SettingError("the replacement rule needs at least one false positive, a positive time window and no negative cooldown")

    def due(self, false_positives_ns: Sequence[int], now_ns: int, since_ns: int) -> bool:
        """Whether the champion has to go.

        Args:
            false_positives_ns: Sample times of this champion's false positives.
            now_ns: Sample time of the newest window.
            since_ns: Sample time at which it took office.
        """
        if now_ns - since_ns < self.cooldown_ns:
            return False
        return sum(now_ns - self.within_ns < t <= now_ns for t in false_positives_ns) >= self.false_positives


def successor(ranks: Iterable[Rank], champion: str | None) -> str | None:
    """The model that should follow `champion`: the best-ranked eligible one with a positive score, never the champion itself.

    Returns:
        Its identity, or None when nobody qualifies (then the champion stays: a bad model that is known is better than an untried one).
    """
    for rank in order(ranks):
        if rank.score <= 0:
            return None
        if rank.eligible and rank.model != champion:
            return rank.model
    return None
