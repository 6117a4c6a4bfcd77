"""The line as a process of its own: its ports, its account, its end, and a real MicroPython at one of them."""

import hashlib
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eddy.kernel.arq import Arq
from eddy.kernel.errors import LinkLost
from eddy.links.serial import SerialLink
from eddy.sim.line import LineProcess, start_line

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "src"
PATIENCE_S = 30


@pytest.fixture
def line() -> Iterator[LineProcess]:
    with start_line(speed=20) as process:
        yield process


def read(link: SerialLink, count: int) -> bytes:
    """Exactly that many bytes."""
    found = b""
    while len(found) < count:
        came = link.read(PATIENCE_S)
        assert came, "nothing came"
        found += came
    return found


def test_bytes_cross_in_both_directions_untouched(line: LineProcess) -> None:
    every = bytes(range(256))
    with SerialLink(line.device_port) as device, SerialLink(line.gateway_port) as gateway:
        device.write(every)
        assert read(gateway, 256) == every
        gateway.write(every)
        assert read(device, 256) == every


def test_bytes_come_at_line_rate(line: LineProcess) -> None:
    with SerialLink(line.device_port) as device, SerialLink(line.gateway_port) as gateway:
        began = time.monotonic()
        device.write(b"x" * 240)
        read(gateway, 240)
        wall_s = time.monotonic() - began
        stats = line.mark()
    assert stats["bytes"] == 240
    assert stats["elapsed_s"] == pytest.approx(1.0, abs=0.001)
    assert stats["channel_use"] == pytest.approx(1.0)
    assert wall_s >= 1 / 20


def test_a_mark_starts_a_new_account(line: LineProcess) -> None:
    with SerialLink(line.device_port) as device, SerialLink(line.gateway_port) as gateway:
        device.write(b"abc\0")
        read(gateway, 4)
        first = line.mark()
        second = line.mark()
    assert (first["bytes"], first["frames"]) == (4, 1)
    assert (second["bytes"], second["frames"]) == (0, 0)


def test_a_cut_swallows_what_is_sent_meanwhile(line: LineProcess) -> None:
    with SerialLink(line.device_port) as device, SerialLink(line.gateway_port) as gateway:
        line.cut(3600)
        line.mark()  # the emulator has taken the command in
        device.write(b"abc")
        assert gateway.read(0.2) == b""
        assert line.mark()["cut_bytes"] == 3


def test_ports_survive_a_station_that_comes_and_goes(line: LineProcess) -> None:
    with SerialLink(line.gateway_port) as gateway:
        for word in (b"one", b"two"):
            with SerialLink(line.device_port) as device:
                device.write(word)
                assert read(gateway, 3) == word


def test_bytes_that_nobody_fetches_are_dropped_and_counted() -> None:
    with start_line(speed=10_000) as line, SerialLink(line.device_port) as device:
        for _ in range(40):
            device.write(b"x" * 1000)
        sent = 0.0
        while sent < 40_000:
            stats = line.mark()
            sent += stats["bytes"]
        assert stats["overruns"] > 0


def test_closing_removes_the_ports() -> None:
    line = start_line()
    line.close()
    with pytest.raises(LinkLost, match=r"has ended \(exit code 0\)"):
        line.cut(1)


@pytest.mark.parametrize(("option", "words"), [({"loss": 1.5}, "loss=1.5"), ({"speed": 0}, "--speed must be above 0")])
def test_options_that_make_no_sense_are_told(option: dict[str, float], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LinkLost, match="ended unexpectedly"):
        start_line(**option)
    assert words in capfd.readouterr().err


def test_the_emulator_ends_with_whoever_started_it() -> None:
    starter = "import os, signal, eddy.sim.line as l; l.start_line(); os.kill(os.getpid(), signal.SIGKILL)"
    # The emulator inherits stderr: it is at its end when both are gone.
    with subprocess.Popen([sys.executable, "-c", starter], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        ready, _, _ = select.select([process.stderr], [], [], PATIENCE_S)
        assert ready and process.stderr.read() == b""
        assert process.wait() == -signal.SIGKILL


def micropython() -> str:
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        pytest.skip("micropython is not installed here")
    return found


@contextmanager
def killed(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process in the end, however that comes."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Gateway:
    """A CPython station at the gateway's port."""

    def __init__(self, link: SerialLink, speed: int) -> None:
        self.link = link
        self.speed = speed
        self.arq = Arq(primary=True, seed=5)
        self.taken: list[bytes] = []
        self._zero = time.monotonic()

    def turn(self) -> None:
        """Serve the line once and wait for it."""
        now_ms = int((time.monotonic() - self._zero) * self.speed * 1000)
        self.arq.receive(self.link.read(), now_ms)
        if (data := self.arq.take()) is not None:
            self.taken.append(data)
        if (burst := self.arq.poll(now_ms)) is not None:
            self.link.write(burst)
        due = self.arq.deadline(now_ms)
        select.select([self.link], [], [], 0.05 if due is None else max(0, due - now_ms) / self.speed / 1000)
        assert now_ms < PATIENCE_S * 1000 * self.speed


@pytest.mark.slow
# On a bad line the device may never hold much more without a hole, until the last one is filled.
@pytest.mark.parametrize(("loss", "half"), [(0.0, 2500), (0.1, 800)])
def test_a_micropython_that_is_killed_goes_on_where_it_was(tmp_path: Path, loss: float, half: int) -> None:
    speed = 8  # on a busy machine every delay is so many times as long on the line
    package = random.Random(1).randbytes(5000)
    file = tmp_path / "partial"
    interpreter = [micropython(), "-X", "heapsize=256k", HERE / "line_station.py"]
    environment = {**os.environ, "MICROPYPATH": str(SOURCES)}
    with start_line(speed=speed, loss=loss, corrupt=loss / 10, seed=3) as line, SerialLink(line.gateway_port) as link:
        command = [*interpreter, line.device_port, str(speed), file]
        gateway = Gateway(link, speed)
        gateway.arq.send(b"hello")
        with killed(subprocess.Popen(command, env=environment)):
            while not gateway.taken:
                gateway.turn()
            gateway.arq.send(package)
            while not file.exists() or file.stat().st_size < 8 + half:
                gateway.turn()
        kept = file.stat().st_size - 8
        resent = gateway.arq.stats["frames_resent"]
        with killed(subprocess.Popen(command, env=environment)):
            while len(gateway.taken) < 2:
                gateway.turn()
    assert gateway.taken == [hashlib.sha256(data).digest() for data in (b"hello", package)]
    assert kept >= half
    # Without what was kept, at least that much would have to be sent again.
    if loss == 0:
        assert (gateway.arq.stats["frames_resent"] - resent) * gateway.arq.stats["payload"] < kept
