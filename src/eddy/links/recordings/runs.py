"""Opens whatever bearing recordings a folder holds, by looking at what is there.

    >>> run = open_recordings(Path("ims_bearing"), bearings=["1"])        # doctest: +SKIP
    >>> for recording in run:                                             # doctest: +SKIP
    ...     device.sample(recording.counts[0], recording.time_ns)

Known are the NASA/IMS folder as distributed, the same as `.npz` shards, and FEMTO shards. One bad file among many is reported and skipped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eddy.errors import DataError, SettingError
from eddy.links.recordings import ims, shards
from eddy.links.recordings.recording import Problem, Recording, Recordings, subsample

__all__ = ["Problem", "Recording", "Recordings", "find_runs", "open_recordings", "subsample"]

_DEPTH = 3  # the archive of NASA unpacks to IMS/3rd_test/4th_test/txt
_PREFERRED = "2nd_test"  # the test whose data is there from the healthy start to the failure
_WAY_OUT = "give the NASA/IMS folder (text files named 2004.02.12.10.32.39), or a folder or file of .npz shards"


@dataclass(frozen=True)
class _Found:
    """Files of one kind in one folder."""

    kind: str
    folder: Path
    files: tuple[Path, ...]

    def size(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def open_recordings(
    path: Path,
    bearings: Sequence[str] = (),
    axis: str | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> Recordings:
    """Opens the recordings of one run; nothing but names and positions is read before the iteration.

    Args:
        path: A folder, or one file of it. In a folder that holds several tests, IMS test 2 is taken.
        bearings: Which become channels, in this order. IMS: `1` to `4` (or `1x`, `1y` ... in test 1), all when empty.
            FEMTO: exactly one, `2_1` or its position in the folder; the first when empty.
        axis: `x`, `y` (IMS test 1) or `horizontal`, `vertical` (FEMTO); the first by default.
        on_problem: Called once for everything that is skipped, when it is noticed.

    Returns:
        The recordings, in order of time.

    Raises:
        DataError: Nothing known at `path`, or more than one run to choose from.
        SettingError: No such bearing or axis.
    """
    found = _choose(path, list(_search(path, 0)))
    if found.kind == "text":
        return ims.TextRecordings(found.files, bearings, axis, on_problem)
    if found.kind == "ims":
        return shards.ImsShards(found.files, bearings, axis, on_problem)
    return shards.FemtoShard(_femto(found, bearings), axis, on_problem)


def find_runs(path: Path) -> list[Path]:
    """Folders at or below `path` that hold recordings.

    Raises:
        DataError: There is no such path, or it cannot be looked into.
    """
    return [found.folder for found in _search(path, 0) if found.kind != "broken"]


def _search(path: Path, depth: int) -> Iterator[_Found]:
    """Recordings at `path` itself, or else in the folders below it."""
    if not path.exists():
        raise DataError(f"no recordings at {path}: it does not exist; {_WAY_OUT}")
    try:
        entries = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        raise DataError(f"cannot look into {path} ({error.strerror}): check its permissions") from None
    files = [entry for entry in entries if entry.is_file()]
    text = tuple(file for file in files if ims.NAME.fullmatch(file.name))
    if text:
        yield _Found("text", path, text)
    packed = {file: shards.kind_of(file) for file in files if file.suffix == ".npz"}
    kinds = {kind for kind in packed.values() if kind is not None}
    for kind in sorted(kinds):
        # A damaged shard has no kind: it counts with its neighbours, so that it is reported and not overlooked.
        mine = tuple(file for file, its in packed.items() if its == kind or (its is None and len(kinds) == 1))
        yield _Found(kind, path, mine)
    if packed and not kinds and not text:
        yield _Found("broken", path, tuple(packed))
    if not text and not packed and depth < _DEPTH:
        for entry in entries:
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _search(entry, depth + 1)


def _choose(path: Path, found: list[_Found]) -> _Found:
    broken = [here for here in found if here.kind == "broken"]
    found = [here for here in found if here.kind != "broken"]
    if not found and broken:
        raise DataError(f"{broken[0].files[0]} is no whole .npz with x_milli or x_milli_g: copy it again, or {_WAY_OUT}")
    if not found:
        raise DataError(f"no recordings in {path}: {_WAY_OUT}")
    if len(found) > 1 and all(here.kind != "femto" for here in found):
        preferred = [here for here in found if here.folder.name.startswith(_PREFERRED)]
        found = sorted(preferred, key=_Found.size)[-1:] or found
    if len(found) > 1:
        raise DataError(f"several runs in {path}: name one of {', '.join(str(here.folder) for here in found)}")
    return found[0]


def _femto(found: _Found, bearings: Sequence[str]) -> Path:
    """The shard of the wanted bearing."""
    files = sorted(found.files)
    names = [shards.femto_name(file) for file in files]
    if len(bearings) > 1:
        raise SettingError(f"each FEMTO bearing is a run of its own: choose one of {', '.join(names)}")
    wanted = bearings[0].removeprefix("Bearing") if bearings else names[0]
    if wanted in names:
        return files[names.index(wanted)]
    if wanted.isdecimal() and 1 <= int(wanted) <= len(files):
        return files[int(wanted) - 1]
    raise SettingError(f"no bearing {wanted!r} in {found.folder}: choose among {', '.join(names)}, or 1 to {len(files)}")
