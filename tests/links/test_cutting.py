"""Messages are found in a stream of bytes, however it comes in pieces, and found again behind what is none."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from eddy.links.cutting import Cut, Lines, Records

LARGEST = 20
START = b"\xaa\x55"


def fed(cutter: Lines | Records, stream: bytes, at: list[int]) -> list[Cut]:
    """What comes out when the stream is cut into pieces at these places."""
    places = sorted({0, len(stream), *(min(one, len(stream)) for one in at)})
    return [cut for begin, end in pairwise(places) for cut in cutter.feed(stream[begin:end])]


PLACES = st.lists(st.integers(0, 300), max_size=30)
TEXTS = st.lists(st.binary(max_size=30) | st.sampled_from([b"", b"\r", b"1,2\r", b" ", b"x" * LARGEST, b"x" * (LARGEST + 1)]), max_size=20)


@given(TEXTS, PLACES)
def test_lines_are_what_stands_between_line_feeds_in_whatever_pieces(parts: list[bytes], places: list[int]) -> None:
    stream = b"\n".join(parts)
    expected = []
    for line in stream.split(b"\n")[1:-1]:
        if len(line) > LARGEST:
            expected.append((line[:LARGEST], True))
        elif line.strip():
            expected.append((line.removesuffix(b"\r"), False))
    last = stream.split(b"\n")[-1]
    if len(last) > LARGEST and b"\n" in stream:  # it is told before it ends
        expected.append((last[:LARGEST], True))
    assert [(message, bool(why)) for message, why in fed(Lines(LARGEST), stream, places)] == expected


@given(TEXTS, PLACES)
def test_the_first_line_is_one_when_it_is_known_to_begin(parts: list[bytes], places: list[int]) -> None:
    stream, begun = b"\n".join(parts), Lines(LARGEST)
    begun.begin()
    assert fed(begun, stream, places) == fed(Lines(LARGEST), b"\n" + stream, places)


@given(st.binary(max_size=200), PLACES)
def test_of_any_bytes_lines_hold_a_bounded_part(stream: bytes, places: list[int]) -> None:
    lines = Lines(LARGEST)
    fed(lines, stream, places)
    assert len(lines._begun) <= LARGEST


BODIES = st.lists(st.binary(min_size=3, max_size=3) | st.sampled_from([START + b"\x01", b"\x01" + START, b"\xaa\xaa\xaa"]), max_size=20)
NOISE = st.binary(max_size=30) | st.sampled_from([b"", START, b"\xaa", START * 3])


@given(st.lists(NOISE | BODIES.map(lambda bodies: b"".join(START + body for body in bodies)), max_size=8), PLACES)
def test_records_come_out_the_same_in_whatever_pieces(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    whole = fed(Records(3, START, LARGEST), stream, [])
    assert fed(Records(3, START, LARGEST), stream, places) == whole
    assert fed(Records(3, START, LARGEST), stream, list(range(len(stream)))) == whole
    assert all(len(message) == 3 if not why else 0 < len(message) <= LARGEST for message, why in whole)


@given(st.binary(max_size=12).filter(lambda noise: 0xAA not in noise), BODIES, PLACES)
def test_all_records_behind_the_first_noise_are_found(noise: bytes, bodies: list[bytes], places: list[int]) -> None:
    stream = noise + b"".join(START + body for body in bodies)
    found = fed(Records(3, START, LARGEST), stream, places)
    assert found == ([(body, "") for body in bodies] if len(bodies) > 1 else [])


@given(st.lists(st.binary(min_size=3, max_size=3).filter(lambda body: 0xAA not in body), min_size=6, max_size=12), st.data())
def test_a_byte_that_is_lost_costs_two_records_and_what_was_skipped_is_told(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(START + body for body in bodies)
    gone = data.draw(st.integers(10, 14))  # of the third record
    found = fed(Records(3, START, LARGEST), stream[:gone] + stream[gone + 1 :], data.draw(PLACES))
    good = [message for message, why in found if not why]
    assert good[:2] == bodies[:2] and good[-len(bodies[4:]) :] == bodies[4:] and len(good) <= len(bodies)
    assert [len(message) > 0 for message, why in found if why] == [True]


def test_the_bytes_that_a_record_begins_with_are_not_believed_in_the_middle_of_one() -> None:
    records = Records(3, START, LARGEST)
    assert fed(records, b"x" + START + b"12" + START + b"abc" + START + b"def", []) == [(b"abc", ""), (b"def", "")]


def test_stray_bytes_are_told_once_and_not_without_bound() -> None:
    records = Records(2, b"\xaa", LARGEST)
    assert fed(records, b"\xaa12\xaa34", []) == [(b"12", ""), (b"34", "")]
    told = fed(records, b"." * 1000, list(range(0, 1000, 7)))
    assert [(message, "no record begins with aa" in why) for message, why in told] == [(b"." * LARGEST, True)]
    assert len(records._held) + len(records._stray) <= LARGEST
    assert fed(records, b"\xaa56\xaa78!!\xaa90\xaa00", []) == [
        *((b"56", ""), (b"78", "")),
        *((b"!!", told[0][1]), (b"90", ""), (b"00", "")),
    ]


@given(st.binary(max_size=50), PLACES)
def test_bytes_are_records_of_one_without_a_start(stream: bytes, places: list[int]) -> None:
    assert fed(Records(1, b"", LARGEST), stream, places) == [(bytes([one]), "") for one in stream]
