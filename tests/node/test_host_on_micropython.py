"""One runtime: the same host on CPython and in a real MicroPython of 256 KiB, and functions that move between the two while they work."""

import importlib.util
import subprocess
from binascii import hexlify, unhexlify
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moving import charter

from eddy.kernel.engines import LocalInference
from eddy.kernel.function import Function, Sample
from eddy.links import micropython
from eddy.sim.cluster import Cluster

HERE = Path(__file__).parent
PARTS = HERE / "moved.py"
NAMES = ["rms", "mean_abs_difference", "peak_to_peak"]

pytestmark = pytest.mark.skipif(micropython.interpreter() is None, reason="no MicroPython wheel for this platform")

_spec = importlib.util.spec_from_file_location("moved", PARTS)
assert _spec and _spec.loader
moved = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(moved)


class Device:
    """A host in a MicroPython process; what it is asked and what it answers are lines of hexadecimal."""

    def __init__(self, name: str, library: Path) -> None:
        command = [str(micropython.interpreter()), "-X", f"heapsize={micropython.HEAP_BYTES}", str(PARTS), name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"MICROPYPATH": str(library)}, cwd=library
        )
        self._waiting: list[bytes] = []
        self._owns: list[str] = []

    def receive(self, data: bytes, time_ns: int = 0) -> None:
        self._waiting.append(data)

    def poll(self, now_ms: int, time_ns: int = 0) -> list[tuple[str, bytes]]:
        assert self._process.stdin and self._process.stdout
        words = [str(now_ms), *(hexlify(data).decode() for data in self._waiting)]
        self._waiting = []
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        out = []
        while (line := self._process.stdout.readline().rstrip("\n")).startswith(">"):
            to, data = line[1:].split(" ")
            out.append((to, unhexlify(data)))
        assert line.split(" ")[0] == "owns", line
        self._owns = line.split(" ")[1:]
        return out

    def owns(self) -> list[str]:
        return self._owns

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device("pump-1", micropython.firmware(tmp_path / "firmware") / "flash" / "lib")
    yield device
    device.close()


def cluster_with(device: Device) -> Cluster:
    cluster = Cluster(["gw1", "pump-1"], moved.build, seed=1)
    cluster.machines["pump-1"].host = device  # type: ignore[assignment]
    return cluster


def move(cluster: Cluster, instance: str, node: str, each: Any) -> None:
    assert cluster.hub
    cluster.hub.move(instance, node)
    for _ in range(100):
        cluster.run(10, each)
        if cluster.hub.owner(instance)[0] == node:
            return
    raise AssertionError(f"{instance} never came to {node}: {cluster.terms.decisions(instance)}")


def test_a_forest_in_training_moves_to_a_device_and_back_and_ends_with_the_same_bits(device: Device) -> None:
    cluster = cluster_with(device)
    source, sink = cluster.add_source("rows", ["grow"]), cluster.add_sink("out")
    assert cluster.hub
    cluster.hub.place(charter("grow", ["grow"], "forests", ["rows"]), ["out"], "gw1", [])

    def each(now_ms: int) -> None:
        if source.made < moved.ROWS:
            source.sample(now_ms)

    cluster.run(moved.ROWS + 60, each)
    gateway = cluster.machines["gw1"].host
    trees = []
    for node in ("pump-1", "gw1"):
        move(cluster, "grow", node, each)
        cluster.run(200, each)
        if node == "gw1":
            assert gateway
            replica = gateway.replica("grow")
            assert replica
            trees.append(replica.instance.function.trees)  # type: ignore[attr-defined]
    assert 5 < trees[0] < moved.TREES  # it was on its way when it came back
    cluster.run(40 * moved.TREES, each)
    twin = moved.build(["grow"])
    for number in range(moved.ROWS):
        twin.on(Sample("rows", "rows", number, 0, number))
    expected: list[Any] = []
    while not expected:
        expected = twin.tick(0)
    assert [record.value for record in sink.history] == expected
    assert [decision[2] for decision in cluster.terms.decisions("grow") if decision[2].startswith("owner")] == [
        "owner is pump-1",
        "owner is gw1",
    ]


def test_the_pumps_detector_moves_to_the_device_and_back_under_load_and_scores_as_if_it_had_stayed(device: Device) -> None:
    program = ["detect", NAMES, moved.champion()]
    cluster = cluster_with(device)
    source, sink = cluster.add_source("windows", ["detect"]), cluster.add_sink("out")
    assert cluster.hub
    cluster.hub.place(charter("detect", program, "scores", ["windows"]), ["out"], "gw1", [])

    def each(now_ms: int) -> None:
        if now_ms % 5 == 0 and source.made < 300:
            source.sample(now_ms)

    cluster.run(100, each)
    heard = []
    for node in ("pump-1", "gw1"):
        move(cluster, "detect", node, each)
        cluster.run(300, each)
        heard.append(len(sink.history))
    cluster.run(2000, each)
    twin: Function = moved.build(program)
    assert isinstance(twin.inner, LocalInference)  # type: ignore[attr-defined]
    expected = [twin.on(Sample("windows", "windows", number, 0, number))[0] for number in range(300)]
    assert [record.value for record in sink.history] == expected
    assert {label for _, label in expected} == {0, 1}
    assert heard[0] > 30  # it worked on the device, too
    terms = [record.term for record in sink.history]
    assert sorted(set(terms)) == [1, 2, 3]
