"""How a pool of models turns its members' opinions into one verdict.

Every member says anomalous or normal; a strategy weighs the voices. The verdict is anomalous when the anomalous voices hold strictly more
than half of the weight; a tie is normal, because "the majority of models have detected an anomaly" (Antonini et al., Tiny-MLOps, 2022,
section IV, step 6) is not met by half of them.

    >>> judge([True, True, False], [1, 1, 1])
    Verdict(anomalous=True, weight=2, total=3)
    >>> judge([True, True, False], [1, 1, 5])
    Verdict(anomalous=False, weight=2, total=7)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eddy.errors import SettingError


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pool says about one window.

    Attributes:
        anomalous: The outcome.
        weight: Weight of the voices for "anomalous".
        total: Weight of all voices.
    """

    anomalous: bool
    weight: int
    total: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What a strategy may know about a member when it weighs its voice.

    Attributes:
        score: Rank score: agreements minus disagreements with the pool so far.
        seen: Windows on which the member was ranked.
        false_alarms: Share of later normal windows above the member's threshold when it was validated, per mille.
    """

    score: int = 0
    seen: int = 0
    false_alarms: int = 0

    def after(self, earned: int) -> "Standing":
        """One window later."""
        return Standing(self.score + earned, self.seen + 1, self.false_alarms)

    def plain(self) -> list[int]:
        """As plain data."""
        return [self.score, self.seen, self.false_alarms]


def majority(members: Sequence[Standing]) -> list[int]:
    """One member, one voice (the paper's strategy)."""
    return [1] * len(members)


def by_rank(members: Sequence[Standing]) -> list[int]:
    """A voice weighs what the member has earned: its share of agreements, in per mille plus one.

    Laplace's rule of succession keeps a newcomer at one half. A weighted majority in the sense of Littlestone and Warmuth (1994), but
    there the truth pays out; here the pool's own verdict does, so it favours the members that the pool already likes. For a weighting
    that does not feed on itself use `by_validation`.
    """
    return [1 + 1000 * (m.seen + m.score + 2) // (2 * m.seen + 4) for m in members]


def by_validation(members: Sequence[Standing]) -> list[int]:
    """A voice weighs inversely to the false alarms which the member gave on later normal data: 1000 at none, 90 at one in ten."""
    return [10_000 // (10 + max(0, m.false_alarms)) for m in members]


Strategy = Callable[[Sequence[Standing]], list[int]]

STRATEGIES: dict[str, Strategy] = {"majority": majority, "rank": by_rank, "validation": by_validation}


def strategy(name: str) -> Strategy:
    """The strategy called `name`.

    Raises:
        SettingError: There is none.
    """
    try:
        return STRATEGIES[name]
    except KeyError:
        raise SettingError(f"no pool strategy is called {name!r}: use one of {', '.join(sorted(STRATEGIES))}") from None


def judge(votes: Sequence[bool], weights: Sequence[int]) -> Verdict:
    """One verdict from the members' votes.

    Args:
        votes: True for anomalous, one for each member.
        weights: Weight of each voice, positive.

    Raises:
        SettingError: No members, or not one weight for each vote.
    """
    if not votes or len(votes) != len(weights):
        raise SettingError(f"{len(votes)} votes and {len(weights)} weights: a pool needs at least one member and one weight for each")
    weight = sum(w for vote, w in zip(votes, weights, strict=True) if vote)
    total = sum(weights)
    return Verdict(2 * weight > total, weight, total)
