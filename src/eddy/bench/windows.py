"""The rows that the forests of a benchmark are trained on and asked about."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eddy.functions.features import compute
from eddy.links.recordings.bearing import SimulatedBearing
from eddy.links.recordings.recording import Recordings
from eddy.links.recordings.runs import open_recordings

FEATURES = ("kurtosis", "skewness", "mean")  # the paper's
WINDOW_S = 0.5
POOL = 256  # rows
ASKED = 100  # rows of each kind


@dataclass(frozen=True)
class Windows:
    """Rows of features.

    Attributes:
        source: Where they come from, for people.
        pool: [up to 256, features] of the healthy life, to train on.
        normal: [100, features] of the healthy life.
        anomalous: [100, features] of the end.
    """

    source: str
    pool: npt.NDArray[np.int64]
    normal: npt.NDArray[np.int64]
    anomalous: npt.NDArray[np.int64]


_HEALTHY = 0.54  # part of a run that is surely healthy: the fault of IMS test 2 begins at 0.542
_FAILING = (0.90, 0.995)  # the very end of IMS was recorded after shutdown


def gather(data: Path | None) -> Windows:
    """Rows from recordings of bearing 1, or of a simulated one.

    Args:
        data: A folder as `open_recordings` takes it. None: the folder `ims_bearing` in the one that EDDY_DATA names, where that is there.

    Raises:
        DataError: Nothing readable in `data`.
    """
    known = Path(os.environ["EDDY_DATA"]) / "ims_bearing" if "EDDY_DATA" in os.environ else None
    if data is None and known is not None and known.is_dir():
        data = known
    recordings: Recordings = SimulatedBearing(files=280, bearings=["1"]) if data is None else open_recordings(data, bearings=["1"])
    size = min(round(recordings.rate_hz * WINDOW_S), 10240)
    indices, rows = [], []
    for recording in recordings:
        signal = recording.counts[0]
        count = len(signal) // size
        rows.append(compute(signal[: count * size].reshape(count, size), FEATURES))
        indices += [recording.index] * count
    every = np.concatenate(rows)
    age = np.array(indices) / max(indices)
    healthy = every[age <= _HEALTHY]
    failing = every[(age >= _FAILING[0]) & (age <= _FAILING[1])]
    return Windows(
        source=f"{recordings.source}, {recordings.rate_hz} Hz, windows of {size} samples",
        pool=_spread(healthy, min(POOL, len(healthy))),
        normal=_spread(healthy, ASKED),
        anomalous=_spread(failing, ASKED),
    )


def _spread(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """So many of the rows, evenly over time; some twice when there are fewer."""
    chosen: npt.NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    return chosen
