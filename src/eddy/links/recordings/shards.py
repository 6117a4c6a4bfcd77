"""Bearing recordings packed into `.npz` shards: IMS (`x_milli`) and FEMTO-ST PRONOSTIA (`x_milli_g`).

An IMS shard holds `x_milli` int16[files, channels, samples] (thousandths of the unit), `file_index` (position in the run) and `file_name`.
A FEMTO shard holds one bearing: `x_milli_g` int32[records, 2 axes, samples], `record` (from 1) and `seconds_of_day`; 0.1 s at 25.6 kHz
every 10 s. No date is given: time starts at day 0.

Reference: Nectoux et al. (2012), PRONOSTIA: an experimental platform for bearings accelerated degradation tests, IEEE PHM.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eddy.errors import DataError, SettingError
from eddy.links.recordings import ims
from eddy.links.recordings.recording import Problem, Recording, Recordings, UnreadableError, saturate

FEMTO_RATE_HZ = 25_600
FEMTO_SCALE = 0.002  # g a count: the signals reach 48 g, int16 then reaches 65 g
FEMTO_AXES = ("horizontal", "vertical")

_ABSURD_MILLI_G = 1_000_000
_MAX_BYTES = 1 << 30
_DAY_S = 86_400

Array = NDArray[Any]


def kind_of(file: Path) -> str | None:
    """`ims`, `femto`, or None for anything else; looks at the names of the arrays only."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return None
    return "ims" if "x_milli.npy" in names else "femto" if "x_milli_g.npy" in names else None


