"""The hub as a process: `python -m eddy.hub.service --database URL --listen tcp/127.0.0.1:PORT --connect ENDPOINT ...`

With `--authority FOLDER`, where the certificate authority is or shall be, endpoints are `tls/HOST:PORT`; without, loopback only.
"""

import argparse
import signal
import time
from pathlib import Path

from eddy.errors import EddyError
from eddy.fabric.mesh import Mesh
from eddy.hub.control import Control
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import HUB, message, read
from eddy.kernel.charter import Charter, open_charter
from eddy.security.authority import Authority
from eddy.security.identity import Identity

PLACE, MOVE = 100, 101
_WAIT_S = 0.01


def place(charter: Charter, consumers: list[str], owner: str, holders: list[str]) -> bytes:
    """The order to place an instance; see `Control.place`. It may be repeated."""
    return message(PLACE, charter.sealed, consumers, owner, holders)


def move(instance: str, node: str) -> bytes:
    """The order to move an instance. It may be repeated."""
    return message(MOVE, instance, node)


def serve(database: str, listen: str, others: list[str], identity: Identity | None = None) -> None:
    """Keep nodes at what is wanted, until SIGTERM."""
    going = True

    def stop(number: int, frame: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    control = Control(Terms(open_database(database)))
    mesh = Mesh([HUB], listen, others, identity)
    try:
        while going:
            for data in mesh.take(_WAIT_S):
                _hear(control, data, time.monotonic_ns() // 1_000_000)
            for to, data in control.poll(time.monotonic_ns() // 1_000_000):
                mesh.send(to, data)
    finally:
        mesh.close()


def _hear(control: Control, data: bytes, now_ms: int) -> None:
    try:
        parts = read(data)
        if parts[0] == PLACE:
            control.place(open_charter(parts[1]), *parts[2:])
        elif parts[0] == MOVE:
            control.move(*parts[1:])
        else:
            control.receive(data, now_ms)
    except (EddyError, TypeError, ValueError):
        return  # no message, or an order that was carried out already; who gave it looks at the table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="eddy.hub.service")
    parser.add_argument("--database", required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--connect", nargs="*", default=[])
    parser.add_argument("--authority", type=Path)
    given = parser.parse_args()
    identity = Authority(given.authority).own_identity() if given.authority else None
    serve(given.database, given.listen, given.connect, identity)


if __name__ == "__main__":
    main()
