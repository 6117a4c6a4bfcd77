import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import DataError, SampleError, StorageFull
from eddy.kernel.features import NAMES
from eddy.knowledge import records
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import ANOMALOUS, NORMAL, TRAINING, Window
from eddy.knowledge.registry import Model, Registry, identity

MEMORY = KnowledgeBase(":memory:")
ROW = tuple(range(len(NAMES)))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.binary(max_size=8) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=14) | st.dictionaries(st.text(max_size=3) | st.integers() | st.binary(max_size=3), inner, max_size=4)
    ),
    max_leaves=30,
)


@pytest.fixture
def base(tmp_path: Path) -> KnowledgeBase:
    return KnowledgeBase(tmp_path / "base", clock=lambda: 42)


def window(seq: int, label: int = NORMAL, position: int | None = None) -> Window:
    return Window("pump-1", seq, seq * 10, seq if position is None else position, 100, label, 0, ROW)


def judged(base: KnowledgeBase, seq: int, outcome: bool, label: int = NORMAL, champion: str | None = "c") -> None:
    base.add_window(window(seq, label))
    counts = {"strategy": "majority", "weight": 1, "total": 2, "votes": 1, "members": 2, "rule": False}
    base.add_verdict(window(seq, label), outcome=outcome, champion=champion, scores={"c": 1}, **counts)


def test_a_record_is_there_once_however_often_it_comes(base: KnowledgeBase) -> None:
    for _ in range(3):
        base.add_window(window(1))
        base.add_event(records.event("pump-1", 1, 5, {"e": "boot"}))
        base.add_gap("pump-1", "windows", 5, 9, 0, "overflow")
    assert [len(base.table(name)) for name in ("windows", "events", "gaps")] == [1, 1, 1]
    assert base.windows("pump-1") == [window(1)]


def test_a_transaction_is_all_or_nothing(base: KnowledgeBase, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), base.transaction():
        base.add_window(window(1))
        with base.transaction():
            base.add_window(window(2))
        raise ZeroDivisionError
    assert base.windows("pump-1") == []
    with base.transaction():
        base.add_window(window(3))
    assert KnowledgeBase(tmp_path / "base").windows("pump-1") == [window(3)]


def test_a_savepoint_undoes_its_own_part_only(base: KnowledgeBase) -> None:
    with base.transaction():
        base.add_window(window(1))
        with pytest.raises(ZeroDivisionError), base.savepoint():
            base.add_window(window(2))
            raise ZeroDivisionError
        with base.savepoint():
            base.add_window(window(3))
    assert [w.seq for w in base.windows("pump-1")] == [1, 3]


def test_what_is_acknowledged_survives_a_power_cut(base: KnowledgeBase) -> None:
    (journal,) = base.connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = base.connection.execute("PRAGMA synchronous").fetchone()
    assert (journal, synchronous) == ("wal", 2)


def test_a_full_disk_says_so_and_keeps_what_was_there(base: KnowledgeBase) -> None:
    base.add_window(window(1))
    (pages,) = base.connection.execute("PRAGMA page_count").fetchone()
    base.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull, match="make room"), base.transaction():
        for seq in range(2, 2000):
            base.add_window(window(seq))
    assert base.windows("pump-1") == [window(1)]


def test_a_database_in_other_hands_says_so(base: KnowledgeBase, tmp_path: Path) -> None:
    other = KnowledgeBase(tmp_path / "base", busy_ms=1)
    with base.transaction(), pytest.raises(StorageFull, match="another process"), other.transaction():
        pass


def test_a_database_that_cannot_be_written_says_so(base: KnowledgeBase) -> None:
    base.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageFull, match="writable"), base.transaction():
        base.add_window(window(1))


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match="folder"):
        KnowledgeBase(tmp_path / "nowhere" / "base")


def test_a_file_of_another_kind_says_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no database, but long enough to be taken for one" * 20)
    with pytest.raises(DataError, match="no sound knowledge base"):
        KnowledgeBase(tmp_path / "text")


def test_a_base_of_another_version_is_left_alone(base: KnowledgeBase, tmp_path: Path) -> None:
    base.connection.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(DataError, match="version 99"):
        KnowledgeBase(tmp_path / "base")
    foreign = sqlite3.connect(tmp_path / "foreign")
    foreign.execute("CREATE TABLE windows (a)")
    foreign.commit()
    foreign.close()
    with pytest.raises(DataError):
        KnowledgeBase(tmp_path / "foreign")


