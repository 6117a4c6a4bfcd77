"""The MLOps loop of one class of machines at the gateway: plan → create → adapt → verify → package → release → configure → monitor.

What a device says comes in as batches of the hop (`receive`); what it should get goes out as signed packages (`deployment`). Between the
two is section IV of Antonini et al., Tiny-MLOps (2022); the numbers in the comments are its steps. One batch is one transaction: what it
says, what is made of it, and the position up to which it is acknowledged are stored together or not at all. Nothing is kept outside the
database but caches, so a gateway that was killed goes on as if it had not been.

This is the only place that wires the rooms together.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from eddy.errors import BadInput, Refused, SampleError, SettingError, WrongTarget
from eddy.kernel.batch import Batch
from eddy.kernel.hop import Gap, Inbox, Record
from eddy.knowledge import records
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import EVENTS, NORMAL, WINDOWS
from eddy.knowledge.registry import CANDIDATE, RETIRED, Deployment, Model, Registry
from eddy.knowledge.spool import Spool
from eddy.models.create import LEAST
from eddy.models.derived import Formula
from eddy.models.engine import Training, TrainingEngine
from eddy.models.package import Signer
from eddy.models.verify import Target
from eddy.pool.assess import Assessed, Assessor
from eddy.pool.champion import Replacement, successor
from eddy.pool.inference import PoolInference
from eddy.pool.judge import strategy
from eddy.pool.rank import Rank, order
from eddy.release.rollout import GATEWAY, Rollout


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Everything that can be chosen about the loop.

    Attributes:
        training: What the training engine searches, and when it makes newcomers.
        target: What a device of the class offers a model.
        replacement: When a champion goes.
        strategy: How the pool's voices are weighed: one of `eddy.pool.judge.STRATEGIES`.
        alarm: k, n, quiet: k confirmed anomalies of the last n windows raise the alarm, `quiet` windows without one end it.
    """

    training: Training = field(default_factory=Training)
    target: Target = field(default_factory=Target)
    replacement: Replacement = field(default_factory=Replacement)
    strategy: str = "majority"
    alarm: tuple[int, int, int] = (5, 6, 12)


