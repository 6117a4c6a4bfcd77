"""A store in a process of its own: of one interpreter only one thread runs at a time, and the node's loop would wait for it.

The other end is `python -m eddy.node.apart --line FD`. It gets the program and the home of the driver first, then lists of samples, whose
values are encoded, since the node has them so; None says that they are to be written. What was done is answered by None, what went wrong by
the error. It ends with its line.
"""

import argparse
import os
import socket
import subprocess
import sys
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from eddy.errors import DeviceFailed, EddyError
from eddy.kernel.codec import decode
from eddy.links import driver

_PART = 256  # samples that are handed over at once: so long nobody else runs
_END_S = 5.0


class Apart:
    """A store whose driver runs in another process.

    Args:
        program: Of the driver, one of Eddy's own.
        home: Of the node; only its folder is known there.

    Attributes:
        gather_s: See `eddy.links.driver.Store`.

    Raises:
        EddyError: What the driver raises when it is made.
        DeviceFailed: The process has ended.
    """

    def __init__(self, program: list[Any], home: driver.Home | None) -> None:
        self._line, other = Pipe()
        folder = str(home.folder) if home else ""
        command = [sys.executable, "-P", "-m", __name__, "--name", str(program[1]).lower(), "--dir", folder, "--line", str(other.fileno())]
        # Ctrl-C is for the node, which ends it; and people's files in the working directory are no modules (-P).
        self._process = subprocess.Popen(command, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL, start_new_session=True)
        other.close()
        self.close = weakref.finalize(self, _end, self._process, self._line)
        try:
            self.gather_s: float = self._ask(program)
        except Exception:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def write_all(self, samples: list[tuple[str, int, bytes]]) -> None:
        """See `eddy.links.driver.Store`; values are encoded (`eddy.kernel.codec`). Raises what the driver raises, and DeviceFailed when the
        process has ended.
        """
        for at in range(0, len(samples), _PART):
            self._say(samples[at : at + _PART])
        self._ask(None)

    def safe(self, value: Any) -> None:
        """A store that hears nothing does nothing."""

    def _say(self, what: Any) -> None:
        try:
            self._line.send(what)
        except OSError:
            raise self._gone() from None

    def _ask(self, what: Any) -> Any:
        self._say(what)
        try:
            answer = self._line.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(answer, EddyError):
            raise answer
        return answer

    def _gone(self) -> DeviceFailed:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        return DeviceFailed(f"the process of the store has ended with status {self._process.returncode}: it is started again")


def serve(line: "Connection[Any, Any]", home: driver.Home) -> None:
    """Write what comes, until the other end is gone."""
    store: Any = None
    samples: list[tuple[str, int, Any]] = []
    while True:
        said = line.recv()
        if store is not None and said is not None:
            samples += [(key, time_ns, decode(value)) for key, time_ns, value in said]
            continue
        answer: Any = None
        try:
            if store is None:
                store = driver.start(said, home)
                answer = store.gather_s
            else:
                store.write_all(samples)
        except EddyError as error:
            answer = error
        except Exception as error:
            answer = DeviceFailed(f"{type(error).__name__}: {error}")
        samples = []
        line.send(answer)


def _end(process: "subprocess.Popen[bytes]", line: "Connection[Any, Any]") -> None:
    """What it is writing, it may finish."""
    with suppress(OSError), socket.socket(fileno=os.dup(line.fileno())) as ours:
        ours.shutdown(socket.SHUT_WR)  # a copy of this process may have the line open as well
    line.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", help="for those who look at processes")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--line", type=int)
    given = parser.parse_args()
    with Connection(given.line) as line, suppress(EOFError, OSError):
        serve(line, driver.Home(given.dir, lambda question: None))
