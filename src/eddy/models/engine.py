"""Embedded and Pool Training Engine: makes models from what a device reported, checks them, and gives them their place in the repository.

Create, adapt and verify of the loop, each with its row in the ledger (Antonini et al., Tiny-MLOps, 2022, section IV, step 8).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eddy.errors import EddyError, ModelError
from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import WIDTH, Event, Window, plain
from eddy.knowledge.registry import CANDIDATE, POOL, RETIRED, Model, Registry, identity
from eddy.models.adapt import from_sklearn
from eddy.models.create import LEAST, Search, notice, reproduce, search
from eddy.models.derived import Columns, columns, sources
from eddy.models.verify import Target, verify

GATEWAY = "gateway"
_CHUNK = 256  # windows that the adaptation of a pushed model looks at, for each device


@dataclass(frozen=True, slots=True)
class Training:
    """How pools are made and renewed.

    Attributes:
        search: What is searched for the first pool of a device.
        refresh: Windows judged normal since the last training that call for newcomers; 0 for never.
        newcomers: Models that come with each renewal. At most twice as many stand beside the first generation, which keeps its voices, so
            that slow wear is not voted normal.
        memory: Windows that a renewal learns from: half of the first training, half the newest.
    """

    search: Search = field(default_factory=Search)
    refresh: int = 200
    newcomers: int = 3
    memory: int = 256


class TrainingEngine:
    """Makes, checks and files models; one for each gateway.

    Args:
        base: What devices reported, and where decisions are written.
        registry: The repository in it.
        settings: What to search, and how to renew.
        target: What a device of the class offers a model.
        reported: The features that devices report; the other columns are empty.
    """

    def __init__(
        self, base: KnowledgeBase, registry: Registry, settings: Training, target: Target, reported: Sequence[str] = NAMES
    ) -> None:
        self._base, self._registry, self._settings, self._target, self._reported = base, registry, settings, target, tuple(reported)

    def adopt(self, event: Event, windows: Sequence[Window]) -> tuple[str | None, int | None]:
        """Grow the champion that a device has trained itself once more, so that the repository holds it, and verify it. Crown it then.

        Args:
            event: The device's event `trained`.
            windows: Its training windows as far as they are here.

        Returns:
            (the model's identity; None when it cannot be grown again, and the ledger says why;
            the threshold, Q16, that it should have when it is blind with its own, else None).
        """
        told, device, why = event.value, event.origin, "windows are missing, or the device learned from others"
        try:
            features = tuple(told["features"])
            forest = reproduce([w.features for w in windows], features, told)
        except (EddyError, KeyError, TypeError, ValueError) as error:  # whatever a device of another version may say
            forest, why = None, f"{type(error).__name__}: {error}"
        if forest is None:
            self._base.decide("create", device, "the device's champion cannot be grown again", device, event.time_ns, why=why, told=told)
            return None, None
        parameters = {key: value for key, value in told.items() if key not in ("e", "features")}
        model = self._file(forest, features, "device", device, None, parameters, {})
        self._base.decide("create", device, f"champion {model.id[:12]} grown again from its seed", device, event.time_ns, told=told)
        self._base.decide("configure", device, "threshold calibrated by the device", device, event.time_ns, threshold=forest.threshold)
        rows = _rows(windows)
        report = verify(model.wire, features, rows, self._target)
        found = "passes" if report.passed else f"fails ({report.why})"
        self._base.decide("verify", GATEWAY, f"champion {model.id[:12]} {found}", device, event.time_ns, **report.metrics())
        seen = notice(forest, features, rows)
        return model.id, None if seen > 0 else max(0, forest.threshold + seen - 1)

    def found(self, device: str, windows: Sequence[Window], champion: str | None) -> bool:
        """Make the first pool of a device, or the first since it trained anew, of the search's best and of what people have pushed.

        Returns:
            Whether there is a new pool; models of an earlier one retire.
        """
        before = {e.model.id for e in self._registry.entries(device) if e.role in (CANDIDATE, POOL) and e.model.device}
        made = self._create(device, windows, self._settings.search, champion, 0)
        if not made:
            return False
        for model in sorted(before - {model.id for model in made}):
            self._registry.enter(device, model, RETIRED)
        rows = _rows(windows)
        for pushed in self._registry.pushed():
            self.admit(device, pushed, rows, 0)
        return True

    def renew(self, device: str, recent: Sequence[Window], champion: str | None, generation: int) -> bool:
        """Add newcomers to a pool; the worst of the earlier ones leave it. Whether the pool has changed.

        Args:
            device: Whose pool it is.
            recent: Windows that were judged normal since the last training, in time order.
            champion: The model that runs now.
            generation: 1 for the first renewal, and so on.
        """
        half = self._settings.memory // 2
        first = self._base.training(device, -1)
        windows = [*first[:: max(1, -(-len(first) // half))], *recent[-half:]]
        what = replace(self._settings.search, size=self._settings.newcomers, seed=self._settings.search.seed + 1000 * generation)
        if not recent or not self._create(device, windows, what, champion, generation):
            return False
        later = [e for e in self._registry.entries(device) if e.generation > 0 and e.role in (CANDIDATE, POOL)]
        later.sort(key=lambda e: (e.generation != generation, -e.score, e.model.id))
        for entry in later[2 * self._settings.newcomers :]:
            self._registry.enter(device, entry.model.id, RETIRED)
        return True

    def _create(self, device: str, windows: Sequence[Window], what: Search, parent: str | None, generation: int) -> list[Model]:
        """Search, train, verify, and give what is sound its place. Feature sets of what is not reported are left out."""
        rows = _rows(windows)
        newest = windows[-1].time_ns if windows else None
        sets = tuple(names for names in what.features if sources(names) <= {*self._reported}) or (self._reported,)
        if len(windows) < LEAST:
            self._base.decide("create", GATEWAY, "nothing: too little to learn from", device, newest, windows=len(windows), least=LEAST)
            return []
        what = replace(what, features=sets)
        models = []
        for one in search(rows, what):
            parameters = {**one.recipe.parameters(), "threshold": one.forest.threshold, "rows": len(rows), "generation": generation}
            models.append(self._file(one.forest, one.recipe.features, "engine", device, parent, parameters, one.metrics))
        evidence = {"windows": [windows[0].seq, windows[-1].seq], "objectives": {m.id[:12]: m.metrics["objective"] for m in models}}
        self._base.decide("create", GATEWAY, f"{len(models)} models of {what.count()} recipes", device, newest, **evidence)
        sizes = {m.id[:12]: len(m.wire) for m in models}
        self._base.decide("adapt", GATEWAY, "integer forests on a 12-bit grid", device, newest, bytes=sizes)
        for model in models:
            self.admit(device, model, rows, generation, newest)
        return models

    def push(self, model: Any, features: Sequence[str], who: str, device: str | None) -> Model:
        """File a person's own model, and let it judge where it can.

        Args:
            model: A forest in wire form, or a fitted scikit-learn IsolationForest, which is adapted to the grid.
            features: What its columns are.
            who: The person.
            device: Whom it is for; None for the whole class.

        Raises:
            ModelError, TooLarge: No sound forest, or features that are not known.
        """
        names = tuple(features)
        if missing := sorted(sources(names) - {*self._reported}):
            raise ModelError(f"feature {missing[0]!r} is not reported: use {', '.join(sorted(self._reported))}")
        rows = {home: _rows(self._base.windows(home, limit=_CHUNK)) for home in ([device] if device else self._base.devices())}
        everything = np.concatenate([_rows([]), *rows.values()])
        table = columns(everything, names)
        forest = Forest.from_wire(model) if isinstance(model, bytes) else from_sklearn(model, table)
        report = verify(forest.to_wire(), names, everything, self._target)
        if not report.sound:
            raise ModelError(f"this model cannot judge: {report.why}")
        filed = self._file(forest, names, f"person:{who}", device or "", None, {"trees": forest.trees, "threshold": forest.threshold}, {})
        how = "taken as it is" if isinstance(model, bytes) else "adapted from scikit-learn to a 12-bit grid"
        self._base.decide("create", who, f"model {filed.id[:12]} pushed", device or "", features=names)
        self._base.decide("adapt", who, f"model {filed.id[:12]} {how}", device or "", bytes=len(filed.wire))
        for home, seen in rows.items():
            self.admit(home, filed, seen, 0)
        return filed

    def admit(self, device: str, model: Model, rows: Columns, generation: int, time_ns: int | None = None) -> str:
        """Verify a model on a device's windows and give it its role there: candidate, pool, or retired when it cannot even judge."""
        try:
            measured = model.metrics.get("held_out_false_alarms")
            report = verify(model.wire, model.features, rows, self._target, measured)
        except ModelError as error:
            self._base.decide("verify", GATEWAY, f"model {model.id[:12]} sits out", device, time_ns, why=str(error))
            return RETIRED
        role = CANDIDATE if report.passed else POOL if report.sound else RETIRED
        self._registry.enter(device, model.id, role, generation)
        self._base.decide("verify", GATEWAY, f"model {model.id[:12]}: {role}", device, time_ns, why=report.why, **report.metrics())
        return role

    def _file(
        self,
        forest: Forest,
        features: tuple[str, ...],
        origin: str,
        device: str,
        parent: str | None,
        parameters: dict[str, Any],
        metrics: dict[str, Any],
    ) -> Model:
        wire = forest.to_wire()
        model = Model(identity(wire, features), wire, features, origin, device, parent, plain(parameters), metrics)
        self._registry.add(model)
        return model


def _rows(windows: Sequence[Window]) -> Columns:
    """int64 [n, WIDTH]: all reported features."""
    return np.array([w.features for w in windows], dtype=np.int64).reshape(-1, WIDTH)
