"""People's own code in processes of its own, with bounds: it may loop, leak or crash, and the node goes on.

A process gets an address space of so many bytes, so much time for each call, a lower priority, and none of the node's environment, where
secrets are. It is bounded, not jailed: it can read and send what the node's user can, so only signed code belongs here.

A function is deterministic, so a process that died is replaced without anybody noticing: a new one gets the last state and the calls since.
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
from eddy.kernel.function import Function, Sample
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
        command = [sys.executable, "-m", "eddy.node.working", str(other.fileno())]
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


class WorkerFunction(Function):
    """A person's own function, hosted like any other.

    When its process dies or takes too much, a new one continues from the last state and the calls since, and the call is tried once more;
    if that fails as well it raises, and counts as if it had never been. A function whose state cannot be written (a float in it, say) is
    stopped there: it keeps its last good state, and every further call raises.

    Args:
        program, code, memory_bytes, call_s: See `Worker`.
        state_every: Calls after which its state is taken, so that fewer need to be repeated. Likewise after 1 MiB of calls.

    Raises:
        Refused, CodeError, OverLimit: See `Worker`; or the class is no function.
    """

    def __init__(
        self,
        program: list[Any],
        code: Mapping[bytes, bytes],
        memory_bytes: int = MEMORY_BYTES,
        call_s: float = CALL_S,
        state_every: int = 256,
    ) -> None:
        self._make = (program, dict(code), memory_bytes, call_s)
        self._call_s = call_s
        self._state_every = state_every
        self._worker: Worker | None = Worker(*self._make)
        self._pid = os.getpid()
        self._others: Worker | None = None  # that of the process from which this one was forked; it is not ours to end
        if self._worker.begun is None:
            raise CodeError(f"{self._worker.name} is no function: derive it from eddy.kernel.function.Function")
        self.every_ms, self.schema, self._state = self._worker.begun
        self._since: list[tuple[str, bytes]] = []  # calls since that state
        self._since_bytes = 0
        self._calls = 0
        self._broken = ""

    @property
    def worker_pid(self) -> int:
        """Of its process; 0 while it has none."""
        return self._worker.pid if self._worker else 0

    def on(self, sample: Sample) -> list[Any]:
        """See `Function`."""
        return self._feed("on", _plain(sample, sample.value))

    def tick(self, time_ns: int) -> list[Any]:
        """See `Function`."""
        return self._feed("tick", [time_ns])

    def configure(self, settings: dict[str, Any]) -> list[Any]:
        """See `Function`."""
        return self._feed("configure", [settings])

    def model(self, data: bytes) -> list[Any]:
        """See `Function`."""
        return self._feed("model", [data])

    def gap(self, sample: Sample) -> list[Any]:
        """See `Function`."""
        return self._feed("gap", _plain(sample, [sample.value.first, sample.value.last, sample.value.reason]))

    def state(self) -> Any:
        """See `Function`."""
        if self._since and not self._broken:
            self._keep_state()
        return decode(self._state)

    def restore(self, state: Any) -> None:
        """See `Function`."""
        self._state, self._since, self._since_bytes, self._broken = encode(state), [], 0, ""
        if self._worker:
            self._worker.close()
        self._recover()

    def upgrade(self, state: Any, schema: int) -> Any:
        """See `Function`."""
        upgraded: bytes = self._ask("upgrade", encode(["upgrade", [encode(state), schema]]))
        return decode(upgraded)

    def close(self) -> None:
        """End its process; it would start again with the next call."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def _feed(self, method: str, arguments: list[Any]) -> list[Any]:
        if self._broken:
            raise CodeError(self._broken)
        request = encode([method, arguments])
        try:
            outputs: list[Any] = self._ask(method, request)
        except (CodeError, Refused):
            self._note(method, request)  # what it did before it raised is in its state
            raise
        self._note(method, request)
        return outputs

    def _note(self, method: str, request: bytes) -> None:
        self._since.append((method, request))
        self._since_bytes += len(request)
        self._calls += 1
        # Early and then ever more rarely, so that a state that cannot be written is found at once.
        early = self._calls & (self._calls - 1) == 0
        if early or len(self._since) >= self._state_every or self._since_bytes > 1 << 20:
            self._keep_state()

    def _keep_state(self) -> None:
        try:
            self._state = self._ask("state", encode(["state", []]))
        except CodeError as error:
            self._broken = f"{error}; it is stopped: correct it, and deploy it again"
        self._since, self._since_bytes = [], 0

    def _ask(self, method: str, request: bytes) -> Any:
        """Ask the process, and if that is its end, a new one."""
        if self._pid != os.getpid():  # a fork that copies the state: the pipe belongs to the node
            self._others, self._worker, self._pid = self._worker, None, os.getpid()
        try:
            return (self._worker or self._recover()).ask(request, method, self._call_s)
        except OverLimit:
            self._worker = None
        try:
            return self._recover().ask(request, method, self._call_s)
        except OverLimit:
            self._worker = None
            raise

    def _recover(self) -> Worker:
        """A new process that has done what the old one had."""
        worker = Worker(*self._make)
        worker.call("restore", self._state)
        for method, request in self._since:
            try:
                worker.ask(request, method, self._call_s)
            except (CodeError, Refused):
                continue  # as it did the first time
        self._worker = worker
        return worker


def _plain(sample: Sample, value: Any) -> list[Any]:
    return [sample.stream, sample.origin, sample.seq, sample.time_ns, value]


class WorkerDriver:
    """A person's own source or sink; see `eddy.links.driver` for what these are.

    Whoever uses it starts it again when it raises OverLimit.

    Args:
        program, code, memory_bytes, call_s: See `Worker`.
        more: Further arguments, such as `resume`.
    """

    def __init__(
        self, program: list[Any], code: Mapping[bytes, bytes], memory_bytes: int = MEMORY_BYTES, call_s: float = 30.0, **more: Any
    ) -> None:
        self._worker = Worker(program, code, memory_bytes, call_s, **more)

    def read(self) -> list[tuple[int, Any]] | None:
        """See `eddy.links.driver.Source`."""
        said = self._worker.call("read")
        if not said:
            return None
        return [(time_ns, value) for time_ns, value in (said if isinstance(said[0], list) else [said])]

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """See `eddy.links.driver.Sink`."""
        self._worker.call("write", key, time_ns, value)

    def safe(self, value: Any) -> None:
        """See `eddy.links.driver.Sink`."""
        self._worker.call("safe", value)

    def close(self) -> None:
        """End its process."""
        self._worker.close()
