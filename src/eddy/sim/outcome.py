"""What a staged run has left in the knowledge base and on the lines, as plain data for tables, JSON and the report."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.knowledge.records import NORMAL, TRAINING

if TYPE_CHECKING:
    from eddy.loop import Loop
    from eddy.sim.pump import Settings
    from eddy.sim.station import Station

_ONE = 65536
_LABELS = ("normal", "anomalous", "training")


def collect(settings: "Settings", loop: "Loop", stations: Sequence["Station"], problems: list[str], seconds: float) -> dict[str, Any]:
    """The result of `eddy demo pump`; `dashboard.report` names its parts."""
    told = [_Told(loop, station) for station in stations]
    first = told[0]
    return {
        "source": stations[0].recordings.source,
        "seconds": round(seconds, 1),
        "device": first.device(settings.heap_bytes),
        "devices": [one.summary() for one in told],
        "first_alarm_file": first.first_alarm(),
        "last_file": max(index for _, index, _ in stations[0].played),
        "windows": sum(one.count("windows") for one in told),
        "alarms": [alarm for one in told for alarm in one.alarms()],
        "champions": [row for one in told for row in one.champions()],
        "deployments": [row for one in told for row in one.deployments()],
        "line": _line(stations),
        "line_series": first.line_series(),
        "series": [row for one in told for row in one.series()],
        "features": first.features(),
        "ranking": first.ranking(),
        "decisions": [row for one in told for row in one.decisions()],
        "events": [row for one in told for row in one.events()],
        "settings": {name: str(value) for name, value in vars(settings).items() if value is not None},
        "problems": problems,
    }


class _Told:
    """What one device told, and what was made of it."""

    def __init__(self, loop: "Loop", station: "Station") -> None:
        self._loop = loop
        self._base = loop.base
        self._station = station
        self._name = station.name
        self._times = [time_ns for time_ns, _, _ in station.played]
        self._figures: dict[str, Any] = station.device.figures or {}
        self._champions = loop.base.table("champions", self._name)

    def file(self, time_ns: int) -> int:
        """Index of the recording that was playing at a sample time."""
        return self._station.played[max(0, bisect_right(self._times, time_ns) - 1)][1]

    def count(self, what: str) -> int:
        """One of the device's own counts."""
        counts: dict[str, int] = self._figures.get("counts", {})
        return counts.get(what, 0)

    def device(self, heap_bytes: int) -> dict[str, Any]:
        """The interpreter that ran."""
        device = self._station.device
        return {"interpreter": device.interpreter, "heap_bytes": device.heap_bytes and heap_bytes, "peak_heap_bytes": None}

    def summary(self) -> dict[str, Any]:
        """The device in one row."""
        return {
            "device": self._name,
            "source": self._station.recordings.source,
            "interpreter": self._station.device.interpreter,
            "recordings": len(self._station.played),
            "saturated_samples": self._station.saturated,
            "first_alarm_file": self.first_alarm(),
            "first_rule_alarm_file": self._first("rule"),
            **self._figures.get("counts", {}),
        }

    def alarms(self) -> list[dict[str, Any]]:
        """Confirmed alarms of the pool, an episode each."""
        return [self._alarm(row) for row in self._base.table("alarms", self._name) if row["detector"] == "pool"]

    def _alarm(self, row: dict[str, Any]) -> dict[str, Any]:
        cleared = row["cleared_ns"]
        return {
            "device": self._name,
            "file": self.file(row["raised_ns"]),
            "time_ns": row["raised_ns"],
            "cleared_file": None if cleared is None else self.file(cleared),
        }

    def first_alarm(self) -> int | None:
        """Recording of the first confirmed alarm."""
        return self._first("pool")

    def _first(self, detector: str) -> int | None:
        raised = [row["raised_ns"] for row in self._base.table("alarms", self._name) if row["detector"] == detector]
        return self.file(min(raised)) if raised else None

    def champions(self) -> list[dict[str, Any]]:
        """History of the champions."""
        return [self._champion(row) for row in self._champions]

    def _champion(self, row: dict[str, Any]) -> dict[str, Any]:
        model = self._loop.registry.model(row["model"]) if row["model"] else None
        forest = Forest.from_wire(model.wire) if model else None
        return {
            "device": self._name,
            "file": self.file(row["since_ns"]),
            "sequence": row["sequence"],
            "trees": forest.trees if forest else None,
            "threshold": forest.threshold / _ONE if forest else None,
            "features": list(model.features) if model else None,
            "origin": model.origin if model else "device",
            "reason": row["why"],
        }

    def deployments(self) -> list[dict[str, Any]]:
        """Packages as the line emulator saw them go over."""
        rows = {one.sequence: one for one in self._loop.registry.deployments(self._name)}
        out = []
        for sent in self._station.deployments:
            model = rows[sent.sequence].model
            trees = Forest.from_wire(self._loop.registry.model(model).wire).trees if model else 0
            out.append(
                {
                    "device": self._name,
                    "sequence": sent.sequence,
                    "trees": trees,
                    "wire_bytes": sent.wire_bytes,
                    "line_seconds": round(sent.line_seconds, 3),
                    "channel_use": round(sent.channel_use, 4),
                    "state": rows[sent.sequence].state,
                }
            )
        return out

    def _thresholds(self) -> dict[int, float | None]:
        """Threshold of what runs under each sequence, 0 to 1."""
        known: dict[int, float | None] = {row["sequence"]: self._champion(row)["threshold"] for row in self._champions}
        for one in self._loop.registry.deployments(self._name):
            if one.configuration and "threshold" in one.configuration:
                known[one.sequence] = one.configuration["threshold"] / _ONE
        return known

    def series(self) -> list[dict[str, Any]]:
        """Every reported window with its score, threshold and verdict."""
        outcomes = {row["seq"]: row["outcome"] for row in self._base.table("verdicts", self._name)}
        thresholds = self._thresholds()
        rows = []
        for window in self._base.windows(self._name):
            verdict = None
            if window.label not in (NORMAL, TRAINING) and window.seq in outcomes:
                verdict = "confirmed" if outcomes[window.seq] else "rejected"
            rows.append(
                {
                    "device": self._name,
                    "index": window.position,
                    "file": self.file(window.time_ns),
                    "time_ns": window.time_ns,
                    "score": None if window.label == TRAINING else window.score / _ONE,
                    "threshold": None if window.label == TRAINING else thresholds.get(window.model_sequence),
                    "label": _LABELS[window.label],
                    "verdict": verdict,
                }
            )
        return rows

    def features(self) -> list[dict[str, Any]]:
        """All features of every reported window."""
        windows = self._base.windows(self._name)
        return [
            {"device": self._name, "file": self.file(w.time_ns), "values": dict(zip(NAMES, w.features, strict=True))} for w in windows
        ]

    def ranking(self) -> list[dict[str, Any]]:
        """The pool, best first."""
        rows = []
        for entry in self._loop.registry.entries(self._name):
            forest = Forest.from_wire(entry.model.wire)
            rows.append(
                {
                    "model": entry.model.id,
                    "role": entry.role,
                    "score": entry.score,
                    "trees": forest.trees,
                    "features": list(entry.model.features),
                }
            )
        return rows

    def decisions(self) -> list[dict[str, Any]]:
        """The ledger."""
        return [
            {"phase": row["phase"], "when_ns": row["time_ns"], "who": row["who"], "what": row["what"], "evidence": json.loads(row["evidence"])}
            for row in self._base.table("decisions", self._name)
        ]

    def events(self) -> list[dict[str, Any]]:
        """What the device said about itself."""
        rows = []
        for row in self._base.table("events", self._name):
            text = ", ".join(f"{key} {value}" for key, value in json.loads(row["value"]).items() if key != "e")
            rows.append({"device": self._name, "file": self.file(row["time_ns"]), "kind": row["kind"], "text": text})
        return rows

    def line_series(self) -> list[dict[str, Any]]:
        """Share of the time that the line was busy, account by account."""
        marks = [mark for mark in self._station.marks if mark["elapsed_s"] > 0]
        return [{"t_s": mark["last_byte_s"], "busy": mark["channel_use"]} for mark in marks]


def _line(stations: Sequence["Station"]) -> dict[str, Any]:
    """All lines together."""
    total = {"bytes": 0, "frames": 0, "retransmitted": 0, "busy_s": 0.0, "lost_frames": 0, "corrupted_bytes": 0, "collisions": 0}
    for station in stations:
        for mark in station.marks:
            for name in total:
                total[name] += mark.get(name, 0)
    return total
