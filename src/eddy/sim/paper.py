"""What the settings of the Tiny-MLOps paper see in the same recordings: 500 Hz; kurtosis, skewness, mean; 50 trees of 100; threshold 0.6.

Computed off the device with the same integer features and forest, so that a run with better settings can show both side by side.
"""

from typing import Any

import numpy as np

from eddy.functions.features import compute
from eddy.functions.forest import NumpyTrainer, score
from eddy.functions.rule import Confirm
from eddy.links.recordings.recording import Recordings, subsample

FEATURES = ("kurtosis", "skewness", "mean")
RATE_HZ = 500
WINDOW = 250
THRESHOLD = 39322
"""0.6 as Q16."""


def compare(recordings: Recordings, train_windows: int, seed: int, last_file: int | None = None) -> dict[str, Any] | None:
    """Run the paper's settings over one channel.

    Args:
        recordings: As they are played to the device; read again.
        train_windows: Windows to train on, as the device does.
        seed: Of the forest.
        last_file: Recordings after it are left out.

    Returns:
        For the `fixed` threshold and a `calibrated` one (98 % of the training windows): share of windows above it after training and the
        first confirmed alarm (5 of 6 windows); None when the recordings are too short or too few for these settings.
    """
    files: list[int] = []
    windows: list[Any] = []
    for recording in recordings:
        if recording.rate_hz < RATE_HZ or (last_file is not None and recording.index > last_file):
            continue
        low = subsample(recording.counts[:1], recording.rate_hz, RATE_HZ)[0]
        size = min(WINDOW, len(low))
        for start in range(0, len(low) - size + 1, size):
            files.append(recording.index)
            windows.append(low[start : start + size])
    if len(windows) <= train_windows or len({len(w) for w in windows}) != 1:
        return None
    rows = compute(np.array(windows, dtype=np.int16), FEATURES)
    trainer = NumpyTrainer(rows[:train_windows].ravel().tolist(), len(FEATURES), 50, min(100, train_windows), seed)
    while trainer.step():
        pass
    forest = trainer.forest()
    forest.calibrate(rows[:train_windows].ravel().tolist())
    scores = score(forest, rows)
    return {
        name: _seen(files, scores > threshold, train_windows, threshold / 65536)
        for name, threshold in (("fixed", THRESHOLD), ("calibrated", forest.threshold))
    }


def _seen(files: list[int], above: Any, train_windows: int, threshold: float) -> dict[str, Any]:
    rule = Confirm(5, 6)
    first = None
    for index in range(train_windows, len(files)):
        if rule.update(index, bool(above[index])) == "raised" and first is None:
            first = files[index]
    return {"threshold": round(threshold, 3), "above": round(float(np.mean(above[train_windows:])), 4), "first_alarm_file": first}
