"""A node as a process: `python -m eddy.node.service --name gw1 --dir DIR --listen tcp/127.0.0.1:PORT --connect ENDPOINT ...`

With `--identity FOLDER`, where a node that has joined keeps its certificate, endpoints are `tls/HOST:PORT`; without, loopback only.
"""

import argparse
import signal
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from eddy.errors import Refused
from eddy.fabric.mesh import Mesh
from eddy.kernel.function import Function
from eddy.kernel.host import Host
from eddy.knowledge.spool import connect
from eddy.node.copying import forked
from eddy.node.journal import SqliteJournal
from eddy.security.identity import Identity

_WAIT_S = 0.01


def build(program: Any) -> Function:
    """A built-in function from its program `[module, class, arguments]`.

    Raises:
        Refused: Anything but a built-in: people's own code is not taken before it is signed and bounded.
    """
    module, name, arguments = program
    if not str(module).startswith("eddy.functions."):
        raise Refused(f"{module}:{name} is not one of Eddy's own functions: only those are hosted so far")
    made: Function = getattr(import_module(module), name)(**arguments)
    return made


def serve(name: str, folder: Path, listen: str, others: list[str], identity: Identity | None = None) -> None:
    """Host what the hub assigns, until SIGTERM."""
    going = True

    def stop(number: int, frame: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    folder.mkdir(parents=True, exist_ok=True)
    host = Host(name, SqliteJournal(connect(folder / f"{name}.db")), build, copier=forked)
    mesh = Mesh(["@" + name], listen, others, identity)
    try:
        while going:
            for data in mesh.take(_WAIT_S):
                host.receive(data, time.time_ns())
            said = host.poll(time.monotonic_ns() // 1_000_000, time.time_ns())
            mesh.claim(host.owns())  # before anybody is told to send here
            for to, data in said:
                mesh.send(to, data)
    finally:
        mesh.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="eddy.node.service")
    parser.add_argument("--name", required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--connect", nargs="*", default=[])
    parser.add_argument("--identity", type=Path)
    given = parser.parse_args()
    identity = Identity.load_or_create(given.identity, given.name) if given.identity else None
    serve(given.name, given.dir, given.listen, given.connect, identity)


if __name__ == "__main__":
    main()