class Loop:
    """The loop; one per knowledge base.

    Args:
        base: The knowledge base.
        signer: Answers for what is deployed.
        settings: See `LoopSettings`.
        device_class: Class of the devices.
    """

    def __init__(self, base: KnowledgeBase, signer: Signer, settings: LoopSettings | None = None, device_class: str = "pump") -> None:
        self.base, self.settings = base, settings or LoopSettings()
        self.registry = Registry(base)
        self.engine = TrainingEngine(base, self.registry, self.settings.training, self.settings.target)
        self.rollout = Rollout(base, self.registry, signer, device_class)
        pool = PoolInference(strategy(self.settings.strategy), self.engine.formulas)
        self.assessor = Assessor(base, self.registry, pool, self.settings.strategy, self.settings.alarm)
        with base.transaction():
            self._spool = Spool(base.connection)
        self._inbox = Inbox(self._spool.positions())

    def receive(self, data: bytes, device: str | None = None) -> list[bytes]:
        """Take one batch of the hop (6), and go once round the loop for its device.

        Args:
            data: The batch.
            device: Whose line it came over; nobody else may speak there. None where that is not known.

        Returns:
            The acknowledgements to send back: what they name is durable.

        Raises:
            CodecError, SampleError: No batch; nothing has changed.
            WrongTarget: It speaks for another device than the one at that line.
            StorageFull: Not stored, so not acknowledged: the device keeps it and sends it again.
        """
        if device is not None and (origin := Batch(data).origin) != device:
            raise WrongTarget(f"a batch of {origin!r:.40} over the line of {device}: plug each device in at the port of its name")
        try:
            with self.base.transaction():
                heard = {self._store(record) for record in self._inbox.offer(data)}
                for position in self._inbox.uncommitted():
                    self._spool.advance(*position)
                for name in sorted(heard):
                    self._turn(name)
        except BaseException:
            self._inbox.rollback()
            self._inbox.acks()  # those that became due are dropped: nothing of this batch is acknowledged
            raise
        self._inbox.commit()
        return self._inbox.acks()

    def _store(self, record: Record) -> str:
        """Keep a record, or say in a gap why it is not kept: a device must not repeat for ever what nobody can read."""
        origin, stream, seq, value = record.origin, record.stream, record.seq, record.value
        try:
            if isinstance(value, Gap):
                self.base.add_gap(origin, stream, value.first, value.last, record.time_ns, value.reason)
            elif stream == WINDOWS:
                self.base.add_window(records.window(origin, seq, record.time_ns, value), record.term, record.replayed)
            elif stream == EVENTS:
                self.base.add_event(records.event(origin, seq, record.time_ns, value))
            else:
                raise SampleError(f"no stream {stream!r} is known here")
        except SampleError as error:
            self.base.add_gap(origin, stream, seq, seq, record.time_ns, f"unreadable: {error}")
        return origin

    def _turn(self, device: str) -> None:
        """Once round the loop. What was said stays stored, and is acknowledged, even if nothing can be made of it."""
        for step in (self._hear, self._round):
            try:
                with self.base.savepoint():
                    step(device)
            except (BadInput, Refused) as error:
                what = "the loop stumbled over this batch and tries again with the next"
                self.base.decide("monitor", GATEWAY, what, device, why=str(error))

    def _hear(self, device: str) -> None:
        """Release, configure (10): what the device says about itself."""
        state = self.base.state(device)
        for event in self.base.events(device, state.get("event", -1)):
            state["event"] = event.seq
            if event.kind == "trained":
                state["trained"] = event.seq
            try:
                self.rollout.heard(event)
            except SampleError as error:
                self.base.decide("release", GATEWAY, f"event {event.seq} ignored", device, event.time_ns, why=str(error))
        self.base.put_state(device, state)

    def _round(self, device: str) -> None:
        state = self.base.state(device)
        self._plan(device, state)  # plan, create, adapt, verify (1, 8)
        self._monitor(device, state)  # monitor (7, 9)
        self.rollout.next(device)  # package, release (10)
        self.base.put_state(device, state)

    def _plan(self, device: str, state: dict[str, Any]) -> None:
        """Is there a first pool to make? From the windows on which the device has just trained, else from those it called normal."""
        if "trained" in state:
            event = self.base.events(device, state["trained"] - 1, 1)[0]
            rows = event.value.get("rows")
            windows, complete = self.base.training(device, state.get("learned", -1), rows if isinstance(rows, int) else None)
            if not complete:
                return  # streams arrive apart from each other: more training windows are on their way
            del state["trained"]
            state["learned"] = windows[-1].seq if windows else state.get("learned", -1)
            champion, sighted = self.engine.adopt(event, windows)
            self.rollout.crown(device, champion, 0, event.time_ns, "trained by the device itself")
            if sighted is not None:
                self.rollout.want(device, None, {"threshold": sighted}, GATEWAY, "with its own threshold the champion is blind")
            self.assessor.learn(windows, state)
            why = f"the device trained a champion on {rows} windows, {len(windows)} of them are here"
        elif "generation" not in state and self.base.training_missed(device):
            enough = max(LEAST, self.settings.training.refresh)
            windows = self.base.windows(device, limit=enough, labels=(NORMAL,))
            if len(windows) < enough:
                return
            champion, why = None, f"the device trained before this gateway knew it; it called {enough} windows normal"
        else:
            return
        self.base.decide("plan", GATEWAY, "make a pool", device, windows[-1].time_ns if windows else None, why=why)
        if self.engine.found(device, windows, champion):
            state["generation"], state["normals"], state["since"] = 0, 0, windows[-1].seq

    def _monitor(self, device: str, state: dict[str, Any]) -> None:
        """The pool judges every new window (7). One false positive too many calls for the next champion (9), enough normal windows, or
        a champion that nobody can follow, for new models (8); after those the windows that are left meet another pool."""
        renewed = True
        while renewed:
            renewed = False
            for judged in self.assessor.assess(device, state):
                state["normals"] += not judged.anomalous
                alone = judged.false_positive and not self._replace(judged, state)
                due = 0 < self.settings.training.refresh <= state["normals"]
                if (alone or due) and not judged.alarm and self._renew(judged, state, "nobody can follow" if alone else "it is time"):
                    renewed = True
                    break

    def _replace(self, judged: Assessed, state: dict[str, Any]) -> bool:
        """Is this false positive one too many, and who follows? False when somebody should and nobody can."""
        window, speaker, rule = judged.window, judged.speaker, self.settings.replacement
        device, champion = window.origin, self.registry.champion(window.origin)
        if champion is None or speaker != champion[0] or self.rollout.model_on_its_way(device):
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

    def _renew(self, judged: Assessed, state: dict[str, Any], why: str) -> bool:
        """Newcomers for the pool, from the first training windows and from those judged normal since, away from every anomaly."""
        device, champion = judged.window.origin, self.registry.champion(judged.window.origin)
        recent = self.base.normal_windows(device, state["since"], self.settings.alarm[1])
        state["normals"], state["since"], state["generation"] = 0, judged.window.seq, state["generation"] + 1
        self.base.decide("plan", GATEWAY, "make newcomers", device, judged.window.time_ns, why=why, recent=len(recent))
        return self.engine.renew(device, recent, champion[0] if champion else None, state["generation"])

    # What goes out

    def deployment(self, device: str) -> Deployment | None:
        """The package that should go to the device now: the same bytes until the device has spoken about it; None when it has."""
        return self.rollout.current(device)

    def undeliverable(self, device: str, sequence: int) -> None:
        """The device's line does not take the package: its model is blocked for this device, the champion stays."""
        with self.base.transaction():
            self.rollout.undeliverable(device, sequence)

    # What people ask for

    def configure(self, device: str, who: str = "person", **configuration: int) -> int:
        """Change a running device without another model: `threshold` (Q16), `normal_every` (windows).

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
            raise SettingError(f"a model is already on its way to {device}: wait until it is confirmed")
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

    def push_feature(self, name: str, formula: Formula, who: str) -> None:
        """A person's own feature: `name(rms, …)` may be used in feature sets and models from now on, at the gateway only.

        Args:
            name: Lower case.
            formula: Takes int64 columns [n] of the reported features named in brackets, returns one.
            who: The person.

        Code is not stored: push it again after a restart; until then models that use it sit out.

        Raises:
            ModelError: The name cannot be used.
        """
        with self.base.transaction():
            self.engine.formula(name, formula, who)

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
