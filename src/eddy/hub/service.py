"""The hub as a process: `python -m eddy.hub.service --dir DIR --listen tls/127.0.0.1:PORT --api 127.0.0.1:8787`

With `--bare` there are neither keys nor API, endpoints are on loopback, and messages place and move instances: for measurements.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from eddy.errors import EddyError
from eddy.fabric.mesh import Mesh
from eddy.hub.control import Control
from eddy.hub.house import House
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import HUB, message, read
from eddy.kernel.charter import Charter, open_charter
from eddy.security.authority import Authority
from eddy.security.signing import SigningKey

PLACE, MOVE = 100, 101
WAIT_S = 0.01


def place(charter: Charter, consumers: list[str], owner: str, holders: list[str]) -> bytes:
    """The order to place an instance; see `Control.place`. It may be repeated."""
    return message(PLACE, charter.sealed, consumers, owner, holders)


def move(instance: str, node: str) -> bytes:
    """The order to move an instance. It may be repeated."""
    return message(MOVE, instance, node)


class Stopping:
    """Becomes true with SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._now = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def __bool__(self) -> bool:
        return self._now

    def _stop(self, number: int, frame: object) -> None:
        self._now = True


def serve(
    folder: Path,
    database: str,
    listen: str,
    api: tuple[str, int],
    token: str | None,
    others: list[str],
    tls: tuple[Path, Path] | tuple[None, None] = (None, None),
) -> None:
    """Keep nodes at what is wanted, and answer people, until told to stop.

    Args:
        folder: Of the hub: its keys, its certificate authority, its database unless `database` names another.
        listen: Endpoint for nodes, `tls/HOST:PORT`.
        api: Host and port of the API.
        token: Of the API; see `eddy.hub.access`.
        others: Endpoints of nodes, to find them again after a restart.
        tls: Certificate and key of the API, PEM; without, it is HTTP in clear.

    Raises:
        EddyError: A port, a key or the database is not to be had.
    """
    from eddy.hub.api import create
    from eddy.hub.server import Server

    stopping = Stopping()
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    mesh = Mesh([HUB], listen, others, authority.own_identity())
    engine = open_database(database or f"sqlite:///{folder / 'hub.db'}")
    house = House(engine, SigningKey.load_or_create(folder / "signing.key"), authority, mesh, listen)
    try:
        with Server(create(house, token), *api, *tls) as server:
            (folder / "api.url").write_text(server.url)
            while not stopping:
                house.turn(WAIT_S)
    finally:
        mesh.close()


def serve_bare(database: str, listen: str, others: list[str], gossip: bool = True) -> None:
    """As `serve`, with nothing but the control loop."""
    stopping = Stopping()
    control = Control(Terms(open_database(database)))
    mesh = Mesh([HUB], listen, others, gossip=gossip)
    try:
        while not stopping:
            now_ms = time.monotonic_ns() // 1_000_000
            for data in mesh.take(WAIT_S):
                _hear(control, data, now_ms)
            for address in mesh.gone():
                if address.startswith(HUB) and address != HUB:
                    control.closed(address[1:], now_ms)
            for to, data in control.poll(now_ms):
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
    """The command line. The API's token comes from EDDY_TOKEN. What it cannot have, such as a port, is told in one line."""
    parser = argparse.ArgumentParser(prog="eddy.hub.service")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--database", default="")
    parser.add_argument("--listen", required=True)
    parser.add_argument("--connect", nargs="*", default=[])
    parser.add_argument("--api", default="127.0.0.1:8787")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--only", action="store_true", help="connect to the endpoints named here, and to no others that these know")
    given = parser.parse_args()
    try:
        if given.bare:
            serve_bare(given.database, given.listen, given.connect, not given.only)
        else:
            host, _, port = given.api.rpartition(":")
            serve(given.dir, given.database, given.listen, (host, int(port)), os.environ.get("EDDY_TOKEN"), given.connect)
    except EddyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
