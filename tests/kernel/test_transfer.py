from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.transfer import GRAIN, Bits, Incoming, Outgoing


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=8), st.integers(1, 50), st.data())
def test_a_row_of_bits_is_a_list_of_truth_values(fills: list[tuple[int, int, bool]], size: int, data: st.DataObject) -> None:
    bits = Bits(size)
    model = [False] * size
    for start, stop, value in fills:
        bits.fill(start, stop, value)
        for i in range(start, min(stop, size)):
            model[i] = value
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    for value in (False, True):
        assert bits.find(value, start, stop) == next((i for i in range(start, stop) if model[i] == value), stop)


def sent(size: int, grains: int) -> Outgoing:
    """An object of which everything is on its way, in frames of so many grains."""
    outgoing = Outgoing(1, bytes(size), 0)
    span = outgoing.next(0, grains)
    while span is not None:
        outgoing.sent(*span)
        span = outgoing.next(span[1], grains)
    return outgoing


def test_only_what_a_report_covers_is_judged() -> None:
    outgoing = sent(12 * GRAIN, 3)
    outgoing.report(3, 6, True)
    outgoing.report(6, 9, False)
    assert outgoing.judge(3, 9) == [(3 * GRAIN, True), (3 * GRAIN, False)]
    assert outgoing.next(0, 3) == (6, 9)
    outgoing.report(0, 12, True)
    assert outgoing.judge(0, 12) == [(3 * GRAIN, True), (3 * GRAIN, True)]


def test_spans_end_at_multiples_of_their_length() -> None:
    outgoing = sent(20 * GRAIN, 5)
    outgoing.report(2, 13, False)
    spans = []
    span = outgoing.next(0, 4)
    while span is not None:
        spans.append(span)
        span = outgoing.next(span[1], 4)
    assert spans == [(2, 4), (4, 8), (8, 12), (12, 13)]


@given(st.integers(0, 2000), st.integers(1, 12), st.lists(st.booleans(), max_size=260), st.integers(1, 4))
def test_a_sender_knows_from_the_reports_what_is_missing(size: int, grains: int, fates: list[bool], longest: int) -> None:
    data = bytes(i & 0xFF for i in range(size))
    outgoing = Outgoing(1, data, 0)
    incoming = Incoming(0, size, outgoing.crc)
    span = outgoing.next(0, grains)
    lost = set()
    while span is not None:
        outgoing.sent(*span)
        if fates and fates.pop():
            assert incoming.add(span[0], outgoing.bytes(*span))
        else:
            lost |= set(range(*span))
        span = outgoing.next(span[1], grains)
    reports = incoming.reports(longest)
    assert all(len(bits) <= longest for _, bits in reports)
    position = reports[0][0]
    outgoing.report(0, position, True)
    for start, bits in reports:
        position = start
        for i in range(8 * len(bits)):
            outgoing.report(position, position + incoming.unit, bool(bits[i >> 3] >> (i & 7) & 1))
            position += incoming.unit
    outgoing.report(position, outgoing.grains, False)
    missing = {i for i in range(outgoing.grains) if outgoing.next(i, 1) == (i, i + 1)}
    # A bit stands for a whole frame. Where only the shorter last one arrived, some of it may be sent again.
    assert lost <= missing
    assert lost == missing or incoming.unit < grains
    for start in sorted(lost):
        incoming.add(start, outgoing.bytes(start, start + 1))
    assert incoming.complete() and incoming.intact() and incoming.data == data


@given(st.integers(0, 600), st.integers(0, 4095), st.binary(min_size=1, max_size=250))
def test_what_cannot_be_a_part_of_the_object_is_not_taken(size: int, position: int, contents: bytes) -> None:
    incoming = Incoming(0, size, 0)
    offset = position * GRAIN
    fits = offset + len(contents) <= size and (len(contents) % GRAIN == 0 or offset + len(contents) == size)
    assert incoming.add(position, contents) == fits
    assert len(incoming.data) <= size
    assert fits or len(incoming.data) == 0
