import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.kernel.arq import LARGEST, Arq
from eddy.kernel.errors import TooLarge
from eddy.kernel.frame import OVERHEAD, Decoder, encode
from eddy.kernel.pace import LARGEST as LARGEST_PAYLOAD
from eddy.kernel.pace import SMALLEST, Pace
from eddy.sim.line import DEVICE, GATEWAY, Line, VirtualLine

HOUR_S = 3600


class Listener:
    """A station with somebody listening in: the bursts that it puts on the line, with their times."""

    def __init__(self, station: Arq) -> None:
        self.station = station
        self.bursts: list[tuple[int, list[bytes]]] = []

    def poll(self, now_ms: int) -> bytes | None:
        burst = self.station.poll(now_ms)
        if burst is not None:
            self.bursts.append((now_ms, Decoder().push(burst)))
        return burst

    def receive(self, data: bytes, now_ms: int) -> None:
        self.station.receive(data, now_ms)

    def deadline(self, now_ms: int) -> int | None:
        return self.station.deadline(now_ms)


class World:
    """Two stations, a line, and owners that take what comes."""

    def __init__(self, seed: int = 0, max_object: int = 32768, **line: float) -> None:
        self.line = Line(seed=seed, **line)
        self.arqs = [Arq(primary=False, seed=seed, max_object=max_object), Arq(primary=True, seed=seed + 1, max_object=max_object)]
        self.ends = [Listener(arq) for arq in self.arqs]
        self.virtual = VirtualLine(self.line, *self.ends)
        self.taken: list[list[bytes]] = [[], []]
        self.outcomes: list[list[tuple[int, str]]] = [[], []]

    def reset(self, end: int, resume: tuple[int, int, bytes] | None = None, seed: int = 77) -> None:
        self.arqs[end] = Arq(primary=end == GATEWAY, seed=seed, resume=resume)
        self.ends[end] = Listener(self.arqs[end])
        self.virtual.replace(end, self.ends[end])

    def step(self) -> None:
        self.virtual.step(self.virtual.now_us + HOUR_S * 1e6)
        for end, arq in enumerate(self.arqs):
            if (data := arq.take()) is not None:
                self.taken[end].append(data)
            self.outcomes[end] += arq.finished()

    def until_idle(self) -> None:
        while not all(arq.idle() for arq in self.arqs):
            assert self.virtual.now_us < 4 * HOUR_S * 1e6
            self.step()

    def until_prefix(self, end: int, size: int) -> tuple[int, int, bytes]:
        """Go on until `end` holds the first `size` bytes of an object; returns what its owner then keeps."""
        while True:
            self.step()
            partial = self.arqs[end].partial()
            if partial is not None and partial[2] >= size:
                return partial[0], partial[1], bytes(partial[3])


def some(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


# The deployments of the paper's smallest and largest model, with the packages' overhead, at 2,400 baud.
@pytest.mark.parametrize(("size", "seconds"), [(1110, 5.2), (5000, 22.5)])
@pytest.mark.parametrize("sender", [DEVICE, GATEWAY])
def test_a_clean_line_is_used_nearly_all_the_time(size: int, seconds: float, sender: int) -> None:
    world = World()
    world.arqs[sender].send(some(size))
    world.until_idle()
    stats = world.line.mark()
    assert world.taken[1 - sender] == [some(size)]
    assert stats["elapsed_s"] <= seconds
    assert stats["channel_use"] >= 0.98
    assert world.arqs[sender].stats["frames_resent"] == 0


@given(st.lists(st.binary(max_size=700), max_size=4), st.lists(st.binary(max_size=700), max_size=4))
@settings(max_examples=30)
def test_objects_cross_in_both_directions_in_order(down: list[bytes], up: list[bytes]) -> None:
    world = World()
    for data in down:
        world.arqs[GATEWAY].send(data)
    for data in up:
        world.arqs[DEVICE].send(data)
    world.until_idle()
    assert world.taken == [down, up]
    assert world.outcomes == [[(i + 1, "delivered") for i in range(len(up))], [(i + 1, "delivered") for i in range(len(down))]]


def test_an_idle_line_is_silent() -> None:
    world = World()
    world.arqs[DEVICE].send(some(50))
    world.until_idle()
    now_ms = world.virtual.now_ms()
    assert [arq.deadline(now_ms) for arq in world.arqs] == [None, None]
    world.line.mark()
    world.virtual.run(HOUR_S)
    assert world.line.mark()["bytes"] == 0


def test_a_report_takes_one_burst_and_a_short_answer() -> None:
    world = World()
    world.arqs[DEVICE].send(some(60))
    world.until_idle()
    assert [len(end.bursts) for end in world.ends] == [1, 1]
    assert world.line.mark()["bytes"] <= 60 + 20


def test_an_answer_and_the_own_object_share_a_burst() -> None:
    world = World()
    world.arqs[DEVICE].send(some(50))
    while not world.ends[DEVICE].bursts:
        world.step()
    world.arqs[GATEWAY].send(some(50))
    world.until_idle()
    assert [len(frames) for _, frames in world.ends[GATEWAY].bursts] == [2]


def test_a_data_frame_costs_six_bytes_beside_its_contents() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(20000))
    world.until_idle()
    data = [frame for _, frames in world.ends[GATEWAY].bursts for frame in frames if frame[0] < 0x80]
    assert sum(len(frame) + OVERHEAD for frame in data) == 20000 + 6 * len(data)
    assert max(len(frame) for frame in data) == LARGEST_PAYLOAD + 2


