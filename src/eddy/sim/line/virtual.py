"""The line in virtual time, between two state machines in the same process: deterministic, and as fast as they are."""

from typing import Protocol

from eddy.sim.line.model import DEVICE, ENDS, GATEWAY, Line

STEP_BYTES = 4  # what a serial driver hands over at once


class Station(Protocol):
    """What sits at an end: `eddy.kernel.arq.Arq`, or anything with its way of working."""

    def poll(self, now_ms: int) -> bytes | None:
        """Bytes to put on the line now."""

    def receive(self, data: bytes, now_ms: int) -> None:
        """Bytes from the line."""

    def deadline(self, now_ms: int) -> int | None:
        """When to poll next at the latest, in milliseconds."""


class VirtualLine:
    """Drives two stations over a `Line` without waiting.

    Args:
        line: The line; its seed makes everything repeatable.
        device: Station at the device's end.
        gateway: Station at the gateway's end.
    """

    def __init__(self, line: Line, device: Station, gateway: Station) -> None:
        self.line = line
        self.stations = [device, gateway]
        self.now_us = 0.0

    def now_ms(self) -> int:
        """The time that was reached, in whole milliseconds."""
        return int(self.now_us // 1000)

    def replace(self, end: int, station: Station) -> None:
        """Reset an end: another station takes its place; what the old one had handed to its transmitter is still sent."""
        self.stations[end] = station

    def step(self, until_us: float) -> bool:
        """Go to the next moment at which anything can happen, but not past `until_us`; False when nothing will happen any more."""
        now_ms = self.now_ms()
        for end in ENDS:
            burst = self.stations[end].poll(now_ms)
            if burst:
                self.line.write(end, burst, self.now_us)
        moments = [deadline * 1000.0 for station in self.stations if (deadline := station.deadline(now_ms)) is not None]
        next_us = self.line.next_us(STEP_BYTES)
        if next_us is not None:
            moments.append(next_us)
        if not moments:
            self.now_us = until_us
            return False
        self.now_us = min(max(min(moments), self.now_us), until_us)
        arrived = self.line.advance(self.now_us)
        for end in ENDS:
            if arrived[end]:
                self.stations[end].receive(arrived[end], self.now_ms())
        return True

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        until_us = self.now_us + seconds * 1e6
        while self.now_us < until_us:
            self.step(until_us)


__all__ = ["DEVICE", "ENDS", "GATEWAY", "Station", "VirtualLine"]
