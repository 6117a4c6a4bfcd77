"""A real board as a device: UART 1 plays the samples to it, as in the Tiny-MLOps prototype, UART 2 is the line to the gateway.

Not tried on hardware yet. A sensor of your own is any object with `read(ready)` and `ended` in the place of `Replay`.
"""

import select

import device
import machine
import replay

from eddy.kernel.clock import SystemClock

SENSOR = {"id": 1, "baudrate": 460800, "tx": 17, "rx": 16, "rxbuf": 8192}
LINE = {"id": 2, "baudrate": 2400, "tx": 25, "rx": 26, "rxbuf": 1024, "txbuf": 1536}  # room for a whole burst


class UartLink:
    """The line; `read` takes what the UART's buffer holds."""

    def __init__(self, uart):
        self._uart = uart

    def read(self):
        waiting = self._uart.any()
        return self._uart.read(waiting) if waiting else b""

    def write(self, data):
        self._uart.write(data)


def start():
    sensor = machine.UART(SENSOR.pop("id"), **SENSOR)
    line = machine.UART(LINE.pop("id"), **LINE)
    either = select.poll()
    either.register(sensor, select.POLLIN)
    either.register(line, select.POLLIN)
    driver = replay.Replay(sensor, sensor, lambda: bool(sensor.any()))

    def wait(line_ms):
        if line_ms:
            either.poll(line_ms)

    def act(pin, level):
        machine.Pin(pin, machine.Pin.OUT).value(level)

    device.run("", UartLink(line), driver, SystemClock(), wait, print, act)
