"""Driver `replay`: a stream plays recordings to the device, as the first UART of the Tiny-MLOps prototype does.

The device asks with a line `?`; the other end answers with a head of 16 bytes, little-endian (time_ns u64, period_ns u32, count u32), and
`count` int16 samples. A count of 0 ends the data.
"""

import array
import struct

try:
    import uctypes

    def bytes_of(samples):
        """The memory of an int16 array as bytes."""
        return memoryview(uctypes.bytearray_at(uctypes.addressof(samples), 2 * len(samples)))

except ImportError:  # CPython

    def bytes_of(samples):
        """The memory of an int16 array as bytes."""
        return memoryview(samples).cast("B")


_CHUNK = 1024  # samples handed on at once: 2 KiB of heap


class Replay:
    """Samples from a stream.

    Args:
        source: Binary stream with `readinto`, which may give less than asked for.
        sink: Binary stream with `write`.
        waiting: Callable that says whether bytes can be read from `source` now.
    """

    def __init__(self, source, sink, waiting):
        self._source = source
        self._sink = sink
        self._waiting = waiting
        self._samples = array.array("h", bytes(2 * _CHUNK))
        self._bytes = bytes_of(self._samples)
        self._time_ns = 0
        self._period_ns = 0
        self._left = 0
        self._asked = False
        self.ended = False

    def read(self, ready):
        """The next samples, or None when none have come.

        Args:
            ready: False holds back the question for more.

        Returns:
            (samples: memoryview of int16, time_ns of the first one, period_ns) or None.

        Raises:
            OSError: The other end has gone.
        """
        if self._left == 0 and not self._head(ready):
            return None
        count = min(self._left, _CHUNK)
        self._fill(self._bytes[: 2 * count])
        start = self._time_ns
        self._left -= count
        self._time_ns += count * self._period_ns
        return memoryview(self._samples)[:count], start, self._period_ns

    def _fill(self, target):
        filled = 0
        while filled < len(target):
            count = self._source.readinto(target[filled:])
            if count == 0:
                raise OSError("the sensor's stream has ended in the middle of a recording")
            filled += count or 0  # None: nothing there yet

    def _head(self, ready):
        if self.ended or not (self._asked or ready):
            return False
        if not self._asked:
            self._sink.write(b"?\n")
            self._asked = True
        if not self._waiting():
            return False
        head = bytearray(16)
        self._fill(memoryview(head))
        self._time_ns, self._period_ns, self._left = struct.unpack("<QII", head)
        self._asked = False
        self.ended = self._left == 0
        return not self.ended