def load(file: Path, *names: str) -> list[Array]:
    """Arrays of a shard by name; raises UnreadableError, and never runs anything that a file contains."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_BYTES:
            raise UnreadableError(f"unpacks to {size:,} bytes, far more than a shard has: remove the file")
        with np.load(file, allow_pickle=False) as shard:
            missing = [name for name in names if name not in shard.files]
            if missing:
                raise UnreadableError(f"array {missing[0]!r} is missing; it holds {', '.join(shard.files) or 'nothing'}")
            return [shard[name] for name in names]
    except (OSError, EOFError, MemoryError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableError(f"not a whole .npz shard ({error}): copy it again or remove it") from None


class ImsShards(Recordings):
    """IMS recordings in shards; one shard is in memory at a time.

    Args:
        files: The shards of one run, in any order.
        bearings: Which bearings become channels, by number; all when empty.
        axis: `x` or `y` of test 1; x by default.
        on_problem: Called once for everything that is skipped.

    Raises:
        DataError: No readable shard.
        SettingError: No such bearing or axis.
    """

    def __init__(
        self,
        files: Sequence[Path],
        bearings: Sequence[str] = (),
        axis: str | None = None,
        on_problem: Callable[[Problem], None] | None = None,
    ) -> None:
        folder = files[0].parent
        super().__init__(f"IMS bearings, {folder}", (), ims.RATE_HZ, on_problem)
        shards: list[tuple[int, Path]] = []
        self._count = 0
        for file in sorted(files):
            try:
                (index,) = load(file, "file_index")
                if index.ndim != 1 or index.dtype.kind not in "iu" or not len(index):
                    raise UnreadableError("file_index is no list of whole numbers: copy the shard again")
            except UnreadableError as bad:
                self.report(Problem(file, bad.what))
                continue
            shards.append((int(index[0]), file))
            self._count += len(index)
        if not shards:
            raise DataError(f"none of the {len(files)} shards in {folder} can be read. {self.problems[0]}")
        self._files = [file for _, file in sorted(shards)]
        self._channels = self._usual_channels()
        self._picked, self.channels = ims.pick(bearings, axis, self._channels, folder)

    def __len__(self) -> int:
        return self._count

    def read(self) -> Iterator[Recording]:
        last = -1
        for file in self._files:
            try:
                x, index, names = self._shard(file)
            except UnreadableError as bad:
                self.report(Problem(file, bad.what))
                continue
            for row, position in enumerate(index.tolist()):
                name = str(names[row])
                try:
                    if position <= last:
                        raise UnreadableError(f"recording {position} comes after {last}: is a shard there twice?")
                    time_ns = ims.time_of(name)
                except UnreadableError as bad:
                    self.report(Problem(file, f"{name}: {bad.what}"))
                    continue
                last = position
                counts, saturated = saturate(x[row, self._picked])
                yield Recording(position, name, time_ns, ims.RATE_HZ, counts, ims.UNIT, ims.SCALE, saturated)

    def _usual_channels(self) -> int:
        for file in self._files:
            try:
                return int(load(file, "x_milli")[0].shape[1])
            except (UnreadableError, IndexError):
                continue  # read() reports it
        raise DataError(f"none of the {len(self._files)} shards in {self._files[0].parent} can be read: copy the folder again")

    def _shard(self, file: Path) -> tuple[Array, Array, Array]:
        x, index, names = load(file, "x_milli", "file_index", "file_name")
        if x.dtype.kind not in "iu" or x.ndim != 3 or x.shape[1] != self._channels or not len(x) == len(index) == len(names):
            wanted = f"int16[{len(index)}, {self._channels}, samples]"
            raise UnreadableError(f"x_milli is {x.dtype}{list(x.shape)}, expected {wanted}: copy the shard again")
        return x, index, names


class FemtoShard(Recordings):
    """One FEMTO bearing, one axis.

    Args:
        file: The shard of the bearing.
        axis: `horizontal` (default) or `vertical`.
        on_problem: Called once for every record that is skipped.

    Raises:
        DataError: The shard cannot be read.
        SettingError: No such axis.
    """

    def __init__(self, file: Path, axis: str | None = None, on_problem: Callable[[Problem], None] | None = None) -> None:
        axis = axis or FEMTO_AXES[0]
        if axis not in FEMTO_AXES:
            raise SettingError(f"FEMTO has the axes {' and '.join(FEMTO_AXES)}, not {axis!r}")
        try:
            (records,) = load(file, "record")
        except UnreadableError as bad:
            raise DataError(str(Problem(file, bad.what))) from None
        super().__init__(f"FEMTO {femto_name(file)}, {file}", (axis,), FEMTO_RATE_HZ, on_problem)
        self._file = file
        self._axis = FEMTO_AXES.index(axis)
        self._count = len(records)

    def __len__(self) -> int:
        return self._count

    def read(self) -> Iterator[Recording]:
        try:
            x, records, seconds = load(self._file, "x_milli_g", "record", "seconds_of_day")
            if x.dtype.kind not in "iu" or x.ndim != 3 or x.shape[1] != len(FEMTO_AXES) or not len(x) == len(records) == len(seconds):
                wanted = f"int32[{len(records)}, 2, samples]"
                raise UnreadableError(f"x_milli_g is {x.dtype}{list(x.shape)}, expected {wanted}: copy the shard again")
        except UnreadableError as bad:
            self.report(Problem(self._file, bad.what))
            return
        days, last = 0, -1.0
        for row, record in enumerate(records.tolist()):
            milli_g, second = x[row, self._axis], float(seconds[row])
            peak = max(abs(int(milli_g.min())), abs(int(milli_g.max())))
            if peak > _ABSURD_MILLI_G or not 0 <= second <= _DAY_S:
                what = f"record {record}: {peak / 1000:g} g at second {second:g} of the day is no measurement: it is left out"
                self.report(Problem(self._file, what))
                continue
            days += second < last  # the run went past midnight
            last = second
            counts, saturated = saturate(milli_g[np.newaxis] / (1000 * FEMTO_SCALE))
            time_ns = days * _DAY_S * 1_000_000_000 + round(second * 1e9)
            yield Recording(record, f"acc_{record:05}", time_ns, FEMTO_RATE_HZ, counts, "g", FEMTO_SCALE, saturated)


def femto_name(file: Path) -> str:
    """`1_1` of `Bearing1_1_raw.npz`."""
    return file.stem.removesuffix("_raw").removeprefix("Bearing")
