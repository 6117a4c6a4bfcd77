"""What deltalake leaves out: a commit of a table in a folder is on the disk before anything is said, and a torn one is dropped.

deltalake writes the data files, then the entry of the log, and never calls fsync: after a power cut each of them may be missing, short
or full of zeros. `harden` makes a commit durable; since it runs after every commit, only the newest can be torn, and whoever sent its
samples still has them: `mend` drops it before a table is opened for writing.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from eddy.knowledge.extra import load

LOG = "_delta_log"
POSITIONS = "eddy.positions"
"""In what a commit says about itself: how many positions of senders it moves."""

_LAST_CHECKPOINT = "_last_checkpoint"
_ALTERS = "SET TBLPROPERTIES"
_COUNTS = {"add": ("num_added_files", "numFilesAdded"), "remove": ("num_removed_files", "numFilesRemoved")}


def entry(folder: Path, version: int) -> Path:
    """Where a commit stands in the log."""
    return folder / LOG / f"{version:020}.json"


def harden(folder: Path, since: int, known: set[Path] | None = None) -> None:
    """Bring the commits after version `since` to the disk: data files, entries of the log, and the folders that name them.

    Args:
        folder: Of the table.
        since: -1 for all of them.
        known: Folders whose own names are on the disk; those that are now are added.
    """
    known = set() if known is None else known
    touched = {folder / LOG}
    version = since + 1
    while (file := entry(folder, version)).exists():
        for action in _actions(file):
            if "add" in action:
                data = folder / unquote(action["add"]["path"])
                sync(data)
                touched.add(data.parent)
        sync(file)
        version += 1
    fresh = touched - known
    for one in touched:
        sync(one)
    if fresh:
        sync(folder)
        sync(folder.parent)
        known |= fresh


def harden_checkpoint(folder: Path) -> None:
    """Bring the newest checkpoint to the disk: old entries of the log may go only then."""
    pointer = folder / LOG / _LAST_CHECKPOINT
    if not pointer.exists():
        return
    for file in (folder / LOG).glob(f"{json.loads(pointer.read_text())['version']:020}.checkpoint*.parquet"):
        sync(file)
    sync(pointer)
    sync(folder / LOG)


def mend(folder: Path) -> list[int]:
    """Drop what a power cut has torn, and make the newest whole commit durable.

    Returns:
        Versions that were dropped.
    """
    log = folder / LOG
    if not log.is_dir():
        return []
    versions = sorted(int(file.stem) for file in log.glob("*.json") if file.stem.isdigit())
    dropped = []
    summed_up = _checkpoint(log)
    while versions and versions[-1] > summed_up and not _is_whole(folder, versions[-1]):
        dropped.append(versions.pop())
        drop(folder, dropped[-1])
    if versions:
        harden(folder, versions[-1] - 1)
    return dropped


def drop(folder: Path, version: int) -> None:
    """Undo the newest commit: its data files are nobody's then."""
    file = entry(folder, version)
    try:
        added = [folder / unquote(action["add"]["path"]) for action in _actions(file) if "add" in action]
    except (ValueError, KeyError, TypeError):
        added = []  # what it named is found by the next vacuum
    file.unlink(missing_ok=True)
    sync(file.parent)
    for data in added:
        data.unlink(missing_ok=True)


def forget_log(folder: Path) -> int:
    """Remove the entries that the newest checkpoint sums up, but its own; returns how many. Older versions cannot be read any more."""
    upto = _checkpoint(folder / LOG)
    old = [file for file in (folder / LOG).glob("*.json") if file.stem.isdigit() and int(file.stem) < upto]
    old += [file for file in (folder / LOG).glob("*.checkpoint*.parquet") if int(file.name.partition(".")[0]) < upto]
    for file in old:
        file.unlink()
    sync(folder / LOG)
    return len(old)


def sync(path: Path) -> None:
    """fsync a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _actions(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").split("\n"):
        action = json.loads(line)
        if not isinstance(action, dict):
            raise ValueError("no action")
        yield action


def _is_whole(folder: Path, version: int) -> bool:
    try:
        actions = list(_actions(entry(folder, version)))
        kinds = {kind for action in actions for kind in action}
        said: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        alters = ("metaData",) if said.get("operation") == _ALTERS else ()
        if not {"commitInfo", *(("protocol", "metaData") if version == 0 else alters)} <= kinds:
            return False
        metrics = said.get("operationMetrics") or {}
        for kind, names in _COUNTS.items():
            there = sum(kind in action for action in actions)
            if any(name in metrics and int(metrics[name]) != there for name in names):
                return False
        if int(said.get(POSITIONS, 0)) != sum("txn" in action for action in actions):
            return False
        return all(_is_readable(folder / unquote(action["add"]["path"]), action["add"]) for action in actions if "add" in action)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_readable(file: Path, added: dict[str, Any]) -> bool:
    """Whether a data file is all there: every page is read, since zeros can stand anywhere."""
    if file.stat().st_size != added["size"]:
        return False
    try:
        with load("pyarrow.parquet").ParquetFile(file) as parquet:
            rows = sum(batch.num_rows for batch in parquet.iter_batches())
            return bool(rows == parquet.metadata.num_rows)
    except Exception:  # whatever the reader says to a damaged file
        return False


def _checkpoint(log: Path) -> int:
    """Version of the newest whole checkpoint, -1 when there is none; a torn one goes, since what it sums up is still there.

    What a checkpoint sums up was made durable before.
    """
    for file in log.glob("*.checkpoint*.parquet"):
        if not _is_readable(file, {"size": file.stat().st_size}):
            file.unlink()
    pointer = log / _LAST_CHECKPOINT
    try:
        version = int(json.loads(pointer.read_text())["version"])
    except FileNotFoundError:
        return -1
    except (ValueError, KeyError, TypeError):
        version = -1
    if version >= 0 and any(log.glob(f"{version:020}.checkpoint*.parquet")):
        return version
    pointer.unlink()
    sync(log)
    return -1
