"""Driver `log`: samples as lines of JSON in a file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eddy.errors import StorageFull
from eddy.kernel.replica import CAPACITY
from eddy.links.driver import as_json
from eddy.spec.measured import alarm

_TAIL_BYTES = 32 << 20


class Log:
    """Appends `{"key", "time_ns", "value"}`, each line durable before `write` returns, and no key twice, also after a restart.

    It remembers the keys of as many lines as an outbox keeps samples (65,536, or those in the last 32 MiB of the file): nothing older can
    come again. A line that a crash has cut off is removed at the start.

    Args:
        file: Where to write; folders are made.
        alarms: What is known of the values of alarms, see `eddy.spec.measured.alarm`: they are told as they were measured.
    """

    def __init__(self, *, file: str, alarms: Mapping[str, Any] | None = None) -> None:
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._where = file
        self._alarms = alarms or {}
        self._file = path.open("a+b", buffering=0)
        self._end = self._whole()
        self._keys = dict.fromkeys(self._read_keys())

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Append it, unless it is there.

        Raises:
            StorageFull: There is no room, or no disk any more; the file is as before.
        """
        if key in self._keys:
            return
        line = as_json(key, time_ns, alarm(value, self._alarms)) + b"\n"
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError("the disk took a part of a line")
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(self._end)
            raise StorageFull(f"{self._where} cannot be written ({error.strerror or error}): make room; it is tried again") from None
        self._end += len(line)
        self._keys[key] = None
        if len(self._keys) > CAPACITY:
            del self._keys[next(iter(self._keys))]

    def safe(self, value: Any) -> None:
        """Nothing: a log does nobody harm."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _whole(self) -> int:
        """Where the last whole line ends; what is behind is cut off."""
        end = self._file.seek(0, os.SEEK_END)
        start = max(0, end - _TAIL_BYTES)
        self._file.seek(start)
        tail = self._file.read()
        end = start + tail.rfind(b"\n") + 1
        self._file.truncate(end)
        return end

    def _read_keys(self) -> list[str]:
        self._file.seek(max(0, self._end - _TAIL_BYTES))
        lines = self._file.read().splitlines()[-CAPACITY:]
        keys = []
        for line in lines:
            try:
                keys.append(json.loads(line)["key"])
            except (ValueError, KeyError, TypeError):
                continue  # the first one may be cut, and people write into logs
        return keys