# The first report may have to wait for a whole burst; after that the other end keeps its bursts short.
@pytest.mark.parametrize(("loss", "first_s", "mean_s"), [(0.0, 5.5, 3.0), (0.1, 12.0, 7.0)])
def test_reports_wait_a_few_seconds_while_a_package_comes_down(loss: float, first_s: float, mean_s: float) -> None:
    waits: list[float] = []
    for seed in range(6):
        world = World(loss=loss, corrupt=loss / 10, seed=seed)
        world.arqs[GATEWAY].send(some(8000))
        world.until_prefix(DEVICE, 500)
        for number in range(4):
            world.arqs[DEVICE].send(some(40, number))
            asked_us = world.virtual.now_us
            while len(world.taken[GATEWAY]) <= number:
                world.step()
            waits.append((world.virtual.now_us - asked_us) / 1e6)
        assert world.taken[DEVICE] == []
        world.until_idle()
        assert world.taken[DEVICE] == [some(8000)]
    assert max(waits[::4]) < first_s
    assert sum(waits) / len(waits) < mean_s


def test_two_that_start_at_the_same_moment_do_not_collide_twice() -> None:
    world = World()
    world.virtual.run(1)
    for arq in world.arqs:
        arq.send(some(60))
    world.until_idle()
    first = len(world.ends[DEVICE].bursts[0][1][0]) + OVERHEAD
    stats = world.line.mark()
    assert stats["collisions"] == 2 * first  # all bytes of both bursts, and none later
    assert world.taken == [[some(60)], [some(60)]]


def test_an_object_that_is_too_large_is_refused_and_the_next_goes() -> None:
    world = World(max_object=1000)
    large = world.arqs[GATEWAY].send(some(1001))
    small = world.arqs[GATEWAY].send(some(1000))
    world.until_idle()
    assert world.outcomes[GATEWAY] == [(large, "refused"), (small, "delivered")]
    assert world.taken[DEVICE] == [some(1000)]


def test_an_absurdly_large_object_is_refused_at_once() -> None:
    class Absurd(bytes):
        def __len__(self) -> int:
            return LARGEST

    with pytest.raises(TooLarge, match="split it"):
        Arq(primary=True, seed=1).send(Absurd())


def test_what_is_queued_is_counted_until_it_is_delivered() -> None:
    world = World()
    arq = world.arqs[GATEWAY]
    assert arq.idle() and arq.pushed() == 0
    arq.send(some(300))
    arq.send(some(40))
    assert not arq.idle() and arq.pushed() == 340
    while not world.taken[DEVICE]:
        world.step()
    assert arq.pushed() == 340  # not known yet
    world.until_idle()
    assert arq.pushed() == 0


def test_a_report_that_was_meant_for_an_earlier_session_is_ignored() -> None:
    arq = Arq(primary=True, seed=1)
    arq.send(some(60))
    arq.poll(0)
    now_ms = arq.deadline(0)
    assert now_ms is not None
    burst = arq.poll(now_ms)
    assert burst is not None
    head = Decoder().push(burst)[0]
    number, crc = head[1], int.from_bytes(head[3:7], "big")
    for stale in ([0xB0, number, crc + 1 & 0xFF], [0xB0, number + 1 & 0xFF, crc & 0xFF]):
        arq.receive(encode(bytes(stale)), now_ms + 1000)
        assert arq.finished() == []
    arq.receive(encode(bytes([0xB0, number, crc & 0xFF])), now_ms + 1000)
    assert arq.finished() == [(1, "delivered")]


