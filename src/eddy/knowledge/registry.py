"""The model repository of a gateway: every model with its lineage, who stands where for which device, and what was deployed.

A model is immutable and named by its content (`identity`), so the same training run gives the same row, here and after a restart. Standings
are per device: a model that serves one pump well may fail on the next.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from eddy.kernel import codec
from eddy.knowledge.base import KnowledgeBase

CHAMPION, CANDIDATE, POOL, RETIRED = "champion", "candidate", "pool", "retired"

WANTED, PACKAGED, INSTALLED = "wanted", "packaged", "installed"
REFUSED, SUPERSEDED = "refused", "superseded"
FAILED = (REFUSED, SUPERSEDED)

JOIN, LEAVE, SPEAKS = "join", "leave", "speaks"
"""What is announced: [JOIN, device, model, wire, features, score, seen, false alarms], [LEAVE, device, model], and
[SPEAKS, device, sequence, model], with which package a model comes to the device; "" for one that nobody here has."""


@dataclass(frozen=True, slots=True)
class Model:
    """One trained forest.

    Attributes:
        id: `identity(wire, features)`.
        wire: The forest in its wire form, threshold and grid inside.
        features: What its columns are, in order.
        origin: Who made it: "device", "engine" or "person:<name>".
        device: For which device it was made; "" for the whole class.
        parent: The model it follows from (the champion it may replace), or None.
        parameters: How it was trained: trees, subsample, seed, rows, quantile, threshold.
        metrics: What validation and verification measured.
    """

    id: str
    wire: bytes
    features: tuple[str, ...]
    origin: str
    device: str = ""
    parent: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a model stands for a device; see `rankings` in the schema."""

    model: Model
    role: str
    score: int
    seen: int
    generation: int
    blocked: str | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A package for a device, and how far it came.

    Attributes:
        device: The target.
        sequence: Number of the package; the device accepts each only once and never a lower one.
        model: Identity of the model inside; None for a package that only configures.
        configuration: What it configures.
        data: The package, not signed yet; empty until its turn comes.
        state: See `deployments` in the schema.
        who: Who asked for it.
    """

    device: str
    sequence: int
    model: str | None
    configuration: dict[str, Any]
    data: bytes
    state: str
    who: str


def identity(wire: bytes, features: tuple[str, ...]) -> str:
    """The name of a model: SHA-256, in hexadecimal, over the deterministic CBOR of [wire, features]."""
    return hashlib.sha256(codec.encode([wire, list(features)])).hexdigest()


class Registry:
    """Models, standings, champions and deployments in a knowledge base.

    Args:
        base: Where they are kept; changes belong to its current transaction.
    """

    def __init__(self, base: KnowledgeBase) -> None:
        self._base = base
        self._db = base.connection
        self._models: dict[str, Model] = {}  # immutable rows, so a cache cannot be wrong, only large

    # Models

    def add(self, model: Model) -> None:
        """Store a model; the same one again changes nothing."""
        self._db.execute(
            "INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(model.id, model.parent, model.origin, model.device, self._base.clock(), model.wire),
                *(json.dumps(value, sort_keys=True) for value in (model.features, model.parameters, model.metrics)),
            ),
        )

    def model(self, identity: str) -> Model:
        """The model of that identity (KeyError when there is none)."""
        if identity not in self._models:
            row = self._db.execute(
                "SELECT id, wire, features, origin, device, parent, parameters, metrics FROM models WHERE id = ?", (identity,)
            ).fetchone()
            if row is None:
                raise KeyError(identity)
            self._models[identity] = Model(
                row[0], row[1], tuple(json.loads(row[2])), row[3], row[4], row[5], json.loads(row[6]), json.loads(row[7])
            )
        return self._models[identity]

    def pushed(self) -> list[Model]:
        """Models that a person gave to the whole class of devices."""
        rows = self._db.execute("SELECT id FROM models WHERE device = '' ORDER BY id").fetchall()
        return [self.model(identity) for (identity,) in rows]

    # Standings

    def enter(self, device: str, model: str, role: str, generation: int = 0) -> None:
        """Give a model a role for a device; score and generation stay when it has them."""
        before = self._db.execute("SELECT role FROM rankings WHERE device = ? AND model = ?", (device, model)).fetchone()
        self._db.execute(
            "INSERT INTO rankings (device, model, role, generation) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET role = excluded.role",
            (device, model, role, generation),
        )
        judged = before is not None and before[0] != RETIRED
        if judged and role == RETIRED:
            self._announce(LEAVE, device, model)
        elif not judged and role != RETIRED:
            self._join(next(entry for entry in self.entries(device) if entry.model.id == model), device)

    def present(self, device: str) -> None:
        """Announce once more who belongs to the pool of a device: its judge seems to have forgotten them."""
        for entry in self.entries(device):
            if entry.role != RETIRED:
                self._join(entry, device)
        champion = self.champion(device)
        if champion:
            self._announce(SPEAKS, device, 0, champion[0] or "")  # it has heard of no package
        for one in self.deployments(device, PACKAGED):
            if one.model:
                self._announce(SPEAKS, device, one.sequence, one.model)

    def announcement(self, position: int) -> Any:
        """The one with that number, from 0 on; None when there are not so many."""
        row = self._db.execute("SELECT said FROM announcements WHERE id = ?", (position + 1,)).fetchone()
        return codec.decode(row[0]) if row else None

    def _join(self, entry: Entry, device: str) -> None:
        model, alarms = entry.model, entry.model.metrics.get("held_out_false_alarms", 0)
        standing = [entry.score, entry.seen, alarms if isinstance(alarms, int) else 0]
        self._announce(JOIN, device, model.id, model.wire, list(model.features), *standing)

    def _announce(self, *said: Any) -> None:
        self._db.execute("INSERT INTO announcements (said) VALUES (?)", (codec.encode(list(said)),))

    def block(self, device: str, model: str, why: str) -> None:
        """Never offer this model to the device again; it may go on judging."""
        self._db.execute("UPDATE rankings SET blocked = ? WHERE device = ? AND model = ?", (why, device, model))

    def reward(self, device: str, earned: dict[str, int]) -> None:
        """One more window on which these models were ranked: add what each earned."""
        self._db.executemany(
            "UPDATE rankings SET score = score + ?, seen = seen + 1 WHERE device = ? AND model = ?",
            [(points, device, model) for model, points in earned.items()],
        )

    def entries(self, device: str) -> list[Entry]:
        """Everyone who stands anywhere for the device, retired ones too, in the order of their identities."""
        rows = self._db.execute(
            "SELECT model, role, score, seen, generation, blocked FROM rankings WHERE device = ? ORDER BY model", (device,)
        ).fetchall()
        return [Entry(self.model(row[0]), *row[1:]) for row in rows]

    # Champions

    def crown(self, device: str, model: str | None, sequence: int, since_ns: int, why: str) -> None:
        """From `since_ns` on, `model` (None: one the gateway does not hold) runs on the device."""
        self._db.execute("UPDATE champions SET until_ns = ? WHERE device = ? AND until_ns IS NULL", (since_ns, device))
        self._db.execute(
            "INSERT INTO champions (device, model, sequence, since_ns, why) VALUES (?, ?, ?, ?, ?)",
            (device, model, sequence, since_ns, why),
        )
        self._announce(SPEAKS, device, sequence, model or "")

    def champion(self, device: str) -> tuple[str | None, int, int] | None:
        """(model or None when the gateway does not hold it, package sequence, in office since) of the device; None before its first."""
        row: tuple[str | None, int, int] | None = self._db.execute(
            "SELECT model, sequence, since_ns FROM champions WHERE device = ? AND until_ns IS NULL", (device,)
        ).fetchone()
        return row

    def speaker(self, device: str, sequence: int) -> str | None:
        """The model that gave a score under package `sequence`; None for one the gateway does not hold.

        A package that only configures raises the sequence and keeps the model.
        """
        row = self._db.execute(
            "SELECT model FROM (SELECT model, sequence, 0 AS id FROM deployments WHERE device = ?1 AND model IS NOT NULL AND "
            "state NOT IN (?3, ?4) UNION SELECT model, sequence, id FROM champions WHERE device = ?1) "
            "WHERE sequence <= ?2 ORDER BY sequence DESC, id DESC LIMIT 1",
            (device, sequence, *FAILED),
        ).fetchone()
        return row[0] if row else None

    # Deployments

    def want(self, device: str, sequence: int, model: str | None, configuration: dict[str, Any], who: str, why: str) -> None:
        """A package that the device shall get when its turn comes."""
        self._db.execute(
            "INSERT INTO deployments VALUES (?, ?, ?, ?, x'', ?, ?, ?, ?)",
            (device, sequence, model, json.dumps(configuration, sort_keys=True), WANTED, who, why, self._base.clock()),
        )

    def packaged(self, device: str, sequence: int, data: bytes, model: str | None) -> None:
        """The package is built; from now on the same bytes are sent, as often as it takes."""
        self._db.execute(
            "UPDATE deployments SET package = ?, state = ? WHERE device = ? AND sequence = ?", (data, PACKAGED, device, sequence)
        )
        if model:
            self._announce(SPEAKS, device, sequence, model)

    def package(self, device: str, position: int) -> bytes | None:
        """The package with that number among those that were built for a device, from 0 on; None when there are not so many."""
        row = self._db.execute(
            "SELECT package FROM deployments WHERE device = ? AND package <> x'' ORDER BY sequence LIMIT 1 OFFSET ?", (device, position)
        ).fetchone()
        return row[0] if row else None

    def advance(self, device: str, sequence: int, state: str, why: str = "") -> None:
        """A deployment has come to another state."""
        self._db.execute(
            "UPDATE deployments SET state = ?, why = CASE ? WHEN '' THEN why ELSE ? END WHERE device = ? AND sequence = ?",
            (state, why, why, device, sequence),
        )
        if state in FAILED:
            self._announce(SPEAKS, device, sequence, self.speaker(device, sequence) or "")

    def deployments(self, device: str, *states: str) -> list[Deployment]:
        """The deployments of a device in any of `states` (all of them when none is given), by sequence."""
        rows = self._db.execute(
            "SELECT device, sequence, model, configuration, package, state, who FROM deployments "
            "WHERE device = ? AND (? = '[]' OR state IN (SELECT value FROM json_each(?))) ORDER BY sequence",
            (device, json.dumps(states), json.dumps(states)),
        )
        return [Deployment(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5], row[6]) for row in rows]
