"""The pool as a function: says what the models of a device's repository think of what the champion on that device reports.

Antonini et al., Tiny-MLOps (2022), section IV, steps 6 and 7. Runs at a gateway or in the cloud, moves and survives as any function does.
Who belongs to a pool comes as samples too, from the loop that makes models (`eddy.loop`); `eddy.knowledge.registry` says in which form.
"""

from dataclasses import dataclass
from typing import Any

from eddy.errors import BadInput, ModelError, SampleError
from eddy.kernel.engines import ANOMALOUS, NORMAL, TRAINING
from eddy.kernel.features import NAMES
from eddy.kernel.forest import MAX_NODES, Forest
from eddy.kernel.function import Function, Sample
from eddy.kernel.functions.model import NEWS
from eddy.knowledge.registry import JOIN, LEAVE, SPEAKS
from eddy.models.derived import columns
from eddy.pool.judge import Standing, judge, strategy
from eddy.pool.rank import reward

_INT32 = range(-(1 << 31), 1 << 31)
_SEQUENCE = range(1, 1 << 32)
_PACKAGES = 16  # that may be on their way to a device, and then some


@dataclass(slots=True)
class _Member:
    forest: Forest
    wire: bytes  # the forest once more, a quarter of the size: what the state holds
    features: list[str]
    standing: Standing


class _Pool:
    """The models of one device."""

    def __init__(self) -> None:
        self.members: dict[str, _Member] = {}
        self.packages: list[list[Any]] = []  # [sequence, model] of what was sent to the device, oldest first
        self.sequence = 0  # of what runs there, as it says

    def speaker(self) -> str:
        """The model that labels what the device reports now; "" for one that nobody here has."""
        sent: list[str] = [model for sequence, model in self.packages if sequence <= self.sequence]
        return sent[-1] if sent else ""

    def speaks(self, sequence: int, model: str) -> None:
        """This model speaks from that package on."""
        self.packages = sorted([*(one for one in self.packages if one[0] != sequence), [sequence, model]])[-_PACKAGES:]

    def heard(self, news: dict[str, Any]) -> None:
        """What the model on the device says about itself. One that it has trained is nobody's, until the loop says whose it is."""
        match news:
            case {"e": "installed", "sequence": int(sequence)} if sequence in _SEQUENCE and sequence is not True:
                self.sequence = sequence
            case {"e": "trained"}:
                self.speaks(self.sequence, "")

    def state(self) -> list[Any]:
        members = [[name, one.wire, one.features, one.standing.plain()] for name, one in sorted(self.members.items())]
        return [members, self.packages, self.sequence]

    @classmethod
    def restore(cls, state: list[Any]) -> "_Pool":
        pool = cls()
        members, pool.packages, pool.sequence = state
        for name, wire, features, standing in members:
            pool.members[name] = _Member(Forest.from_wire(wire, MAX_NODES), wire, features, Standing(*standing))
        return pool


