"""What a run of the pump application has left in its knowledge base and on the lines, as plain data for tables, JSON and the report."""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eddy.kernel.features import NAMES
from eddy.kernel.forest import Forest
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import NORMAL, TRAINING
from eddy.knowledge.registry import Deployment
from eddy.links.micropython import HEAP_BYTES
from eddy.links.recordings.bearing import SimulatedBearing
from eddy.links.recordings.recording import Recordings
from eddy.loop import Loop
from eddy.loop.drivers import folder_of
from eddy.sim.devices import BAUD, Device
from eddy.sim.paper import compare
from eddy.sim.pump import MODEL, Settings, heard_by
from eddy.spec.model import App

_ONE = 65536
_AROUND = 200  # bytes of a message beside the package in it, at most
_DELIVERY = re.compile(r"(?P<bytes>[0-9]+) bytes for detect@?(?P<device>.*) in (?P<seconds>[0-9.]+) s of line")
_SCALES = dict.fromkeys(("kurtosis", "skewness", "crest_factor"), 1000)
"""Fixed point of the features without a unit; the others are sixteenths of a count."""

_KNOWN_ONSET = {("2nd_test", "1"): 533}
_SHUT_DOWN = {"2nd_test": 981}
"""IMS test 2: bearing 1 fails from about file 533; files 982 and 983 were recorded after shutdown."""
ARRANGED_BELOW = 950
"""Per mille: a champion calibrated lower has been made to fail."""

_LABELS = ("normal", "anomalous", "training")


def collect(
    settings: Settings, app: App, folder: Path, devices: Sequence[Device], events: Iterable[Any], seconds: float, heap_bytes: int | None
) -> dict[str, Any]:
    """The result of `eddy demo pump`; `dashboard.report` names its parts.

    Args:
        settings, app: What was played.
        folder: Where hub, nodes and devices kept what they have.
        devices: Switched off.
        events: Of the hub, `eddy.hub.view.Event`.
        seconds: How long it took.
        heap_bytes: The smallest heap with which a device does its work; None where that was not looked for.
    """
    problems: list[str] = []
    heard = [heard_by(app, number, lambda problem: problems.append(str(problem))) for number in range(len(devices))]
    base = KnowledgeBase(folder_of(folder / "nodes" / "gw", MODEL) / "knowledge.db")
    loop = Loop(base, device_class=MODEL)
    deliveries = [found for one in events if one.kind == "line" and (found := _DELIVERY.fullmatch(one.text))]
    told = [_Told(loop, device, recordings, deliveries) for device, recordings in zip(devices, heard, strict=True)]
    learned, first = app.models[MODEL], told[0]
    last = first.times[-1][1] if first.times else 0
    last = min([last, *(file for test, file in _SHUT_DOWN.items() if test in heard[0].source)])
    paper = compare(heard[0], learned.train.first_rows, settings.seed, last)
    result = {
        "source": heard[0].source,
        "seconds": round(seconds, 1),
        "device": first.device(heap_bytes),
        "devices": [one.summary() for one in told],
        "first_alarm_file": first.first_alarm(),
        "onset_file": _onset(heard[0], settings.bearing),
        "last_file": last,
        "windows": sum(one.windows() for one in told),
        "alarms": [alarm for one in told for alarm in one.alarms()],
        "champions": [row for one in told for row in one.champions()],
        "deployments": [row for one in told for row in one.deployments()],
        "false_positives": first.false_positives(),
        "paper_settings": paper,
        "line": _line(devices),
        "line_series": first.line_series(),
        "series": [row for one in told for row in one.series()],
        "features": first.features(),
        "units": {name: "" if name in _SCALES else "counts" for name in NAMES},
        "ranking": first.ranking(),
        "decisions": [row for one in told for row in one.decisions()],
        "events": [row for one in told for row in one.events()],
        "settings": {name: _text(value) for name, value in vars(settings).items() if value is not None},
        "notes": _notes(learned.threshold_permille, learned.train.first_rows, told, paper) + problems,
    }
    base.close()
    return result


def _onset(recordings: Recordings, bearing: str) -> int | None:
    """The first recording with the fault in it, where that is known."""
    if isinstance(recordings, SimulatedBearing):
        return recordings.onset_index
    return next((file for (test, which), file in _KNOWN_ONSET.items() if test in recordings.source and which == bearing), None)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _notes(quantile: int, rows: int, told: Sequence["_Told"], paper: dict[str, Any] | None) -> list[str]:
    """What a reader has to know to judge the figures."""
    notes = ["Recordings follow each other as fast as the device can take them: in the field minutes pass between two of them."]
    if quantile < ARRANGED_BELOW:
        notes.append(
            f"Arranged: the device calibrates its own champion so that {1000 - quantile} of 1,000 training windows are called "
            "anomalous. It cries wolf, and the paper's rule replaces it."
        )
    for one in told:
        if not one.champions():
            notes.append(f"{one.name} has no champion: it heard {one.windows()} windows and trains on {rows}.")
        false = one.false_positives()
        if len(false) > 1:
            text = ", then ".join(f"{row['false_positives']} in {row['windows']:,} windows" for row in false)
            notes.append(f"False positives of {one.name}, champion by champion: {text}.")
    if paper:
        fixed, calibrated = paper["fixed"], paper["calibrated"]
        notes.append(
            f"The paper's settings on the same recordings (500 Hz; kurtosis, skewness, mean; 50 trees): {_sees(fixed)} at the fixed "
            f"threshold of 0.6, {_sees(calibrated)} at the calibrated one of {calibrated['threshold']:.3f}."
        )
    notes += [f"Package {number} of {one.name}: nobody saw it arrive." for one in told for number in one.unseen()]
    if told[0].interpreter() == "cpython":
        notes.append("There is no MicroPython wheel for this platform: the device's files ran on CPython, without a heap limit.")
    notes += [f"{one.name}: {one.saturated:,} samples did not fit the converter's range." for one in told if one.saturated]
    return notes


