"""The pump application as the demonstration plays it: the app of `examples/pump` with other recordings, devices or settings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eddy.errors import SettingError
from eddy.kernel.engines import columns
from eddy.kernel.window import LONGEST
from eddy.links.recordings.recording import Problem, Recordings
from eddy.links.recordings.runs import open_recordings
from eddy.links.replay import recordings
from eddy.spec.catalog import Replay
from eddy.spec.model import App

WINDOW_MS = 500
"""The paper's window. A recording that is shorter is one window."""

MODEL = "bearing-health"


@dataclass(frozen=True)
class Settings:
    """What to play; None for what the app says.

    Attributes:
        data: Folder of recordings; None simulates a test rig.
        bearing: Which one the first device listens to; further devices take the next ones.
        rate_hz: Rate to sub-sample to; None for the recordings' own.
        devices: How many.
        speed: How many times faster than real the emulated lines run.
        loss, corrupt: Share of frames lost, of bytes corrupted.
        seed: Of everything that is random.
        features: What the champion looks at.
        train_windows: Windows that it is trained on.
        quantile: Per mille of these that its threshold calls normal. Low makes a champion that cries wolf.
    """

    data: Path | None = None
    bearing: str = "1"
    rate_hz: int | None = None
    devices: int = 1
    speed: int = 20
    loss: float = 0.0
    corrupt: float = 0.0
    seed: int = 1
    features: tuple[str, ...] | None = None
    train_windows: int | None = None
    quantile: int | None = None


def app_of(settings: Settings, app: App) -> App:
    """The app that plays this.

    Args:
        settings: What differs.
        app: The one of `examples/pump`.

    Raises:
        DataError, SettingError, ModelError: No such recordings, bearing, rate or feature.
    """
    columns(list(settings.features or ()))
    data = _data(settings)
    heard = recordings(data.partition(",")[0])
    first = next(iter(heard))
    rate = settings.rate_hz or first.rate_hz
    if rate > first.rate_hz:
        raise SettingError(f"the recordings have {first.rate_hz} Hz: choose at most that, not {rate}")
    size_ms = min(WINDOW_MS, first.counts.shape[1] * 1000 // first.rate_hz, LONGEST * 1000 // rate)
    before, learned = app.sources["vibration"], app.models[MODEL]
    kept = {"at": before.at, "unit": before.unit, "private": before.private}
    source = Replay.model_validate({**kept, "driver": "replay", "data": data, "rate": f"{rate}Hz", "speed": 0, "type": "int16"})
    changed: dict[str, Any] = {"seed": settings.seed}
    if settings.features is not None:
        changed["features"] = settings.features
    if settings.quantile is not None:
        changed["threshold_permille"] = settings.quantile
    if settings.train_windows is not None:
        changed["train"] = learned.train.model_copy(update={"first_rows": settings.train_windows})
    return app.model_copy(
        update={
            "nodes": {**app.nodes, "pump": app.nodes["pump"].model_copy(update={"count": settings.devices})},
            "sources": {"vibration": source},
            "functions": {**app.functions, "windows": app.functions["windows"].model_copy(update={"size_ms": size_ms})},
            "models": {MODEL: learned.model_copy(update=changed)},
        }
    )


def heard_by(app: App, number: int, on_problem: Callable[[Problem], None] = lambda problem: None) -> Recordings:
    """What the sensor of the device with that number hears, from 0 on."""
    source = app.sources["vibration"]
    assert isinstance(source, Replay)
    kind, _, which = source.data.partition("#")
    several = which.split(",")
    return recordings(f"{kind}#{several[number % len(several)]}", on_problem)


def _data(settings: Settings) -> str:
    """The bearing asked for, and for further devices the ones after it."""
    if settings.data is None:
        found, count = f"rig:{settings.seed}", 4
    else:
        there = open_recordings(settings.data).channels
        count = len(there) if len(there) > 1 else max(1, len(list(settings.data.glob("*.npz"))))  # IMS: channels; FEMTO: a file each
        found = f"recordings:{settings.data.resolve()}"
    return f"{found}#{','.join(_after(settings.bearing, number, count) for number in range(settings.devices))}"


def _after(bearing: str, number: int, count: int) -> str:
    """The name of the bearing `number` places after `bearing`, of `count` that are numbered from 1; others are followed by themselves."""
    return str((int(bearing) - 1 + number) % count + 1) if number and bearing.isdigit() else bearing
