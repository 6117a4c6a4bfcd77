"""Driver `gpio`: an output pin. Simulated: its level stands in a file, so that everything but the copper can be tried."""

from pathlib import Path
from typing import Any

from eddy.errors import BadInput, SettingError

_LEVELS = {"on": 1, "high": 1, "off": 0, "low": 0}


class Pin:
    """A pin that is high while the last sample was true: of a rule's `[level, time]` the level, else the value itself.

    Setting a pin twice changes nothing, so the key of a sample does not matter here.

    Args:
        pin: Its number, 0 to 255.
        folder: Where its file `gpio<pin>` lies.

    Raises:
        SettingError: No such pin.
    """

    def __init__(self, *, pin: int, folder: str = ".eddy/gpio") -> None:
        if not 0 <= pin <= 255:
            raise SettingError(f"there is no pin {pin}: use 0 to 255")
        self._file = Path(folder) / f"gpio{pin}"
        self._file.parent.mkdir(parents=True, exist_ok=True)

    def write(self, key: str, time_ns: int, value: Any) -> None:
        """Set the level."""
        self._set(value[0] if isinstance(value, list) and value else value)

    def safe(self, value: Any) -> None:
        """Set this level: `on`, `off`, 1, 0."""
        self._set(value)

    def level(self) -> int:
        """What the pin is set to; low before it was ever set."""
        return int(self._file.read_text()) if self._file.exists() else 0

    def _set(self, value: Any) -> None:
        level = _LEVELS.get(value) if isinstance(value, str) else int(bool(value)) if isinstance(value, int) else None
        if level is None:
            raise BadInput(f"{value!r} is no level of a pin: use on or off, 1 or 0")
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{level}\n")
        fresh.replace(self._file)
