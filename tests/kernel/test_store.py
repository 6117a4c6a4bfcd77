"""The contract of a store, on each of them, and what only files can suffer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from eddy.kernel.errors import StorageFull
from eddy.kernel.filestore import FileStore
from eddy.kernel.store import make_folder, read_map, replace, write_map

if TYPE_CHECKING:
    from eddy.kernel.store import Store


class Kind(Protocol):
    """See conftest."""

    durable: bool

    def open(self) -> Store: ...


def opened(kind: Kind) -> tuple[Store, dict[object, object]]:
    store = kind.open()
    return store, store.load()


def fill(store: Store, count: int = 20) -> list[tuple[int, bytes]]:
    records = [(seq, b"record %d" % seq) for seq in range(3, 3 + count)]
    for seq, data in records:
        store.append(seq, data)
    return records


def test_a_new_store_is_empty(kind: Kind) -> None:
    store, meta = opened(kind)
    assert meta == {}
    assert list(store.records(0)) == []


def test_records_come_back_in_order_from_any_number_on(kind: Kind) -> None:
    store, _ = opened(kind)
    records = fill(store)
    assert list(store.records(0)) == records
    for first in range(25):
        assert list(store.records(first)) == [record for record in records if record[0] >= first]


def test_trimmed_records_may_go_and_later_ones_stay(kind: Kind) -> None:
    store, _ = opened(kind)
    records = fill(store)
    for upto in range(30):
        store.trim(upto)
        assert list(store.records(upto + 1)) == [record for record in records if record[0] > upto]
    assert len(list(store.records(0))) <= 8, "what is trimmed goes in the end"


def test_meta_is_replaced_as_a_whole_and_survives(kind: Kind) -> None:
    store, _ = opened(kind)
    store.put({1: 5, 2: b"mark"})
    store.put({1: 6})
    assert opened(kind)[1] == {1: 6}


def test_records_survive_a_restart_and_the_newest_even_its_trim(kind: Kind) -> None:
    if not kind.durable:
        pytest.skip("its records end with the process")
    store, _ = opened(kind)
    records = fill(store)
    store.trim(10)
    store, _ = opened(kind)
    assert list(store.records(11)) == [record for record in records if record[0] > 10]
    store.append(40, b"later")
    store.trim(40)
    store, _ = opened(kind)
    assert list(store.records(0))[-1] == (40, b"later")


@pytest.mark.parametrize("size", [0, 1, 100, 65535])
def test_records_of_every_size_fit(kind: Kind, size: int) -> None:
    store, _ = opened(kind)
    store.append(0, b"a" * size)
    store.append(1, b"b")
    assert list(store.records(0)) == [(0, b"a" * size), (1, b"b")]


def test_a_torn_segment_gives_the_whole_records_before_the_tear(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.load()
    records = fill(store, 4)
    (segment,) = tmp_path.iterdir()
    whole = segment.read_bytes()
    sizes = [10 + len(data) for _, data in records]
    for length in range(len(whole)):
        segment.write_bytes(whole[:length])
        complete = sum(sum(sizes[: n + 1]) <= length for n in range(4))
        assert list(store.records(0)) == records[:complete]


def test_a_flipped_bit_hides_a_record_but_never_changes_one(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.load()
    records = fill(store, 4)
    (segment,) = tmp_path.iterdir()
    whole = segment.read_bytes()
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit >> 3] ^= 1 << (bit & 7)
        segment.write_bytes(broken)
        found = list(store.records(0))
        assert found == records[: len(found)]
        assert len(found) < 4


def test_a_segment_under_another_number_is_not_believed(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.load()
    fill(store, 2)
    (segment,) = tmp_path.iterdir()
    segment.rename(tmp_path / "7f")
    store = FileStore(str(tmp_path))
    store.load()
    assert list(store.records(0)) == []


def test_damaged_meta_is_no_meta(tmp_path: Path) -> None:
    path = tmp_path / "meta"
    write_map(str(path), {1: 64, 2: b"mark"})
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit >> 3] ^= 1 << (bit & 7)
        path.write_bytes(broken)
        assert read_map(str(path)) is None
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read_map(str(path)) is None


def test_a_replaced_file_is_old_or_new_for_whoever_reads_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "state"
    replace(str(path), b"old")
    with path.open("rb") as reader:
        replace(str(path), b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")


@needs_full_device
def test_a_full_disk_keeps_the_old_meta_and_says_so(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.load()
    store.put({1: 1})
    (tmp_path / "meta.new").symlink_to("/dev/full")
    with pytest.raises(StorageFull, match=r"no room at .*meta"):
        store.put({1: 2})
    assert FileStore(str(tmp_path)).load() == {1: 1}
    store.put({1: 3})
    assert FileStore(str(tmp_path)).load() == {1: 3}


@needs_full_device
def test_a_full_disk_keeps_the_records_before(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path), segment=40)
    store.load()
    store.append(0, b"a" * 30)
    (tmp_path / "1").symlink_to("/dev/full")
    with pytest.raises(StorageFull):
        store.append(1, b"b" * 30)
    (tmp_path / "1").unlink()
    store.append(1, b"b" * 30)
    assert list(store.records(0)) == [(0, b"a" * 30), (1, b"b" * 30)]


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(OSError, match="taken"):
        make_folder(str(tmp_path / "taken" / "hop"))
