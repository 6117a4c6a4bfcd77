"""Frames on a byte stream: payload + CRC-16, stuffed so that 0x00 only ever ends a frame.

Stuffing is COBS (Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7:2, 1999): one byte for every
started 254, whatever the payload holds. A listener that joins late, or loses bytes, is in step again at the next 0x00.

The CRC polynomial is 0xD175 in Koopman's notation (x^16 + ... + 1 = 0x1A2EB; Koopman, Best CRC Polynomials): it detects any three flipped
bits in up to 32,751, any five in up to 93, every odd number of them and every burst of 16 bits, so every single garbled byte. The
CCITT polynomial has itself only four terms and so misses patterns of four at any length; those that detect four flips in up to 241 bits
miss patterns of two beyond, and long frames are what a clean line uses.

A frame costs 4 bytes: stuffing, CRC, delimiter.
"""

from array import array

from eddy.kernel.errors import FrameError

OVERHEAD = 4  # bytes a frame adds to a payload of up to MAX_PAYLOAD
MAX_PAYLOAD = 252  # bytes; one stuffing byte covers payload and CRC up to here

_POLYNOMIAL = 0xA2EB  # 0xD175 with the x^16 term left out and the +1 written


def _table() -> "array[int]":
    table = array("H")
    for byte in range(256):
        remainder = byte << 8
        for _ in range(8):
            remainder <<= 1
            if remainder & 0x10000:
                remainder ^= _POLYNOMIAL | 0x10000
        table.append(remainder)
    return table


_TABLE = _table()


def crc16(data: bytes | bytearray | memoryview) -> int:
    """The CRC of `data`, in [0, 65535]; most significant bit first, starting from 0xFFFF so that leading zeros count."""
    crc = 0xFFFF
    for byte in data:
        crc = ((crc << 8) & 0xFFFF) ^ _TABLE[(crc >> 8) ^ byte]
    return crc


def encode(payload: bytes | bytearray | memoryview) -> bytes:
    """The bytes to put on the wire for one payload, delimiter included.

    >>> encode(b"go").hex()
    '05676f97d800'

    Args:
        payload: 1 to 252 bytes of any values.

    Raises:
        FrameError: The payload is empty or too long for one frame.
    """
    size = len(payload)
    if not 1 <= size <= MAX_PAYLOAD:
        raise FrameError("a frame holds 1 to %d bytes, not %d: split the payload" % (MAX_PAYLOAD, size))
    crc = crc16(payload)
    out = bytearray(size + OVERHEAD)
    out[1 : size + 1] = payload
    out[size + 1] = crc >> 8
    out[size + 2] = crc & 0xFF
    # Each zero is replaced by the distance to the next one; the last of the chain points at the delimiter.
    mark = 0
    for i in range(1, size + 3):
        if out[i] == 0:
            out[mark] = i - mark
            mark = i
    out[mark] = size + 3 - mark
    return bytes(out)


def _unstuff(frame: bytearray) -> bytes | None:
    """The payload of a frame without its delimiter, checked; None when it was damaged. Works inside `frame`."""
    end = len(frame)
    if not OVERHEAD <= end <= MAX_PAYLOAD + OVERHEAD - 1:
        return None
    mark = 0
    while mark < end:
        step = frame[mark]
        frame[mark] = 0
        mark += step
    if mark != end:
        return None
    payload = bytes(memoryview(frame)[1 : end - 2])
    if crc16(payload) != frame[end - 2] << 8 | frame[end - 1]:
        return None
    return payload


class Decoder:
    """Finds the frames in a stream of bytes that arrives in pieces of any size.

    >>> decoder = Decoder()
    >>> decoder.push(b"noise" + bytes([0]) + encode(b"go")[:3])
    []
    >>> decoder.push(encode(b"go")[3:]), decoder.bad
    ([b'go'], 1)

    Args:
        max_size: Longest payload in bytes, up to 252; anything longer is dropped as damaged, so no more than that is ever kept.
    """

    def __init__(self, max_size: int = MAX_PAYLOAD) -> None:
        if not 1 <= max_size <= MAX_PAYLOAD:
            raise FrameError("a frame holds 1 to %d bytes, not %d" % (MAX_PAYLOAD, max_size))
        self.bad = 0  # damaged frames seen so far
        self._room = max_size + OVERHEAD - 1
        self._partial = bytearray()
        self._skipping = False

    def push(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Take the next bytes from the line; returns the payloads of the undamaged frames that they complete, in order."""
        payloads = []
        start = 0
        for i in range(len(data)):
            if data[i] == 0:
                payload = self._end(data, start, i)
                if payload is not None:
                    payloads.append(payload)
                start = i + 1
        self._keep(data, start, len(data))
        return payloads

    def reset(self) -> None:
        """Forget a partial frame, for when it is known that its rest will not come."""
        if self._partial or self._skipping:
            self.bad += 1
        self._partial = bytearray()
        self._skipping = False

    def _keep(self, data: bytes | bytearray | memoryview, start: int, stop: int) -> None:
        if self._skipping:
            return
        if len(self._partial) + stop - start > self._room:
            self._partial = bytearray()
            self._skipping = True
            return
        self._partial.extend(data[start:stop])

    def _end(self, data: bytes | bytearray | memoryview, start: int, stop: int) -> bytes | None:
        self._keep(data, start, stop)
        frame = self._partial
        skipped = self._skipping
        self._partial = bytearray()
        self._skipping = False
        if not frame and not skipped:
            return None  # two delimiters in a row: nothing was lost
        payload = None if skipped else _unstuff(frame)
        if payload is None:
            self.bad += 1
        return payload
