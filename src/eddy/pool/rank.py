"""The ranking of the models in the repository: +1 for an opinion that agrees with the pool's verdict, -1 for one that does not.

Source: Antonini et al., Tiny-MLOps (2022), section IV, step 7. Models, not pool members: the champion and the models that sit out of the
vote are ranked as well.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rank:
    """A model's place in the ranking of one device.

    Attributes:
        model: Identity of the model.
        score: Agreements minus disagreements.
        seen: Windows on which it was ranked.
        eligible: It can run on the device and nothing speaks against it there (not refused, not retired).
        bytes: Size on the wire; the smaller of two equals is cheaper to deploy.
    """

    model: str
    score: int
    seen: int
    eligible: bool
    bytes: int


def reward(opinion: bool, verdict: bool) -> int:
    """What one opinion earns against the pool's verdict: +1 or -1."""
    return 1 if opinion == verdict else -1


def order(ranks: Iterable[Rank]) -> list[Rank]:
    """Best first. Equal scores: the one with fewer windows seen (fewer mistakes), then the smaller on the wire, then the lower identity.

    The last step makes the order total, so that a gateway that was killed and started again chooses the same model.
    """
    return sorted(ranks, key=lambda rank: (-rank.score, rank.seen, rank.bytes, rank.model))
