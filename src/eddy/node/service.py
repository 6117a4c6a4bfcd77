"""A node as a process: `python -m eddy.node.service --name gw1 --dir DIR --listen tls/127.0.0.1:PORT --connect ENDPOINT ...`

With `--identity FOLDER`, where a node that has joined keeps its certificate, endpoints are `tls/HOST:PORT`, and only what the hub has
signed is hosted. Without, loopback only, and unsigned: for measurements.
"""

import argparse
import gc
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from eddy.errors import EddyError, LinkTimeout, SettingError, StorageFull
from eddy.fabric.mesh import Mesh
from eddy.kernel.assignment import HUB
from eddy.kernel.charter import Charter, unsigned
from eddy.kernel.codec import decode, encode
from eddy.kernel.host import Host
from eddy.kernel.leading import AHEAD, LOG_BYTES
from eddy.kernel.outlets import RETRY_MS
from eddy.knowledge.spool import connect
from eddy.links.driver import Home
from eddy.node import programs
from eddy.node.code import Code
from eddy.node.copying import forked
from eddy.node.drivers import DRIVER, Drivers
from eddy.node.journal import SqliteJournal
from eddy.node.line import Lines
from eddy.security import keyfile
from eddy.security.identity import Identity

_WAIT_S = 0.01
_BATCH_BYTES = 8192  # of a batch: so much a consumer here takes in one turn, and all others of this node wait meanwhile
_ASK_S = 2.0
_BUSY_MS = 60_000  # so long somebody else may hold the journal, such as `eddy forget`


