"""People's own code works as if it ran in the node, and whatever it does, the node goes on."""

import hashlib
import os
import signal
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moving import charter

from eddy.errors import BadInput, CodeError, OverLimit, Refused
from eddy.kernel.codec import encode
from eddy.kernel.function import CONFIGURE, SAMPLE, TICK, Function, Instance, Sample
from eddy.kernel.hop import Gap
from eddy.kernel.replica import Replica
from eddy.node.worker import WorkerDriver, WorkerFunction
from eddy.node.working import load_source

SUM = b'''
from eddy.kernel.function import Function

class Sum(Function):
    """Adds up; negative values are errors that leave a trace in the state."""
    every_ms = 30
    schema = 2

    def __init__(self, start=0):
        self.total, self.log = start, []

    def on(self, sample):
        self.total += sample.value
        if sample.value < 0:
            raise ValueError("negative: %d" % sample.value)
        return [self.total, [sample.stream, sample.origin, sample.seq, sample.time_ns]]

    def tick(self, time_ns):
        return [time_ns + self.total]

    def configure(self, settings):
        self.total = settings["total"]
        return []

    def model(self, data):
        return [data[::-1]]

    def gap(self, sample):
        return [[sample.seq, sample.value.last, sample.value.reason]]

    def state(self):
        return [self.total, self.log]

    def restore(self, state):
        self.total, self.log = state

    def upgrade(self, state, schema):
        return [state * schema, []]
'''

UNRULY = b"""
import os, time
from eddy.kernel.function import Function

class Unruly(Function):
    def __init__(self):
        self.count = 0

    def on(self, sample):
        self.count += 1
        if sample.value == "loop":
            while True:
                pass
        if sample.value == "memory":
            bytearray(4 << 30)
        if sample.value == "exit":
            os._exit(3)
        if sample.value == "float":
            return [0.5]
        if sample.value == "float state":
            self.count = 0.5
            return []
        if sample.value == "environment":
            return [sorted(os.environ)]
        if sample.value == "nice":
            return [os.nice(0)]
        return [self.count]

    def state(self):
        return self.count

    def restore(self, state):
        self.count = state
"""


def program(source: bytes, name: str, **arguments: Any) -> tuple[list[Any], dict[bytes, bytes]]:
    digest = hashlib.sha256(source).digest()
    return ["own.py", name, arguments, digest], {digest: source}


def sample(value: Any, seq: int = 0) -> Sample:
    return Sample("s", "o", seq, seq * 1000, value)


def in_process(source: bytes, name: str) -> Function:
    made: Function = getattr(load_source(source, hashlib.sha256(source).digest(), "own.py"), name)()
    return made


@pytest.fixture
def total() -> Iterator[WorkerFunction]:
    function = WorkerFunction(*program(SUM, "Sum"), state_every=8)
    yield function
    function.close()


@pytest.fixture
def unruly() -> Iterator[WorkerFunction]:
    function = WorkerFunction(*program(UNRULY, "Unruly"), memory_bytes=256 << 20, call_s=0.3)
    yield function
    function.close()


def test_everything_that_a_function_has_works_through_the_pipe(total: WorkerFunction) -> None:
    assert (total.every_ms, total.schema) == (30, 2)
    assert total.on(sample(5, 7)) == [5, ["s", "o", 7, 7000]]
    assert total.tick(100) == [105]
    assert total.configure({"total": 1}) == []
    assert total.model(b"abc") == [b"cba"]
    assert total.gap(Sample("s", "o", 3, 0, Gap(3, 9, "trimmed"))) == [[3, 9, "trimmed"]]
    assert total.state() == [1, []]
    total.restore([40, ["x"]])
    assert total.on(sample(2))[0] == 42 and total.state() == [42, ["x"]]
    assert total.upgrade(21, 1) == [21, []]


def test_arguments_reach_the_class() -> None:
    function = WorkerFunction(*program(SUM, "Sum", start=9))
    assert function.state() == [9, []]
    function.close()


def test_arrays_arrive_as_their_bytes() -> None:
    source = SUM.replace(b"self.total += sample.value\n", b"return [len(sample.value)]\n")
    function = WorkerFunction(*program(source, "Sum"))
    assert function.on(sample(array("h", [1] * 10_000))) == [20_000]
    function.close()


@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(-3, 50), st.sampled_from(["", "", "", "kill", "state", "kill"])), min_size=1, max_size=30))
def test_one_that_is_killed_at_any_call_does_what_its_unharmed_twin_does(total: WorkerFunction, calls: list[tuple[int, str]]) -> None:
    total.restore([0, []])
    twin = in_process(SUM, "Sum")
    for seq, (value, harm) in enumerate(calls):
        if harm == "kill" and total.worker_pid:
            os.kill(total.worker_pid, signal.SIGKILL)
        if harm == "state":
            assert total.state() == twin.state()
        if value < 0:
            with pytest.raises(ValueError, match="negative"):
                twin.on(sample(value, seq))
            with pytest.raises(CodeError, match=r"own.py:Sum, on: ValueError: negative: -\d \(line 15 of own.py\)"):
                total.on(sample(value, seq))
        else:
            assert total.on(sample(value, seq)) == twin.on(sample(value, seq))
    assert total.state() == twin.state()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "why"), [("loop", "more than 0.3 s"), ("memory", "more than 256 MiB of memory"), ("exit", "ended with status 3")]
)
def test_a_call_that_goes_too_far_counts_as_if_it_had_never_been(unruly: WorkerFunction, deed: str, why: str) -> None:
    assert unruly.on(sample("x")) == [1]
    with pytest.raises(OverLimit, match=why):
        unruly.on(sample(deed))
    assert unruly.on(sample("x")) == [2]
    assert unruly.state() == 2


