"""Where a verb writes: people read standard error while it runs and standard output at the end, programs read JSON.

With `--json -` standard output holds nothing but the JSON.
"""

import errno
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from eddy.errors import EddyError, SettingError, SpecError, StorageFull

JSON_HELP = "Write the result as JSON to FILE, or to standard output with '-'."


def progress_console() -> Console:
    """For what is worth knowing while a verb runs."""
    return Console(stderr=True, highlight=False)


def result_console(json_target: str | None) -> Console:
    """For the result: standard output, unless JSON goes there."""
    return Console(stderr=json_target == "-", highlight=False)


def complain(error: EddyError) -> None:
    """One message, with the code under which docs and logs know it; an app's problems before it, in the form that editors jump by."""
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    text = str(error)
    if isinstance(error, SpecError):
        text = error.summary
        for diagnostic in error.diagnostics:
            out.print(str(diagnostic), markup=False)
    out.print(f"eddy: {text} (code {error.code})", markup=False, style="red")


def write_json(target: str, value: Mapping[str, Any]) -> None:
    """Writes a result to a file, or to standard output when `target` is `-`.

    Raises:
        EddyError: As `write_text`.
    """
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        write_text(Path(target), text)


def write_text(file: Path, text: str) -> None:
    """Writes a file whole or not at all, and creates its folder.

    Raises:
        StorageFull: No room.
        SettingError: The place cannot be written to.
    """
    draft = _draft(file)
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise _cannot_write(file, error) from None


def check_writable(*files: Path | str | None) -> None:
    """Finds out before a long run that its result could not be written; None and `-` are fine.

    Raises:
        EddyError: As `write_text`.
    """
    for file in files:
        if file is None or file == "-":
            continue
        if Path(file).is_dir():
            raise SettingError(f"cannot write {file}: it is a folder; name a file in it")
        try:
            draft = _draft(Path(file))
            draft.touch()
            draft.unlink()
        except OSError as error:
            raise _cannot_write(Path(file), error) from None


def _draft(file: Path) -> Path:
    """Where a file is written before it takes its name; its folder is created."""
    with suppress(OSError):  # what is wrong with the folder shows when the file is opened
        file.parent.mkdir(parents=True, exist_ok=True)
    return file.with_name(f".{file.name}.draft")


def _cannot_write(file: Path, error: OSError) -> EddyError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"no room for {file}: free some space, or choose another place")
    return SettingError(f"cannot write {file} ({error.strerror}): choose another place")
