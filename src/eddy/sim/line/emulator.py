"""The line in real time, between two pseudo-terminals: what a device and a gateway open as their serial ports.

Commands come as JSON lines on stdin, answers leave as JSON lines on stdout; the end of stdin ends the emulator, so it does not outlive
whoever started it. All figures are on the line's own clock, which runs `speed` times as fast as the wall's.
"""

import argparse
import json
import os
import select
import sys
import time
import tty

from eddy.sim.line.model import ENDS, Line

STEP_BYTES = 4  # what a serial driver hands over at once
STEP_S = 0.001  # but at high speed not oftener than this (wall clock), except at the end of a frame
READ_BYTES = 4096


class Port:
    """A pseudo-terminal in raw mode.

    The terminal's own end stays open here, so that it keeps its mode and its bytes while the station behind it restarts.
    """

    def __init__(self) -> None:
        self.master, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._terminal)

    def read(self) -> bytes:
        """What the station has written since the last call."""
        try:
            return os.read(self.master, READ_BYTES)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> int:
        """Hand bytes to the station; returns how many found no room because nobody reads them, as in a UART."""
        try:
            return len(data) - os.write(self.master, data)
        except BlockingIOError:
            return len(data)

    def close(self) -> None:
        """Give the pseudo-terminal back."""
        os.close(self.master)
        os.close(self._terminal)


class Emulator:
    """Moves bytes between two ports as the line would.

    Args:
        line: The model.
        speed: Seconds on the line's clock per second on the wall.
    """

    def __init__(self, line: Line, speed: float) -> None:
        self.line = line
        self.speed = speed
        self.ports = [Port() for _ in ENDS]
        self.overruns = 0  # bytes that a station did not fetch in time
        self._late_us: list[float] = []
        self._zero = time.perf_counter()
        self._commands = b""

    def now_us(self) -> float:
        """Microseconds on the line's clock."""
        return (time.perf_counter() - self._zero) * self.speed * 1e6

    def run(self, commands: int) -> None:
        """Serve until the file descriptor `commands` ends."""
        masters = {self.ports[end].master: end for end in ENDS}
        due: float | None = None
        while True:
            timeout = None if due is None else max(0.0, (due - self.now_us()) / self.speed / 1e6)
            ready, _, _ = select.select([*masters, commands], [], [], timeout)
            now_us = self.now_us()
            if due is not None and now_us >= due:
                self._late_us.append(now_us - due)
            self._deliver(now_us)
            for fd in ready:
                if fd in masters:
                    data = self.ports[masters[fd]].read()
                    self.line.write(masters[fd], data, now_us)
                elif not self._command(os.read(fd, READ_BYTES), now_us):
                    return
            due = self.line.next_us(max(STEP_BYTES, int(STEP_S * self.speed * 1e6 / self.line.byte_us)))

    def _deliver(self, now_us: float) -> None:
        arrived = self.line.advance(now_us)
        for end in ENDS:
            if arrived[end]:
                self.overruns += self.ports[end].write(arrived[end])

    def _command(self, data: bytes, now_us: float) -> bool:
        """Act on what came from stdin; False at its end."""
        if not data:
            return False
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if "cut" in command:
                self.line.cut(now_us, float(command["cut"]))
            if "mark" in command:
                say({"mark": command["mark"], "stats": {**self.line.mark(), **self._jitter(), "overruns": self.overruns}})
        return True

    def _jitter(self) -> dict[str, float]:
        """How late this process woke up since the last mark, in milliseconds on the wall."""
        late = sorted(us / self.speed / 1000 for us in self._late_us) or [0.0]
        self._late_us = []
        return {"late_ms_median": late[len(late) // 2], "late_ms_p99": late[len(late) * 99 // 100], "late_ms_max": late[-1]}

    def close(self) -> None:
        """Remove the ports."""
        for port in self.ports:
            port.close()


def say(event: dict[str, object]) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the emulator as a process; the first line on stdout names the two ports."""
    parser = argparse.ArgumentParser(prog="python -m eddy.sim.line", description="Emulate a half-duplex serial line between two ports.")
    parser.add_argument("--baud", type=int, default=2400, help="bits per second, ten for a byte")
    parser.add_argument("--speed", type=float, default=1.0, help="seconds on the line per second on the wall")
    parser.add_argument("--loss", type=float, default=0.0, help="probability that a frame is lost")
    parser.add_argument("--corrupt", type=float, default=0.0, help="probability that a byte is garbled")
    parser.add_argument("--turn-ms", type=float, default=10.0, help="time the line takes to change its direction")
    parser.add_argument("--seed", type=int, default=0, help="of the errors")
    args = parser.parse_args()
    if args.speed <= 0:
        parser.error("--speed must be above 0")
    try:
        line = Line(args.baud, args.loss, args.corrupt, args.turn_ms, args.seed)
    except ValueError as error:
        parser.error(str(error))
    emulator = Emulator(line, args.speed)
    device, gateway = (port.path for port in emulator.ports)
    try:
        say({"device": device, "gateway": gateway})
        emulator.run(sys.stdin.fileno())
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        emulator.close()
