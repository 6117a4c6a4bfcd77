"""The other end of `eddy.node.process`: a process that runs a person's own code, `python -m eddy.node.working FD`.

Over the socket FD come requests `[method, arguments]`, each a length of 4 bytes and CBOR, and each is answered by one of

    [0, value]             what the method returned
    [1, code, text]        it raised an error
    [2]                    the data have ended

The first request, `start`, brings the code and its bounds. The process ends with its socket.
"""

import contextlib
import hashlib
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from eddy.kernel.batch import Gap
from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import EddyError, Refused
from eddy.kernel.function import Function, Sample

ANSWER, ERROR, END = 0, 1, 2
HEAD_BYTES = 4
OUT_OF_MEMORY = 12
"""Exit status of a process whose code ran out of memory; the number of ENOMEM."""

_NICE = 5
_EDDY = str(Path(__file__).parents[1])


def load_source(source: bytes, digest: bytes, file: str) -> ModuleType:
    """Run a source text as a module.

    Args:
        source: UTF-8.
        digest: SHA-256 of it, from a program that was signed.
        file: Its name, for messages.

    Raises:
        Refused: It is not the text that was meant.
    """
    if hashlib.sha256(source).digest() != digest:
        raise Refused(f"{file} is not the code that the program names (its SHA-256 differs): deploy the app again")
    module = ModuleType("own." + file.rpartition("/")[2].removesuffix(".py"))
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses look there
    exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102 - running people's code is what this process is for
    return module


def serve(line: socket.socket) -> None:
    """Answer requests until the other end is gone."""
    made: Any = None
    bound_s = 0.0
    while True:
        data = receive(line)
        if data is None:
            return
        request: Any = decode(data)
        method, arguments = request
        # Should the node die meanwhile, nobody else would end a call that never returns.
        signal.setitimer(signal.ITIMER_REAL, 2 * bound_s)
        try:
            if method == "start":
                made, bound_s = _start(*arguments)
                answer = [ANSWER, [made.every_ms, made.schema, encode(made.state())] if isinstance(made, Function) else None]
            else:
                answer = [ANSWER, _call(made, method, arguments)]
            said = encode(answer)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except EOFError:
            said = encode([END])
        except EddyError as error:
            said = encode([ERROR, error.code, _told(error)])
        except Exception as error:
            said = encode([ERROR, 0, _told(error)])
        signal.setitimer(signal.ITIMER_REAL, 0)
        line.sendall(len(said).to_bytes(HEAD_BYTES, "big") + said)


def receive(line: socket.socket) -> bytes | None:
    """The next message, None when the other end is gone."""
    data = line.recv(1 << 16)
    while data and (len(data) < HEAD_BYTES or len(data) < HEAD_BYTES + int.from_bytes(data[:HEAD_BYTES], "big")):
        more = line.recv(1 << 20)
        data = data + more if more else b""
    return data[HEAD_BYTES:] or None


def _start(
    file: str, name: str, arguments: dict[str, Any], source: bytes, digest: bytes, memory_bytes: int, call_ms: int
) -> tuple[Any, float]:
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    made = getattr(load_source(source, digest, file), name, None)
    if not isinstance(made, type):
        raise Refused(f"{file} defines no class {name}")
    return made(**arguments), call_ms / 1000


def _call(made: Any, method: str, arguments: list[Any]) -> Any:
    if method in ("on", "gap"):
        sample = Sample(*arguments)
        if method == "gap":
            sample.value = Gap(*sample.value)
        return getattr(made, method)(sample)
    if method == "state":
        return encode(made.state())  # apart from the answer, so that it may be as deep as a state may
    if method == "restore":
        return made.restore(decode(arguments[0]))
    if method == "upgrade":
        return encode(made.upgrade(decode(arguments[0]), arguments[1]))
    return getattr(made, method)(*arguments)


def _told(error: Exception) -> str:
    """An error with its place in the person's own file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_EDDY)]
    place = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as line, contextlib.suppress(ConnectionError):
        serve(line)
