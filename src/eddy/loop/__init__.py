"""The MLOps loop of one model of an app: plan → create → adapt → verify → package → release → configure → monitor.

It is fed with what the model's judge puts out (`eddy.pool.judging`), and gives packages for devices and news about pools in return
(`eddy.loop.drivers` connects it to an app). Between the two is section IV of Antonini et al., Tiny-MLOps (2022); the numbers in the
comments are its steps. One sample is one transaction: what it says and what is made of it are stored together or not at all, and only then
is it acknowledged. Nothing is kept outside the database but caches, so a gateway that was killed goes on as if it had not been.

This is the only place that wires the rooms together.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from eddy.errors import BadInput, Refused, SampleError, SettingError
from eddy.kernel.engines import unusable
from eddy.kernel.features import NAMES
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import ANOMALOUS, NORMAL, TRAINING, Event, Report, Window, report
from eddy.knowledge.registry import CANDIDATE, POOL, RETIRED, Model, Registry
from eddy.models.create import LEAST
from eddy.models.engine import Training, TrainingEngine
from eddy.models.verify import Target
from eddy.pool.champion import Replacement, successor
from eddy.pool.rank import Rank, order, reward
from eddy.pool.watch import Watch
from eddy.release.rollout import GATEWAY, Rollout

_PATIENCE = 8
"""Reports that a judge leaves unjudged although there is a pool: then it has forgotten it, and is told again; next after twice as many."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Everything that can be chosen about the loop.

    Attributes:
        columns: Names of the numbers in a reported row.
        training: What the training engine searches, and when it makes newcomers.
        target: What a device of the class offers a model.
        replacement: When a champion goes; None for never.
        strategy: How the judge weighs voices; written beside each verdict.
        alarm: k, n, quiet: k confirmed anomalies of the last n windows raise the alarm, `quiet` windows without one end it.
    """

    columns: tuple[str, ...] = NAMES
    training: Training = field(default_factory=Training)
    target: Target = field(default_factory=Target)
    replacement: Replacement | None = field(default_factory=Replacement)
    strategy: str = "majority"
    alarm: tuple[int, int, int] = (5, 6, 12)


class Loop:
    """The loop; one per knowledge base.

    Args:
        base: The knowledge base.
        settings: See `LoopSettings`.
        devices: {origin of reports: device}; an origin that is not among them is a device of that name.
        device_class: Class of the devices: the name of the model.
    """

    def __init__(
        self,
        base: KnowledgeBase,
        settings: LoopSettings | None = None,
        devices: Mapping[str, str] | None = None,
        device_class: str = "pump",
    ) -> None:
        self.base, self.settings = base, settings or LoopSettings()
        self._devices = devices or {}
        self.registry = Registry(base)
        self.engine = TrainingEngine(base, self.registry, self.settings.training, self.settings.target, self.settings.columns)
        self.rollout = Rollout(base, self.registry, device_class)

    def take(self, key: str, time_ns: int, value: Any) -> None:
        """Take one output of the judge (6), and go once round the loop for its device.

        Args:
            key: Of the sample: one that was taken is not taken twice.
            time_ns: Sample time.
            value: As `eddy.pool.judging.Judge` puts it out.

        Raises:
            SampleError: No such output; nothing has changed.
            StorageFull: Not stored: offer it again.
        """
        said = report(value)
        with self.base.transaction():
            if self.base.take(key, time_ns):
                device = self._devices.get(said.origin, said.origin)
                state = self.base.state(device)
                self._store(device, time_ns, said, state)
                self.base.put_state(device, state)
                self._round(device, said)

    def _store(self, device: str, time_ns: int, said: Report, state: dict[str, Any]) -> None:
        """Keep what was said under the next number, and where it stands among the windows of the device."""
        state["seq"] = seq = state.get("seq", -1) + 1
        state["position"] = position = state.get("position", -1) + said.held + (said.news is None)
        if said.news is not None:  # it comes with the clock of a node, and is put to the time of the windows: that may be of a recording
            self._news(Event(device, seq, state.get("time_ns", time_ns), said.news["e"], said.news), state)
            return
        if len(said.row) != len(self.settings.columns):
            raise SampleError(
                f"a row of {device} has {len(said.row)} numbers, not the {len(self.settings.columns)} of {self.settings.columns}"
            )
        known = dict(zip(self.settings.columns, said.row, strict=True))
        reason = unusable(list(said.row), self.settings.columns.index("peak_to_peak")) if "peak_to_peak" in known else 0
        if reason != state.get("sensor", 0):
            state["sensor"] = reason
            self.base.add_event(Event(device, seq, time_ns, "sensor", {"e": "sensor", "reason": reason}))
        if reason:
            return
        state["time_ns"] = time_ns
        row = tuple(known.get(name, 0) for name in NAMES)
        window = Window(device, seq, time_ns, position, said.score, said.label, state.get("sequence", 0), row)
        self.base.add_window(window)

    def _news(self, event: Event, state: dict[str, Any]) -> None:
        """Release, configure (10): what a model says about itself."""
        self.base.add_event(event)
        if event.kind == "gap":
            self.base.add_gap(
                event.origin, "reports", event.number("first"), event.number("last"), event.time_ns, str(event.value.get("reason"))
            )
        elif event.kind == "trained":
            state["trained"] = event.seq
        elif event.kind == "installed":
            state["sequence"] = event.sequence()

    def _round(self, device: str, said: Report) -> None:
        """Once round the loop. What was said stays stored, and is acknowledged, even if nothing can be made of it."""
        try:
            with self.base.savepoint():
                state = self.base.state(device)
                if said.news is not None:
                    (event,) = self.base.events(device, state["seq"] - 1, 1)
                    self.rollout.heard(event)
                self._plan(device, state)  # plan, create, adapt, verify (1, 8)
                if said.news is None and said.label != TRAINING:
                    self._monitor(device, said, state)  # monitor (7, 9)
                self.rollout.next(device)  # package, release (10)
                self.base.put_state(device, state)
        except (BadInput, Refused) as error:
            what = "the loop stumbled over this sample and tries again with the next"
            self.base.decide("monitor", GATEWAY, what, device, why=str(error))

    def _plan(self, device: str, state: dict[str, Any]) -> None:
        """Is there a first pool to make? From the windows on which the device has just trained, else from those it called normal."""
        if "trained" in state:
            (event,) = self.base.events(device, state.pop("trained") - 1, 1)
            rows = event.value.get("rows")  # those that came while the trees grew are not among them
            windows = self.base.training(device, state.get("learned", -1), rows if type(rows) is int and rows > 0 else -1)
            state["learned"] = event.seq
            champion, sighted = self.engine.adopt(event, windows)
            self.rollout.crown(device, champion, state.get("sequence", 0), event.time_ns, "trained by the device itself")
            if sighted is not None:
                self.rollout.want(device, None, {"threshold": sighted}, GATEWAY, "with its own threshold the champion is blind")
            watch = Watch(*self.settings.alarm, state.get("watch"))
            watch.learn(windows)
            state["watch"] = watch.state()
            why = f"the device trained a champion on {rows} windows, {len(windows)} of them are here"
        elif "generation" not in state and ("learned" in state or self.base.training_missed(device)):
            enough = max(LEAST, self.settings.training.refresh)
            windows = self.base.windows(device, limit=enough, labels=(NORMAL,))
            if len(windows) < enough:
                return
            champion, why = None, f"what the device trained on is not here, or too little; it called {enough} windows normal"
            if self.registry.champion(device) is None:
                self.rollout.crown(device, None, state.get("sequence", 0), windows[-1].time_ns, "of before this gateway")
        else:
            return
        self.base.decide("plan", GATEWAY, "make a pool", device, windows[-1].time_ns if windows else None, why=why)
        if self.engine.found(device, windows, champion):
            state["generation"], state["normals"], state["since"] = 0, 0, windows[-1].seq

    def _monitor(self, device: str, said: Report, state: dict[str, Any]) -> None:
        """The pool has judged a window (7). One false positive too many calls for the next champion (9), enough normal windows, or a
        champion that nobody can follow, for new models (8)."""
        if not said.judged:
            self._unjudged(device, state)
            return
        state["unjudged"] = 0
        for window in self.base.windows(device, state["seq"] - 1, 1):
            speaker = self.registry.speaker(device, window.model_sequence)
            alarm = self._record(window, speaker, said, state)
            state["normals"] = state.get("normals", 0) + (not said.outcome)
            false = window.label == ANOMALOUS and not said.outcome
            alone = false and not self._replace(window, speaker, state)
            due = 0 < self.settings.training.refresh <= state["normals"]
            if (alone or due) and not alarm and "generation" in state:
                self._renew(window, state, "nobody can follow" if alone else "it is time")

    def _unjudged(self, device: str, state: dict[str, Any]) -> None:
        state["unjudged"] = count = state.get("unjudged", 0) + 1
        voters = any(one.role in (CANDIDATE, POOL) for one in self.registry.entries(device))
        if voters and count >= _PATIENCE and count & (count - 1) == 0:
            self.registry.present(device)
            self.base.decide("monitor", GATEWAY, "the judge does not know the pool: told again", device)

    def _record(self, window: Window, speaker: str | None, said: Report, state: dict[str, Any]) -> bool:
        """Write a verdict down, and see what it means for ranks and alarms; whether an alarm of the pool is open."""
        device, watch = window.origin, Watch(*self.settings.alarm, state.get("watch"))
        above, changes = watch.judge(window, said.outcome)
        voices = [opinion for model, (_, opinion) in said.ballot.items() if model != speaker]
        scores = {model: score for model, (score, _) in said.ballot.items()}
        self.base.add_verdict(
            window,
            outcome=said.outcome,
            strategy=self.settings.strategy,
            weight=said.weight,
            total=said.total,
            votes=sum(voices),
            members=len(voices),
            rule=above,
            champion=speaker,
            scores=scores,
        )
        earned = {model: reward(bool(opinion), said.outcome) for model, (_, opinion) in said.ballot.items()}
        self.registry.reward(device, earned)
        for detector, change in changes:
            (self.base.raise_alarm if change == "raised" else self.base.clear_alarm)(device, detector, window)
            self.base.decide("monitor", detector, f"alarm {change}", device, window.time_ns, position=window.position, seq=window.seq)
        state["watch"] = watch.state()
        if speaker in scores:
            self._compare(window, speaker, scores[speaker], state)
        return watch.raised

    def _compare(self, window: Window, speaker: str, here: int, state: dict[str, Any]) -> None:
        """The same model here and there must score the same, to the last bit; if it does not, the ledger says so once."""
        same = here == window.score
        state["compared"] = state.get("compared", 0) + 1
        state["differing"] = state.get("differing", 0) + (not same)
        if not same and state.get("differs") != speaker:
            state["differs"] = speaker
            what = "the device scores unlike its model here: other versions of the kernel, or not the model we think"
            evidence = {"model": speaker, "position": window.position, "score_there": window.score, "score_here": here}
            self.base.decide("monitor", GATEWAY, what, window.origin, window.time_ns, **evidence)

    def _replace(self, window: Window, speaker: str | None, state: dict[str, Any]) -> bool:
        """Is this false positive one too many, and who follows? False when somebody should and nobody can."""
        rule = self.settings.replacement
        device, champion = window.origin, self.registry.champion(window.origin)
        if rule is None or champion is None or speaker != champion[0] or self.rollout.model_on_its_way(device):
            return True
        false = self.base.false_positives(device, speaker, max(window.time_ns - rule.within_ns, champion[2]))
        if not rule.due(false, window.time_ns, champion[2]):
            return True
        ranks = self.ranking(device)
        choice = successor(ranks, speaker)
        if choice is None and state.get("alone") == champion[2]:
            return True  # said before, and new models were made
        name = speaker[:12] if speaker else "the device's own champion"
        what = f"replace {name} by {choice[:12]}" if choice else f"{name} fails, but no candidate has a positive score"
        evidence = {"false_positives_ns": false, "ranking": {rank.model[:12]: rank.score for rank in ranks}}
        self.base.decide("monitor", GATEWAY, what, device, window.time_ns, **evidence)
        if choice is None:
            state["alone"] = champion[2]
            return False
        self.rollout.want(device, choice, {}, GATEWAY, f"{len(false)} false positives of {name}")
        return True

    def _renew(self, window: Window, state: dict[str, Any], why: str) -> None:
        """Newcomers for the pool, from the first training windows and from those judged normal since, away from every anomaly."""
        device, champion = window.origin, self.registry.champion(window.origin)
        recent = self.base.normal_windows(device, state["since"], self.settings.alarm[1])
        state["normals"], state["since"], state["generation"] = 0, window.seq, state["generation"] + 1
        self.base.decide("plan", GATEWAY, "make newcomers", device, window.time_ns, why=why, recent=len(recent))
        self.engine.renew(device, recent, champion[0] if champion else None, state["generation"])

    # What goes out

    def package(self, device: str, position: int) -> bytes | None:
        """The package with that number among those for a device, from 0 on, not signed yet; None when there are not so many."""
        return self.registry.package(device, position)

    def announcement(self, position: int) -> Any:
        """What the judge must know, from 0 on; None when there is not so much."""
        return self.registry.announcement(position)

    # What people ask for

    def configure(self, device: str, who: str = "person", **configuration: int) -> int:
        """Change a running device without another model: `threshold` (Q16).

        Returns:
            The sequence of the package that says so.

        Raises:
            SettingError: An unknown device or setting, or a value out of range.
        """
        self._known(device)
        if not configuration:
            raise SettingError("nothing to configure: name a setting and its value")
        with self.base.transaction():
            return self.rollout.want(device, None, configuration, who, "asked for")

    def promote(self, device: str, model: str, who: str = "person") -> int:
        """Make a model of the repository the champion of a device, whatever the ranking says.

        Returns:
            The sequence of its package.

        Raises:
            SettingError: An unknown device, no candidate for it of that identity (its beginning is enough), or one is on its way.
        """
        self._known(device)
        if self.rollout.model_on_its_way(device):
            raise SettingError(f"a model is already on its way to {device}: wait until the device has taken or refused it")
        found = [e.model.id for e in self.registry.entries(device) if e.role == CANDIDATE and e.model.id.startswith(model)]
        if len(found) != 1:
            raise SettingError(f"{len(found)} candidates for {device} begin with {model!r}: see `status` for the candidates")
        with self.base.transaction():
            return self.rollout.want(device, found[0], {}, who, "asked for")

    def push_model(self, model: Any, features: list[str], who: str, device: str | None = None) -> Model:
        """A person's own model joins the repository and judges from now on; it is a candidate where it passes verification.

        Args:
            model: A forest in wire form, or a fitted scikit-learn IsolationForest.
            features: Names of its columns, reported or derived.
            who: The person.
            device: For this device only; None for all of the class, those to come included.

        Raises:
            ModelError, TooLarge: It is no sound forest, or a feature is not known.
            SettingError: An unknown device.
        """
        if device is not None:
            self._known(device)
        with self.base.transaction():
            return self.engine.push(model, features, who, device)

    # What can be seen

    def ranking(self, device: str) -> list[Rank]:
        """Everyone in the device's repository, best first."""
        entries = [e for e in self.registry.entries(device) if e.role != RETIRED]
        return order(Rank(e.model.id, e.score, e.seen, e.role == CANDIDATE and not e.blocked, len(e.model.wire)) for e in entries)

    def status(self) -> dict[str, Any]:
        """For each device its champion, ranking, false positives, alarms, and what is on its way; plain data."""
        return {device: self._status(device) for device in self.base.devices()}

    def _status(self, device: str) -> dict[str, Any]:
        champion, flying, state = self.registry.champion(device), self.rollout.in_flight(device), self.base.state(device)
        return {
            "champion": {"model": champion[0], "sequence": champion[1], "since_ns": champion[2]} if champion else None,
            "ranking": [asdict(rank) for rank in self.ranking(device)],
            **self.base.counts(device, champion[0] if champion else None),
            "scores_compared": state.get("compared", 0),
            "scores_differing": state.get("differing", 0),
            "events": self.base.event_counts(device),
            "alarms": self.base.table("alarms", device),
            "deploying": {"sequence": flying.sequence, "model": flying.model, "state": flying.state} if flying else None,
        }

    def _known(self, device: str) -> None:
        if device not in self.base.devices():
            raise SettingError(f"no device {device!r} was heard here: known are {', '.join(self.base.devices()) or 'none yet'}")