class Node:
    """One node: its host, its drivers, the devices behind it, on a mesh.

    Args:
        name: Of the node.
        folder: Where its journal and code are kept.
        mesh: As this node is called on it.
        verify: Of charters; see `eddy.kernel.charter.open_charter`.
        devices: {name: (serial port, line speed factor)} of devices at this node.
    """

    def __init__(
        self, name: str, folder: Path, mesh: Mesh, verify: Any = unsigned, devices: dict[str, tuple[str, int]] | None = None
    ) -> None:
        self._mesh = mesh
        self._code = Code(folder / "code", lambda digest: mesh.ask(HUB, encode(["code", digest]), _ASK_S))
        journal = SqliteJournal(connect(folder / f"{name}.db", _BUSY_MS))
        pace = RETRY_MS, _BATCH_BYTES, LOG_BYTES, AHEAD
        self.host = Host(name, journal, self._build, verify, self._admit, copier=forked, doors=False, pace=pace)
        self._drivers = Drivers(self.host, self._code, Home(folder, self._ask_hub))
        self._lines = Lines(devices or {}, lambda text: self.host.incident("line", "", text))
        self._near: list[tuple[str, bytes]] = []  # from this node to itself
        mesh.answer(self._answer)

    def turn(self) -> None:
        """Take what has come, do what is due, say what may be said; waits for messages at most 10 ms."""
        for address, data in self._near:
            self._deliver(address, data)
        busy, self._near = bool(self._near), []
        for address, data in self._mesh.receive(0 if busy or self._drivers.more else _WAIT_S):
            self._deliver(address, data)
        out = self._drivers.turn()
        out += self.host.poll(time.monotonic_ns() // 1_000_000, time.time_ns())
        self._drivers.confirm()
        out += self._lines.turn()
        here = {*self.host.owns(), "@" + self.host.node}
        self._mesh.claim([*(here - {"@" + self.host.node}), *self._lines.addresses()])  # before anybody is told to send here
        for to, data in out:
            if to in here or to in self._lines.addresses():
                self._near.append((to, data))
            else:
                self._mesh.send(to, data)

    def rest(self) -> None:
        """A last turn: with it the journal lets go of what nobody waits for any more, since it may be long until the next one."""
        self.host.checkpoint = 0
        self.turn()

    def up(self, name: str) -> bool:
        """Whether the driver of a source works here."""
        return self._drivers.up(name)

    def close(self) -> None:
        """Stop drivers and lines, and leave the mesh."""
        self._drivers.close()
        self._lines.close()
        self._mesh.close()

    def _deliver(self, address: str, data: bytes) -> None:
        if not self._lines.receive(address, data):
            self.host.receive(data, time.time_ns())

    def _ask_hub(self, question: list[Any]) -> Any:
        said = self._mesh.ask(HUB, encode(question), _ASK_S)
        return None if said is None else decode(said)

    def _build(self, program: Any) -> Any:
        return programs.build(program, self._code)

    def _admit(self, charter: Charter) -> None:
        for digest in programs.wanted(charter):
            self._code.want(digest)
        programs.admit(charter, self._code)

    def _answer(self, question: bytes) -> bytes | None:
        """What somebody on the mesh asks: [what, instance]."""
        try:
            asked: Any = decode(question)
            what, instance = asked[:2]
            said = self._drivers.state(instance) if what == DRIVER else self.host.look(instance, what)
        except (EddyError, TypeError, KeyError, ValueError):
            return None
        return None if said is None else encode(said)


def signed_by(key: bytes) -> Any:
    """Whether a charter is signed with the private half of this Ed25519 key."""
    public = Ed25519PublicKey.from_public_bytes(key)

    def verify(body: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, body)
        except InvalidSignature:
            return False
        return True

    return verify


def greet(mesh: Mesh, folder: Path, me: list[str], going: Callable[[], bool], patience_s: float = 60.0) -> bytes:
    """Tell the hub who is here. The key with which it signs comes from it at first run, over a link that is authenticated, and is kept.

    Args:
        me: Name, tier and endpoint of this node.
        going: Whether to go on waiting.
        patience_s: How long.

    Raises:
        LinkTimeout: The hub does not answer, or this node is to stop.
    """
    file = folder / "hub.pub"
    end = time.monotonic() + patience_s
    while (key := mesh.ask(HUB, encode(["hello", me]), _ASK_S)) is None and not file.exists():
        if time.monotonic() > end or not going():
            raise LinkTimeout("the hub does not answer: is it running, and reachable from here?")
    if not file.exists() and key is not None:
        keyfile.write(file, key, replace=False)
    return file.read_bytes()


def serve(
    name: str,
    folder: Path,
    listen: str,
    others: list[str],
    identity: Identity | None,
    tier: str = "gateway",
    devices: dict[str, tuple[str, int]] | None = None,
    gossip: bool = True,
) -> None:
    """Host what the hub assigns, until SIGTERM."""
    going = True

    def stop(number: int, frame: object) -> None:
        nonlocal going
        going = False

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    folder.mkdir(parents=True, exist_ok=True)
    mesh = Mesh(["@" + name], listen, others, identity, gossip=gossip)
    try:
        verify = signed_by(greet(mesh, folder, [name, tier, listen], lambda: going)) if identity else unsigned
    except LinkTimeout:
        mesh.close()
        if going:
            raise
        return
    node = Node(name, folder, mesh, verify, devices)
    settle()
    try:
        while going:
            node.turn()
        with suppress(StorageFull):  # the journal is as it was
            node.rest()
    finally:
        node.close()


def settle() -> None:
    """Have the collector look for cycles less often, and not in what is there for good: what passes through a node has none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(4_000, 500, 1_000)
    sys.setswitchinterval(0.0001)


def read_device(text: str) -> tuple[str, tuple[str, int]]:
    """A device and where it is, from `NAME=PORT` or `NAME=PORT@SPEED`; raises SettingError."""
    name, equals, port = text.partition("=")
    port, _, speed = port.partition("@")
    if not (name and equals and port) or not (speed or "1").isdigit():
        raise SettingError(f"{text!r} is no device at a port: write NAME=PORT, such as pump-1=/dev/ttyUSB0")
    return name, (port, int(speed or 1))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="eddy.node.service")
    parser.add_argument("--name", required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--connect", nargs="*", default=[])
    parser.add_argument("--identity", type=Path)
    parser.add_argument("--tier", default="gateway", choices=["gateway", "cloud"])
    parser.add_argument("--device", nargs="*", default=[], metavar="NAME=PORT[@SPEED]")
    parser.add_argument("--only", action="store_true", help="connect to the endpoints named here, and to no others that these know")
    given = parser.parse_args()
    identity = Identity.load_or_create(given.identity, given.name) if given.identity else None
    devices = dict(read_device(text) for text in given.device)
    serve(given.name, given.dir, given.listen, given.connect, identity, given.tier, devices, not given.only)


if __name__ == "__main__":
    main()
