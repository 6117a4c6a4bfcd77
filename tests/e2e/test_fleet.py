"""Four ways into one lake, as `eddy demo fleet` plays them: every row and value of the files is there once, and a difference is found."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from eddy.cli.fleet import play
from eddy.errors import DataError, SettingError
from eddy.knowledge.query import Lake
from eddy.sim.fleet import PARTS, compare
from eddy.spec.load import load

DATA = Path(os.environ.get("EDDY_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not all((DATA / folder).is_dir() for part in PARTS for folder in part.folders) or not (DATA / "ims_bearing").is_dir(),
    reason=f"no recordings of the fleet in {DATA}; EDDY_DATA names their folder",
)


def part_of_it(to: Path, rows: int) -> Path:
    """The first rows of a few of the files, and an eighth of the recordings of the pump."""
    for name in ("skab/valve1/0", "skab/valve2/0", "skab/anomaly-free/anomaly-free", *(f"{part.folders[0]}/*" for part in PARTS[1:])):
        (file,) = DATA.glob(f"{name}.csv")
        there = to / file.relative_to(DATA)
        there.parent.mkdir(parents=True, exist_ok=True)
        with file.open(encoding="utf-8") as lines:
            there.write_text("".join(line for line, _ in zip(lines, range(rows + 1), strict=False)), encoding="utf-8")
    shards = to / "ims_bearing" / "2nd_test_raw"
    shards.mkdir(parents=True)
    for shard in sorted((DATA / "ims_bearing" / "2nd_test_raw").glob("*.npz"))[:2]:
        (shards / shard.name).symlink_to(shard)
    return to


def whole(result: dict[str, Any]) -> dict[str, int]:
    """{stream: rows} when nothing differs."""
    for one in result["streams"]:
        assert not one["differences"] and not one["wrong"] and one["found"] == one["rows"], one
    assert all(one["kept"] == one["rows"] for one in result["sent"])
    return {one["stream"]: one["rows"] for one in result["streams"]}


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(280)
def test_every_row_and_value_of_the_files_is_in_the_lake_once_and_a_difference_is_told(tmp_path: Path) -> None:
    data, folder = part_of_it(tmp_path / "data", 300), tmp_path / "fleet"
    result = play(data, folder, None, 40, lambda step: None, tmp_path / "report.html")
    assert whole(result) == {"testbed": 900, "room": 300, "street": 300, "features": 96}
    assert "features" in (tmp_path / "report.html").read_text(encoding="utf-8")

    (file,) = (data / "skab" / "valve1").iterdir()
    changed = file.read_text(encoding="utf-8").replace("79.3366", "79.3367", 1)
    file.write_text(changed.rpartition("2020")[0], encoding="utf-8")
    with Lake(result["lake"]) as lake:
        testbed, *others = compare(lake, load(folder / "eddy.yaml"), data)
        units = {row["field"]: row["unit"] for row in lake.query("SELECT field, unit FROM fields WHERE stream <> 'judge'").rows()}
    assert (testbed["rows"], testbed["found"], testbed["wrong"], len(testbed["differences"])) == (899, 900, 1, 2)
    assert not any(one["differences"] for one in others)
    assert (units["Pressure"], units["CO_GT_"], units["S5_CO2"], units["kurtosis"], units["rms"]) == ("bar", "mg/m3", "ppm", "/", "gn")


@needs_data
@pytest.mark.soak
def test_the_whole_fleet_is_in_the_lake(tmp_path: Path) -> None:
    result = play(DATA, tmp_path, None, 40, lambda step: None, tmp_path / "report.html")
    assert whole(result) == {"testbed": 31877, "room": 8084, "street": 7110, "features": 552}


def test_what_is_missing_is_told_with_where_it_is_from(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Skoltech"):
        play(None, tmp_path, None, 40, lambda step: None, None)
    with pytest.raises(DataError, match="skab"):
        play(tmp_path, tmp_path, None, 40, lambda step: None, None)
    if DATA.is_dir():
        part_of_it(tmp_path, 1)
        shutil.rmtree(tmp_path / "ims_bearing")
        with pytest.raises(DataError, match="ims_bearing"):
            play(tmp_path, tmp_path / "fleet", None, 40, lambda step: None, None)
