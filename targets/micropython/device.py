"""Entry point of a device, the same for every port: settings from flash, then the station until the sensor's data end."""

import gc

# Collecting often keeps what lives long together at the start of the heap. Left to itself, MicroPython collects when the heap is full, and
# then finds a hundred free kilobytes, none of them in one piece. It matters most while the modules are loaded.
if hasattr(gc, "threshold"):
    gc.threshold(2048)

from eddy.kernel import codec
from eddy.kernel.station import Station


def run(folder, link, driver, clock, wait, tell, act):
    """Run the device.

    Args:
        folder: Where its flash is mounted; holds `settings.cbor`.
        link: The line to the gateway, with `read()` and `write(data)`; neither waits.
        driver: The sensor, with `read(ready)` and `ended`.
        clock: Line time, with `now_ms()`.
        wait: Called with the milliseconds of line time until something is due; returns earlier when bytes have come.
        act: Called with a pin and its level, 0 or 1.
        tell: Called once with the station's figures when the sensor's data have ended and the line is quiet.
    """
    if hasattr(gc, "threshold"):
        gc.threshold(8192)
    with open(folder + "/settings.cbor", "rb") as file:
        settings = codec.decode(file.read())
    station = Station(folder, settings, link, driver, clock, act)
    gc.collect()
    while not station.finished():
        wait(station.step())
    tell(station.figures())
