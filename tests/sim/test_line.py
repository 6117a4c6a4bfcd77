import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.kernel.arq import Arq
from eddy.kernel.frame import Decoder, encode
from eddy.sim.line import DEVICE, GATEWAY, Line, VirtualLine

BYTE_US = 10_000  # at 1,000 baud
TURN_US = 10_000


def arrivals(line: Line, until_us: float) -> list[tuple[float, bytes, bytes]]:
    """Let the line run; returns (time, what arrived at the device, at the gateway)."""
    found = []
    while (now_us := line.next_us()) is not None and now_us <= until_us:
        at_device, at_gateway = line.advance(now_us)
        if at_device or at_gateway:
            found.append((now_us, at_device, at_gateway))
    return found


def test_a_byte_takes_ten_bits_of_time() -> None:
    line = Line(baud=1000)
    line.write(DEVICE, b"abc", 5_000)
    assert arrivals(line, 1e6) == [(15_000, b"", b"a"), (25_000, b"", b"b"), (35_000, b"", b"c")]
    assert line.next_us() is None


def test_bytes_written_meanwhile_follow_without_a_pause() -> None:
    line = Line(baud=1000)
    line.write(DEVICE, b"ab", 0)
    assert line.advance(12_000) == (b"", b"a")
    line.write(DEVICE, b"c", 12_000)
    assert arrivals(line, 1e6) == [(20_000, b"", b"b"), (30_000, b"", b"c")]


def test_an_answer_waits_for_the_line_to_turn_around() -> None:
    line = Line(baud=1000, turn_ms=10)
    line.write(DEVICE, b"a", 0)
    line.advance(10_000)
    line.write(GATEWAY, b"b", 10_000)
    assert arrivals(line, 1e6) == [(10_000 + TURN_US + BYTE_US, b"b", b"")]


def test_a_line_that_has_turned_meanwhile_is_not_waited_for() -> None:
    line = Line(baud=1000, turn_ms=10)
    line.write(DEVICE, b"a", 0)
    line.advance(100_000)
    line.write(GATEWAY, b"b", 100_000)
    assert arrivals(line, 1e6) == [(110_000, b"b", b"")]


def test_two_that_talk_at_once_garble_each_other_while_they_overlap() -> None:
    line = Line(baud=1000, seed=1)
    line.write(DEVICE, b"aaaa", 0)
    line.advance(15_000)
    line.write(GATEWAY, b"bbbbbb", 15_000)
    found = arrivals(line, 1e6)
    at_device = b"".join(device for _, device, _ in found)
    at_gateway = b"".join(gateway for _, _, gateway in found)
    # The device's second byte ends at 20 ms, its fourth at 40; the gateway starts at 15.
    assert at_gateway != b"aaa" and len(at_gateway) == 3
    assert at_device[3:] == b"bbb" and at_device[:3] != b"bbb"
    assert line.mark()["collisions"] == 6


def test_time_of_a_collision_is_counted_once() -> None:
    line = Line(baud=1000)
    line.write(DEVICE, b"aaaa", 0)
    line.write(GATEWAY, b"bbbb", 0)
    line.advance(1e6)
    stats = line.mark()
    assert stats["bytes"] == 8
    assert stats["busy_s"] == pytest.approx(0.04)
    assert stats["channel_use"] == pytest.approx(1)


def test_lost_frames_take_time_but_nothing_of_them_arrives() -> None:
    line = Line(baud=1000, loss=0.3, seed=5)
    frames = [encode(bytes([number, 1, 2])) for number in range(200)]
    line.write(DEVICE, b"".join(frames), 0)
    decoder = Decoder()
    found = decoder.push(line.advance(1e9)[1])
    stats = line.mark()
    assert decoder.bad == 0
    assert stats["frames"] == 200
    assert len(found) == 200 - stats["lost_frames"]
    assert 40 <= stats["lost_frames"] <= 80
    assert stats["elapsed_s"] == pytest.approx(200 * 7 * 0.01)
    numbers = [payload[0] for payload in found]
    assert all(earlier < later for earlier, later in pairwise(numbers))