def test_an_object_that_comes_again_because_the_receipt_was_lost_is_receipted_again() -> None:
    sender, receiver = Arq(primary=True, seed=1), Arq(primary=False, seed=2)
    sender.send(some(150))
    assert sender.poll(0) is None
    burst = sender.poll(1000)
    assert burst is not None and len(Decoder().push(burst)) == 4  # head and data
    receipts = []
    for now_ms in (2000, 4000):
        receiver.receive(burst, now_ms)
        receiver.take()
        answer = receiver.poll(now_ms + 1)
        assert answer is not None
        receipts.append(answer)
    assert receipts[0] == receipts[1]
    sender.receive(receipts[1], 5000)
    assert sender.finished() == [(1, "delivered")]


def test_equal_objects_are_different_objects() -> None:
    world = World(loss=0.3, seed=3)
    for _ in range(10):
        world.arqs[DEVICE].send(b"the same")
    world.until_idle()
    assert world.taken[GATEWAY] == [b"the same"] * 10


def test_what_is_not_taken_is_not_acknowledged() -> None:
    world = World()
    handle = world.arqs[GATEWAY].send(some(100))
    world.virtual.run(20)
    assert world.arqs[GATEWAY].finished() == []
    assert world.arqs[DEVICE].take() == some(100)
    world.virtual.run(20)
    assert world.arqs[GATEWAY].finished() == [(handle, "delivered")]


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_receiver_that_was_reset_goes_on_from_what_it_kept(loss: float) -> None:
    world = World(loss=loss, corrupt=loss / 10, seed=1)
    world.arqs[GATEWAY].send(some(5000))
    kept = world.until_prefix(DEVICE, 3000)
    assert kept[2] == some(5000)[: len(kept[2])]
    world.reset(DEVICE, resume=kept)
    before = len(world.ends[GATEWAY].bursts)
    world.until_idle()
    assert world.taken[DEVICE] == [some(5000)]
    # What was kept is not sent again; the first burst after the reset may have been on its way.
    contents = sum(len(frame) for _, frames in world.ends[GATEWAY].bursts[before + 1 :] for frame in frames if frame[0] < 0x80)
    assert contents < (2200 if loss == 0 else 4200)


def test_a_sender_that_was_reset_skips_what_the_receiver_holds() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(5000))
    kept = world.until_prefix(DEVICE, 3000)
    world.reset(GATEWAY)
    world.arqs[GATEWAY].send(some(5000))
    world.until_idle()
    assert world.taken[DEVICE] == [some(5000)]
    sent = sum(len(frame) - 2 for _, frames in world.ends[GATEWAY].bursts for frame in frames if frame[0] < 0x80)
    assert sent <= 5000 - len(kept[2])


def test_a_sender_that_changed_its_mind_while_reset_sends_the_other_object() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(5000))
    world.until_prefix(DEVICE, 3000)
    world.reset(GATEWAY)
    world.arqs[GATEWAY].send(some(5000, seed=1))
    world.until_idle()
    assert world.taken[DEVICE] == [some(5000, seed=1)]


def test_a_kept_part_that_rotted_is_noticed_and_fetched_again() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(3000))
    key, size, prefix = world.until_prefix(DEVICE, 2000)
    world.reset(DEVICE, resume=(key, size, b"\0" * len(prefix)))
    world.until_idle()
    assert world.taken[DEVICE] == [some(3000)]


def test_a_kept_part_that_is_all_of_it_is_enough() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(3000))
    key, size, _ = world.until_prefix(DEVICE, 1000)
    world.reset(DEVICE, resume=(key, size, some(3000)))
    world.until_idle()
    assert world.taken[DEVICE] == [some(3000)]


@pytest.mark.parametrize("resume", [(1, 10, b"longer than ten"), (1, 1 << 20, b"too large here")])
def test_a_kept_part_that_makes_no_sense_is_forgotten(resume: tuple[int, int, bytes]) -> None:
    assert Arq(primary=False, seed=1, resume=resume).partial() is None


