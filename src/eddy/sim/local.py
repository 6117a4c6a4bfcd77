"""An app on one machine: a hub, a process for each node, and a simulated device with its line for each microcontroller.

Everything is what it would be on many machines: nodes join with tokens, links are authenticated, what is deployed is signed, and state
survives in the folder. A process that ends is started again.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eddy.errors import DeviceFailed, SettingError
from eddy.fabric.mesh import free_endpoint
from eddy.security import keyfile
from eddy.security.identity import Identity
from eddy.security.signing import SigningKey
from eddy.sim.devices import Device
from eddy.spec.instances import ends, nodes
from eddy.spec.model import App

CLOSE_S = 5.0
_AGAIN_S = 1.0
_PATIENCE_S = 60.0
_LOOK_S = 0.1


class Process:
    """One that is started again when it ends.

    Args:
        name: For people.
        command: What to run.
        folder: Where.
        log: What it prints.
    """

    def __init__(self, name: str, command: list[str], folder: Path, log: Path) -> None:
        self.name = name
        self._command, self._folder, self._log = command, folder, log
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        with self._log.open("ab") as log:
            none = subprocess.DEVNULL
            self.running = subprocess.Popen(self._command, cwd=self._folder, stdin=none, stdout=log, stderr=log, start_new_session=True)
        self._died_s: float | None = None

    def revive(self) -> str:
        """Start it again when it has ended a while ago; what happened, or nothing."""
        status = self.running.poll()
        if status is None:
            return ""
        if self._died_s is None:
            self._died_s = time.monotonic()
            return f"{self.name} ended ({'signal' if status < 0 else 'status'} {abs(status)}): see {self._log}; it is started again"
        if time.monotonic() - self._died_s >= _AGAIN_S:
            self.start()
        return ""

    def end(self) -> None:
        """Ask it to end; `wait` sees to it."""
        if self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Until it has ended, by force if need be."""
        try:
            self.running.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()