def test_decisions_say_who_what_when_and_on_which_evidence(base: KnowledgeBase) -> None:
    base.decide("configure", "ada", "threshold 5", "pump-1", 7, threshold=5, raw=b"\x01")
    (row,) = base.table("decisions", "pump-1")
    assert row == {
        **{"id": 1, "at_ns": 42, "time_ns": 7, "device": "pump-1", "phase": "configure", "who": "ada", "what": "threshold 5"},
        "evidence": '{"raw": "01", "threshold": 5}',
    }


def test_training_windows_end_where_a_champion_speaks(base: KnowledgeBase) -> None:
    for seq, label in enumerate([TRAINING] * 3 + [NORMAL, ANOMALOUS] + [TRAINING] * 2):
        base.add_window(window(seq, label))
    assert [w.seq for w in base.training("pump-1", -1, 3)[0]] == [0, 1, 2]
    assert base.training("pump-1", -1, 4)[1], "no more will come"
    again, complete = base.training("pump-1", 2, 3)
    assert ([w.seq for w in again], complete) == ([5, 6], False)


def test_windows_near_an_anomaly_are_not_learned_as_normal(base: KnowledgeBase) -> None:
    for seq in range(30):
        judged(base, seq, outcome=seq == 15)
    assert [w.seq for w in base.normal_windows("pump-1", 3, quiet=3)] == [*range(4, 13), *range(18, 30)]


def test_false_positives_are_counted_for_the_champion_that_gave_them(base: KnowledgeBase) -> None:
    judged(base, 1, outcome=False, label=ANOMALOUS)
    judged(base, 2, outcome=False, label=NORMAL)
    judged(base, 3, outcome=True, label=ANOMALOUS)
    judged(base, 4, outcome=False, label=ANOMALOUS, champion="d")
    judged(base, 5, outcome=False, label=ANOMALOUS)
    judged(base, 6, outcome=False, label=ANOMALOUS, champion=None)
    assert base.false_positives("pump-1", "c", 0) == [10, 50]
    assert base.false_positives("pump-1", "c", 10) == [50]
    assert base.false_positives("pump-1", None, 0) == [60]
    assert base.counts("pump-1", "c")["false_positives_of_champion"] == 2


def test_only_tables_of_the_schema_can_be_read(base: KnowledgeBase) -> None:
    with pytest.raises(DataError):
        base.table("windows; DROP TABLE windows")


def test_a_model_is_one_row_however_often_it_is_made(base: KnowledgeBase) -> None:
    registry = Registry(base)
    model = Model(identity(b"wire", ("rms",)), b"wire", ("rms",), "engine", "pump-1", None, {"trees": 1}, {"objective": 3})
    registry.add(model)
    registry.add(model)
    assert len(base.table("models")) == 1
    assert Registry(base).model(model.id) == model
    assert identity(b"wire", ("mean",)) != model.id


@given(st.sampled_from(["windows", "events"]), plain | st.lists(plain, min_size=5, max_size=5), st.integers(-(1 << 70), 1 << 70))
def test_whatever_a_device_says_is_read_or_refused(stream: str, value: object, time_ns: int) -> None:
    read = records.window if stream == "windows" else records.event
    try:
        row = read("pump-1", 1, time_ns, value)
    except SampleError:
        return
    with pytest.raises(ZeroDivisionError), MEMORY.transaction():
        MEMORY.add_window(row) if isinstance(row, Window) else MEMORY.add_event(row)
        assert (MEMORY.windows("pump-1") or MEMORY.events("pump-1")) == [row]
        raise ZeroDivisionError  # leave nothing for the next example


@given(
    st.tuples(
        st.integers(0, (1 << 63) - 1),
        st.integers(-1, 65536),
        st.integers(0, 2),
        st.integers(0, (1 << 63) - 1),
        st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=len(NAMES), max_size=len(NAMES)),
    )
)
def test_every_window_in_range_is_stored_as_it_was_said(value: tuple[int, int, int, int, list[int]]) -> None:
    with pytest.raises(ZeroDivisionError), MEMORY.transaction():
        MEMORY.add_window(records.window("pump-1", 3, -5, list(value)))
        (back,) = MEMORY.windows("pump-1")
        raise ZeroDivisionError  # leave nothing for the next example
    assert (back.position, back.score, back.label, back.model_sequence, list(back.features)) == value
