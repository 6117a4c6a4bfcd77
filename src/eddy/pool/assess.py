"""The pool at work on one gateway: judges what devices report, ranks everybody by it, watches for alarms, and writes all of it down.

Steps 6 and 7 of Antonini et al., Tiny-MLOps (2022), section IV.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import ANOMALOUS, JUDGED, Window
from eddy.knowledge.registry import Registry
from eddy.pool.inference import Judgement, PoolInference
from eddy.pool.watch import Watch

_CHUNK = 256  # windows judged at once: bounds the memory after a long absence


@dataclass(frozen=True, slots=True)
class Assessed:
    """A window that has just been judged.

    Attributes:
        window: As reported.
        speaker: The model that labelled it on the device; None for one that is not here.
        anomalous: The pool's verdict.
        alarm: Whether an alarm of the pool is open after it.
    """

    window: Window
    speaker: str | None
    anomalous: bool
    alarm: bool

    @property
    def false_positive(self) -> bool:
        """The champion said anomalous, the pool says normal."""
        return self.window.label == ANOMALOUS and not self.anomalous


class Assessor:
    """Judges the windows of all devices.

    Args:
        base: Holds the windows, takes the verdicts.
        registry: The repository in it.
        pool: Asks the models.
        strategy: Name of the pool's strategy, written beside each verdict.
        alarm: k, n, quiet of the alarm rule: see `Watch`.
    """

    def __init__(self, base: KnowledgeBase, registry: Registry, pool: PoolInference, strategy: str, alarm: tuple[int, int, int]) -> None:
        self._base, self._registry, self._pool, self._strategy, self._alarm = base, registry, pool, strategy, alarm

    def learn(self, windows: list[Window], state: dict[str, Any]) -> None:
        """Training windows of a device: the plain rule learns from the same windows as its champion."""
        watch = Watch(*self._alarm, state.get("watch"))
        watch.learn(windows)
        state["watch"] = watch.state()

    def assess(self, device: str, state: dict[str, Any]) -> Iterator[Assessed]:
        """Judge what has not been judged yet, in order; nothing as long as there is no pool.

        Each window is written down before it is yielded, and `state` is up to date with it. When the pool has changed, begin anew.
        """
        watch = Watch(*self._alarm, state.get("watch"))
        while windows := self._base.windows(device, state.get("judged", -1), _CHUNK, JUDGED):
            speakers = [self._registry.speaker(device, window.model_sequence) for window in windows]
            judgements = self._pool.judge(self._registry.entries(device), windows, speakers)
            if not judgements:
                return
            for window, speaker, judgement in zip(windows, speakers, judgements, strict=True):
                self._record(window, speaker, judgement, watch)
                self._compare(window, speaker, judgement, state)
                state["judged"], state["watch"] = window.seq, watch.state()
                yield Assessed(window, speaker, judgement.verdict.anomalous, watch.raised)

    def _record(self, window: Window, speaker: str | None, judgement: Judgement, watch: Watch) -> None:
        device, verdict = window.origin, judgement.verdict
        above, changes = watch.judge(window, verdict.anomalous)
        self._base.add_verdict(
            window,
            outcome=verdict.anomalous,
            strategy=self._strategy,
            weight=verdict.weight,
            total=verdict.total,
            votes=judgement.votes,
            members=judgement.members,
            rule=above,
            champion=speaker,
            scores=judgement.scores,
        )
        self._registry.reward(device, judgement.rewards)
        for detector, change in changes:
            (self._base.raise_alarm if change == "raised" else self._base.clear_alarm)(device, detector, window)
            self._base.decide("monitor", detector, f"alarm {change}", device, window.time_ns, position=window.position, seq=window.seq)

    def _compare(self, window: Window, speaker: str | None, judgement: Judgement, state: dict[str, Any]) -> None:
        """The same model here and there must score the same, to the last bit; if it does not, the ledger says so once."""
        here = judgement.scores.get(speaker or "")
        if here is None:
            return
        same = here == window.score
        state["compared"] = state.get("compared", 0) + 1
        state["differing"] = state.get("differing", 0) + (not same)
        if not same and state.get("differs") != speaker:
            state["differs"] = speaker
            what = "the device scores unlike its model here: other versions of the kernel, or not the model we think"
            evidence = {"model": speaker, "position": window.position, "score_there": window.score, "score_here": here}
            self._base.decide("monitor", "gateway", what, window.origin, window.time_ns, **evidence)
