"""Vectors for `eddy.kernel.frame`: COBS by its rule of blocks, the CRC by long division of the polynomial.

The `exchange` has no oracle: it is the case's own conversation of two stations, as CPython puts it on the line.
"""

import importlib.util
import sys
from pathlib import Path

CONFORMANCE = Path(__file__).parent.parent / "conformance"

GENERATOR = 0x1A2EB
PAYLOADS = [b"\0", b"\1", b"123456789", b"\0\0\0", b"no zero", b"zero \0 inside", b"\xff" * 252, bytes(252), bytes(range(250))]


def remainder(data: bytes) -> bytes:
    """16 bits, the first 16 of the message inverted before the division."""
    value = int.from_bytes(data, "big") << 16 ^ 0xFFFF << 8 * len(data)
    for bit in range(8 * len(data) + 15, 15, -1):
        if value >> bit & 1:
            value ^= GENERATOR << bit - 16
    return value.to_bytes(2, "big")


def stuffed(data: bytes) -> bytes:
    """Each run up to a zero is preceded by its length plus one (Cheshire and Baker 1999); runs of 254 do not occur but at the end."""
    return b"".join(bytes([len(run) + 1]) + run for run in data.split(b"\0"))


def exchange() -> int:
    """CRC-32 of all bytes of the case's exchange."""
    sys.path.insert(0, str(CONFORMANCE))
    spec = importlib.util.spec_from_file_location("line_case", CONFORMANCE / "cases" / "line.py")
    assert spec and spec.loader
    case = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(case)
    sys.path.remove(str(CONFORMANCE))
    return int(case.exchange())


def vectors() -> dict[str, object]:
    return {
        "exchange": exchange(),
        "frames": [[data.hex(), (stuffed(data + remainder(data)) + b"\0").hex()] for data in PAYLOADS],
    }
