"""Sources hand out what was measured, with its times, from where they are told to go on."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import DataError, SettingError
from eddy.kernel.function import Sample
from eddy.kernel.functions.chain import Chain
from eddy.links.pace import Pace
from eddy.links.replay import CHUNK, Replay
from eddy.links.simulated import Simulated
from eddy.links.table import Table

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"no data sets in {DATA}; EDDY_DATA names their folder")
SECOND = 10**9
MONDAY = 1_422_886_740 * SECOND  # 2015-02-02 14:19:00 UTC


def everything(source: Any) -> list[tuple[int, Any]]:
    out: list[tuple[int, Any]] = []
    while True:
        try:
            out += source.read() or []
        except EOFError:
            return out


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def monotonic_s(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


# Pace


@given(st.integers(1, 50), st.lists(st.integers(0, 5 * SECOND), min_size=1, max_size=40))
def test_no_sample_comes_before_its_time_and_all_come_in_order(speed: int, steps: list[int]) -> None:
    times = np.cumsum(steps).tolist()
    clock = Clock()
    pace = Pace(iter([(t, None) for t in times]), speed, clock.monotonic_s, clock.sleep)
    played = []
    while len(played) < len(times):
        for t, _ in pace.read() or []:
            assert clock.now >= (t - times[0]) / SECOND / speed - 1e-6
            played.append(t)
    assert played == times
    assert all(seconds <= 1 for seconds in clock.waited)
    with pytest.raises(EOFError):
        pace.read()


def test_speed_0_never_waits() -> None:
    def endless() -> Iterator[tuple[int, int]]:
        n = 0
        while True:
            yield n * 3600 * SECOND, n
            n += 1

    clock = Clock()
    pace = Pace(endless(), 0, clock.monotonic_s, clock.sleep)
    assert [len(pace.read() or []), len(pace.read() or []), clock.waited] == [256, 256, []]


# Tables


@pytest.fixture
def room(tmp_path: Path) -> Path:
    file = tmp_path / "room.csv"
    rows = ['"1","2015-02-02 14:19:00",23.7,749.2', '"2","2015-02-02 14:20:00",NA,760.4', '"3","2015-02-02 14:21:00",23.75,770']
    file.write_text("\n".join(['"date","Temperature","CO2"', *rows, ""]))
    return file


def test_a_column_is_integers_at_the_scale_that_was_asked_for(room: Path) -> None:
    table = Table(room, ["Temperature"], time="date", scale=10)
    assert list(table) == [(MONDAY, 237), (MONDAY + 120 * SECOND, 238)]
    assert table.skipped == 1


def test_several_columns_are_a_map_and_a_row_without_one_of_them_is_skipped(room: Path) -> None:
    table = Table(room, ["Temperature", "CO2"], time="date")
    assert list(table)[1] == (MONDAY + 120 * SECOND, {"Temperature": 24, "CO2": 770})
    assert table.skipped == 1


def test_german_numbers_times_in_two_columns_and_marked_gaps_are_read(tmp_path: Path) -> None:
    file = tmp_path / "air.csv"
    file.write_text("Date;Time;CO(GT)\n10/03/2004;18.00.00;2,6\n10/03/2004;19.00.00;-200\n")
    options = {"delimiter": ";", "decimal": ",", "time": ["Date", "Time"], "time_format": "%d/%m/%Y %H.%M.%S", "missing": ["-200"]}
    source = Replay(data=f"csv:{file}#CO(GT)", speed=0, scale=1000, **options)  # type: ignore[arg-type]
    assert everything(source) == [(1_078_941_600 * SECOND, 2600)]
    assert source.skipped == 1


def test_rows_without_times_come_at_a_rate(room: Path) -> None:
    assert [t for t, _ in everything(Replay(data=f"csv:{room}#CO2", period_ms=60_000, speed=0))] == [0, 60 * SECOND, 120 * SECOND]
    assert [t for t, _ in everything(Replay(data=f"csv:{room}#CO2", rate_hz=4, speed=0))] == [0, SECOND // 4, SECOND // 2]


def test_what_is_wrong_with_a_table_is_told_with_its_line(room: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'Noise'.*date, Temperature, CO2"):
        Table(room, ["Noise"], time="date")
    with pytest.raises(DataError, match=r"room.csv:3: 'NA' is no number"):
        list(Table(room, ["Temperature"], time="date", missing=[""]))
    with pytest.raises(DataError, match=r"room.csv:2: '23.7' is no time"):
        list(Table(room, ["CO2"], time="Temperature"))
    with pytest.raises(SettingError, match="when were the rows"):
        Replay(data=f"csv:{room}#CO2")
    with pytest.raises(DataError, match="cannot be read"):
        Replay(data=f"csv:{room.parent}/none.csv#CO2", rate_hz=1)


@pytest.mark.parametrize("data", ["room.csv", "xyz:a#b", "csv:room.csv", ""])
def test_what_cannot_be_replayed_is_told(data: str) -> None:
    with pytest.raises(SettingError):
        Replay(data=data, rate_hz=1)


# Going on


@given(st.integers(0, 40), st.booleans())
def test_a_simulated_signal_goes_on_where_it_was_kept(kept: int, chunked: bool) -> None:
    arguments = {"samples": 40, "chunk": 8 if chunked else 0, "fault_after_ms": 2000, "speed": 0}
    assert everything(Simulated(resume=kept, **arguments)) == everything(Simulated(**arguments))[kept:]  # type: ignore[arg-type]


def test_the_fault_comes_in_its_time_and_is_louder() -> None:
    values = [value for _, value in everything(Simulated(samples=200, cycle_ms=0, noise=10, fault_after_ms=10_000, speed=0))]
    assert max(map(abs, values[:100])) <= 10 < max(map(abs, values[100:])) <= 50


def test_a_simulated_signal_that_cannot_be_is_told() -> None:
    with pytest.raises(SettingError):
        Simulated(rate_hz=0)


@pytest.fixture
def bearing(tmp_path: Path) -> Path:
    folder = tmp_path / "2nd_test"
    folder.mkdir()
    for hour in range(3):
        counts = np.random.default_rng(hour).integers(-500, 500, (5000, 4))
        (folder / f"2004.02.12.{hour:02}.32.39").write_text("".join("\t".join(f"{v / 1000:.3f}" for v in row) + "\n" for row in counts))
    return folder


def test_recordings_come_in_chunks_that_continue_each_other(bearing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDDY_DATA", str(bearing.parent))
    played = everything(Replay(data="ims:2nd_test#2", speed=0))
    assert played == everything(Replay(data=f"recordings:{bearing}#2", speed=0))
    expected = np.random.default_rng(0).integers(-500, 500, (5000, 4))[:, 1].astype("<i2").tobytes()
    assert b"".join(samples for _, (samples, _) in played[:2]) == expected
    assert played[1][0] - played[0][0] == CHUNK * 50_000
    assert everything(Replay(data="ims:2nd_test#2", speed=0, resume=3)) == played[3:]
    with pytest.raises(DataError, match="no recordings called 9th"):
        everything(Replay(data="ims:9th", speed=0))


def test_recordings_are_sub_sampled_to_the_rate_asked_for(bearing: Path) -> None:
    played = everything(Replay(data=f"recordings:{bearing}", rate_hz=2000, speed=0))
    assert [len(samples) for _, (samples, _) in played] == [1000] * 3
    assert played[0][1][1] == 500_000


# The data sets themselves


@needs_data
@pytest.mark.parametrize(
    ("file", "rows", "options"),
    [
        ("uci_occupancy/datatest.txt#CO2", 2665, {"time": "date"}),
        ("beijing_pm25/prsa_2010-2013.csv#pm2.5", None, {"period_ms": 3_600_000}),
        ("skab/valve1/0.csv#Current,Voltage", 1147, {"time": "datetime", "delimiter": ";", "scale": 1000}),
        ("room_occupancy_nodes/occupancy_2017-12.csv#S5_CO2", None, {"time": ["Date", "Time"], "time_format": "%Y-%m-%d %H:%M:%S"}),
    ],
)
def test_tables_of_the_data_sets_are_played(file: str, rows: int | None, options: dict[str, Any]) -> None:
    source = Replay(data=f"csv:{DATA}/{file}", speed=0, **options)
    played = everything(source)
    assert played and (rows is None or len(played) + source.skipped == rows)
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(played))


@needs_data
@pytest.mark.slow
def test_the_wear_of_bearing_1_is_noticed_seven_files_after_its_onset(monkeypatch: pytest.MonkeyPatch) -> None:
    from eddy.links.recordings.runs import open_recordings

    monkeypatch.setenv("EDDY_DATA", str(DATA))
    names, room = ["rms", "mean_abs_difference", "peak_to_peak"], "eddy.kernel.functions."
    model = {"features": names, "trees": 50, "subsample": 100, "quantile": 980, "rows": 150, "seed": 1}
    stages: list[Any] = [
        [room + "window", "Window", {"size_ms": 500}],
        [room + "features", "Features", {"compute": names}],
        [room + "model", "Model", model],
        [room + "rule", "Rule", {"when": ["anomalies", 5, 6]}],
    ]
    chain, said = Chain(stages), []
    for seq, (time_ns, value) in enumerate(everything(Replay(data="ims:2nd_test#1", speed=0))):
        said += chain.on(Sample("vibration", "pump", seq, time_ns, value))
        for tree in range(60):
            chain.tick(time_ns + tree * 20_000_000)
    files = {recording.time_ns: recording.index for recording in open_recordings(DATA / "ims_bearing", ["1"])}
    alarms = [max(index for start, index in files.items() if start <= time_ns) for raised, time_ns in said if raised]
    assert alarms[0] == 540
