"""`eddy bench ingest --minutes` and `--overload`: a whole node, from its sources to the tables of its lake, as a process of its own.

`--minutes` keeps single messages coming, at nine tenths of what the node has just brought into the lake, and looks at its memory.
`--overload` offers one source ten times what the node keeps of it, and looks at what a sender at another source feels.
"""

import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

SOURCE, OTHER, LAKE = "took", "other", "lake"
_WARM_S = 30.0  # until buffers are full and the rate is that of the lake
_FULL_S = 10.0  # likewise, when the broker offers more than the node takes
_MANY = 100  # samples in a message of those that are too many
_ENOUGH = 500  # of these in a second are more than any node keeps
_TIMES = 10


def host(sources: dict[str, list[Any]], folder: str) -> None:
    """A node with these sources ({name: program of the driver}) and a lake; says every second what is where, until it is ended."""
    from eddy.fabric.mesh import Mesh, free_endpoint
    from eddy.kernel.assignment import ASSIGN, Assignment, message
    from eddy.kernel.charter import Charter
    from eddy.node.drivers import door
    from eddy.node.service import Node, settle

    node = Node("gw", Path(folder), Mesh(["@gw"], free_endpoint("tcp")))

    def place(name: str, program: list[Any], inputs: list[str], consumer: str) -> None:
        charter = Charter(name, 1, program, {}, b"new", name, inputs, [], True)
        node.host.receive(message(ASSIGN, Assignment(name, 1, 1, "gw", ["gw"], [], False, False, [consumer], {}, charter.sealed).plain()))

    where = {"to": str(Path(folder) / LAKE), "streams": {name: {"scale": 10} for name in sources}}
    place(LAKE, ["sink", ["eddy.knowledge.lake", "Lake", where], {}], list(sources), door(LAKE))
    for name, driver in sources.items():
        place(name, ["source", driver, []], [], LAKE)
    settle()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    with closing(node):
        _work(node, sources)


def _work(node: Any, sources: dict[str, list[Any]]) -> None:
    from eddy.bench.taking import say
    from eddy.node.drivers import door

    due_s = 0.0
    while True:
        node.turn()
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + 1
            replica = node.host.replica(LAKE)
            box = replica.outboxes.get(door(LAKE)) if replica else None
            kept = {name: node.host.kept(name) for name in sources}
            up = all(map(node.up, sources))
            say(s=time.monotonic(), up=up, kept=kept, written=box.floor() if box else 0, cpu_s=time.process_time())


def lasting(port: int, version: int, minutes: float, folder: Path, progress: Callable[[Any], None]) -> dict[str, Any]:
    """Single messages for so long.

    Returns:
        What the node wrote in a second, and MiB of its memory: after a minute (of less than two, halfway), at the end, the most, and how
        much it grew in a minute from then on, by least squares.
    """
    from eddy.bench.ingest import Role

    node = Role("host", sources={SOURCE: _mqtt(port, version)}, folder=str(folder))
    try:
        _until(node, lambda said: said["up"])
        flood = Role("flood", port=port, values=0, rate=0)
        try:
            sustained = _rate(_for(node, _WARM_S))
        finally:
            flood.end()
        _drain(node)
        progress({"event": f"{minutes} minutes at {0.9 * sustained:,.0f} samples/s"})
        flow = Role("flood", port=port, values=0, rate=0.9 * sustained)
        try:
            seen = _for(node, 60 * minutes)
        finally:
            flow.end()
    finally:
        node.end()
    began_s = seen[0]["s"]
    settled = [said for said in seen if said["s"] - began_s >= min(60, 30 * minutes)]
    return {
        "minutes": minutes,
        "lake_samples_per_s": round(_rate(seen)),
        "cpu_us": round(1e6 * (seen[-1]["cpu_s"] - seen[0]["cpu_s"]) / max(1, seen[-1]["written"] - seen[0]["written"]), 1),
        "settled_mib": settled[0]["mib"],
        "end_mib": settled[-1]["mib"],
        "peak_mib": max(said["mib"] for said in seen),
        "growth_mib_per_min": round(_slope([said["s"] / 60 for said in settled], [said["mib"] for said in settled]), 2),
    }


