"""The pump demonstration: devices that learn, a slow line each, and a gateway that judges and replaces their champions."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eddy.errors import DeviceFailed, SettingError
from eddy.kernel.agent import DEFAULTS
from eddy.kernel.engines import columns
from eddy.kernel.window import LONGEST
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.registry import CANDIDATE
from eddy.links import micropython
from eddy.links.recordings.recording import Problem, Recordings
from eddy.links.recordings.runs import open_recordings
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Search
from eddy.models.engine import Training
from eddy.node.gateway import Gateway
from eddy.security.signing import SigningKey
from eddy.sim.bearing import SimulatedBearing
from eddy.sim.heap import smallest
from eddy.sim.outcome import collect
from eddy.sim.station import Deployment, Station, set_up

Progress = Callable[[Any], None]

WINDOW_MS = 500
"""The paper's window. A recording that is shorter is one window."""


@dataclass(frozen=True)
class Settings:
    """What to play.

    Attributes:
        data: Folder of recordings; None simulates a bearing.
        bearing: Which one the first device listens to; further devices take the next ones.
        rate_hz: Rate to sub-sample to; None for the recordings' own.
        devices: How many.
        speed: How many times faster than real the emulated lines run.
        loss, corrupt: Share of frames lost, of bytes corrupted.
        seed: Of everything that is random.
        port: Serial port of a real device instead of an emulated one.
        features: What the champion looks at.
        train_windows: Windows that it is trained on.
        quantile: Per mille of these that its threshold calls normal. Low makes a champion that cries wolf.
        heap_bytes: Limit of a device's heap.
        files: Recordings to play at most; None for all.
        deploy_trees: Deploy a candidate of so many trees as soon as there is one: what a device must be able to take.
        measure_heap: Find the smallest heap with which a device does its work, by bisection; takes some 20 s.
        folder: Where flash images and the knowledge base stay; None for a temporary one.
    """

    data: Path | None = None
    bearing: str = "1"
    rate_hz: int | None = None
    devices: int = 1
    speed: int = 20
    loss: float = 0.0
    corrupt: float = 0.0
    seed: int = 1
    port: str | None = None
    features: tuple[str, ...] = tuple(DEFAULTS["features"])
    train_windows: int = DEFAULTS["train_windows"]
    quantile: int = DEFAULTS["quantile"]
    heap_bytes: int = micropython.HEAP_BYTES
    files: int | None = None
    deploy_trees: int | None = None
    measure_heap: bool = False
    folder: Path | None = None


def run(settings: Settings, progress: Progress = lambda step: None) -> dict[str, Any]:
    """Play the whole loop until the recordings end.

    Returns:
        What happened, as plain data; see `docs/howto/read-the-demo.md`.

    Raises:
        EddyError: The data, a port or a device fails.
    """
    with ExitStack() as stack:
        folder = settings.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eddy-")))
        folder.mkdir(parents=True, exist_ok=True)
        result = _Stage(settings, folder, progress, stack).play()
    if settings.measure_heap and result["device"]["heap_bytes"]:
        progress({"doing": "looking for the smallest heap that completes"})
        work = _all_work(settings)
        found = smallest(settings.heap_bytes, lambda heap_bytes: _completes(replace(work, heap_bytes=heap_bytes), progress))
        result["device"]["peak_heap_bytes"] = found
    return result


