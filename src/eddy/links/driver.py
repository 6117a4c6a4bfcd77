"""Drivers: how samples come in and go out. What a source and a sink are, and how one is started from its program."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOENT
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from eddy.errors import BadInput, Refused, SettingError

_ROOMS = ("eddy.links.", "eddy.loop.", "eddy.knowledge.")
_ENVIRONMENT, _FILE = "env:", "secret:"  # how secrets are named
_MOST_BYTES = 65_536


class Source(Protocol):
    """Where samples are born. Made with `resume`, the number of samples that are kept already, and its arguments. It may have `close`.

    One whose senders wait for an acknowledgement has `kept(count)`, too: it is told how many of the samples that `read` of this very object
    has returned can no longer be lost, whatever happens to this node. That is called from the node's loop and must not block. What was
    never confirmed comes again from its sender, to this driver or the next.
    """

    def read(self) -> "tuple[int, Any] | list[tuple[int, Any]] | None":
        """(time in nanoseconds, value), several of these in order, or None when there is nothing now; may block for a second.

        Raises:
            EOFError: There will be no more.
        """


class Sink(Protocol):
    """Where samples leave the system. It may have `close`.

    One of Eddy's own may have `write_all` in the place of `write`, for stores that take many at once: then the values are those of
    `eddy.kernel.functions.named.Named`, and a key has the birth of its numbering, too: `stream/origin/birth/seq`.
    """

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Bring one sample out, or raise: it comes again then, with the same key. Refused says that trying again is useless."""

    def safe(self, value: Any) -> None:
        """Nobody speaks any more: do what is safe."""


class Store(Protocol):
    """A sink that takes many samples at once.

    Attributes:
        gather_s: How long samples may wait for others to be written with.
    """

    gather_s: float

    def write_all(self, samples: list[tuple[str, int, Any]]) -> None:
        """Bring (key, time in nanoseconds, value) out, in this order, durable when it returns; or raise: they come again then, and
        perhaps others with them. The numbers of the keys are dense; those that came before come again after a crash.
        """

    def safe(self, value: Any) -> None:
        """Nobody speaks any more: do what is safe."""


@dataclass(frozen=True)
class Home:
    """What a node offers to drivers that have the attribute `at_home`.

    Attributes:
        folder: For what they keep; the same after a restart.
        ask: Asks the hub; None when it does not answer.
        instance: The source or sink that the driver is of.
    """

    folder: Path
    ask: Callable[[list[Any]], Any]
    instance: str = ""


def start(program: list[Any], home: Home | None = None, **more: Any) -> Any:
    """A built-in driver from its program `[module, class, {arguments}]`.

    Args:
        program: Text arguments `env:NAME` and `secret:FILE` are replaced by what that variable or file holds, here and not before, so that
            no secret is stored.
        home: Given on to those that want it.
        more: Further arguments, such as `resume`.

    Raises:
        Refused: No driver of Eddy's own.
        SettingError: A variable that is not set, or a file that cannot be read.
        BadInput: Arguments that the driver does not take.
    """
    _, name, arguments = program
    made = _named(program)
    if hasattr(made, "at_home"):
        more["home"] = home
    try:
        return made(**with_secrets(arguments), **more)
    except TypeError as error:
        raise BadInput(f"driver {name} does not take the arguments {', '.join(sorted(arguments)) or '(none)'}: {error}") from None


def takes_all(program: list[Any]) -> bool:
    """Whether it is the program of a `Store`; a driver of a person's own never is."""
    return str(program[0]).startswith(_ROOMS) and hasattr(_named(program), "write_all")


def takes_names(program: list[Any]) -> bool:
    """Whether its driver wants to know whose each sample is: the values are those of `Named` then, as with a `Store`."""
    return takes_all(program) or (str(program[0]).startswith(_ROOMS) and bool(getattr(_named(program), "named", False)))


def _named(program: list[Any]) -> type:
    """The class of a built-in driver; raises Refused."""
    module, name = str(program[0]), program[1]
    if not module.startswith(_ROOMS):
        raise Refused(f"{module}:{name} is no driver of Eddy's own: a file of one's own is started by a worker")
    try:
        made = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise Refused(f"there is no driver {module} here ({error}): is this node older than the app?") from None
    if not isinstance(made, type) or not any(hasattr(made, does) for does in ("read", "write", "write_all")):
        raise Refused(f"{module} holds no driver called {name}")
    return made


def with_secrets(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with every text `env:NAME` or `secret:FILE`, also in a map, replaced by what that variable or file holds.

    Raises:
        SettingError: It is not there; the message has its name only.
    """
    return {name: _secret(name, value) for name, value in arguments.items()}


def _secret(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _secret(f"{name}.{key}", one) for key, one in value.items()}
    if not isinstance(value, str) or not value.startswith((_ENVIRONMENT, _FILE)):
        return value
    if value.startswith(_FILE):
        return _content(name, Path(value.removeprefix(_FILE)))
    variable = value.removeprefix(_ENVIRONMENT)
    if variable not in os.environ:
        raise SettingError(f"{name} is to come from the environment variable {variable}, which is not set: set it where the node starts")
    return os.environ[variable]


def _content(name: str, file: Path) -> str:
    """Of a file with one secret, as Docker, Kubernetes and systemd hand them out, without the end of its line."""
    try:
        if not file.is_file():  # a pipe would be waited for
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
        if len(content) <= _MOST_BYTES and (text := content.decode().rstrip("\r\n")):
            return text
        why = "it is empty" if not content.strip() else f"it has more than {_MOST_BYTES >> 10} KiB"
    except OSError as error:
        why = str(error.strerror)
    except UnicodeDecodeError:
        why = "it is no text"
    except ValueError as error:
        why = str(error)
    raise SettingError(f"{name} is to come from the file {file}, which does not hold it ({why}): put it there, where the node starts")


def as_json(key: str, time_ns: int, value: Any) -> bytes:
    """A sample as other systems read it: `{"key": ..., "time_ns": ..., "value": ...}`, bytes as hex."""
    return json.dumps({"key": key, "time_ns": time_ns, "value": value}, default=lambda raw: bytes(raw).hex()).encode()
