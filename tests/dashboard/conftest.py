"""A result as `eddy demo pump` makes it: the keys of `eddy.dashboard.report`, figures without meaning."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def smallest() -> dict[str, Any]:
    """Only what is always there."""
    return _smallest()


@pytest.fixture
def make_whole() -> Callable[..., dict[str, Any]]:
    """Makes a result with everything that a report can show."""
    return _whole


@pytest.fixture
def whole() -> dict[str, Any]:
    """The same of one device."""
    return _whole()


def _smallest() -> dict[str, Any]:
    return {
        "device": {"interpreter": "micropython", "heap_bytes": 262_144, "peak_heap_bytes": 121_344},
        "first_alarm_file": 7,
        "alarms": 1,
        "windows": 20,
        "champions": 2,
        "deployments": [{"trees": 10, "wire_bytes": 1102, "line_seconds": 4.91, "channel_use": 0.94}],
        "line": {"bytes": 48_211, "frames": 1310, "retransmitted": 12},
    }


def _whole(devices: tuple[str, ...] = ("pump-1",), files: int = 10) -> dict[str, Any]:
    series = [_window(device, file, place) for device in devices for file in range(files) for place in range(2)]
    champions = [
        {"device": device, "file": file, "sequence": sequence, "trees": trees, "threshold": 0.55, "features": ["rms"], "origin": "device"}
        for device in devices
        for file, sequence, trees in ((2, 1, 20), (5, 2, 50))
    ]
    return _smallest() | {
        "title": "A pump",
        "source": "IMS bearings",
        "onset_file": 6,
        "last_file": files - 1,
        "series": series,
        "windows": len(series),
        "alarms": [{"device": device, "file": 7, "time_ns": 7 * 600 * 10**9} for device in devices],
        "champions": champions,
        "line_series": [{"t_s": 60 * i, "busy": i / 10} for i in range(10)],
        "features": [{"device": window["device"], "file": window["file"], "values": {"rms": 0.1, "kurtosis": 3.4}} for window in series],
        "units": {"rms": "g"},
        "ranking": [
            {"model": "aa" * 32, "role": "pool", "score": -3, "trees": 10, "features": ["rms"]},
            {"model": "bb" * 32, "role": "champion", "score": 12, "trees": 50, "features": ["rms", "kurtosis"]},
        ],
        "decisions": [
            {"phase": "monitor", "when_ns": 0, "who": "pool", "what": "replace the champion", "evidence": {"false_positives": 5}},
            {"phase": "plan", "when_ns": 0, "who": "operator", "what": "watch bearing 1", "evidence": None},
        ],
        "events": [{"device": "pump-1", "file": 0, "kind": "boot", "text": "first start"}],
        "notes": ["The paper's settings see nothing."],
        "settings": {"seed": 1},
    }


def _window(device: str, file: int, place: int) -> dict[str, Any]:
    label = "training" if file < 2 else "anomalous" if file in (4, 7, 8, 9) else "normal"
    return {
        "device": device,
        "index": 2 * file + place,
        "file": file,
        "time_ns": (600 * file + place) * 10**9,
        "score": None if label == "training" else 0.7 if label == "anomalous" else 0.4,
        "threshold": None if label == "training" else 0.55,
        "label": label,
        "verdict": None if label != "anomalous" else "rejected" if file == 4 else "confirmed",
    }
