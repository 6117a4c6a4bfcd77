"""One process that runs a person's own code, with bounds; the other end is `eddy.node.working`.

A process gets an address space of so many bytes, so much time for each call, a lower priority, and none of the node's environment, where
secrets are. It is bounded, not jailed: it can read and send what the node's user can, so only signed code belongs here.
"""

import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from typing import Any

from eddy.errors import CodeError, OverLimit, Refused
from eddy.kernel.codec import decode, encode
from eddy.node.working import END, ERROR, HEAD_BYTES, OUT_OF_MEMORY

MEMORY_BYTES = 512 << 20
CALL_S = 1.0
_START_S = 20.0  # importing numpy on a busy gateway
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # each thread reserves address space


class Worker:
    """One process with one object of a person's own class; it starts at once.

    Args:
        program: `[file, class, {arguments}, SHA-256 of the file]`.
        code: {SHA-256: source text}.
        memory_bytes: Address space that it may take.
        call_s: Wall time that a call may take.
        more: Further arguments for the class.

    Attributes:
        begun: What the process says about the object: `[every_ms, schema, state]` of a function.

    Raises:
        Refused: The code is not there, or not the code that is meant.
        CodeError: It cannot be loaded.
        OverLimit: It took too much, or its process died.
    """

    def __init__(
        self,
        program: list[Any],
        code: Mapping[bytes, bytes],
        memory_bytes: int = MEMORY_BYTES,
        call_s: float = CALL_S,
        **more: Any,
    ) -> None:
        file, name, arguments, digest = program
        if digest not in code:
            raise Refused(f"the code of {file} is not on this node: deploy the app again")
        self.name = f"{file}:{name}"
        self._memory_bytes = memory_bytes
        self._call_s = call_s
        self._line, other = socket.socketpair()
        command = [sys.executable, "-P", "-m", "eddy.node.working", str(other.fileno())]
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
        with other:
            self._process = subprocess.Popen(
                command,
                env={**kept, **_ONE_THREAD},
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what it prints belongs among the node's messages
                start_new_session=True,  # Ctrl-C is for the node, which ends it
            )
        self.close = weakref.finalize(self, _end, self._process, self._line)
        call_ms = round(call_s * 1000)
        start = encode(["start", [file, name, {**arguments, **more}, code[digest], digest, memory_bytes, call_ms]])
        try:
            self.begun = self.ask(start, "start", _START_S)
        except Exception:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method returns; errors as of `ask`."""
        return self.ask(encode([method, list(arguments)]), method, self._call_s)

    def ask(self, request: bytes, method: str, within_s: float) -> Any:
        """What an encoded request is answered.

        Raises:
            CodeError: The code raised an error; it can be called again.
            Refused: The code itself refuses.
            OverLimit: It took too much or died. The process is gone.
            EOFError: The code says that the data have ended.
        """
        answer = decode(self._exchange(request, method, within_s))
        assert isinstance(answer, list)
        if answer[0] == END:
            raise EOFError
        if answer[0] == ERROR:
            raise (Refused if answer[1] == Refused.code else CodeError)(f"{self.name}, {method}: {answer[2]}")
        return answer[1]

    def _exchange(self, request: bytes, method: str, within_s: float) -> bytes:
        end = time.monotonic() + within_s
        data = b""
        try:
            self._line.settimeout(within_s)
            self._line.sendall(len(request).to_bytes(HEAD_BYTES, "big") + request)
            while len(data) < HEAD_BYTES or len(data) < HEAD_BYTES + int.from_bytes(data[:HEAD_BYTES], "big"):
                self._line.settimeout(max(0.001, end - time.monotonic()))
                more = self._line.recv(1 << 18)
                if not more:
                    raise ConnectionResetError
                data += more
        except TimeoutError:
            self.close()
            raise OverLimit(f"{self.name}, {method}: more than {within_s:g} s: make it shorter, or spread the work over ticks") from None
        except OSError:
            raise OverLimit(f"{self.name}, {method}: {self._death()}") from None
        return data[HEAD_BYTES:]

    def _death(self) -> str:
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            status = 0
        self.close()
        if status == OUT_OF_MEMORY:
            return f"more than {self._memory_bytes >> 20} MiB of memory: keep less, or raise its bound"
        return f"its process ended with {'signal' if status < 0 else 'status'} {abs(status)}"


def _end(process: "subprocess.Popen[bytes]", line: socket.socket) -> None:
    line.close()
    process.kill()
    process.wait()