def _sees(row: dict[str, Any]) -> str:
    first = row["first_alarm_file"]
    alarm = "no confirmed alarm until the end" if first is None else f"the first confirmed alarm at file {first}"
    return f"{100 * row['above']:.1f} % of the windows after training above and {alarm}"


class _Told:
    """What one device told, and what was made of it."""

    def __init__(self, loop: Loop, device: Device, recordings: Recordings, deliveries: Iterable[re.Match[str]]) -> None:
        self._loop = loop
        self._base = loop.base
        self._device = device
        self._recordings = recordings
        # Where there is one device only, instances are not named after it.
        self._deliveries = [found for found in deliveries if found["device"] in (device.name, "")]
        self.name = device.name
        self.saturated = 0
        self.times: list[tuple[int, int]] = []
        for recording in recordings:
            self.times.append((recording.time_ns, recording.index))
            self.saturated += recording.saturated
        self._champions = loop.base.table("champions", self.name)

    def file(self, time_ns: int) -> int:
        """Index of the recording that was playing at a sample time; 0 when none was played here."""
        if not self.times:
            return 0
        return self.times[max(0, bisect_right(self.times, (time_ns, 1 << 62)) - 1)][1]

    def windows(self) -> int:
        """That the device has seen."""
        counts: dict[str, int] = self._device.figures.get("counts", {})
        return counts.get("outputs", 0)

    def device(self, peak_bytes: int | None) -> dict[str, Any]:
        """The interpreter that ran."""
        real = self.interpreter() == "micropython"
        return {"interpreter": self.interpreter(), "heap_bytes": HEAP_BYTES if real else 0, "peak_heap_bytes": peak_bytes}

    def interpreter(self) -> str:
        """As the device itself says."""
        return str(self._device.figures.get("interpreter", "unknown"))

    def summary(self) -> dict[str, Any]:
        """The device in one row."""
        gaps = self._base.table("gaps", self.name)
        return {
            "device": self.name,
            "source": self._recordings.source,
            "interpreter": self.interpreter(),
            "recordings": len(self.times),
            "saturated_samples": self.saturated,
            "first_alarm_file": self.first_alarm(),
            "first_rule_alarm_file": self._first("rule"),
            "windows": self.windows(),
            "reported": len(self._base.windows(self.name)),
            "lost": sum(gap["last"] - gap["first"] + 1 for gap in gaps),
        }

    def alarms(self) -> list[dict[str, Any]]:
        """Confirmed alarms of the pool, an episode each."""
        return [self._alarm(row) for row in self._base.table("alarms", self.name) if row["detector"] == "pool"]

    def _alarm(self, row: dict[str, Any]) -> dict[str, Any]:
        cleared = row["cleared_ns"]
        return {
            "device": self.name,
            "file": self.file(row["raised_ns"]),
            "time_ns": row["raised_ns"],
            "cleared_file": None if cleared is None else self.file(cleared),
        }

    def first_alarm(self) -> int | None:
        """Recording of the first confirmed alarm."""
        return self._first("pool")

    def _first(self, detector: str) -> int | None:
        raised = [row["raised_ns"] for row in self._base.table("alarms", self.name) if row["detector"] == detector]
        return self.file(min(raised)) if raised else None

    def false_positives(self) -> list[dict[str, Any]]:
        """For each champion in turn: anomalies that the pool rejected, and the windows that it judged."""
        out = []
        windows = self._base.windows(self.name)
        rejected = {v["seq"] for v in self._base.table("verdicts", self.name) if v["label"] and not v["outcome"]}
        for row, until_ns in zip(self._champions, [row["since_ns"] for row in self._champions[1:]] + [None], strict=False):
            mine = [w for w in windows if w.label != TRAINING and w.model_sequence == row["sequence"]]
            first = min((w.position for w in mine), default=0)
            end = min((w.position for w in windows if until_ns is not None and w.time_ns >= until_ns), default=self.windows())
            out.append(
                {
                    "device": self.name,
                    "sequence": row["sequence"],
                    "windows": max(0, end - first),
                    "false_positives": sum(w.seq in rejected for w in mine),
                }
            )
        return out

    def champions(self) -> list[dict[str, Any]]:
        """History of the champions."""
        return [self._champion(row) for row in self._champions]

    def _champion(self, row: dict[str, Any]) -> dict[str, Any]:
        model = self._loop.registry.model(row["model"]) if row["model"] else None
        forest = Forest.from_wire(model.wire) if model else None
        return {
            "device": self.name,
            "file": self.file(row["since_ns"]),
            "sequence": row["sequence"],
            "trees": forest.trees if forest else None,
            "threshold": forest.threshold / _ONE if forest else None,
            "features": list(model.features) if model else None,
            "origin": model.origin if model else "device",
            "reason": row["why"],
        }

    def sent(self) -> list[Deployment]:
        """Packages that were built, in their order."""
        return [one for one in self._loop.registry.deployments(self.name) if one.data]

    def unseen(self) -> list[int]:
        """Sequences of those that nobody saw arrive."""
        return [one.sequence for one in self.sent() if self._delivery(one) is None]

    def _delivery(self, one: Deployment) -> re.Match[str] | None:
        """What was said of its arrival: the message around it is a little larger."""
        return next((found for found in self._deliveries if 0 < int(found["bytes"]) - len(one.data) < _AROUND), None)

    def deployments(self) -> list[dict[str, Any]]:
        """Packages, and what the gateway saw of their way over the line."""
        out = []
        for one in self.sent():
            delivery = self._delivery(one)
            if delivery is None:
                continue
            trees = Forest.from_wire(self._loop.registry.model(one.model).wire).trees if one.model else 0
            size, seconds = int(delivery["bytes"]), float(delivery["seconds"])
            told = [event for event in self._base.events(self.name) if event.value.get("sequence") == one.sequence]
            out.append(
                {
                    "device": self.name,
                    "file": self.file(told[0].time_ns) if told else None,
                    "sequence": one.sequence,
                    "trees": trees,
                    "wire_bytes": size,
                    "line_seconds": seconds,
                    "channel_use": round(min(1.0, size * 10 / BAUD / seconds), 4) if seconds else None,
                    "state": one.state,
                }
            )
        return out

    def _thresholds(self) -> dict[int, float | None]:
        """Threshold of what runs under each sequence, 0 to 1."""
        known: dict[int, float | None] = {row["sequence"]: self._champion(row)["threshold"] for row in self._champions}
        for one in self._loop.registry.deployments(self.name):
            if one.configuration and "threshold" in one.configuration:
                known[one.sequence] = one.configuration["threshold"] / _ONE
        return known

    def series(self) -> list[dict[str, Any]]:
        """Every reported window with its score, threshold and verdict."""
        outcomes = {row["seq"]: row["outcome"] for row in self._base.table("verdicts", self.name)}
        thresholds = self._thresholds()
        rows = []
        for window in self._base.windows(self.name):
            verdict = None
            if window.label not in (NORMAL, TRAINING) and window.seq in outcomes:
                verdict = "confirmed" if outcomes[window.seq] else "rejected"
            rows.append(
                {
                    "device": self.name,
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
        windows = self._base.windows(self.name)
        return [{"device": self.name, "file": self.file(w.time_ns), "values": _natural(w.features)} for w in windows]

    def ranking(self) -> list[dict[str, Any]]:
        """The pool, best first."""
        rows = []
        for entry in self._loop.registry.entries(self.name):
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
        rows = self._base.table("decisions", self.name)
        kept = [{name: row[name] for name in ("phase", "who", "what")} for row in rows]
        return [{**one, "when_ns": row["time_ns"], "evidence": json.loads(row["evidence"])} for one, row in zip(kept, rows, strict=True)]

    def events(self) -> list[dict[str, Any]]:
        """What the device said about itself."""
        rows = []
        for row in self._base.table("events", self.name):
            text = ", ".join(f"{key} {value}" for key, value in json.loads(row["value"]).items() if key != "e")
            rows.append({"device": self.name, "file": self.file(row["time_ns"]), "kind": row["kind"], "text": text})
        return rows

    def line_series(self) -> list[dict[str, Any]]:
        """Share of the time that the line was busy, account by account."""
        marks = [mark for mark in self._device.accounts if mark["elapsed_s"] > 0]
        return [{"t_s": mark["last_byte_s"], "busy": mark["channel_use"]} for mark in marks]


def _natural(row: Sequence[int]) -> dict[str, float]:
    """Features without their fixed point."""
    return {name: round(value / _SCALES.get(name, 16), 4) for name, value in zip(NAMES, row, strict=True)}


def _line(devices: Sequence[Device]) -> dict[str, Any]:
    """All lines together."""
    total = {"bytes": 0, "frames": 0, "retransmitted": 0, "busy_s": 0.0, "lost_frames": 0, "corrupted_bytes": 0, "collisions": 0}
    for device in devices:
        for mark in device.accounts:
            for name in total:
                total[name] += mark.get(name, 0)
    return total
