"""Driver `replay`: recordings and tables, played as if they were measured now."""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eddy.errors import DataError, SettingError
from eddy.links.pace import Pace
from eddy.links.table import MISSING, Table

if TYPE_CHECKING:
    from eddy.links.recordings.recording import Problem, Recordings

CHUNK = 4096
"""Samples in a chunk of a fast signal: 8 KiB, so that a journal or a line is never blocked for long."""

_SECOND_NS = 1_000_000_000
_MS_NS = 1_000_000


class Replay:
    """Plays a file. Values carry the times of the file.

    Args:
        data: What to play:
            `ims:RUN#BEARING`, for example `ims:2nd_test#1`: that run of the NASA/IMS recordings, found below the folder EDDY_DATA;
            `recordings:PATH#BEARING`: any recordings that `eddy.links.recordings` reads;
            `rig:SEED#BEARING`: a simulated test rig, see `eddy.links.recordings.bearing`; these give chunks `[int16 samples, period_ns]`;
            `csv:FILE#COLUMN` or `#COLUMN,COLUMN`: integers or maps of integers, see `eddy.links.table`.
        rate_hz: Of recordings, the rate that they are sub-sampled to (their own when None); of a table without times, its rows a second.
        period_ms: Likewise, for slow tables: milliseconds between two rows.
        speed: 1 for real time, more for faster, 0 for as fast as samples are taken.
        resume: Samples that are kept already: it goes on behind them.
        scale, delimiter, decimal, time, time_format, missing: Of tables, see `eddy.links.table.Table`.

    Raises:
        SettingError: A setting that cannot be.
        DataError: No such data.
    """

    def __init__(
        self,
        *,
        data: str,
        rate_hz: int | None = None,
        period_ms: int | None = None,
        speed: int = 1,
        resume: int = 0,
        scale: int = 1,
        delimiter: str = ",",
        decimal: str = ".",
        time: str | Sequence[str] = (),
        time_format: str | None = None,
        missing: Sequence[str] = MISSING,
    ) -> None:
        kind, colon, where = data.partition(":")
        name, _, part = where.partition("#")
        self._table: Table | None = None
        if kind == "csv" and colon:
            if not part:
                raise SettingError(f"which column of {name} shall be played? Write csv:{name}#COLUMN")
            period_ns = period_ms * _MS_NS if period_ms else _SECOND_NS // rate_hz if rate_hz else None
            self._table = Table(Path(name), part.split(","), delimiter, decimal, scale, time, time_format, period_ns, missing)
            samples = iter(self._table)
        else:
            samples = _chunks(recordings(data), rate_hz)
        self._pace = Pace(islice(samples, resume, None), speed)

    @property
    def skipped(self) -> int:
        """Rows of a table that had no value."""
        return self._table.skipped if self._table else 0

    def read(self) -> list[tuple[int, Any]] | None:
        """What is due; raises EOFError at the end of the data."""
        return self._pace.read()


def _ims(run: str) -> Path:
    """The folder of a run: where it lies twice, as text and as shards, the one that holds more."""
    from eddy.links.recordings.runs import find_runs

    root = Path(os.environ.get("EDDY_DATA", "."))
    found = [path for path in find_runs(root) if path.name.startswith(run)]
    if not found:
        raise DataError(f"no recordings called {run} below {root}: name the folder of the data sets in the variable EDDY_DATA")
    return max(found, key=lambda path: sum(file.stat().st_size for file in path.iterdir()))


def recordings(data: str, on_problem: "Callable[[Problem], None] | None" = None) -> "Recordings":
    """The recordings that `data` names, see `Replay`.

    Args:
        on_problem: See `eddy.links.recordings.runs.open_recordings`.

    Raises:
        SettingError: It names none.
        DataError: There are none.
    """
    from eddy.links.recordings.bearing import SimulatedBearing
    from eddy.links.recordings.runs import open_recordings

    kind, colon, where = data.partition(":")
    name, _, part = where.partition("#")
    if kind == "rig" and name.isdigit():
        return SimulatedBearing(bearings=[part] if part else [], seed=int(name))
    if kind not in ("ims", "recordings") or not colon:
        known = "ims:RUN#BEARING, recordings:PATH#BEARING, rig:SEED#BEARING or csv:FILE#COLUMN"
        raise SettingError(f"{data!r} is nothing to replay: use {known}")
    return open_recordings(_ims(name) if kind == "ims" else Path(name), [part] if part else [], on_problem=on_problem)


def _chunks(recorded: "Recordings", rate_hz: int | None) -> Iterator[tuple[int, Any]]:
    from eddy.links.recordings.recording import subsample

    for recording in recorded:
        rate = rate_hz or recording.rate_hz
        period_ns = _SECOND_NS // rate
        signal = subsample(recording.counts, recording.rate_hz, rate)[0].astype("<i2")
        for at in range(0, len(signal), CHUNK):
            yield recording.time_ns + at * period_ns, [signal[at : at + CHUNK].tobytes(), period_ns]
