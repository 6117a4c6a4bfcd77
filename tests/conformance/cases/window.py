from array import array

from eddy.kernel import codec
from eddy.kernel.window import Windower


def check_pieces_give_whole_windows():
    windower = Windower(5)
    samples = array("h", range(-7, 10))
    at = 0
    windows = []
    while at < len(samples):
        at += windower.push(samples[at : at + 3], at * 1000, 1000)
        if windower.ready():
            start, window = windower.take()
            windows.append((start, list(window)))
    assert windows == [(0, [-7, -6, -5, -4, -3]), (5000, [-2, -1, 0, 1, 2]), (10000, [3, 4, 5, 6, 7])]


def check_a_gap_drops_the_partial_window():
    # Times of today in nanoseconds are long integers on 32 bits.
    now = 1770000000000000000
    windower = Windower(4)
    windower.push(array("h", [1, 2, 3]), now, 50000)
    windower.push(array("h", [4, 5]), now + 3 * 50000 + 25001, 50000)
    assert windower.state()["samples"] == bytes(array("h", [4, 5]))
    assert (windower.dropped, windower.gaps) == (3, 1)


def check_it_moves_as_plain_data():
    windower = Windower(4)
    windower.push(array("h", [1, -2, 3]), 1770000000000000000, 50000)
    there = Windower(4)
    there.restore(codec.decode(codec.encode(windower.state())))
    assert there.push(memoryview(array("h", [4, 5])), 1770000000000150000, 50000) == 1
    start, window = there.take()
    assert (start, list(window)) == (1770000000000000000, [1, -2, 3, 4])
