"""MicroPython's unix port as a device: `micropython -X heapsize=256k -m unix IMAGE PORT SCALE BLOCKS`.

IMAGE is a file that holds the flash, PORT a terminal (a pty or a serial port), SCALE how many times faster than real the line runs.
The sensor's samples come on standard input (see replay.py); lines on standard output ask for them and tell the final figures.
"""

import json
import select
import sys
import termios

import flash


class TerminalLink:
    """A terminal in raw mode. Bytes are read one at a time, as many as poll announces: a longer read would wait for all of them."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        termios.setraw(self.file.fileno())
        self._poll = select.poll()
        self._poll.register(self.file, select.POLLIN)

    def read(self):
        data = bytearray()
        while len(data) < 512 and self._poll.poll(0):
            byte = self.file.read(1)
            if not byte:
                raise OSError("the line has gone")
            data += byte
        return data

    def write(self, data):
        self.file.write(data)


def start(image, port, scale, blocks):
    flash.mount(flash.HostFlash(image, blocks), "/flash")
    sys.path[:] = ["/flash/lib", ".frozen"]
    import device
    import replay

    from eddy.kernel.clock import SystemClock

    link = TerminalLink(port)
    sensor = select.poll()
    sensor.register(sys.stdin, select.POLLIN)
    either = select.poll()
    either.register(sys.stdin, select.POLLIN)
    either.register(link.file, select.POLLIN)

    def wait(line_ms):
        if line_ms:
            either.poll(max(1, line_ms // scale))

    def tell(figures):
        sys.stdout.write("!" + json.dumps(figures) + "\n")

    def act(pin, level):
        sys.stdout.write("=%d %d\n" % (pin, level))

    driver = replay.Replay(sys.stdin.buffer, sys.stdout.buffer, lambda: bool(sensor.poll(0)))
    device.run("/flash", link, driver, SystemClock(scale), wait, tell, act)


if __name__ == "__main__":
    start(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
