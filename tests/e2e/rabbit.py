"""A RabbitMQ of a test's own: its name, ports, home, data and log are in a folder."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType

import pytest

from eddy.fabric.ports import free_port

_PATIENCE_S = 60.0
_LOOK_S = 0.05


def _hashed(password: str) -> str:
    """As RabbitMQ keeps it: SHA-256 of salt and password, with the salt before it."""
    salt = b"salt"
    return b64encode(salt + sha256(salt + password.encode()).digest()).decode()


class RabbitMQ:
    """A broker for AMQP 0-9-1 that keeps durable queues on its disk; a context manager. Skips the test where it is not installed.

    Args:
        folder: Of all that it writes.
        users: Beside `guest`: name, password and what it may configure, write and read, as patterns.
        tls: Certificate and key, PEM: listens at `tls_port`, too.
    """

    def __init__(self, folder: Path, users: dict[str, tuple[str, str, str, str]] | None = None, tls: tuple[str, str] | None = None) -> None:
        self._epmd = shutil.which("epmd")
        # Debian's in the path changes the user.
        program = shutil.which("rabbitmq-server", path=f"/usr/lib/rabbitmq/bin{os.pathsep}{os.environ['PATH']}")
        if not program or not self._epmd:
            pytest.skip("rabbitmq-server, a broker for AMQP 0-9-1, is not installed here")
        self._program = program
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.port, self.tls_port, self._names = free_port(), free_port(), free_port()
        every = {"guest": ("guest", ".*", ".*", ".*")} | (users or {})
        definitions = {
            "vhosts": [{"name": "/"}],
            "users": [
                {"name": name, "password_hash": _hashed(about[0]), "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
                for name, about in every.items()
            ],
            "permissions": [
                {"user": name, "vhost": "/", "configure": about[1], "write": about[2], "read": about[3]} for name, about in every.items()
            ],
        }
        (folder / "definitions.json").write_text(json.dumps(definitions))
        lines = [f"listeners.tcp.default = 127.0.0.1:{self.port}", f"load_definitions = {folder}/definitions.json", "log.console = false"]
        if tls:
            lines += [f"listeners.ssl.default = 127.0.0.1:{self.tls_port}", f"ssl_options.certfile = {tls[0]}"]
            lines += [f"ssl_options.keyfile = {tls[1]}", f"ssl_options.cacertfile = {tls[0]}", "ssl_options.verify = verify_none"]
        (folder / "rabbitmq.conf").write_text("\n".join([*lines, ""]))
        (folder / "plugins").write_text("[].\n")
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "RabbitMQ":
        self._run([str(self._epmd), "-port", str(self._names), "-address", "127.0.0.1"])
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._processes:
            self._kill()

    def again(self) -> None:
        """Kill it without a warning, and start it again."""
        self._kill()
        self._start()

    def _start(self) -> None:
        log = self._folder / "log" / f"{self._environment['RABBITMQ_NODENAME']}.log"
        before = len(log.read_bytes()) if log.exists() else 0
        process = self._run([self._program])
        end = time.monotonic() + _PATIENCE_S
        while not (log.exists() and re.search(rb"Server startup complete", log.read_bytes()[before:])):
            said = (self._folder / "output").read_text(errors="replace")
            assert process.poll() is None and time.monotonic() < end, said[-3000:]
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)

    def _run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self._folder / "output").open("ab") as output:
            process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._processes.append(process)
        return process

    def _kill(self) -> None:
        """The last one, with all that it has started."""
        process = self._processes.pop()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
