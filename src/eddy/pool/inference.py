"""Pool Inference Engine: what every model of a device's repository thinks of its windows, and what the pool makes of it.

The model that spoke on the device is ranked like everyone, by what it said there, but does not vote: it is the one on trial. Models that
need a feature which nobody here can compute sit out. Scores are computed for a whole batch of windows at once; the verdicts are given one
after the other, because the ranks that a strategy may weigh change with every verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eddy.errors import ModelError
from eddy.functions.forest import score
from eddy.kernel.forest import Forest
from eddy.knowledge.records import ANOMALOUS, Window
from eddy.knowledge.registry import RETIRED, Entry
from eddy.models.derived import BUILT_IN, Columns, Formula, columns
from eddy.pool.judge import STRATEGIES, Standing, Strategy, Verdict, judge
from eddy.pool.rank import reward


@dataclass(frozen=True, slots=True)
class Judgement:
    """The pool's verdict on one window, with the voices behind it.

    Attributes:
        verdict: By the chosen strategy.
        votes: Members that said anomalous.
        members: Members that voted.
        scores: {model: score Q16} of everyone who was asked.
        rewards: {model: +1 or -1} of everyone who was asked.
    """

    verdict: Verdict
    votes: int
    members: int
    scores: dict[str, int]
    rewards: dict[str, int]


class PoolInference:
    """Asks models and judges.

    Args:
        strategy: How voices are weighed.
        formulas: What derived features may call; may grow while the pool runs.
    """

    def __init__(self, strategy: Strategy = STRATEGIES["majority"], formulas: Mapping[str, Formula] = BUILT_IN) -> None:
        self._strategy, self._formulas = strategy, formulas
        self._forests: dict[str, Forest] = {}  # by identity of the model, so never stale

    def judge(self, entries: Sequence[Entry], windows: Sequence[Window], speakers: Sequence[str | None]) -> list[Judgement]:
        """Judge windows of one device, in order.

        Args:
            entries: The device's standings before the first of them.
            windows: Reported windows, labelled normal or anomalous.
            speakers: The model that labelled each of them on the device; None for one that is not here.

        Returns:
            One judgement per window; an empty list when nobody can vote.
        """
        opinions = self._opinions(entries, windows)
        asked = [entry for entry in entries if entry.model.id in opinions]
        names = [entry.model.id for entry in asked]
        if not set(names) or any(not set(names) - {speaker} for speaker in speakers):
            return []
        standings = [Standing(entry.score, entry.seen, _false_alarms(entry)) for entry in asked]
        scores = np.stack([opinions[name] for name in names], axis=1)
        votes = scores > np.array([self._forests[name].threshold for name in names])
        judged = []
        for window, speaker, row, vote in zip(windows, speakers, scores.tolist(), votes.tolist(), strict=True):
            if speaker in names:
                vote[names.index(speaker)] = window.label == ANOMALOUS
            voters = [i for i, name in enumerate(names) if name != speaker]
            said = [vote[i] for i in voters]
            verdict = judge(said, self._strategy([standings[i] for i in voters]))
            earned = [reward(opinion, verdict.anomalous) for opinion in vote]
            standings = [replace(s, score=s.score + e, seen=s.seen + 1) for s, e in zip(standings, earned, strict=True)]
            scored, earnings = dict(zip(names, row, strict=True)), dict(zip(names, earned, strict=True))
            judged.append(Judgement(verdict, sum(said), len(said), scored, earnings))
        return judged

    def _opinions(self, entries: Sequence[Entry], windows: Sequence[Window]) -> dict[str, Columns]:
        """Scores int64 [windows] of each model that can be asked, retired ones not among them."""
        rows = np.array([window.features for window in windows], dtype=np.int64)
        tables: dict[tuple[str, ...], Columns | None] = {}
        opinions = {}
        for entry in entries:
            if entry.role == RETIRED:
                continue
            names = entry.model.features
            if names not in tables:
                tables[names] = self._table(rows, names)
            table = tables[names]
            if table is not None:
                opinions[entry.model.id] = score(self.forest(entry), table)
        return opinions

    def _table(self, rows: Columns, names: tuple[str, ...]) -> Columns | None:
        try:
            return columns(rows, names, self._formulas)
        except ModelError:  # a person's feature that is not registered in this process, or that fails on this data
            return None

    def forest(self, entry: Entry) -> Forest:
        """The runtime form of a model, built once."""
        forest = self._forests.get(entry.model.id)
        if forest is None:
            forest = self._forests[entry.model.id] = Forest.from_wire(entry.model.wire)
        return forest


def _false_alarms(entry: Entry) -> int:
    measured = entry.model.metrics.get("held_out_false_alarms", 0)
    return measured if isinstance(measured, int) else 0