class Judge(Function):
    """Reports in, `[score Q16, label, row, held]` as a `forward` puts them out, or without `held`. Out, one for each, in their order:

        [share Q16, verdict, row, held, origin, label, false positive, score, ballot, weight, total]

    The share is that of the anomalous voices' weight, the verdict 1 for anomalous and 0 for normal; a false positive (1) is a row that the
    champion called anomalous and the pool calls normal. The ballot is {model: [score Q16, opinion]} of everyone who was asked; the model
    that speaks on the device is asked and ranked like everyone, by what it said there, but has no voice: it is the one on trial. Where
    nobody has a voice yet, and for rows that the champion did not judge either, the share is -1, the verdict 2, the ballot empty. News of
    a model (label 3) and reports that are missing for good pass with the verdict 3 and a map in the place of the row.

    Configure: `decide`.

    Args:
        columns: Names of the numbers in a row.
        devices: {origin of reports: device that the loop knows it as}.
        decide: How voices are weighed: `majority`, `rank` or `validation`, see `eddy.pool.judge`.

    Attributes:
        malformed: Samples that were no reports on these columns; they were left out.

    Raises:
        SettingError: An unknown strategy.
    """

    def __init__(self, columns: list[str], devices: dict[str, str], decide: str = "majority") -> None:
        self._columns = columns
        self._devices = devices
        self._strategy = strategy(decide)
        self._configured = ""  # the strategy that came by `configure` and overrules the one in the program
        self._pools: dict[str, _Pool] = {}
        self.malformed = 0

    def on(self, sample: Sample) -> list[Any]:
        """Judge a report, pass news on, or change a pool."""
        known = sample.origin in self._devices
        match sample.value:
            case [str(), str() as device, *_] as said if not known:
                if device in self._devices.values():  # else it is of another judge's pool
                    try:
                        self._change(self._pools.setdefault(device, _Pool()), said)
                    except BadInput:
                        self.malformed += 1
                return []
            case [-1, int(label), {"e": str()} as news, *held] if label == NEWS and known and _is_count(held):
                self._pool(sample.origin).heard(news)
                return [[-1, NEWS, news, *(held or [0]), sample.origin, NEWS, 0, -1, {}, 0, 0]]
        if not known or not self._is_report(sample.value):
            self.malformed += 1
            return []
        score, label, row, held = [*sample.value, 0][:4]
        about, pool = [row, held, sample.origin, label], self._pool(sample.origin)
        voters = [name for name in sorted(pool.members) if name != pool.speaker()]
        if not voters or label == TRAINING:
            return [[-1, TRAINING, *about, 0, score, {}, 0, 0]]
        scores = {name: self._score(member, row) for name, member in sorted(pool.members.items())}
        opinions = {name: scores[name] > pool.members[name].forest.threshold for name in scores}
        if pool.speaker() in opinions:
            opinions[pool.speaker()] = label == ANOMALOUS
        verdict = judge([opinions[name] for name in voters], self._strategy([pool.members[name].standing for name in voters]))
        for name, opinion in opinions.items():
            pool.members[name].standing = pool.members[name].standing.after(reward(opinion, verdict.anomalous))
        outcome = ANOMALOUS if verdict.anomalous else NORMAL
        ballot = {name: [scores[name], int(opinions[name])] for name in scores}
        false = int(label == ANOMALOUS and outcome == NORMAL)
        return [[(verdict.weight << 16) // verdict.total, outcome, *about, false, score, ballot, verdict.weight, verdict.total]]

    def configure(self, settings: dict[str, Any]) -> list[Any]:
        """Another strategy."""
        if "decide" in settings:
            self._strategy, self._configured = strategy(settings["decide"]), settings["decide"]
        return []

    def gap(self, sample: Sample) -> list[Any]:
        """Reports are missing for good, or what the loop said about a pool."""
        if sample.origin not in self._devices:
            return []
        missing = sample.value
        news = {"e": "gap", "first": sample.seq, "last": missing.last, "reason": missing.reason}
        return [[-1, NEWS, news, missing.last - sample.seq + 1, sample.origin, NEWS, 0, -1, {}, 0, 0]]

    def state(self) -> Any:
        """What was counted and configured, and the pool of each device."""
        return [self._configured, self.malformed, [[device, pool.state()] for device, pool in sorted(self._pools.items())]]

    def restore(self, state: Any) -> None:
        """Judge on."""
        self._configured, self.malformed, pools = state
        if self._configured:
            self._strategy = strategy(self._configured)
        self._pools = {device: _Pool.restore(pool) for device, pool in pools}

    def _pool(self, origin: str) -> _Pool:
        return self._pools.setdefault(self._devices[origin], _Pool())

    def _change(self, pool: _Pool, said: list[Any]) -> None:
        match said:
            case [kind, _, str() as model, bytes() as wire, list() as features, int() as points, int() as seen, int() as false] if (
                kind == JOIN
            ):
                if model not in pool.members:
                    pool.members[model] = _member(wire, features, Standing(points, seen, false))
            case [kind, _, str() as model] if kind == LEAVE:
                pool.members.pop(model, None)
            case [kind, _, int() as sequence, str() as model] if kind == SPEAKS:
                pool.speaks(sequence, model)
            case _:
                raise SampleError("this says nothing about a pool")

    def _score(self, member: _Member, row: list[int]) -> int:
        if all(name in self._columns for name in member.features):
            return member.forest.score([row[self._columns.index(name)] for name in member.features])
        known = dict(zip(self._columns, row, strict=True))
        return member.forest.score(columns([[known.get(name, 0) for name in NAMES]], member.features)[0].tolist())

    def _is_report(self, value: Any) -> bool:
        match value:
            case [int(score), int(label), list(row), *held] if len(row) == len(self._columns) and _is_count(held):
                known = label in (NORMAL, ANOMALOUS, TRAINING) and -1 <= score <= 1 << 16
                return known and not any(isinstance(x, bool) or not isinstance(x, int) or x not in _INT32 for x in [score, label, *row])
        return False


def _member(wire: bytes, features: list[Any], standing: Standing) -> _Member:
    forest = Forest.from_wire(wire, MAX_NODES)
    columns([[0] * len(NAMES)], features)  # that each of them can be computed here
    if forest.features != len(features):
        raise ModelError(f"the forest takes {forest.features} features, {len(features)} are named")
    return _Member(forest, wire, features, standing)


def _is_count(held: list[Any]) -> bool:
    """Whether this is how many were held back, or nothing, from a model without a `forward` behind it."""
    return not held or (len(held) == 1 and type(held[0]) is int and held[0] in range(1 << 31))
