"""Entry point of a device, the same for every port: settings from flash, then the node or the agent until the sensor's data end."""

import gc

# Collecting often keeps what lives long together at the start of the heap. Left to itself, MicroPython collects when the heap is full, and
# then finds a hundred free kilobytes, none of them in one piece. It matters most while the modules are loaded.
if hasattr(gc, "threshold"):
    gc.threshold(2048)

from eddy.kernel import codec


def run(folder, link, driver, clock, wait, tell, act):
    """Run the device.

    Args:
        folder: Where its flash is mounted; holds `settings.cbor`.
        link: The line to the gateway, with `read()` and `write(data)`; neither waits.
        driver: The sensor, with `read(ready)` and `ended`.
        clock: Line time, with `now_ms()`.
        wait: Called with the milliseconds of line time until something is due; returns earlier when bytes have come.
        act: Called with a pin and its level, 0 or 1.
        tell: Called once with the agent's figures when the sensor's data have ended and the line is quiet.
    """
    if hasattr(gc, "threshold"):
        gc.threshold(8192)
    with open(folder + "/settings.cbor", "rb") as file:
        settings = codec.decode(file.read())
    if settings.get("node"):
        from eddy.kernel.station import Station

        runtime = Station(folder, settings, link, driver, clock, act)
    else:
        from eddy.kernel.agent import Agent

        runtime = Agent(folder, settings, link, driver, clock)
    gc.collect()
    while not runtime.finished():
        wait(runtime.step())
    tell(runtime.figures())