def test_a_part_that_its_owner_looks_at_stays_as_it_is() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(5000))
    world.until_prefix(DEVICE, 500)
    partial = world.arqs[DEVICE].partial()
    assert partial is not None
    world.until_idle()
    assert bytes(partial[3]) == some(5000)[: partial[2]]
    assert world.arqs[DEVICE].partial() is None


def test_memory_grows_with_what_arrives_and_not_with_what_is_announced() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(32000))
    while world.arqs[DEVICE].partial() is None:
        world.step()
    incoming = world.arqs[DEVICE]._incoming
    assert incoming is not None and len(incoming.data) == 0
    world.until_prefix(DEVICE, 1000)
    assert len(incoming.data) < 3000


def test_a_receiver_that_forgot_everything_is_sent_everything() -> None:
    world = World()
    world.arqs[GATEWAY].send(some(3000))
    world.until_prefix(DEVICE, 1500)
    world.reset(DEVICE)
    world.until_idle()
    assert world.taken[DEVICE] == [some(3000)]


@pytest.mark.parametrize("seconds", [0.05, 2, 30, HOUR_S])
def test_a_cut_only_delays(seconds: float) -> None:
    world = World()
    world.arqs[GATEWAY].send(some(3000))
    world.until_prefix(DEVICE, 1000)
    world.line.cut(world.virtual.now_us, seconds)
    begin_us = world.virtual.now_us
    world.until_idle()
    assert world.taken[DEVICE] == [some(3000)]
    assert world.virtual.now_us - begin_us < (seconds + 25) * 1e6


def test_a_dead_line_is_asked_less_and_less_often() -> None:
    world = World()
    world.line.cut(0, 2 * HOUR_S)
    world.arqs[DEVICE].send(some(50))
    world.virtual.run(60)
    first = world.line.mark()["busy_s"]
    world.virtual.run(HOUR_S)
    later = world.line.mark()["busy_s"]
    assert first > 0
    assert later < 0.05 * HOUR_S


@pytest.mark.parametrize("baud", [300, 9600, 115200])
def test_timeouts_follow_the_line_rate(baud: int) -> None:
    line = Line(baud=baud, loss=0.1, corrupt=0.01, turn_ms=1, seed=2)
    byte_us = 10_000_000 // baud
    device, gateway = (Arq(primary, seed=primary, byte_us=byte_us, turn_ms=1) for primary in (False, True))
    virtual = VirtualLine(line, device, gateway)
    gateway.send(some(5000))
    taken = None
    while not gateway.idle() and virtual.step(1e12):
        taken = device.take() or taken
    assert taken == some(5000)
    assert 5000 / float(line.mark()["elapsed_s"]) > 0.35 * baud / 10


def test_the_payload_finds_its_size_on_a_bad_line_and_grows_again_on_a_good_one() -> None:
    world = World(loss=0.1, corrupt=0.01, seed=6)
    world.arqs[GATEWAY].send(some(6000))
    world.until_idle()
    assert 16 <= world.arqs[GATEWAY].stats["payload"] <= 40
    world.line.loss = world.line.corrupt = 0
    world.arqs[GATEWAY].send(some(9000))
    world.until_idle()
    assert world.arqs[GATEWAY].stats["payload"] >= 200


@given(st.lists(st.tuples(st.integers(0, 240), st.booleans()), max_size=60))
def test_the_payload_is_always_a_sensible_one(verdicts: list[tuple[int, bool]]) -> None:
    pace = Pace(1000)
    for verdict in verdicts:
        pace.learn([verdict])
        assert SMALLEST <= pace.payload <= LARGEST_PAYLOAD and pace.payload % 8 == 0
        assert 200 <= pace.room() <= 1000


def test_the_payload_comes_near_the_best_one_for_the_line() -> None:
    for rate in (0.003, 0.01, 0.02):
        chance = random.Random(5)
        pace = Pace(1000)
        through = []
        for _ in range(3000):
            size = pace.payload
            pace.learn([(size, chance.random() < 0.9 * (1 - rate) ** (size + 7))])
            through.append(pace.payload / (pace.payload + 6) * (1 - rate) ** (pace.payload + 7))
        best = max(size / (size + 6) * (1 - rate) ** (size + 7) for size in range(8, 248, 8))
        assert sum(through[100:]) / len(through[100:]) > 0.96 * best
