import binascii

from vectors import load

from eddy.kernel.arq import Arq
from eddy.kernel.frame import Decoder, encode
from eddy.kernel.pace import Pace
from eddy.kernel.rng import Rng
from eddy.kernel.transfer import Bits, grain_of
from eddy.kernel.turns import MANY, Turns


def line(ends, until_ms, loss, seed, start_ms=0):
    """Two stations on a line of 4 ms a byte; one byte in `loss` is garbled (0: none). Returns what each took, and the CRC of all bytes."""
    rng = Rng(seed)
    waiting = [b"", b""]
    taken = [[], []]
    trace = 0
    for now in range(start_ms, until_ms, 4):
        heard = [b"", b""]
        for end in (0, 1):
            if waiting[end]:
                byte = waiting[end][0]
                waiting[end] = waiting[end][1:]
                if waiting[1 - end] or (loss and rng.below(loss) == 0):
                    byte ^= 1 + rng.below(255)
                trace = binascii.crc32(bytes([end, byte]), trace)
                heard[1 - end] = bytes([byte])
        for end in (0, 1):
            ends[end].receive(heard[end], now)
            data = ends[end].take()
            if data is not None:
                taken[end].append(data)
            burst = ends[end].poll(now)
            if burst is not None:
                waiting[end] += burst
    return taken, trace


def some(size, seed=1):
    rng = Rng(seed)
    return bytes([rng.below(256) for _ in range(size)])


def check_frames_are_the_published_way_of_stuffing():
    for pair in load("line")["frames"]:
        payload, wire = bytes.fromhex(pair[0]), bytes.fromhex(pair[1])
        assert encode(payload) == wire, payload
        decoder = Decoder()
        assert decoder.push(wire[:5]) + decoder.push(wire[5:]) == [payload]


def check_a_garbled_frame_is_dropped():
    decoder = Decoder()
    wire = bytearray(encode(b"payload"))
    wire[3] ^= 64
    assert decoder.push(wire + encode(b"next")) == [b"next"]
    assert decoder.bad == 1


def check_objects_cross_a_clean_line():
    ends = [Arq(False, 1, byte_us=4000), Arq(True, 2, byte_us=4000)]
    ends[1].send(some(1110))
    ends[0].send(b"a report")
    taken, _ = line(ends, 7000, 0, 3)
    assert taken == [[some(1110)], [b"a report"]]
    assert ends[1].finished() == [(1, "delivered")]


def check_objects_cross_a_bad_line():
    ends = [Arq(False, 1, byte_us=4000), Arq(True, 2, byte_us=4000)]
    ends[1].send(some(600))
    ends[0].send(some(100, 2))
    taken, _ = line(ends, 30000, 60, 3)
    assert taken == [[some(600)], [some(100, 2)]]
    assert ends[1].stats["frames_resent"] > 0


def exchange():
    """A conversation over a bad line, to the bit."""
    ends = [Arq(False, 1, byte_us=4000), Arq(True, 2, byte_us=4000)]
    ends[1].send(some(400))
    ends[0].send(some(90, 2))
    return line(ends, 12000, 80, 5)[1]


def check_every_interpreter_puts_the_same_bytes_on_the_line():
    assert exchange() == load("line")["exchange"]


def check_a_reset_receiver_goes_on_with_what_it_kept():
    ends = [Arq(False, 1, byte_us=4000), Arq(True, 2, byte_us=4000)]
    ends[1].send(some(1500))
    line(ends, 5000, 0, 3)
    key, size, length, prefix = ends[0].partial()
    assert 0 < length < size and bytes(prefix) == some(1500)[:length]
    ends[0] = Arq(False, 9, byte_us=4000, resume=(key, size, bytes(prefix)))
    taken, _ = line(ends, 14000, 0, 3, start_ms=5000)
    assert taken[0] == [some(1500)]


def check_large_objects_have_larger_grains():
    assert [grain_of(size) for size in (0, 32768, 32769, 65537)] == [8, 8, 16, 32]


def check_bits_are_found():
    bits = Bits(100)
    bits.fill(3, 77, True)
    assert (bits.find(True, 0, 100), bits.find(False, 3, 100), bits.find(True, 80, 100)) == (3, 77, 100)
    bits.fill(10, 20, False)
    assert bits.find(False, 3, 100) == 10 and bits.find(True, 10, 100) == 20


def check_the_payload_follows_the_losses():
    pace = Pace(1000)
    pace.learn([(64, True)] * 30)
    assert pace.payload == 240
    pace.learn([(240, False)] * 5)
    assert pace.payload < 64


def check_a_station_waits_for_the_rest_of_a_burst():
    turns = Turns(True, Rng(1), 4000, 10)
    turns.hear(10, 1000)
    turns.follow(MANY, 30, 1000)
    assert not turns.may_talk(1100)
    turns.hear(10, 1200)
    turns.follow(0, 30, 1200)
    assert turns.may_talk(1200)
