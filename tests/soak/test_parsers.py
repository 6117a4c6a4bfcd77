"""Parsers of what comes from a line: whatever arrives, they take it or refuse it, in bounded time and memory.

A campaign draws inputs for codec, frame, manifest and package in turn. Half of them are valid ones damaged at random; the other half are
damaged where it matters and then repaired (lengths, CRC, hash, signature), so that they get past the checks that would have caught them.
"""

import hashlib
import random
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from types import FrameType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import EddyError
from eddy.kernel import codec, frame, package

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
INPUTS = 200_000
MEASURED = 25  # every how many inputs time and memory are measured

# An empty list takes one byte of input and 80 of CPython's memory; a signature's verification takes 9,000 lines whatever it is about.
MEMORY_BYTES, MEMORY_PER_BYTE = 40_000, 128
LINES, LINES_PER_BYTE = 20_000, 50


class Damage:
    """Where the inputs come from: everything is drawn from one seeded generator."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        body = package.encode_body(self.rng.randbytes(60), ["rms", "kurtosis"], {"threshold": 39321, "window": 1024})
        self.body = body
        self.fields: dict[object, object] = {1: "pump", 2: "pump-1", 3: 5, 4: b"", 5: len(body), 6: hashlib.sha256(body).digest()}
        self.package = self.signed(codec.encode(self.fields), body)
        self.value = [0, -1, 2**64 - 1, b"bytes", "text é", {"a": [True, None], -5: {}, b"k": [[[]]]}, 500, list(range(30))]

    def bytes_of(self, data: bytes) -> bytes:
        """`data` with one to four changes of the kinds that lines, disks and people make."""
        changed = bytearray(data)
        for _ in range(self.rng.randrange(1, 5)):
            at = self.rng.randrange(len(changed) + 1)
            end = min(len(changed), at + self.rng.randrange(1, 9))
            kind = self.rng.randrange(7)
            if kind == 0 and at < len(changed):
                changed[at] ^= 1 << self.rng.randrange(8)
            elif kind == 1 and at < len(changed):
                changed[at] = self.rng.choice(b"\x00\x01\x17\x18\x1b\x5b\x7b\x80\x9b\x9f\xa0\xbb\xbf\xc0\xf4\xf6\xfb\xff")
            elif kind == 2:
                changed[at:at] = self.rng.randbytes(end - at)
            elif kind == 3:
                del changed[at:end]
            elif kind == 4:
                changed[at:at] = changed[at:end] * self.rng.randrange(1, 9)
            elif kind == 5:
                del changed[at:]
            else:
                changed[at:end] = self.rng.randbytes(end - at)
        result = bytes(changed) if self.rng.randrange(20) else self.rng.randbytes(self.rng.randrange(80))
        return result if result != data else self.bytes_of(data)

    def value_of(self, value: object, depth: int = 0) -> object:
        """`value` with parts replaced, dropped, doubled or wrapped, as something that can still be encoded."""
        if self.rng.random() < 0.06:
            return self.rng.choice([None, False, 0, 2**32, -1, 2**64 - 1, "", "*", "x" * 70, b"", bytes(32), bytes(300), [], {}, [value]])
        if isinstance(value, dict):
            kept = {key: self.value_of(part, depth + 1) for key, part in value.items() if self.rng.random() > 0.03}
            return kept | {self.rng.randrange(9): value} if self.rng.random() < 0.03 and depth < 4 else kept
        if isinstance(value, list):
            return [self.value_of(part, depth + 1) for part in value for _ in range(self.rng.choice([1] * 20 + [0, 2]))]
        if isinstance(value, bytes) and value and self.rng.random() < 0.1:
            return self.bytes_of(value)
        if isinstance(value, int) and self.rng.random() < 0.1:
            return value + self.rng.choice([-1, 1, 255, -(2**31)]) if abs(value) < 2**63 else 0
        return value

    def loosely_encoded(self, value: object) -> bytes:
        """CBOR whose lengths are right, but not always the deterministic one: long heads, any order, other simple values."""
        if isinstance(value, (list, tuple)):
            return self.head(4, len(value)) + b"".join(map(self.loosely_encoded, value))
        if isinstance(value, dict):
            pairs = [(codec.encode(key), self.loosely_encoded(part)) for key, part in value.items()]
            pairs.sort(key=lambda pair: pair[0])
            if self.rng.random() < 0.05:
                self.rng.shuffle(pairs)
            return self.head(5, len(pairs)) + b"".join(key + part for key, part in pairs)
        if isinstance(value, (bytes, str)):
            raw = value if isinstance(value, bytes) else value.encode()
            return self.head(2 if isinstance(value, bytes) else 3, len(raw)) + raw
        if isinstance(value, int) and not isinstance(value, bool):
            return self.head(0, value) if value >= 0 else self.head(1, -1 - value)
        return bytes([self.rng.randrange(0xE0, 0xF8)]) if self.rng.random() < 0.05 else codec.encode(value)

    def head(self, major: int, argument: int) -> bytes:
        width = next(width for width in (0, 1, 2, 4, 8) if argument < (24 if width == 0 else 256**width))
        if self.rng.random() < 0.01:
            width = max(width, self.rng.choice([1, 2, 4, 8]))
        if width == 0:
            return bytes([major << 5 | argument])
        return bytes([major << 5 | 24 + (1, 2, 4, 8).index(width)]) + argument.to_bytes(width, "big")

    def signed(self, manifest: bytes, body: bytes) -> bytes:
        return codec.encode([manifest, KEY.sign(package.DOMAIN + manifest), body])

    def codec_input(self, repaired: bool) -> bytes:
        return self.loosely_encoded(self.value_of(self.value)) if repaired else self.bytes_of(codec.encode(self.value))

    def frame_input(self, repaired: bool) -> bytes:
        """A stream of frames; repaired ones hold any content, also none and too much, with the right CRC and stuffing."""
        payloads = [self.rng.randbytes(self.rng.choice([1, 2, 20, 60, 252])) for _ in range(self.rng.randrange(1, 5))]
        if not repaired:
            return self.bytes_of(b"".join(map(frame.encode, payloads)))
        contents = [self.bytes_of(payload)[:252] for payload in payloads]
        return b"".join(stuffed(content + frame.crc16(content).to_bytes(2, "big")) for content in contents)

    def manifest_input(self, repaired: bool) -> bytes:
        return self.loosely_encoded(self.value_of(self.fields)) if repaired else self.bytes_of(codec.encode(self.fields))

    def package_input(self, repaired: bool) -> bytes:
        if not repaired:
            return self.bytes_of(self.package)
        body = self.rng.choice([self.body, self.loosely_encoded(self.value_of(codec.decode(self.body))), self.bytes_of(self.body)])
        fields = self.fields | {5: len(body), 6: hashlib.sha256(body).digest()}
        return self.signed(self.loosely_encoded(self.value_of(fields) if self.rng.randrange(2) else fields), body)


def stuffed(raw: bytes) -> bytes:
    """COBS of at most 254 bytes, and the delimiter."""
    return b"".join(bytes([len(run) + 1]) + run for run in raw.split(b"\0")) + b"\0"


def parse_codec(data: bytes, repaired: bool) -> None:
    assert codec.encode(codec.decode(data)) == data


def parse_frame(data: bytes, repaired: bool) -> None:
    decoder = frame.Decoder(100)
    middle = len(data) // 2
    payloads = decoder.push(data[:middle]) + decoder.push(data[middle:])
    assert all(len(payload) <= 100 for payload in payloads)
    assert len(payloads) + decoder.bad <= data.count(0)
    assert sum(map(len, payloads)) <= len(data)


def parse_manifest(data: bytes, repaired: bool) -> None:
    assert package.Manifest.decode(data).encode() == data


def parse_package(data: bytes, repaired: bool) -> None:
    manifest, body = package.open_package(data, PUBLIC, "pump-1", "pump", 4)
    assert repaired, "a damaged package was taken"
    assert manifest.size == len(codec.encode(body))


PARSERS: list[tuple[Callable[[Damage, bool], bytes], Callable[[bytes, bool], None]]] = [
    (Damage.codec_input, parse_codec),
    (Damage.frame_input, parse_frame),
    (Damage.manifest_input, parse_manifest),
    (Damage.package_input, parse_package),
]


def measured(parse: Callable[[], None]) -> tuple[int, int]:
    """Run it; returns the peak of the memory that it took, in bytes, and the lines of Python that it ran."""
    lines = 0

    def count(stack: FrameType, event: str, argument: object) -> object:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    tracemalloc.start()
    sys.settrace(count)
    try:
        parse()
    finally:
        sys.settrace(before)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, lines


def accepted(parse: Callable[[bytes, bool], None], data: bytes, repaired: bool) -> bool:
    """Whether the parser took the input; anything but taking and an EddyError is passed on."""
    try:
        parse(data, repaired)
    except EddyError:
        return False
    except BaseException as error:
        error.add_note(f"input of {parse.__name__}: {data.hex()}")
        raise
    return True


def campaign(inputs: int, seed: int) -> dict[tuple[str, bool], int]:
    """Parse so many inputs; returns how many were taken, by parser and whether they had been repaired."""
    damage = Damage(seed)
    taken = {(parse.__name__, repaired): 0 for _, parse in PARSERS for repaired in (False, True)}
    for number in range(inputs):
        make, parse = PARSERS[number % 4]
        repaired = bool(number // 4 % 2)
        data = make(damage, repaired)
        if number // 8 % MEASURED:
            taken[parse.__name__, repaired] += accepted(parse, data, repaired)
        else:
            peak, lines = measured(lambda parse=parse, data=data, repaired=repaired: accepted(parse, data, repaired))
            assert peak <= MEMORY_BYTES + MEMORY_PER_BYTE * len(data), (parse.__name__, data.hex())
            assert lines <= LINES + LINES_PER_BYTE * len(data), (parse.__name__, data.hex())
    return taken


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [INPUTS // 20, pytest.param(INPUTS, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_no_input_crashes_hangs_or_swells_a_parser(inputs: int) -> None:
    taken = campaign(inputs, seed=inputs)
    each = inputs // 8
    # The campaign means something only while damage is refused and a good part of what was repaired gets through.
    assert taken["parse_package", False] == 0
    for name in ("parse_codec", "parse_manifest", "parse_package"):
        assert taken[name, True] > each // 20, taken


def test_the_worst_values_for_memory_stay_within_the_bound() -> None:
    many = 5000
    for data in (
        codec.encode([[]] * many),
        codec.encode({number: {} for number in range(many)}),
        codec.encode(["\U0001f600"] * many),
        codec.encode([None] * many),
    ):
        peak, lines = measured(lambda data=data: accepted(parse_codec, data, repaired=False))
        assert peak <= MEMORY_BYTES + MEMORY_PER_BYTE * len(data)
        assert lines <= LINES + LINES_PER_BYTE * len(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_package_and_no_manifest(data: bytes) -> None:
    assert not accepted(parse_package, data, repaired=False)
    assert not accepted(parse_manifest, data, repaired=False)


@given(st.lists(st.binary(min_size=1, max_size=252), max_size=6), st.lists(st.integers(0, 1500), max_size=5), st.binary(max_size=300))
def test_frames_come_out_whole_after_any_noise(payloads: list[bytes], cuts: list[int], noise: bytes) -> None:
    stream = noise + b"\0" + b"".join(map(frame.encode, payloads))
    decoder = frame.Decoder()
    received: list[bytes] = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, end in pairwise(edges):
        received += decoder.push(stream[start:end])
    assert received[len(received) - len(payloads) :] == payloads