def overload(port: int, version: int, seconds: float, folder: Path, progress: Callable[[Any], None]) -> dict[str, Any]:
    """A sender that posts twenty times a second, without and with another source that is offered ten times what the node keeps of it."""
    from eddy.bench.ingest import Role
    from eddy.fabric.ports import free_port

    at = free_port()
    other = ["eddy.links.http", "Http", {"listen": f"127.0.0.1:{at}", "time": "at", "value": "temp", "scale": 10}]
    lists = {name: said for name, said in _mqtt(port, version)[2].items() if name not in ("time", "value")} | {"format": "cbor"}
    many = ["eddy.links.mqtt_in", "Subscribe", lists]
    node = Role("host", sources={SOURCE: many, OTHER: other}, folder=str(folder))
    try:
        _until(node, lambda said: said["up"])
        progress({"event": "one slow sender alone"})
        quiet, calm, _ = _paced(node, at, seconds)
        flood = Role("flood", port=port, values=_MANY, rate=_ENOUGH)
        try:
            full = _for(node, _FULL_S)
        finally:
            flood.end()
        rate = _TIMES * _rate(full)
        progress({"event": f"the other source is offered {rate:,.0f} samples/s"})
        flood = Role("flood", port=port, values=_MANY, rate=rate / _MANY)
        try:
            loud, seen, published = _paced(node, at, seconds, flood)
        finally:
            flood.end()
    finally:
        node.end()
    took_s = seen[-1]["s"] - seen[0]["s"]
    kept = seen[-1]["kept"][SOURCE] - seen[0]["kept"][SOURCE]
    return {
        "offered_per_s": round(published / took_s),
        "kept_per_s": round(kept / took_s),
        "lake_samples_per_s": round(_rate(seen)),
        "unacknowledged": published - kept,
        "before_mib": calm[-1]["mib"],
        "peak_mib": max(said["mib"] for said in seen),
        "other_alone_ms": quiet,
        "other_beside_ms": loud,
        "other_ratio": {name: round(loud[name] / quiet[name], 2) for name in quiet},
    }


def _paced(node: Any, port: int, seconds: float, flood: Any = None) -> tuple[dict[str, float], list[dict[str, Any]], int]:
    """How long answers took, what the node said meanwhile, and how many samples the flood had published by the end."""
    from eddy.bench.ingest import Role

    sender = Role("pace", port=port, seconds=seconds, every_s=0.05)
    try:
        seen: list[dict[str, Any]] = []
        published = 0
        while len(seen) < 2 or seen[-1]["s"] - seen[0]["s"] < seconds:
            seen.append(_heard(node))
            if flood:
                published = flood.hear()["published"]
        took_ms: dict[str, float] = sender.hear()["ms"]
        return took_ms, seen, published
    finally:
        sender.end()


def _mqtt(port: int, version: int) -> list[Any]:
    from eddy.bench.taking import TOPIC

    form = {"time": "at", "value": "temp", "scale": 10}
    where = {"to": f"mqtt://127.0.0.1:{port}", "topic": TOPIC, "version": version, "client": "chain", "session_ms": 0}
    return ["eddy.links.mqtt_in", "Subscribe", {**where, **form}]


def _until(node: Any, holds: Callable[[dict[str, Any]], bool]) -> None:
    while not holds(node.hear()):
        continue


def _drain(node: Any) -> None:
    """Until nothing more comes from the broker."""
    seen = [node.hear()["written"]]
    while len(seen) < 4 or seen[-1] > seen[-4]:
        seen.append(node.hear()["written"])


def _for(node: Any, seconds: float) -> list[dict[str, Any]]:
    """What it says in this time."""
    seen = [_heard(node)]
    while seen[-1]["s"] - seen[0]["s"] < seconds:
        seen.append(_heard(node))
    return seen


def _rate(seen: list[dict[str, Any]]) -> float:
    """Samples a second that came into the lake, from the middle of the time on."""
    later = seen[len(seen) // 2 :] if len(seen) > 3 else seen
    return float(max(1.0, (later[-1]["written"] - later[0]["written"]) / max(0.001, later[-1]["s"] - later[0]["s"])))


def _slope(at: list[float], values: list[float]) -> float:
    from statistics import linear_regression

    return linear_regression(at, values).slope if len(at) > 1 else 0.0


def _heard(node: Any) -> dict[str, Any]:
    """What the node says next, and its memory, looked at from outside."""
    said: dict[str, Any] = node.hear()
    return {**said, "mib": _resident_mib(node.pid)}


def _resident_mib(pid: int) -> float:
    """Pages in memory of a process and of those that it has started (Linux: `/proc`)."""
    import resource

    pids, pages = [str(pid)], 0
    for one in pids:
        with suppress(OSError):  # it has just ended
            pids += [child for task in Path(f"/proc/{one}/task").glob("*/children") for child in task.read_text().split()]
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / (1 << 20), 1)
