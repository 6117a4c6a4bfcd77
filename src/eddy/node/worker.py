"""People's own functions and drivers: they may loop, leak or crash, and the node goes on.

They run in processes with bounds (`eddy.node.process`). A function is deterministic, so a process that died is replaced without anybody
noticing: a new one gets the last state and the calls since.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from eddy.errors import CodeError, OverLimit, Refused
from eddy.kernel.codec import decode, encode
from eddy.kernel.function import Function, Sample
from eddy.node.process import CALL_S, MEMORY_BYTES, Worker

_PATIENCE = 3


class WorkerFunction(Function):
    """A person's own function, hosted like any other.

    When its process dies or takes too much, a new one continues from the last state and the calls since, and the call is tried once more;
    if that fails as well it raises, and counts as if it had never been. A function is stopped, so that every further call raises at once,
    when three calls in a row have failed so, since the node waits meanwhile; and when its state cannot be written (a float in it, say):
    it keeps the last good one.

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
        self._failures = 0  # calls in a row that took too much
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
        self._failures = 0
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
        except OverLimit as error:
            self._failures += 1
            if self._failures == _PATIENCE:
                with suppress(OverLimit):
                    self._keep_state()
                self._stop(error)
            raise
        except (CodeError, Refused):
            self._note(method, request)  # what it did before it raised is in its state
            raise
        self._failures = 0
        self._note(method, request)
        return outputs

    def _note(self, method: str, request: bytes) -> None:
        self._since.append((method, request))
        self._since_bytes += len(request)
        self._calls += 1
        # Early and then ever more rarely, so that a state that cannot be written is found at once.
        early = self._calls & (self._calls - 1) == 0
        if early or len(self._since) >= self._state_every or self._since_bytes > 1 << 20:
            try:
                self._keep_state()
            except OverLimit as error:  # the call itself went well
                self._stop(error)

    def _keep_state(self) -> None:
        try:
            self._state = self._ask("state", encode(["state", []]))
        except CodeError as error:
            self._stop(error)
        self._since, self._since_bytes = [], 0

    def _stop(self, error: Exception) -> None:
        self._broken = f"{error}; it is stopped: correct it, and deploy it again"

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
