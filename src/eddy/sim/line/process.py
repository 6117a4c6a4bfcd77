"""Starts the emulator as a process of its own and talks to it."""

import json
import subprocess
import sys
from types import TracebackType

from eddy.kernel.errors import LinkLost
from eddy.sim.line.model import Stats

CLOSE_S = 5


class LineProcess:
    """A running emulator; a context manager. Made by `start_line`.

    Attributes:
        device_port: Path of the pseudo-terminal for the device.
        gateway_port: Path of the pseudo-terminal for the gateway.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "eddy.sim.line", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._marks = 0
        try:
            ports = self._answer()
        except LinkLost:
            self.close()
            raise
        self.device_port = str(ports["device"])
        self.gateway_port = str(ports["gateway"])

    def mark(self) -> Stats:
        """What happened on the line since the previous mark: see `eddy.sim.line.model.Line.mark`.

        Beside that, how late the emulator woke up (`late_ms_median`, `late_ms_p99`, `late_ms_max`, on the wall's clock) and `overruns`, the
        bytes since the start that a station did not fetch.
        """
        self._marks += 1
        self._tell({"mark": self._marks})
        stats = self._answer()["stats"]
        if not isinstance(stats, dict):
            raise LinkLost(f"the line emulator gave no figures: {stats!r}")
        return stats

    def cut(self, seconds: float) -> None:
        """Break the wire from now on, for a while on the line's clock."""
        self._tell({"cut": seconds})

    def close(self) -> None:
        """End the emulator; its ports disappear."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> "LineProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _tell(self, command: dict[str, float]) -> None:
        stdin = self._process.stdin
        if stdin is None or self._process.poll() is not None:
            raise LinkLost(f"the line emulator has ended (exit code {self._process.poll()}): start another one")
        stdin.write(json.dumps(command) + "\n")
        stdin.flush()

    def _answer(self) -> dict[str, object]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise LinkLost(f"the line emulator ended unexpectedly (exit code {self._process.wait()}): see its messages above")
        answer: dict[str, object] = json.loads(line)
        return answer


def start_line(
    baud: int = 2400, speed: float = 1.0, loss: float = 0.0, corrupt: float = 0.0, turn_ms: float = 10.0, seed: int = 0
) -> LineProcess:
    """Start a line emulator and return when its ports are there.

    Args:
        baud: Bits per second; ten for every byte.
        speed: Seconds on the line's clock per second on the wall.
        loss: Probability that a frame is lost.
        corrupt: Probability that a byte arrives as another one.
        turn_ms: Time the line takes to change its direction, in milliseconds on the line's clock.
        seed: Of the errors.
    """
    options = {"--baud": baud, "--speed": speed, "--loss": loss, "--corrupt": corrupt, "--turn-ms": turn_ms, "--seed": seed}
    return LineProcess([str(part) for option in options.items() for part in option])