@pytest.mark.slow
def test_a_function_that_goes_too_far_three_times_in_a_row_is_stopped_with_its_state(unruly: WorkerFunction) -> None:
    for deed in ("x", "x", "exit", "exit", "x", "exit", "exit", "exit"):
        with suppress(OverLimit):
            unruly.on(sample(deed))
    with pytest.raises(CodeError, match="ended with status 3; it is stopped"):
        unruly.on(sample("x"))
    assert unruly.state() == 3
    unruly.restore(7)
    assert unruly.on(sample("x")) == [8]


def test_a_float_that_is_emitted_is_told_and_the_function_goes_on(unruly: WorkerFunction) -> None:
    with pytest.raises(CodeError, match="float has no form here; use int"):
        unruly.on(sample("float"))
    assert unruly.on(sample("x")) == [2]


def test_a_float_in_the_state_stops_the_function_with_its_last_good_state(unruly: WorkerFunction) -> None:
    unruly.on(sample("x"))
    unruly.on(sample("float state"))
    with pytest.raises(CodeError, match=r"float has no form here.*it is stopped"):
        unruly.on(sample("x"))
    assert unruly.state() == 1


def test_own_code_sees_none_of_the_nodes_secrets_and_yields_to_the_node(unruly: WorkerFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_TOKEN", "s3cret")
    unruly.restore(0)
    seen = unruly.on(sample("environment"))[0]
    assert "PATH" in seen and "OPS_TOKEN" not in seen
    assert unruly.on(sample("nice")) == [os.nice(0) + 5]


def test_a_fork_of_the_node_reads_the_state_without_disturbing_the_function(total: WorkerFunction) -> None:
    instance = Instance(total, "sum")
    for i in range(5):
        instance.feed(SAMPLE, sample(i, i))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.write(writing, instance.checkpoint())
        os._exit(0)
    os.close(writing)
    assert instance.feed(SAMPLE, sample(5, 5))[0] == 15
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as copied:
        assert copied.read() == encode(["sum", b"", 2, 5, [10, []]])
    assert total.state() == [15, []]


def test_a_replica_counts_what_own_code_raises_and_goes_on(total: WorkerFunction) -> None:
    replica = Replica(charter("sum", None, "sums", []), lambda program: total)
    replica.apply([CONFIGURE, {"nothing": 1}, 0])
    assert replica.faults == 1 and "CodeError: own.py:Sum, configure: KeyError: 'total'" in replica.fault
    replica.apply([TICK, 5, 5])
    assert (replica.faults, replica.emitted, replica.index) == (1, 1, 2)


@pytest.mark.parametrize(
    ("source", "name", "error", "why"),
    [
        (b"def f(:", "Sum", CodeError, "SyntaxError"),
        (b"import nothing_like_it", "Sum", CodeError, "ModuleNotFoundError"),
        (SUM, "Nothing", Refused, "defines no class Nothing"),
        (SUM.replace(b"(Function)", b""), "Sum", CodeError, "is no function"),
        (SUM.replace(b"start, []", b"0.5, []"), "Sum", CodeError, "float has no form here"),
    ],
)
def test_code_that_cannot_be_hosted_is_told_at_the_start(source: bytes, name: str, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        WorkerFunction(*program(source, name))


def test_code_that_is_not_what_was_signed_is_refused() -> None:
    (file, name, arguments, digest), _ = program(SUM, "Sum")
    with pytest.raises(Refused, match="not on this node"):
        WorkerFunction([file, name, arguments, digest], {})
    with pytest.raises(Refused, match="SHA-256 differs"):
        WorkerFunction([file, name, arguments, digest], {digest: SUM + b"# changed"})


def test_a_process_ends_with_its_function() -> None:
    function = WorkerFunction(*program(SUM, "Sum"))
    pid = function.worker_pid
    del function
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_call_takes_a_small_part_of_a_second(total: WorkerFunction) -> None:
    began = time.perf_counter()
    for i in range(500):
        total.on(sample(1, i))
    assert 500 / (time.perf_counter() - began) > 250  # about 9,000 on two idle cores; a busy machine shall not fail


DRIVERS = b"""
class Thermometer:
    def __init__(self, resume=0, end=4):
        self.at, self.end = resume, end

    def read(self):
        if self.at == self.end:
            raise EOFError
        self.at += 1
        return None if self.at == 1 else (self.at, 20 + self.at) if self.at == 2 else [(self.at, 20 + self.at)]

class Siren:
    def __init__(self, file):
        self.file = file

    def write(self, key, time_ns, value):
        with open(self.file, "a") as file:
            file.write("%s %d %r;" % (key, time_ns, value))

    def safe(self, value):
        self.write("safe", 0, value)
"""


def test_own_sources_and_sinks_run_in_processes_as_well(tmp_path: Path) -> None:
    source = WorkerDriver(*program(DRIVERS, "Thermometer", end=3))
    assert [source.read(), source.read(), source.read()] == [None, [(2, 22)], [(3, 23)]]
    with pytest.raises(EOFError):
        source.read()
    source.close()
    again = WorkerDriver(*program(DRIVERS, "Thermometer"), resume=3)
    assert again.read() == [(4, 24)]
    again.close()
    sink = WorkerDriver(*program(DRIVERS, "Siren", file=str(tmp_path / "siren")))
    sink.write("a", 1, [1, 1])
    sink.safe("off")
    assert (tmp_path / "siren").read_text() == "a 1 [1, 1];safe 0 'off';"
    sink.close()
    with pytest.raises(BadInput):
        WorkerDriver(*program(DRIVERS, "Siren"))
