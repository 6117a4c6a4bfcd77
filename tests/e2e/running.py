"""An app that `eddy up` runs, as a person starts it: its own process, in a folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import eddy
from eddy.cli.client import Hub
from eddy.errors import EddyError
from eddy.hub.view import FunctionView

_LOOK_S = 0.01


class Running:
    """A context manager; ends as Ctrl-C does.

    Args:
        folder: Where it lives.
        app: Text of its file.
        options: Of `eddy up`.
        patience_s: Within which it must run.
    """

    def __init__(self, folder: Path, app: str, *options: str, patience_s: float = 90) -> None:
        self.folder = folder
        self._patience_s = patience_s
        folder.mkdir(exist_ok=True)
        (folder / "eddy.yaml").write_text(app, encoding="utf-8")
        self._log = (folder / "up.log").open("ab")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EDDY_")}
        # The app runs elsewhere, with the same Eddy as this test.
        paths = [*environment.get("PYTHONPATH", "").split(os.pathsep), str(Path(eddy.__file__).parents[1])]
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in paths if path)
        command = [sys.executable, "-m", "eddy", "up", "--port", "0", *options]
        (folder / ".eddy" / "hub" / "api.url").unlink(missing_ok=True)
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        self.hub: Hub | None = None

    def __enter__(self) -> "Running":
        url = self.folder / ".eddy" / "hub" / "api.url"
        self.until(lambda: url.exists() and bool(url.read_text()), 60)
        self.hub = Hub(url.read_text())
        self.until(lambda: b"Ctrl-C ends" in (self.folder / "up.log").read_bytes(), self._patience_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        if self.hub:
            self.hub.__exit__(None, None, None)
        self._log.close()

    def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait for something; what cannot be asked yet does not hold yet."""
        end = time.monotonic() + seconds
        while True:
            try:
                if holds():
                    return
            except (EddyError, OSError):
                pass
            said = (self.folder / "up.log").read_text(errors="replace")
            assert self.process.poll() is None and time.monotonic() < end, said[-3000:]
            with suppress(subprocess.TimeoutExpired):  # others need the processor
                self.process.wait(_LOOK_S)

    def function(self, instance: str) -> FunctionView:
        """As the hub sees it."""
        assert self.hub
        return self.hub.function(instance)

    def node_of(self, instance: str) -> str:
        """Who owns it."""
        return self.function(instance).node

    def move(self, instance: str, node: str, seconds: float = 30) -> None:
        """Move it, and wait until it is there."""
        hub = self.hub
        assert hub
        self.until(lambda: hub.move(instance, node, "test") is None, seconds)
        self.until(lambda: self.node_of(instance) == node, seconds)

    def lines(self, file: str) -> int:
        """Of what a sink has written."""
        path = self.folder / file
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def kill(self, name: str) -> None:
        """A hub, node or writer of a lake, without a warning; wait until it is started again."""
        self.until(lambda: name in self.pids(), 30)
        before = self.pids()[name]
        os.kill(before, signal.SIGKILL)
        self.until(lambda: self.pids().get(name, before) != before, 30)

    def pids(self) -> dict[str, int]:
        """Of hub and nodes, by name."""
        found: dict[str, int] = {}
        for proc in Path("/proc").glob("[0-9]*"):
            try:
                words = (proc / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if str(self.folder) in " ".join(words) and "-m" in words:
                name = words[words.index("--name") + 1] if "--name" in words else "hub"
                found[name] = int(proc.name)
        return found
