"""The mixed fleet as the demonstration plays it: files that go to its sources, and whether its lake holds what they hold.

What is expected is read from the files here, without anything that sends or stores.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from eddy.errors import DataError
from eddy.functions.features import compute
from eddy.knowledge.columns import column_of
from eddy.knowledge.query import Lake
from eddy.links.recordings.runs import find_runs, open_recordings
from eddy.spec.catalog import Features, Replay, Taken, Window
from eddy.spec.described import described
from eddy.spec.model import App

Row = dict[str, float | str]
Key = tuple[str, int]
"""Origin, and microseconds since 1970."""

_SHOWN = 5  # differences


@dataclass(frozen=True)
class Part:
    """Files for one source.

    Attributes:
        source: Of the app.
        folders: Below that of the data; they must be there.
        pattern: Of the files in each.
        origin: Field that says who measured it; of MQTT, where the topic says so, "".
        who: Its text; of MQTT the first word of the topic, before the folder of the file.
        delimiter, decimal, time, time_format, missing: Of the files, as in `eddy.links.rows.rows`.
        batch: Rows of a message.
        about: Whose data these are.
    """

    source: str
    folders: tuple[str, ...]
    pattern: str
    origin: str
    who: str
    time: tuple[str, ...]
    time_format: str
    about: str
    delimiter: str = ","
    decimal: str = "."
    missing: tuple[str, ...] = ()
    batch: int = 50

    def files(self, data: Path) -> dict[str, list[Path]]:
        """{origin: files in the order of their numbers}; raises DataError."""
        found: dict[str, list[Path]] = {}
        for folder in self.folders:
            for file in sorted((data / folder).glob(self.pattern), key=lambda file: (len(file.name), file.name)):
                found.setdefault(self.who if self.origin else f"{self.who}/{file.parent.name}", []).append(file)
        if not found:
            raise DataError(f"{data} holds no {' nor '.join(self.folders)}/{self.pattern}: {self.about}")
        return found


PARTS = (
    Part(
        *("testbed", ("skab/anomaly-free", "skab/valve1", "skab/valve2"), "*.csv", "", "testbed", ("datetime",), "%Y-%m-%d %H:%M:%S"),
        about="the Skoltech Anomaly Benchmark, folder data of https://github.com/waico/SKAB, belongs into skab",
        delimiter=";",
        batch=20,
    ),
    Part(
        *("room", ("room_occupancy_nodes",), "*.csv", "room", "room-1", ("Date", "Time"), "%Y-%m-%d %H:%M:%S"),
        about="Room Occupancy Estimation of the UCI repository, with dates as 2017-12-22, belongs into room_occupancy_nodes",
        batch=200,
    ),
    Part(
        *("street", ("uci_air_quality",), "*.csv", "station", "roadside", ("Date", "Time"), "%d/%m/%Y %H.%M.%S"),
        about="Air Quality of the UCI repository, AirQualityUCI.csv, belongs into uci_air_quality",
        delimiter=";",
        decimal=",",
        missing=("-200", "-200,0"),
    ),
)
IMS = "ims_bearing"
"""Folder of the pump's recordings."""


def app_of(app: App, data: Path, ports: Mapping[str, int], broker: str | None = None) -> App:
    """The app of `examples/fleet` that takes in this data.

    Args:
        app: As it is.
        data: Folder.
        ports: {source: port to listen at}.
        broker: Address of one; the embedded one when None.

    Raises:
        DataError: There are no recordings.
    """
    if not (data / IMS).is_dir() or not find_runs(data / IMS):
        raise DataError(f"{data} holds no {IMS}: the NASA/IMS bearing recordings (or .npz shards of them) belong there")
    sources = dict(app.sources)
    for name, port in ports.items():
        where = {"to": broker or f"mqtt://127.0.0.1:{port}"} if name == "testbed" else {"listen": f"127.0.0.1:{port}"}
        sources[name] = sources[name].model_copy(update=where | ({"broker": None} if name == "testbed" and broker else {}))
    sources["vibration"] = sources["vibration"].model_copy(update={"data": f"recordings:{(data / IMS).resolve()}#1"})
    for_ever = {"keep_ms": None, "warm": None, "cold": None}  # what is older than the app keeps would go at once
    lake = app.sinks["lake"].model_copy(update=for_ever)
    return app.model_copy(update={"sources": sources, "sinks": {**app.sinks, "lake": lake}})


