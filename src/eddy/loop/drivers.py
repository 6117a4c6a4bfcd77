"""The loop in an app: a sink that takes in what the judges say, and sources that give packages to devices and members to pools.

All of one model share a knowledge base in the folder of their node, each with a connection of its own. What a source has given is numbered
by the system, so where it goes on is the number of samples that are kept: the n-th package of a device, the n-th announcement.
"""

import time
from pathlib import Path
from typing import Any

from eddy.errors import BadInput, LinkTimeout, Refused
from eddy.kernel.package import DOMAIN
from eddy.knowledge.base import KnowledgeBase
from eddy.links.driver import Home
from eddy.loop import Loop, LoopSettings
from eddy.models.create import Search
from eddy.models.engine import Training
from eddy.models.package import sign
from eddy.pool.champion import Replacement

_WAIT_S = 0.1
_MS_NS = 1_000_000


def folder_of(home: Path, model: str) -> Path:
    """Where the loop of a model keeps its knowledge, in the folder of its node."""
    return home / "loops" / model


def settings_of(judged: dict[str, Any]) -> LoopSettings:
    """The settings of a loop, from what the app declares of its model (`eddy.spec.programs.judged`)."""
    sets = tuple(dict.fromkeys([tuple(judged["uses"]), *Search().features]))
    subsample = tuple(sorted({64, judged["subsample"]}))
    search = Search(tuple(judged["pool_trees"]), subsample, sets, judged["pool_quantile"], seed=judged["seed"])
    rule = Replacement(judged["replace"][0], judged["replace"][1] * _MS_NS) if judged["replace"] else None
    return LoopSettings(tuple(judged["features"]), Training(search), replacement=rule, strategy=judged["decide"])


class Reports:
    """The sink.

    Args:
        model: Name of the model.
        devices: {origin of reports: device}.
        settings: See `settings_of`.
        home: Of the node.
    """

    at_home = True

    def __init__(self, model: str, devices: dict[str, str], settings: dict[str, Any], home: Home) -> None:
        folder = folder_of(home.folder, model)
        folder.mkdir(parents=True, exist_ok=True)
        self._base = KnowledgeBase(folder / "knowledge.db")
        self._loop = Loop(self._base, settings_of(settings), devices, model)

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Take in one output of a judge; durable when it returns.

        Raises:
            Refused: It is none.
        """
        try:
            self._loop.take(key, time_ns, value)
        except BadInput as error:
            raise Refused(str(error)) from error

    def safe(self, value: Any) -> None:
        """A loop that hears nothing does nothing."""

    def close(self) -> None:
        """Let go of the knowledge base."""
        self._base.close()


class _Source:
    at_home = True

    def __init__(self, model: str, home: Home, resume: int) -> None:
        folder = folder_of(home.folder, model)
        folder.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._base = KnowledgeBase(folder / "knowledge.db")
        self._loop = Loop(self._base)
        self._position = resume

    def read(self) -> tuple[int, Any] | None:
        """The next one, or None after a moment."""
        said = self._next()
        if said is None:
            time.sleep(_WAIT_S)
            return None
        self._position += 1
        return time.time_ns(), said

    def close(self) -> None:
        """Let go of the knowledge base."""
        self._base.close()

    def _next(self) -> Any:
        raise NotImplementedError


class Pool(_Source):
    """Who belongs to the pools, for the judges: see `eddy.knowledge.registry`."""

    def _next(self) -> Any:
        return self._loop.announcement(self._position)


class Champions(_Source):
    """Packages for one device, signed by the hub: it sees the manifest, never what is in them.

    Args:
        model: Name of the model.
        device: The device.
    """

    def __init__(self, model: str, device: str, home: Home, resume: int) -> None:
        super().__init__(model, home, resume)
        self._device = device

    def _next(self) -> Any:
        package = self._loop.package(self._device, self._position)
        return None if package is None else sign(package, self._signature)

    def _signature(self, data: bytes) -> bytes:
        signature: bytes | None = self._home.ask(["sign", data.removeprefix(DOMAIN)])
        if signature is None:
            raise LinkTimeout("the hub does not sign packages now: they wait until it does")
        return signature