def _all_work(settings: Settings) -> Settings:
    """The shortest run in which a device does everything: it trains, then takes, tries and confirms the largest champion."""
    recording = next(iter(open_bearing(settings, 0, lambda problem: None)))
    windows = max(1, recording.counts.shape[1] * 1000 // (recording.rate_hz * WINDOW_MS))
    files = -(-settings.train_windows // windows) + 6
    clean = replace(settings, loss=0.0, corrupt=0.0, folder=None, measure_heap=False, quantile=DEFAULTS["quantile"])
    return replace(clean, devices=1, files=files, deploy_trees=50, speed=50)


def _completes(settings: Settings, progress: Progress) -> bool:
    try:
        done = any(row["kind"] == "confirmed" for row in run(settings)["events"])
    except DeviceFailed:
        done = False
    progress({"event": f"heap of {settings.heap_bytes // 1024} KiB: {'completes' if done else 'does not'}"})
    return done


class _Stage:
    """The devices with their lines, and the gateway between them."""

    def __init__(self, settings: Settings, folder: Path, progress: Progress, stack: ExitStack) -> None:
        self._settings = settings
        self._folder = folder
        self._progress = progress
        self._problems: list[str] = []
        self._base = KnowledgeBase(folder / "knowledge.db")
        stack.callback(self._base.close)
        key = SigningKey.load_or_create(folder / "signing.key")
        self.loop = Loop(self._base, key, LoopSettings(training=Training(search=Search(seed=settings.seed))))
        self.stations: list[Station] = []
        for number in range(0 if settings.port else settings.devices):
            station = self._station(number, key.public_bytes())
            stack.callback(station.close)
            self.stations.append(station)
        ports = {station.name: station.line.gateway_port for station in self.stations if station.line}
        if settings.port:
            self.stations.append(Station("pump-1"))
            ports["pump-1"] = settings.port
        self._gateway = Gateway(self.loop, ports, 1 if settings.port else settings.speed, self._problem)
        stack.callback(self._gateway.close)

    def _station(self, number: int, public_key: bytes) -> Station:
        settings = self._settings
        columns(list(settings.features))
        recordings = open_bearing(settings, number, lambda problem: self._problem(str(problem)))
        name = f"pump-{number + 1}"
        first = next(iter(recordings))
        rate = settings.rate_hz or first.rate_hz
        if settings.rate_hz and settings.rate_hz > first.rate_hz:
            raise SettingError(f"the recordings have {first.rate_hz} Hz: choose at most that, not {settings.rate_hz}")
        size = min(rate * WINDOW_MS // 1000, first.counts.shape[1] * rate // first.rate_hz, LONGEST)
        device = {
            "device": name,
            "class": "pump",
            "key": public_key,
            "window": size,
            "features": list(settings.features),
            "train_windows": settings.train_windows,
            "quantile": settings.quantile,
            "seed": settings.seed,
        }
        line = {"speed": settings.speed, "loss": settings.loss, "corrupt": settings.corrupt, "seed": settings.seed + number}
        return set_up(self._folder / name, device, recordings, settings.rate_hz, line, settings.heap_bytes)

    def _problem(self, text: str) -> None:
        """Tell at once, since the run may go on for long: until there is room again, or the line is back."""
        if text not in self._problems:
            self._problems.append(text)
            self._progress({"event": text})

    def play(self) -> dict[str, Any]:
        """Until every device has heard all of its recordings and everything has been said; with a real board, until Ctrl-C."""
        started = time.monotonic()
        if self._settings.port:
            with suppress(KeyboardInterrupt):
                self._progress({"doing": f"serving the board at {self._settings.port}; Ctrl-C ends"})
                while True:
                    self._gateway.turn()
        else:
            self._play_all()
        return collect(self._settings, self.loop, self.stations, self._problems, time.monotonic() - started)

    def _play_all(self) -> None:
        playing = {station: station.device for station in self.stations if station.device}
        for station, device in playing.items():
            self._gateway.watch(device.fileno(), station.heard)
        while playing:
            on_the_line = {s.name: self._deploying(s) for s in playing}
            self._gateway.turn()
            for station in list(playing):
                self._measure(station, on_the_line[station.name])
                if station.asks and self.loop.deployment(station.name) is None and self._idle(station):
                    self._next(station)
                if station.ended:
                    self._gateway.forget(playing.pop(station).fileno())

    def _idle(self, station: Station) -> bool:
        return station.name not in self._gateway.proxies or self._gateway.proxies[station.name].comm.quiet()

    def _deploying(self, station: Station) -> bool:
        proxy = self._gateway.proxies.get(station.name)
        return proxy is not None and proxy.deploying

    def _measure(self, station: Station, before: bool) -> None:
        """Account the line for each package apart."""
        now = self._deploying(station)
        if now and not before:
            station.mark()
        elif before and not now:
            stats = station.mark()
            wanted = self.loop.registry.deployments(station.name)[-1]
            if stats:
                seen = Deployment(wanted.sequence, station.played[-1][1], len(wanted.data), stats["elapsed_s"], stats["channel_use"])
                station.deployments.append(seen)
            what = f"package {wanted.sequence} delivered, {len(wanted.data):,} B in {stats['elapsed_s']:.1f} s of line" if stats else ""
            self._progress({"event": f"{station.name}: {what}"})

    def _promote(self, station: Station, trees: int) -> None:
        """Deploy the best candidate of a size, once."""
        entries = self.loop.registry.entries(station.name)
        fitting = [e for e in entries if e.role == CANDIDATE and e.model.parameters.get("trees") == trees]
        if fitting and not self.loop.registry.deployments(station.name):
            self.loop.promote(station.name, fitting[0].model.id, "demo")

    def _next(self, station: Station) -> None:
        station.mark()
        if self._settings.deploy_trees:
            self._promote(station, self._settings.deploy_trees)
        station.play(self._settings.files)
        if station is self.stations[0] and station.recordings:
            total = len(station.recordings)
            self._progress({"done": len(station.played), "total": min(self._settings.files or total, total)})


def open_bearing(settings: Settings, number: int, on_problem: Callable[[Problem], None]) -> Recordings:
    """What device `number` listens to: the bearing asked for, and for further devices the ones after it.

    Raises:
        DataError, SettingError: There is none.
    """
    if settings.data is None:
        return SimulatedBearing(bearings=[_after(settings.bearing, number, 4)], seed=settings.seed)
    there = open_recordings(settings.data).channels
    count = len(there) if len(there) > 1 else max(1, len(list(settings.data.glob("*.npz"))))  # IMS: channels; FEMTO: a file each
    return open_recordings(settings.data, [_after(settings.bearing, number, count)], on_problem=on_problem)


def _after(bearing: str, number: int, count: int) -> str:
    """The name of the bearing `number` places after `bearing`, of `count` that are numbered from 1; others are followed by themselves."""
    return str((int(bearing) - 1 + number) % count + 1) if number and bearing.isdigit() else bearing
