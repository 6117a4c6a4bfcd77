"""Recordings are read from what people have: the folder as distributed, shards, damaged files among good ones."""

import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eddy.errors import DataError, SettingError
from eddy.links.recordings import ims, shards
from eddy.links.recordings.recording import Problem, UnreadableError, saturate
from eddy.links.recordings.runs import Recordings, find_runs, open_recordings, subsample

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
ROWS = 200

Writer = Callable[..., Path]


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"no data sets at {DATA}; name their folder in EDDY_DATA")
    return DATA


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five good IMS text files of 4 columns."""
    here = tmp_path / "2nd_test"
    here.mkdir()
    for hour in range(5):
        write_text(here / name_at(hour), counts_at(hour))
    return here


def name_at(hour: int) -> str:
    return f"2004.02.12.{hour:02}.32.39"


def counts_at(seed: int, columns: int = 4, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).integers(-500, 500, (rows, columns), dtype=np.int16)


def write_text(file: Path, counts: np.ndarray, newline: str = "\r\n") -> Path:
    file.write_text("".join("\t".join(f"{value / 1000:.3f}" for value in row) + newline for row in counts), newline="")
    return file


def write_ims_shard(file: Path, hours: range, channels: int = 4, samples: int = 64) -> Path:
    x = np.stack([counts_at(hour, channels, samples).T for hour in hours])
    np.savez_compressed(file, x_milli=x, file_index=np.array(hours, dtype=np.int16), file_name=np.array([name_at(hour) for hour in hours]))
    return file


def write_femto_shard(file: Path, x: np.ndarray, seconds: list[float]) -> Path:
    np.savez_compressed(
        file, x_milli_g=x.astype(np.int32), record=np.arange(1, len(x) + 1, dtype=np.int32), seconds_of_day=np.array(seconds)
    )
    return file


# The folder as distributed


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("columns", [4, 8])
def test_text_files_give_the_counts_that_were_written(tmp_path: Path, columns: int, newline: str) -> None:
    written = counts_at(1, columns)
    write_text(tmp_path / name_at(3), written, newline)
    (recording,) = open_recordings(tmp_path)
    assert np.array_equal(recording.counts, written.T)
    assert (recording.index, recording.name, recording.rate_hz, recording.scale) == (0, name_at(3), 20_000, 0.001)


def test_a_recording_carries_the_time_of_its_name(folder: Path) -> None:
    times = [recording.time_ns for recording in open_recordings(folder)]
    assert times == [np.datetime64(f"2004-02-12T{hour:02}:32:39", "ns").astype(int) for hour in range(5)]


def test_bearings_become_channels_in_the_order_asked_for(folder: Path) -> None:
    run = open_recordings(folder, ["3", "1"])
    assert run.channels == ("3", "1")
    assert all(np.array_equal(r.counts, counts_at(r.index).T[[2, 0]]) for r in run)


@pytest.mark.parametrize(("bearing", "axis", "column"), [("1", None, 0), ("1", "y", 1), ("4", "x", 6), ("3y", None, 5)])
def test_test_1_has_two_axes_a_bearing(tmp_path: Path, bearing: str, axis: str | None, column: int) -> None:
    write_text(tmp_path / name_at(0), counts_at(0, 8))
    (recording,) = open_recordings(tmp_path, [bearing], axis)
    assert np.array_equal(recording.counts[0], counts_at(0, 8).T[column])


def test_scientific_notation_is_read(tmp_path: Path) -> None:
    (tmp_path / name_at(0)).write_text("-4.9e-02\t1E-3\t0\t+2.500\n" * 3)
    (recording,) = open_recordings(tmp_path)
    assert recording.counts[:, 0].tolist() == [-49, 1, 0, 2500]


def test_a_constant_recording_passes(folder: Path) -> None:
    write_text(folder / name_at(2), np.zeros((ROWS, 4), dtype=np.int16))
    run = open_recordings(folder)
    assert len(list(run)) == 5
    assert not run.problems


def test_values_beyond_int16_saturate_and_are_counted(folder: Path) -> None:
    (folder / name_at(1)).write_text("40.0\t-40.0\t0.0\t0.0\n" * ROWS)
    recording = list(open_recordings(folder, ["1", "2"]))[1]
    assert recording.counts[:, 0].tolist() == [32767, -32768]
    assert recording.saturated == 2 * ROWS


# Damage


def damage_short_line(lines: list[str]) -> list[str]:
    return [*lines[:99], lines[99].rsplit("\t", 1)[0] + "\n", *lines[100:]]


DAMAGE: dict[str, tuple[Callable[[list[str]], list[str]], int, str]] = {
    "short line": (damage_short_line, 100, "3 columns instead of 4"),
    "long line": (lambda lines: [*lines[:99], lines[99].rstrip() + "\t0.1\n", *lines[100:]], 100, "5 columns instead of 4"),
    "no number": (lambda lines: [*lines[:49], "0.1\t0.2\tabc\t0.3\n", *lines[50:]], 50, "column 3 is no number: 'abc'"),
    "not a number": (lambda lines: [*lines[:49], "0.1\tnan\t0.2\t0.3\n", *lines[50:]], 50, "column 2 is nan"),
    "infinite": (lambda lines: [*lines[:49], "inf\t0.1\t0.2\t0.3\n", *lines[50:]], 50, "column 1 is inf"),
    "absurd": (lambda lines: [*lines[:49], "0.1\t0.1\t0.2\t-3e9\n", *lines[50:]], 50, "column 4 is -3e+09"),
    "cut short": (lambda lines: lines[:120], 120, "120 lines instead of 200, it was cut short"),
    "two in one": (lambda lines: lines * 2, 400, "it holds more than one recording"),
    "empty": (lambda lines: [], 0, "the file is empty"),
    "blank": (lambda lines: ["\n"] * ROWS, 0, "the file is empty"),
    "binary": (lambda lines: ["\x00\x01\ufffd\n"] * ROWS, 1, "1 columns instead of 4"),
    "wrong width": (lambda lines: ["\t".join([line.strip()] * 2) + "\n" for line in lines], 1, "8 columns instead of 4"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_reported_with_its_line_and_the_others_are_read(folder: Path, kind: str) -> None:
    change, line, message = DAMAGE[kind]
    bad = folder / name_at(2)
    bad.write_text("".join(change(bad.read_text().splitlines(keepends=True))))
    told: list[Problem] = []
    run = open_recordings(folder, on_problem=told.append)
    assert [recording.index for recording in run] == [0, 1, 3, 4]
    assert [(problem.path, problem.line) for problem in told] == [(bad, line)]
    assert message in told[0].what
    assert run.problems == told
    assert name_at(2) in str(told[0])


def test_a_problem_is_told_once_however_often_the_run_is_read(folder: Path) -> None:
    (folder / name_at(2)).write_text("")
    told: list[Problem] = []
    run = open_recordings(folder, on_problem=told.append)
    assert len(list(run)) == len(list(run)) == 4
    assert len(told) == 1


def test_a_name_with_an_impossible_date_is_a_problem(folder: Path) -> None:
    write_text(folder / "2004.02.31.00.00.00", counts_at(9))
    run = open_recordings(folder)
    assert len(list(run)) == 5
    assert "no acquisition time" in run.problems[0].what


def test_a_file_that_cannot_be_opened_is_a_problem(folder: Path) -> None:
    run = open_recordings(folder)
    (folder / name_at(4)).unlink()
    assert len(list(run)) == 4
    assert "cannot be read" in run.problems[0].what


def test_nothing_readable_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / name_at(0)).write_text("a\tb\tc\td\n")
    with pytest.raises(DataError, match=r"nothing readable.*line 1: column 1 is no number"):
        list(open_recordings(tmp_path))


def test_only_empty_files_are_an_error(tmp_path: Path) -> None:
    (tmp_path / name_at(0)).touch()
    with pytest.raises(DataError, match="none of the 1 files"):
        open_recordings(tmp_path)


def test_columns_that_no_ims_test_has_are_an_error(tmp_path: Path) -> None:
    write_text(tmp_path / name_at(0), counts_at(0, 3))
    with pytest.raises(DataError, match="3 columns; IMS files have 4"):
        open_recordings(tmp_path)


@pytest.mark.parametrize(("bearing", "axis"), [("5", None), ("", None), ("1", "z"), ("1", "y")])
def test_an_unknown_bearing_or_axis_is_an_error(folder: Path, bearing: str, axis: str | None) -> None:
    with pytest.raises(SettingError):
        open_recordings(folder, [bearing], axis)


@pytest.mark.parametrize("make", [None, Path.mkdir, Path.touch])
def test_a_place_without_recordings_is_an_error_with_a_way_out(tmp_path: Path, make: Callable[[Path], None] | None) -> None:
    if make is not None:
        make(tmp_path / "here")
    with pytest.raises(DataError, match=r"here.*give the NASA/IMS folder"):
        open_recordings(tmp_path / "here")


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_no_bytes_whatever_crash_the_text_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / name_at(0)
    file.write_bytes(content)
    try:
        values = ims.parse(file, columns=4, rows=2)
    except UnreadableError as error:
        assert error.what
    else:
        assert values.shape == (2, 4)
        assert np.isfinite(values).all()


# Shards


def test_ims_shards_are_read_in_the_order_of_the_run(tmp_path: Path) -> None:
    write_ims_shard(tmp_path / "b.npz", range(0, 3))
    write_ims_shard(tmp_path / "a.npz", range(3, 5))
    run = open_recordings(tmp_path, ["2"])
    assert len(run) == 5
    for hour, recording in enumerate(run):
        assert (recording.index, recording.name) == (hour, name_at(hour))
        assert np.array_equal(recording.counts, counts_at(hour, rows=64).T[[1]])


def test_shards_and_text_of_the_same_run_agree(tmp_path: Path, folder: Path) -> None:
    write_ims_shard(tmp_path / "all.npz", range(5), samples=ROWS)
    for packed, text in zip(open_recordings(tmp_path / "all.npz"), open_recordings(folder), strict=True):
        assert np.array_equal(packed.counts, text.counts)
        assert packed.time_ns == text.time_ns


def test_a_truncated_shard_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    write_ims_shard(tmp_path / "a.npz", range(0, 3))
    bad = write_ims_shard(tmp_path / "b.npz", range(3, 6))
    bad.write_bytes(bad.read_bytes()[:-200])
    run = open_recordings(tmp_path)
    assert [recording.index for recording in run] == [0, 1, 2]
    assert [problem.path for problem in run.problems] == [bad]


@pytest.mark.parametrize("seed", range(8))
def test_a_shard_damaged_anywhere_never_stops_the_run(tmp_path: Path, seed: int) -> None:
    write_ims_shard(tmp_path / "a.npz", range(0, 3))
    bad = write_ims_shard(tmp_path / "b.npz", range(3, 6))
    content = bytearray(bad.read_bytes())
    rng = random.Random(seed)
    for _ in range(40):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    bad.write_bytes(content)
    run = open_recordings(tmp_path)
    assert [recording.index for recording in run][:3] == [0, 1, 2]


def test_a_shard_of_another_shape_is_reported(tmp_path: Path) -> None:
    write_ims_shard(tmp_path / "a.npz", range(0, 3))
    write_ims_shard(tmp_path / "b.npz", range(3, 6), channels=3)
    run = open_recordings(tmp_path)
    assert len(list(run)) == 3
    assert "[3, 3, 64], expected int16[3, 4, samples]" in run.problems[0].what


def test_a_recording_that_is_there_twice_is_taken_once(tmp_path: Path) -> None:
    write_ims_shard(tmp_path / "a.npz", range(0, 3))
    write_ims_shard(tmp_path / "b.npz", range(2, 5))
    run = open_recordings(tmp_path)
    assert [recording.index for recording in run] == [0, 1, 2, 3, 4]
    assert "is a shard there twice?" in run.problems[0].what


def test_a_pickle_in_a_shard_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    trap = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "a.npz", x_milli=trap, file_index=trap, file_name=trap)
    with pytest.raises(DataError, match="none of the 1 shards"):
        open_recordings(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_lone_file_that_is_no_shard_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError, match=r"a\.npz is no whole \.npz"):
        open_recordings(tmp_path)


# FEMTO


@pytest.fixture
def femto(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        x = np.full((3, 2, 8), 1000 * number)
        x[:, 1] *= -1
        write_femto_shard(tmp_path / f"Bearing{number}_1_raw.npz", x, [86_390.5, 86_399.0, 9.25])
    return tmp_path


@pytest.mark.parametrize(("bearing", "g"), [("2_1", 2), ("2", 2), ("Bearing3_1", 3), ("1", 1)])
def test_a_femto_bearing_is_chosen_by_name_or_position(femto: Path, bearing: str, g: int) -> None:
    recordings = list(open_recordings(femto, [bearing]))
    assert [recording.index for recording in recordings] == [1, 2, 3]
    assert {float(value) * recordings[0].scale for value in recordings[0].counts.ravel()} == {float(g)}


def test_femto_takes_the_first_bearing_and_the_horizontal_axis_unless_told(femto: Path) -> None:
    assert next(iter(open_recordings(femto))).counts.tolist() == [[500] * 8]
    assert next(iter(open_recordings(femto, axis="vertical"))).counts.tolist() == [[-500] * 8]


def test_femto_time_goes_on_past_midnight(femto: Path) -> None:
    times = [recording.time_ns for recording in open_recordings(femto)]
    assert times == [86_390_500_000_000, 86_399_000_000_000, 86_409_250_000_000]


@pytest.mark.parametrize(("bearings", "axis"), [(["4"], None), (["0"], None), (["1", "2"], None), (["1"], "x")])
def test_an_unknown_femto_bearing_or_axis_is_an_error(femto: Path, bearings: list[str], axis: str | None) -> None:
    with pytest.raises(SettingError):
        open_recordings(femto, bearings, axis)


def test_an_absurd_femto_record_is_left_out(tmp_path: Path) -> None:
    x = np.zeros((3, 2, 8))
    x[1, 0, 3] = 2e9
    write_femto_shard(tmp_path / "Bearing1_1_raw.npz", x, [1.0, 11.0, 21.0])
    run = open_recordings(tmp_path)
    assert [recording.index for recording in run] == [1, 3]
    assert "record 2: 2e+06 g" in run.problems[0].what


def test_a_truncated_femto_file_is_an_error(femto: Path) -> None:
    bad = femto / "Bearing1_1_raw.npz"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    with pytest.raises(DataError, match=r"Bearing1_1_raw.npz.*copy it again"):
        list(open_recordings(femto, ["1"]))


# Which run is meant


def test_test_2_is_taken_where_several_are(tmp_path: Path) -> None:
    for name in ("1st_test_raw", "2nd_test_raw", "2nd_test_text"):
        (tmp_path / name).mkdir()
    write_ims_shard(tmp_path / "1st_test_raw" / "a.npz", range(2), channels=8)
    write_ims_shard(tmp_path / "2nd_test_raw" / "a.npz", range(5), samples=4000)
    write_text(tmp_path / "2nd_test_text" / name_at(0), counts_at(0))
    assert len(open_recordings(tmp_path)) == 5


def test_several_runs_without_a_rule_are_an_error_that_names_them(tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        write_ims_shard(tmp_path / name / "a.npz", range(2))
    with pytest.raises(DataError, match=r"several runs.*left.*right"):
        open_recordings(tmp_path)
    assert find_runs(tmp_path) == [tmp_path / "left", tmp_path / "right"]


# Sub-sampling


def filtered_and_decimated(counts: np.ndarray, factor: int) -> np.ndarray:
    """The paper's words, literally: transform, remove everything from half the new rate on, transform back, keep each factor-th."""
    spectrum = np.fft.rfft(counts, axis=-1)
    spectrum[..., counts.shape[-1] // factor // 2 :] = 0
    return np.fft.irfft(spectrum, n=counts.shape[-1], axis=-1)[..., ::factor]


@settings(max_examples=30)
@given(st.sampled_from([2, 4, 10, 20, 40]), st.integers(0, 1000))
def test_sub_sampling_is_the_papers_filter_followed_by_decimation(factor: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(-3000, 3000, (2, 400), dtype=np.int16)
    literal = filtered_and_decimated(counts, factor)
    assert np.abs(subsample(counts, 20_000, 20_000 // factor) - literal).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("rate", "kept"), [(500, 512), (1000, 1024), (2000, 2048), (20_000, 20_480)])
def test_sub_sampling_keeps_the_duration(rate: int, kept: int) -> None:
    assert subsample(np.zeros((1, 20_480), dtype=np.int16), 20_000, rate).shape == (1, kept)


def test_a_tone_below_half_the_new_rate_survives_and_one_above_vanishes() -> None:
    t = np.arange(20_000) / 20_000
    for hertz, amplitude in ((200, 1000), (300, 0)):
        tone = np.rint(1000 * np.cos(2 * np.pi * hertz * t)).astype(np.int16)[np.newaxis]
        assert abs(int(subsample(tone, 20_000, 500).max()) - amplitude) <= 1


def test_ratios_that_are_no_whole_number_work() -> None:
    assert subsample(np.full((1, 2560), 7, dtype=np.int16), 25_600, 500).tolist() == [[7] * 50]


@pytest.mark.parametrize("rate", [0, 1, 40_000])
def test_an_impossible_rate_is_an_error(rate: int) -> None:
    with pytest.raises(SettingError, match="cannot sub-sample"):
        subsample(np.zeros((1, 100), dtype=np.int16), 20_000, rate)


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6)))
def test_saturation_loses_half_a_count_or_is_counted(values: np.ndarray) -> None:
    counts, saturated = saturate(values)
    inside = (values > -32768.5) & (values < 32767.5)
    assert (np.abs(counts[inside] - values[inside]) <= 0.5).all()
    assert saturated == np.count_nonzero(np.abs(counts - values) > 0.5)


# The data sets themselves


def rms_and_kurtosis(run: Recordings) -> np.ndarray:
    rows = []
    for recording in run:
        x = recording.counts[0] * recording.scale
        x = x - x.mean()
        rms = np.sqrt((x**2).mean())
        rows.append((recording.index, rms, (x**4).mean() / rms**4))
    return np.array(rows)


def test_ims_test_2_has_the_known_figures(data: Path) -> None:
    table = rms_and_kurtosis(open_recordings(data / "ims_bearing", ["1"]))
    healthy = table[table[:, 0] <= 540]
    end = table[(table[:, 0] >= 975) & (table[:, 0] <= 981)]
    assert np.median(healthy[:, 1]) == pytest.approx(0.077, abs=0.001)
    assert np.median(healthy[:, 2]) == pytest.approx(3.4, abs=0.1)
    assert np.median(end[:, 1]) == pytest.approx(0.48, abs=0.01)


def test_the_text_files_equal_the_shards(data: Path) -> None:
    packed = {recording.name: recording for recording in open_recordings(data / "ims_bearing" / "2nd_test_raw")}
    text = list(open_recordings(data / "ims_bearing" / "2nd_test_text"))
    assert len(text) == 3
    for recording in text:
        assert np.array_equal(recording.counts, packed[recording.name].counts)
        assert recording.time_ns == packed[recording.name].time_ns


def test_ims_test_1_is_read_from_text_and_shards_alike(data: Path) -> None:
    text = next(iter(open_recordings(data / "ims_bearing" / "1st_test_text")))
    packed = next(iter(open_recordings(data / "ims_bearing" / "1st_test_raw")))
    assert text.counts.shape == (8, 20_480)
    assert np.array_equal(text.counts, packed.counts)


def test_femto_bearing_1_ends_at_the_known_level(data: Path) -> None:
    table = rms_and_kurtosis(open_recordings(data / "femto_bearing", ["1_1"]))
    assert len(table) == 403
    assert table[-1, 1] == pytest.approx(5.6, abs=0.1)


def test_no_sample_of_the_data_sets_saturates(data: Path) -> None:
    for folder, bearings in (("ims_bearing", []), ("femto_bearing", ["1"]), ("femto_bearing", ["2"]), ("femto_bearing", ["3"])):
        assert all(recording.saturated == 0 for recording in open_recordings(data / folder, bearings))


def test_reading_the_run_keeps_one_shard_in_memory(data: Path) -> None:
    run = open_recordings(data / "ims_bearing", ["1"])
    tracemalloc.start()
    for _ in run:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20  # the whole run has 45 MB in counts


def test_shard_names_are_read_as_femto_names() -> None:
    assert shards.femto_name(Path("x/Bearing1_1_raw.npz")) == "1_1"
