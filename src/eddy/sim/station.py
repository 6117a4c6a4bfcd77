"""One device of a staged run: its bearing, its interpreter, its line, and the recordings that are played to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eddy.links import micropython
from eddy.links.recordings.recording import Recording, Recordings, subsample
from eddy.sim.line import LineProcess, start_line


@dataclass
class Deployment:
    """A package on its way, measured by the line emulator; seconds are line time."""

    sequence: int
    file: int
    wire_bytes: int
    line_seconds: float
    channel_use: float


@dataclass(eq=False)
class Station:
    """A device with its sensor and its line. A real board at a port has nothing here but its name.

    Args:
        name: The device.
        recordings: What its sensor hears; one channel.
        rate_hz: Rate that they are sub-sampled to; None plays them as they are.
        line: The emulated line.
        device: The running interpreter.
    """

    name: str
    recordings: Recordings | None = None
    rate_hz: int | None = None
    line: LineProcess | None = None
    device: micropython.Device | None = None
    asks: bool = False
    ended: bool = False
    played: list[tuple[int, int, str]] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    saturated: int = 0
    _source: Iterator[Recording] | None = None

    def heard(self) -> None:
        """The device has written something."""
        assert self.device
        self.asks = self.device.asks() or self.asks
        self.ended = self.device.figures is not None

    def play(self, limit: int | None = None) -> bool:
        """Answer the device's question with the next recording; False when that was the end of the data, or `limit` were played."""
        assert self.device and self.recordings
        self._source = self._source or iter(self.recordings)
        self.asks = False
        recording = next(self._source, None) if limit is None or len(self.played) < limit else None
        if recording is None:
            self.device.play(b"", 0, 0)
            return False
        rate = self.rate_hz or recording.rate_hz
        samples = subsample(recording.counts, recording.rate_hz, rate)[0]
        self.played.append((recording.time_ns, recording.index, recording.name))
        self.saturated += recording.saturated
        self.device.play(samples.astype(np.dtype("<i2")).tobytes(), recording.time_ns, 1_000_000_000 // rate)
        return True

    def mark(self) -> dict[str, Any] | None:
        """Close an account of the line."""
        if self.line is None:
            return None
        stats: dict[str, Any] = dict(self.line.mark())
        self.marks.append(stats)
        return stats

    def close(self) -> None:
        """Take power and line away."""
        if self.device is not None:
            self.device.kill()
        if self.line is not None:
            self.line.close()


def set_up(
    folder: Path, settings: dict[str, Any], recordings: Recordings, rate_hz: int | None, line: dict[str, Any], heap_bytes: int
) -> Station:
    """Provision a device, lay its line and switch it on.

    Args:
        folder: Of the device.
        settings: Of the device; see `kernel.agent.Agent`.
        recordings: What its sensor hears.
        rate_hz: Rate to play them at, None for their own.
        line: Options of `start_line`.
        heap_bytes: Limit of its heap.
    """
    flash = micropython.provision(folder, settings)
    emulated = start_line(**line)
    device = micropython.start(flash, emulated.device_port, int(line["speed"]), heap_bytes)
    return Station(settings["device"], recordings, rate_hz, emulated, device)
