"""Plays the mixed fleet: the app runs as `eddy up` runs it, senders bring the files' rows, and the lake is compared with the files."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from eddy.errors import EddyError, LinkLost, SettingError

if TYPE_CHECKING:
    from eddy.links.send import Sender
    from eddy.sim.fleet import Part
    from eddy.spec.model import App

PATIENCE_S = 30.0
"""How long nothing may happen."""

_AGAIN_S = 0.1


class Sending:
    """The files of a part on their way to its source, in a thread of its own.

    Attributes:
        sent: Rows.
        kept: Of these, how many the receiver has told to be kept.
        promise: Who that is, `node` or `broker`.
        fault: What ended it, when it was not the end of the files.
    """

    def __init__(self, part: "Part", data: Path, opened: "Callable[[str], Sender]", way: str) -> None:
        self.part = part
        self.way = way
        self.sent = self.kept = 0
        self.promise = ""
        self.seconds = 0.0
        self.fault: Exception | None = None
        self._data, self._opened = data, opened
        self._thread = Thread(target=self._run, name=part.source, daemon=True)

    def begin(self) -> None:
        """Start."""
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether all is sent, and receipts are there."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        began_s = time.monotonic()
        try:
            for origin in self.part.files(self._data):
                self._send(origin)
        except Exception as error:  # told by whoever waits
            self.fault = error
        self.seconds = time.monotonic() - began_s

    def _send(self, origin: str) -> None:
        from eddy.links.rows import messages, rows

        part = self.part
        more = {part.origin: origin} if part.origin else {}
        files = part.files(self._data)[origin]
        form = (part.delimiter, part.decimal, part.time, part.time_format, part.missing, more)
        several: Iterator[dict[str, Any]] = (row for file in files for row in rows(file, *form))
        sender = self._connected(origin)
        before = self.sent
        try:
            for count, body in messages(several, part.batch):
                sender.send(body)
                self.sent += count
            sender.finish()
            self.promise = sender.promise
            self.kept += sender.kept if sender.promise == "node" else self.sent - before
        finally:
            sender.close()

    def _connected(self, origin: str) -> "Sender":
        """A source that starts listens a moment later."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._opened(origin)
            except LinkLost:
                if time.monotonic() > end_s:
                    raise
                time.sleep(_AGAIN_S)


class Arrival:
    """Knows when everything has arrived, or nothing more does.

    Args:
        sending: Those who send; they begin with the first question.
        lake: Where the lake is, once it is there.
        progress: Called with steps.
    """

    def __init__(self, sending: list[Sending], lake: Callable[[], Path | None], progress: Callable[[Any], None]) -> None:
        self._sending, self._lake, self._progress = sending, lake, progress
        self._begun = False
        self._seen: list[int] = []
        self._since_s = 0.0
        self.complete = False

    def enough(self, said: dict[str, Any]) -> bool:
        """As `eddy.cli.up.here` asks; `said` of the hub."""
        if not self._begun:
            self._begun = True
            for one in self._sending:
                one.begin()
        for one in self._sending:
            if one.fault:
                raise one.fault
        going = "" if said["ended"] else ", the pump still turns"
        self._progress({"doing": f"{sum(one.sent for one in self._sending):,} rows sent{going}"})
        if said["pending"] or not said["ended"] or not all(one.over for one in self._sending):
            self._since_s = time.monotonic()
            return False
        seen = self._in_lake()
        if seen != self._seen:
            self._seen, self._since_s = seen, time.monotonic()
        arrived = seen == [one.sent for one in self._sending]
        self.complete = arrived or time.monotonic() - self._since_s > PATIENCE_S
        return self.complete

    def _in_lake(self) -> list[int]:
        from eddy.knowledge.query import Lake
        from eddy.sim.fleet import rows_in

        folder = self._lake()
        try:
            if folder is None:
                return []
            with Lake(folder) as lake:
                return [rows_in(lake, one.part.source) for one in self._sending]
        except EddyError:  # it is being written
            return []


def play(
    data: Path | None, folder: Path, broker: str | None, speed: int, progress: Callable[[Any], None], report: Path | None
) -> dict[str, Any]:
    """Play the app of `examples/fleet` until everything from the files has arrived.

    Args:
        data: Where the files are.
        folder: Where app, hub, nodes, device and lake are.
        broker: Address of one that speaks MQTT 5; the embedded one when None.
        speed: Of the pump's line, times faster than real.
        progress: Called with steps; see `eddy.cli.progress.Step`.
        report: File for the report of the lake.

    Returns:
        `{"seconds", "lake", "sent": [...], "streams": [...]}`, plain data; see `eddy.sim.fleet.compare` for the latter.

    Raises:
        EddyError: Something is missing or fails.
        KeyboardInterrupt: It was ended before everything had arrived.
    """
    from eddy.cli import console, init, up
    from eddy.fabric.ports import free_port
    from eddy.knowledge.query import Lake
    from eddy.sim.fleet import IMS, PARTS, app_of, compare
    from eddy.sim.local import Local
    from eddy.spec.load import parse
    from eddy.spec.write import text

    if data is None:
        wanted = "; ".join(part.about for part in PARTS)
        raise SettingError(f"name the folder of the recordings with --data: {wanted}; the NASA/IMS bearing recordings into {IMS}")
    for part in PARTS:
        part.files(data)
    ports = {part.source: free_port() for part in PARTS}
    app = app_of(parse(init.example("fleet").read_text(encoding="utf-8")), data, ports, broker)
    console.write_text(folder / "eddy.yaml", text(app))
    state = folder / ".eddy"

    def found() -> Path | None:
        return next(iter((state / "nodes").glob("*/lake")), None)

    ways = zip(PARTS, ("MQTT", "HTTP", "WebSocket"), strict=True)
    sending = [Sending(part, data, partial(_opened, _address(app, part.source), 5 if broker else 4), way) for part, way in ways]
    arrival = Arrival(sending, found, progress)
    local = Local(app, state, 0, {"speed": speed}, up.telling(progress))
    began_s = time.monotonic()
    up.here(local, app, folder / "eddy.yaml", 120, False, progress, enough=arrival.enough)
    seconds = time.monotonic() - began_s
    there = found()
    if not arrival.complete or there is None:
        raise KeyboardInterrupt
    progress({"doing": "comparing the lake with the files"})
    with Lake(there, limit_s=600) as lake:
        streams = compare(lake, app, data)
        if report is not None:
            from eddy.dashboard.lake import render

            console.write_text(report, render(lake, "A mixed fleet"))
            progress({"event": f"report: {report}"})
    return {"seconds": seconds, "lake": str(there), "sent": [_told(one) for one in sending], "streams": streams}


def _told(one: Sending) -> dict[str, Any]:
    return {
        "source": one.part.source,
        "way": one.way,
        "rows": one.sent,
        "kept": one.kept,
        "promise": one.promise,
        "seconds": one.seconds,
        "rows_per_s": one.sent / one.seconds if one.seconds else 0.0,
    }


def _opened(to: str, version: int, origin: str) -> "Sender":
    from eddy.links.send import sender

    return sender(to, origin, version)


def _address(app: "App", source: str) -> str:
    declared: Any = app.sources[source]
    schemes = {"http": "http://", "websocket": "ws://"}
    return str(declared.to) if declared.driver == "mqtt" else f"{schemes[declared.driver]}{declared.listen}{declared.path}"