class Local:
    """The hub and nodes of an app on this machine; a context manager.

    Args:
        app: Checked.
        folder: Where their state stays from one run to the next.
        port: Of the hub's API; 0 for a free one.
        line: Options of emulated lines, see `eddy.sim.line.start_line`; `speed` at least.
        tell: Called with sentences for people.
        boards: {device: serial port} of real ones, which are not simulated.

    Attributes:
        url: Of the hub.
        folder: As given.
        processes: By name; `hub` and the nodes.
        devices: By name.
    """

    def __init__(
        self,
        app: App,
        folder: Path,
        port: int,
        line: dict[str, Any],
        tell: Callable[[str], None],
        boards: Mapping[str, str] | None = None,
    ) -> None:
        self.url = ""
        self.processes: dict[str, Process] = {}
        self.devices: dict[str, Device] = {}
        self._app = app
        self.folder = folder.resolve()
        self._port = port
        self._line = line
        self._boards = boards or {}
        self._tell = tell

    def __enter__(self) -> "Local":
        """Raises SettingError when somebody else runs an app in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            who, url = self._lock.read().strip(), self.folder / "hub" / "api.url"
            self._lock.close()
            at = url.read_text() if url.exists() else "URL"
            raise SettingError(
                f"an app runs already in {self.folder} (process {who}): change it with eddy up --hub {at}, end it with Ctrl-C where it "
                "was started, or run this one in a folder of its own with --dir and --port 0"
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self._lock.close()

    def start_hub(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            DeviceFailed: It ends, or says nothing for a minute.
        """
        folder = self.folder / "hub"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "api.url").unlink(missing_ok=True)
        listen = self._endpoint("hub")
        known = [self._endpoint(name) for name in self._places()]
        port = self._port or int(self._endpoint("api").rpartition(":")[2])  # the same after a restart
        command = ["eddy.hub.service", "--dir", str(folder), "--listen", listen, "--connect", *known, "--api", f"127.0.0.1:{port}"]
        hub = self._process("hub", command)
        end = time.monotonic() + _PATIENCE_S
        while not (folder / "api.url").exists():
            if hub.running.poll() is not None or time.monotonic() > end:
                said = (self.folder / "hub.log").read_text(errors="replace").strip().splitlines()
                raise DeviceFailed(f"the hub could not start: {said[-1] if said else 'it said nothing'}")
            time.sleep(_LOOK_S)
        self.url = (folder / "api.url").read_text()

    def start_nodes(self, join: Callable[[Identity], object]) -> None:
        """Start a process for each gateway and cloud node, and a device with its line for each microcontroller.

        Args:
            join: Lets an identity in that is not yet.
        """
        groups = nodes(self._app)
        tiers = {name: self._app.nodes[group].tier for group, names in groups.items() for name in names}
        behind: dict[str, list[str]] = {}
        for name in (name for name, tier in tiers.items() if tier == "device"):
            if name in self._boards:
                place = f"{name}={self._boards[name]}"
            else:
                device = self.devices[name] = self._device(name)
                place = f"{name}={device.port}@{self._line['speed']}"
            behind.setdefault(self._gateway(name, tiers), []).append(place)
        for name in self._places():
            folder = self.folder / "nodes" / name
            identity = Identity.load_or_create(folder / "identity", name)
            if identity.expires() is None:
                join(identity)
            others = [self._endpoint(other) for other in ("hub", *self._places()) if other != name]
            command = ["eddy.node.service", "--name", name, "--dir", str(folder), "--identity", str(folder / "identity")]
            command += ["--tier", tiers[name], "--listen", self._endpoint(name), "--connect", *others]
            self._process(name, [*command, "--device", *behind.get(name, [])])

    def look(self, wait_s: float = 0.0) -> None:
        """Start again what has ended, and let devices hear what their sensors hear; for so long, or a little longer."""
        for process in self.processes.values():
            if said := process.revive():
                self._tell(said)
        end = time.monotonic() + wait_s
        while True:
            for device in self.devices.values():
                device.turn()
            left = end - time.monotonic()
            if left <= 0:
                return
            running = [device.running for device in self.devices.values() if device.running and device.running.figures is None]
            select.select(running, [], [], left)

    def close(self) -> None:
        """End everything; state stays in the folder."""
        for device in self.devices.values():
            device.close()
        for process in self.processes.values():
            process.end()
        for process in self.processes.values():
            process.wait()

    def _places(self) -> list[str]:
        return [name for group, names in nodes(self._app).items() if self._app.nodes[group].tier != "device" for name in names]

    def _gateway(self, device: str, tiers: Mapping[str, str]) -> str:
        """The node at whose port a device is: the one that a link joins it with."""
        groups = nodes(self._app)
        for link in self._app.links:
            joined = ends(link, groups)
            assert joined, "the app is checked"
            for a, b in (joined, joined[::-1]):
                if device in groups[a] and tiers[groups[b][0]] != "device":
                    return groups[b][groups[a].index(device) % len(groups[b])]
        raise SettingError(f"{device} has no link to a gateway: declare one, such as {device}-gw")

    def _device(self, name: str) -> Device:
        key = SigningKey.load_or_create(self.folder / "hub" / "signing.key").public_bytes()
        device = Device(name, self.folder / "devices" / name, self._app, key, self._line, self._tell)
        device.start()
        return device

    def _endpoint(self, name: str) -> str:
        """Where a node listens: a free port at first run, the same from then on, so that others find it again."""
        file = self.folder / "endpoints" / name
        if not file.exists():
            keyfile.write(file, free_endpoint("tls").encode(), replace=False)
        return file.read_text()

    def _process(self, name: str, command: list[str]) -> Process:
        where = self._app.folder.resolve()  # files that drivers name are beside the app
        process = self.processes[name] = Process(name, [sys.executable, "-m", *command], where, self.folder / f"{name}.log")
        return process


def progress_of(said: dict[str, Any], faults: int = 0) -> str:
    """How far an app is, in words, when the drivers of so many do not work."""
    running = said["running"] - faults
    if running < said["instances"]:
        return f"{running} of {said['instances']} instances run" + (f"; the drivers of {faults} have a fault" if faults else "")
    return f"all {said['instances']} instances run" + (f", {said['pending']} outputs on their way" if said["pending"] else "")
