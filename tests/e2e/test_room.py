"""Too little heap, too little flash, objects that are no packages: told, and the rest goes on."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eddy.errors import DeviceFailed, ManifestError, StorageFull
from eddy.kernel.features import NAMES
from eddy.links import micropython
from eddy.sim.line import start_line
from eddy.sim.rig import Rig, pipeline

SPEED = 60
SECOND = 1_000_000_000
SETTINGS = {"device": "pump-1", "key": bytes(32)}

pytestmark = pytest.mark.skipif(micropython.interpreter() is None, reason="no MicroPython wheel for this platform")


def hosted(rows: int, normal_every: int = 1) -> dict[str, list[Any]]:
    model = {"trees": 20, "subsample": 64, "quantile": 980, "rows": rows, "seed": 1, "uses": ["rms", "peak_to_peak"]}
    return pipeline(256, list(NAMES), model, normal_every)


def hear(rig: Rig, first: int, count: int) -> None:
    """Windows of noise, one a second."""
    random = np.random.default_rng(first)
    for number in range(first, first + count):
        rig.play(random.normal(0, 80, 256).round().astype("<i2").tobytes(), number * SECOND, 1_000_000)


def news(rig: Rig, kind: str) -> list[dict[str, Any]]:
    return [said[2] for said in rig.said if said[1] == 3 and said[2]["e"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 300, 3000])
def test_what_is_no_package_is_refused_and_the_device_goes_on(tmp_path: Path, size: int) -> None:
    with Rig(tmp_path / "pump-1", hosted(30), SPEED) as rig:
        hear(rig, 1, 32)
        rig.until(lambda: news(rig, "trained"))
        rig.bring(bytes(size))
        rig.until(lambda: news(rig, "refused"))
        hear(rig, 33, 20)
        rig.play(b"", 0, 0)
        rig.until(lambda: rig.device.figures is not None)
        rows = [said for said in rig.said if said[1] != 3]
    assert news(rig, "refused")[0]["code"] == ManifestError.code
    assert not news(rig, "installed")
    assert len(rows) == 52
    assert all(score > 0 for score, *_ in rows[-20:])


@pytest.mark.soak
def test_thousands_of_reports_leave_the_heap_as_it_was(tmp_path: Path) -> None:
    used = []
    for windows in (300, 4000):
        with Rig(tmp_path / str(windows) / "pump-1", hosted(30), SPEED) as rig:
            hear(rig, 1, windows)
            rig.play(b"", 0, 0)
            rig.until(lambda rig=rig: rig.device.figures is not None)
            assert len([said for said in rig.said if said[1] != 3]) == windows
            used.append(rig.device.figures["heap_used"])
    assert abs(used[1] - used[0]) < 4096


def test_a_heap_that_is_too_small_is_told(tmp_path: Path) -> None:
    flash = micropython.provision(tmp_path / "pump-1", SETTINGS)
    with start_line(speed=SPEED) as line:
        device = micropython.start(flash, line.device_port, SPEED, heap_bytes=98304)
        with pytest.raises(DeviceFailed, match="MemoryError"):
            device.asks()
        device.kill()


def test_a_flash_that_is_too_small_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceFailed, match="too small for the kernel"):
        micropython.provision(tmp_path / "pump-1", SETTINGS, blocks=8)


def test_a_disk_without_room_for_a_flash_image_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: there._replace(free=300 * 1024))
    with pytest.raises(StorageFull, match=r"flash\.img: it takes 1,024 KiB, and 300 are free"):
        micropython.provision(tmp_path, {})
