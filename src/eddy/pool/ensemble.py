"""Forests of one device's own: grown from the rows that its champion learned from, they vote on what the champion says.

"Selected models share the same training set with the model deployed on the embedded board but different hyperparameters" (Antonini et al.,
Tiny-MLOps, 2022, section V-C). Each size is grown twice. The rehearsal, on the first four fifths of the rows, measures on the last fifth
how often such a forest alarms falsely on later normal data, for the strategy that weighs voices by it; the member learns from all.

Integers only, from one seed, a tree at a time: an ensemble that was moved half-grown ends with the same bits. Rows are scored by the
kernel's scorer: for a single row that is two to ten times as fast as numpy.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eddy.errors import SettingError
from eddy.kernel.forest import MAX_NODES, Forest
from eddy.kernel.trainer import Trainer
from eddy.knowledge.registry import identity
from eddy.pool.judge import Standing, Strategy, Verdict, judge
from eddy.pool.rank import Rank, order, reward


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the forests of an ensemble are grown.

    Attributes:
        features: What the columns of a row are.
        trees: Of each member.
        subsample: Rows that each tree sees.
        quantile: Per mille of the training rows that a member's threshold calls normal.
        rows: Rows to gather before training, 2 to 256.
        seed: The champion's; member i takes the (i + 1)-th after it, so that none of them is the champion over again.
    """

    features: tuple[str, ...]
    trees: tuple[int, ...]
    subsample: int
    quantile: int
    rows: int
    seed: int

    def __post_init__(self) -> None:
        if not self.features:
            raise SettingError("a pool must know the columns of the rows it judges: name the `features` of the model that it judges")
        if not self.trees:
            raise SettingError("a pool needs a member: name the `trees` of at least one forest in the model's `pool`")
        if not 2 <= self.rows <= 256:
            raise SettingError(f"a pool is trained on 2 to 256 rows, not {self.rows}: change the model's `train`")
        if not 0 < self.quantile <= 1000:
            raise SettingError(f"the quantile is {self.quantile} per mille: change the model's `threshold` to 1 to 1000")
        for trees in self.trees:  # what the trainer would refuse is refused here, not half-way
            Trainer([0] * 2 * len(self.features), len(self.features), trees, self.subsample)

    @classmethod
    def judging(cls, model: Mapping[str, Any]) -> "Recipe":
        """The recipe for the judges of a champion.

        Args:
            model: `features`, `subsample`, `quantile`, `rows` and `seed` of the champion, and `pool_trees`.

        Raises:
            SettingError, ModelError: Something is missing or out of range.
        """
        try:
            features, trees = tuple(model["features"]), tuple(model["pool_trees"])
            return cls(features, trees, model["subsample"], model["quantile"], model["rows"], model["seed"])
        except KeyError as missing:
            raise SettingError(f"the model that a pool judges has no {missing}: describe it as the program of the pool says") from None

    def plain(self) -> list[Any]:
        """As plain data."""
        return [list(self.features), list(self.trees), self.subsample, self.quantile, self.rows, self.seed]


@dataclass(slots=True)
class _Member:
    forest: Forest
    wire: bytes  # the forest once more, a quarter of the size: what the state holds
    standing: Standing


class Ensemble:
    """The pool of one device: gathers rows, grows its members, votes.

    Args:
        recipe: How its members are grown.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._rows = array("i")  # flat; emptied when the last member is grown
        self._trainer: Trainer | None = None
        self._rehearsed: int | None = None  # false alarms of the next member, per mille, once they are measured
        self._members: list[_Member] = []
        self._champion = Standing()

    def learn(self, row: list[int]) -> None:
        """One more row of the normal machine; more than wanted are ignored."""
        if not self.growing():
            self._rows.extend(row)

    def growing(self) -> bool:
        """Whether the rows are there, and members are still to be grown from them."""
        return len(self._rows) == self._recipe.rows * len(self._recipe.features)

    def ready(self) -> bool:
        """Whether every member is there."""
        return len(self._members) == len(self._recipe.trees)

    def grow(self) -> None:
        """One tree, or the threshold of a forest whose trees are there."""
        if self._trainer is None:
            place, recipe = len(self._members), self._recipe
            rows = self._first() if self._rehearsed is None else self._rows
            self._trainer = Trainer(rows, len(recipe.features), recipe.trees[place], recipe.subsample, recipe.seed + 1 + place)
        if self._trainer.step():
            return
        forest, self._trainer = self._trainer.forest(), None
        if self._rehearsed is None:
            forest.calibrate(self._first(), self._recipe.quantile)
            self._rehearsed = self._false_alarms(forest)
            return
        forest.calibrate(self._rows, self._recipe.quantile)
        self._members.append(_Member(forest, forest.to_wire(), Standing(false_alarms=self._rehearsed)))
        self._rehearsed = None
        if self.ready():
            self._rows = array("i")

    def judge(self, row: list[int], said: bool, strategy: Strategy) -> Verdict:
        """The verdict on a row; everybody is ranked by it, the champion too, which is on trial and has no voice.

        Args:
            row: Features.
            said: Whether the champion called it anomalous.
            strategy: Weighs the voices.
        """
        votes = [member.forest.score(row) > member.forest.threshold for member in self._members]
        verdict = judge(votes, strategy([member.standing for member in self._members]))
        for member, vote in zip(self._members, votes, strict=True):
            member.standing = _ranked(member.standing, vote, verdict)
        self._champion = _ranked(self._champion, said, verdict)
        return verdict

    def ranking(self, champion: str) -> list[Rank]:
        """Members and champion, best first; the champion is at home already and costs nothing to deploy.

        Args:
            champion: What to call it.
        """
        members = ((identity(one.wire, self._recipe.features), one.standing, len(one.wire)) for one in self._members)
        everybody = [*members, (champion, self._champion, 0)]
        return order(Rank(name, standing.score, standing.seen, True, size) for name, standing, size in everybody)

    def state(self) -> list[Any]:
        """Rows, the half-grown forest and the members with their standings, as plain data."""
        members = [[one.wire, one.standing.score, one.standing.seen, one.standing.false_alarms] for one in self._members]
        trainer = self._trainer.state() if self._trainer is not None else None
        return [bytes(self._rows), trainer, self._rehearsed, members, [self._champion.score, self._champion.seen]]

    @classmethod
    def restore(cls, recipe: Recipe, state: list[Any]) -> "Ensemble":
        """The ensemble that goes on where `state()` was taken."""
        ensemble = cls(recipe)
        rows, trainer, ensemble._rehearsed, members, champion = state
        ensemble._rows = array("i", rows)
        ensemble._trainer = Trainer.restore(trainer) if trainer is not None else None
        ensemble._members = [_Member(Forest.from_wire(wire, MAX_NODES), wire, Standing(*standing)) for wire, *standing in members]
        ensemble._champion = Standing(*champion)
        return ensemble

    def _first(self) -> "array[int]":
        """The rows to rehearse with, flat: the first four fifths, but two at least."""
        return self._rows[: max(2, self._recipe.rows * 4 // 5) * len(self._recipe.features)]

    def _false_alarms(self, forest: Forest) -> int:
        """Per mille of the later rows that a rehearsed forest calls anomalous."""
        width = len(self._recipe.features)
        starts = range(len(self._first()), len(self._rows), width)
        alarms = sum(forest.score(self._rows[at : at + width]) > forest.threshold for at in starts)
        return 1000 * alarms // max(1, len(starts))


def _ranked(standing: Standing, opinion: bool, verdict: Verdict) -> Standing:
    return Standing(standing.score + reward(opinion, verdict.anomalous), standing.seen + 1, standing.false_alarms)
