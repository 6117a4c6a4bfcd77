"""Too little heap, too little flash, and flash that fills up while the device runs: told, and the rest goes on."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from rig import SECOND, WINDOW, Gate, Sent, healthy

from eddy.errors import DeviceFailed, StorageFull
from eddy.kernel import package
from eddy.kernel.features import NAMES
from eddy.kernel.trainer import Trainer
from eddy.links import micropython
from eddy.node.gateway import Gateway
from eddy.security.signing import SigningKey
from eddy.sim.line import start_line

SPEED = 60
FEATURES = ["rms", "mean_abs_difference", "peak_to_peak"]
SETTINGS = {"device": "pump-1", "class": "pump", "window": WINDOW, "normal_every": 1}

pytestmark = pytest.mark.skipif(micropython.interpreter() is None, reason="no MicroPython wheel for this platform")


def champion(gate: Gate) -> Any:
    """A package with a new champion of 50 trees, trained on what was reported."""
    flat = [window[4][NAMES.index(name)] for window in gate.windows() for name in FEATURES]
    trainer = Trainer(flat, 3, 50, 100, 9)
    while trainer.step():
        pass
    return package.encode_body(model=trainer.forest().to_wire(), features=FEATURES)


def play(gate: Gate, key: SigningKey, flash: Path, blocks: int, windows: int, junk: bytes = b"") -> dict[str, Any]:
    """Run a device to the end of its data, with a deployment after its training: a new champion, or junk."""
    asked = []
    with start_line(speed=SPEED) as line:
        device = micropython.start(flash, line.device_port, SPEED, blocks=blocks)
        gateway = Gateway(gate, {"pump-1": line.gateway_port}, SPEED)
        gateway.watch(device.fileno(), lambda: asked.append(True) if device.asks() else None)
        signals = iter(enumerate(healthy(windows), start=1))
        deployed = False
        try:
            while device.figures is None:
                gateway.turn()
                if gate.events("trained") and not deployed:
                    deployed = True
                    gate.package = Sent(1, junk or package.build("pump", "pump-1", 1, champion(gate), key.sign))
                if gate.events("installed") or gate.events("refused"):
                    gate.package = None
                if asked:
                    asked.clear()
                    number, signal = next(signals, (0, healthy(0)))
                    samples = b"" if not number else signal.astype("<i2").tobytes()
                    device.play(samples, number * SECOND, 1_000_000)
        finally:
            device.kill()
            gateway.close()
    return device.figures


@pytest.mark.slow
def test_flash_that_fills_up_refuses_the_package_and_costs_no_window(tmp_path: Path) -> None:
    key = SigningKey.load_or_create(tmp_path / "key.pem")
    settings = {**SETTINGS, "key": key.public_bytes()}
    blocks = 40
    while True:  # the smallest flash that holds the kernel
        try:
            micropython.provision(tmp_path / f"{blocks}", settings, blocks)
            break
        except DeviceFailed:
            blocks += 1
    blocks += 9
    flash = micropython.provision(tmp_path / "pump-1", settings, blocks)
    gate = Gate()
    figures = play(gate, key, flash, blocks, 140)
    assert figures["counts"]["windows"] == 140
    assert [window[0] for window in gate.windows()] == list(range(140))
    told = [event for kind in ("storage", "refused") for event in gate.events(kind)]
    assert told
    assert {event["code"] for event in told} == {301}
    assert all("no room" in event["why"] for event in told)


@pytest.mark.slow
@pytest.mark.parametrize("size", [15_000, 40_000])
def test_an_object_that_is_too_large_for_heap_or_line_is_refused_and_the_device_lives(tmp_path: Path, size: int) -> None:
    """Nobody has signed it: what it is comes out only when it is there."""
    key = SigningKey.load_or_create(tmp_path / "key.pem")
    flash = micropython.provision(tmp_path / "pump-1", {**SETTINGS, "key": key.public_bytes(), "train_windows": 40})
    gate = Gate()
    figures = play(gate, key, flash, micropython.BLOCKS, 60, bytes(size))
    assert figures["counts"]["windows"] == 60
    assert gate.refused == [1] or [event["code"] for event in gate.events("refused")] == [103]
    assert not gate.events("installed")


@pytest.mark.soak
def test_thousands_of_reports_leave_the_heap_as_it_was(tmp_path: Path) -> None:
    used = []
    for windows in (300, 4000):
        folder = tmp_path / str(windows)
        key = SigningKey.load_or_create(folder / "key.pem")
        flash = micropython.provision(folder / "pump-1", {**SETTINGS, "key": key.public_bytes()})
        gate = Gate()
        figures = play(gate, key, flash, micropython.BLOCKS, windows)
        assert len(gate.windows()) == windows
        used.append(figures["heap_used"])
    assert abs(used[1] - used[0]) < 4096


def test_a_heap_that_is_too_small_is_told(tmp_path: Path) -> None:
    flash = micropython.provision(tmp_path / "pump-1", {**SETTINGS, "key": bytes(32)})
    with start_line(speed=SPEED) as line:
        device = micropython.start(flash, line.device_port, SPEED, heap_bytes=98304)
        with pytest.raises(DeviceFailed, match="MemoryError"):
            device.asks()
        device.kill()


def test_a_flash_that_is_too_small_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceFailed, match="too small for the kernel"):
        micropython.provision(tmp_path / "pump-1", {**SETTINGS, "key": bytes(32)}, blocks=8)


def test_a_disk_without_room_for_a_flash_image_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: there._replace(free=300 * 1024))
    with pytest.raises(StorageFull, match=r"flash\.img: it takes 1,024 KiB, and 300 are free"):
        micropython.provision(tmp_path, {})