def test_delimiters_alone_are_not_counted_as_frames() -> None:
    line = Line(loss=1.0)
    line.write(DEVICE, b"\0\0\0", 0)
    assert line.advance(1e9) == (b"", b"\0\0\0")
    assert line.mark()["frames"] == 0


def test_corrupted_bytes_are_other_bytes_and_are_counted() -> None:
    line = Line(corrupt=0.1, seed=2)
    sent = random.Random(0).randbytes(5000)
    line.write(GATEWAY, sent, 0)
    found = line.advance(1e9)[0]
    wrong = sum(a != b for a, b in zip(sent, found, strict=True))
    assert wrong == line.mark()["corrupted_bytes"]
    assert 400 <= wrong <= 600


def test_nothing_arrives_through_a_cut() -> None:
    line = Line(baud=1000)
    line.write(DEVICE, b"abcdefgh", 0)
    line.cut(25_000, 0.03)
    assert line.advance(1e6) == (b"", b"abfgh")
    assert line.mark()["cut_bytes"] == 3


def test_marks_divide_the_account() -> None:
    line = Line(baud=1000, turn_ms=10)
    line.write(DEVICE, b"ab\0", 100_000)
    line.advance(150_000)
    line.write(GATEWAY, b"c\0", 150_000)
    line.advance(1_000_000)
    stats = line.mark()
    assert stats["bytes"] == 5 and stats["frames"] == 2
    assert stats["first_byte_s"] == pytest.approx(0.1)
    assert stats["last_byte_s"] == pytest.approx(0.17)
    assert stats["busy_s"] == pytest.approx(0.05)
    assert stats["channel_use"] == pytest.approx(5 / 7)
    nothing = line.mark()
    assert nothing["bytes"] == 0 and nothing["elapsed_s"] == 0 and nothing["channel_use"] == 0
    line.write(DEVICE, b"d", 2_000_000)
    line.advance(3_000_000)
    assert line.mark()["elapsed_s"] == pytest.approx(0.01)


def test_things_are_handed_over_at_the_first_byte_each_step_and_the_end_of_a_frame() -> None:
    line = Line(baud=1000)
    line.write(DEVICE, b"abcdefg\0hi", 0)
    moments = []
    while (now_us := line.next_us(step=4)) is not None:
        moments.append(line.advance(now_us)[1])
    assert moments == [b"a", b"bcde", b"fg\0", b"hi"]


def conversation(seed: int) -> tuple[list[tuple[int, bytes]], dict[str, int | float]]:
    """What a gateway hears, and the account, when two stations exchange objects over a bad line."""
    heard = []

    class Ear(Arq):
        def receive(self, data: bytes | bytearray | memoryview, now_ms: int) -> None:
            heard.append((now_ms, bytes(data)))
            super().receive(data, now_ms)

    line = Line(loss=0.1, corrupt=0.01, seed=seed)
    device, gateway = Arq(primary=False, seed=1), Ear(primary=True, seed=2)
    virtual = VirtualLine(line, device, gateway)
    device.send(bytes(300))
    gateway.send(bytes(700))
    virtual.run(30)
    return heard, line.mark()


def test_the_same_seed_gives_the_same_conversation() -> None:
    assert conversation(3) == conversation(3)
    assert conversation(3) != conversation(4)


@given(st.lists(st.tuples(st.sampled_from([DEVICE, GATEWAY]), st.integers(1, 20), st.integers(0, 300_000)), max_size=12))
@settings(max_examples=50)
def test_every_byte_arrives_once_whoever_talks_when(writes: list[tuple[int, int, int]]) -> None:
    line = Line(baud=1000)
    arrived = [0, 0]
    now_us = 0.0
    for end, count, pause_us in writes:
        now_us += pause_us
        for side, data in enumerate(line.advance(now_us)):
            arrived[side] += len(data)
        line.write(end, b"x" * count, now_us)
    for side, data in enumerate(line.advance(1e9)):
        arrived[side] += len(data)
    assert arrived == [sum(count for end, count, _ in writes if end != side) for side in (DEVICE, GATEWAY)]
    stats = line.mark()
    assert stats["bytes"] == sum(arrived)
    assert stats["busy_s"] <= stats["elapsed_s"] + 1e-9
    assert stats["busy_s"] >= max(arrived) * 0.01 - 1e-9