def compare(lake: Lake, app: App, data: Path, parts: Sequence[Part] = PARTS) -> list[dict[str, Any]]:
    """Compare every row and value of the files with the lake.

    Returns:
        For each stream `{"stream", "rows", "found", "values", "wrong", "rounded", "differences"}`: rows of the files and of the lake,
        values of the files, those that are not equal, those of which the app's scale keeps fewer digits, and what differs, the first few.
    """
    return [*(_part(lake, app, data, part) for part in parts), _windows(lake, app, data)]


def rows_in(lake: Lake, stream: str) -> int:
    """Rows of a stream that are in the lake now."""
    found = lake.query(f"SELECT rows FROM streams WHERE stream = '{stream}'").rows()  # noqa: S608 - a name of the app
    return int(found[0]["rows"]) if found else 0


def _part(lake: Lake, app: App, data: Path, part: Part) -> dict[str, Any]:
    source = app.sources[part.source]
    assert isinstance(source, Taken)
    wanted: dict[Key, Row] = {}
    rounded = 0
    for origin, files in part.files(data).items():
        for file in files:
            for at_us, row in _read(part, file):
                kept = {name: _at_scale(one, source.scale or 1) for name, one in row.items()}
                rounded += sum(isinstance(one, Decimal) and kept[name] != float(one) for name, one in row.items())
                wanted[origin, at_us] = kept
    found: dict[Key, list[Row]] = {}
    sql = f"SELECT * EXCLUDE (seq, birth, received, late, resent, day, time) FROM {part.source}"  # noqa: S608 - a name of the app
    for there in lake.query(sql).rows() if part.source in lake.streams else []:
        key = (str(there.pop("origin")), int(there.pop("time_ns")) // 1000)
        found.setdefault(key, []).append({name: one for name, one in there.items() if one is not None})
    return _difference(part.source, wanted, found) | {"rounded": rounded}


def _windows(lake: Lake, app: App, data: Path) -> dict[str, Any]:
    """The features of every whole window of the recordings, by the twin of the kernel that works on many at once."""
    source, windows, function = app.sources["vibration"], app.functions["windows"], app.functions["features"]
    assert isinstance(source, Replay) and isinstance(windows, Window) and isinstance(function, Features)
    per = described(app, "features")["per"]
    wanted: dict[Key, Row] = {}
    for recording in open_recordings(data / IMS, ["1"]):
        size = recording.rate_hz * windows.size_ms // 1000
        counts = recording.counts[0]
        whole = counts[: len(counts) // size * size].reshape(-1, size)
        for row in compute(whole, function.compute):
            wanted["", len(wanted)] = {name: int(one) / per[name] for name, one in zip(function.compute, row, strict=True)}
    found: dict[Key, list[Row]] = {}
    if "features" in lake.streams:
        names = ", ".join(function.compute)
        listed = lake.query(f"SELECT {names} FROM features ORDER BY time_ns, seq").rows()  # noqa: S608 - names of the kernel
        found = {("", number): [row] for number, row in enumerate(listed)}
    return _difference("features", wanted, found) | {"rounded": 0}


def _difference(stream: str, wanted: Mapping[Key, Row], found: Mapping[Key, list[Row]]) -> dict[str, Any]:
    told: list[str] = []
    wrong = 0
    for key, row in wanted.items():
        there = found.get(key, [])
        if there == [row]:
            continue
        wrong += sum(not there or there[0].get(name) != one for name, one in row.items()) or 1
        told.append(f"{_named(key)}: expected {row}, found {there or 'nothing'}")
    told += [f"{_named(key)}: nobody has sent it" for key in found.keys() - wanted.keys()]
    return {
        "stream": stream,
        "rows": len(wanted),
        "found": sum(map(len, found.values())),
        "values": sum(map(len, wanted.values())),
        "wrong": wrong,
        "differences": told[:_SHOWN],
    }


def _named(key: Key) -> str:
    return f"{key[0]} at {datetime.fromtimestamp(key[1] / 1e6, UTC).isoformat()}" if key[0] else f"window {key[1]}"


def _read(part: Part, file: Path) -> Iterator[tuple[int, dict[str, Decimal | str]]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines, delimiter=part.delimiter):
            moment = datetime.strptime(" ".join(row.pop(name) for name in part.time), part.time_format).replace(tzinfo=UTC)
            values = {column_of(name): _number(text, part) for name, text in row.items() if text and text not in part.missing}
            yield int(moment.timestamp()) * 1_000_000, values


def _number(text: str, part: Part) -> Decimal | str:
    try:
        return Decimal(text.replace(part.decimal, "."))
    except InvalidOperation:
        return text


def _at_scale(value: Decimal | str, scale: int) -> float | str:
    """What is left of a number when it is counted in so many parts of one."""
    return value if isinstance(value, str) else round(value * scale) / scale
