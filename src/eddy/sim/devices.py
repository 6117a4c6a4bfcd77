"""A microcontroller on this machine: a real MicroPython on a flash image, its line, and what its sensor hears."""

from collections.abc import Callable
from pathlib import Path

from eddy.spec.model import App


class Device:
    """One device."""

    def __init__(self, name: str, folder: Path, app: App, key: bytes, speed: int, tell: Callable[[str], None]) -> None:
        self.port = ""

    def start(self) -> None:
        """Switch it on."""

    def turn(self) -> None:
        """What its sensor hears."""

    def close(self) -> None:
        """Switch it off."""
