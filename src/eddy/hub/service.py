"""The hub as a process: `python -m eddy.hub.service --database URL --listen tcp/127.0.0.1:PORT --connect ENDPOINT ...`"""

import argparse
import signal
import time

from eddy.errors import EddyError
from eddy.fabric.mesh import Mesh
from eddy.hub.control import Control
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import HUB, message, read
from eddy.kernel.charter import Charter, open_charter

PLACE, MOVE = 100, 101
_WAIT_S = 0.01


def place(charter: Charter, consumers: list[str], owner: str, holders: list[str]) -> bytes:
    """The order to place an instance; see `Control.place`. It may be repeated."""
    return message(PLACE, charter.sealed, consumers, owner, holders)


def move(instance: str, node: str) -> bytes:
    """The order to move an instance. It may be repeated."""
    return message(MOVE, instance, node)


def serve(database: str, listen: str, others: list[str]) -> None:
    """Keep nodes at what is wanted, until SIGTERM."""
    going = True

    def stop(number: int, frame: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    control = Control(Terms(open_database(database)))
    mesh = Mesh([HUB], listen, others)
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
    given = parser.parse_args()
    serve(given.database, given.listen, given.connect)


if __name__ == "__main__":
    main()
