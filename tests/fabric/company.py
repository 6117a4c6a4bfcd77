"""Ends of a mesh that know each other."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.security.authority import Authority
from eddy.security.identity import Identity

T = TypeVar("T")


def repeat(act: Callable[[], object], look: Callable[[], T], patience_s: float = 10) -> T:
    """Act again and again, as those who use a mesh do, until there is something to see, or patience ends."""
    end = time.monotonic() + patience_s
    while True:
        act()
        if (seen := look()) or time.monotonic() > end:
            return seen


class Company:
    """A hub's authority, and ends that it has let in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "hub")
        self.endpoint = free_endpoint("tls")
        self._open: list[Mesh] = []

    def identity(self, name: str) -> Identity:
        identity = Identity.load_or_create(self.folder / name, name)
        if identity.expires() is None:
            identity.accept(self.authority.sign(*identity.request(self.authority.issue_token())))
        return identity

    def hub(self, peers: list[str] | None = None) -> Mesh:
        return self.keep(Mesh(["@"], self.endpoint, [], self.authority.own_identity(), peers))

    def node(self, name: str, peers: list[str] | None = None) -> Mesh:
        return self.keep(Mesh([f"@{name}"], free_endpoint("tls"), [self.endpoint], self.identity(name), peers))

    def keep(self, mesh: Mesh) -> Mesh:
        self._open.append(mesh)
        return mesh

    def close(self) -> None:
        for mesh in self._open:
            mesh.close()
        self.authority.close()
