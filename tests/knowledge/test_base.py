import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.errors import DataError, SampleError, StorageFull
from eddy.kernel.features import NAMES
from eddy.knowledge import records
from eddy.knowledge.base import KnowledgeBase
from eddy.knowledge.records import ANOMALOUS, NORMAL, TRAINING, Event, Window
from eddy.knowledge.registry import JOIN, LEAVE, SPEAKS, Model, Registry, identity

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
        base.add_event(Event("pump-1", 1, 5, "boot", {"e": "boot"}))
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


def test_a_disk_that_is_full_in_a_part_says_so_too(base: KnowledgeBase) -> None:
    (pages,) = base.connection.execute("PRAGMA page_count").fetchone()
    base.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull, match="make room"), base.transaction(), base.savepoint():
        for seq in range(2000):
            base.add_window(window(seq))
    base.add_window(window(1))
    assert base.windows("pump-1") == [window(1)]


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
    assert [w.seq for w in base.training("pump-1", -1)] == [0, 1, 2]
    assert [w.seq for w in base.training("pump-1", -1, 2)] == [0, 1]
    assert [w.seq for w in base.training("pump-1", 2)] == [5, 6]
    assert base.training("pump-1", 6) == base.training("pump-2", -1) == []


def test_it_is_known_whether_more_is_to_be_heard_of_a_training(base: KnowledgeBase) -> None:
    assert base.training_missed("pump-1")
    base.add_window(window(0, TRAINING))
    assert not base.training_missed("pump-1")
    base.add_gap("pump-1", "reports", 5, 9, 0, "overflow")
    assert base.training_missed("pump-1")


def test_a_sample_is_taken_once_and_old_ones_are_forgotten(base: KnowledgeBase) -> None:
    assert [base.take("judge/0", time_ns) for time_ns in (1, 1, 2, 1)] == [True, False, True, False]
    with base.transaction():
        for seq in range(5000):
            assert base.take(f"judge/{seq}", 5)
    assert not base.take("judge/4999", 5) and not base.take("judge/1000", 5)
    assert len(base.table("taken")) < 4200


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


reports = st.tuples(
    st.sampled_from([-1, 0, 65536, 65537]) | plain,
    st.integers(-1, 4),
    plain | st.lists(st.integers(-(1 << 32), 1 << 32), max_size=13) | st.dictionaries(st.sampled_from(["e", "sequence"]), plain),
    st.integers(-2, 1 << 64),
    st.text(max_size=5) | plain,
    st.integers(-1, 4) | plain,
    st.integers(0, 1),
    st.integers(-2, 65537),
    st.dictionaries(st.text(max_size=3), st.lists(st.integers(-1, 65537), min_size=2, max_size=2) | plain, max_size=3) | plain,
    st.integers(-1, 1 << 64),
    st.integers(-1, 1 << 64),
)


@given(plain | reports.map(list))
def test_whatever_comes_from_a_judge_is_read_or_refused(value: object) -> None:
    try:
        said = records.report(value)
    except SampleError:
        return
    with pytest.raises(ZeroDivisionError), MEMORY.transaction():
        if said.news is not None:
            event = Event(said.origin, 1, 5, said.news["e"], said.news)
            MEMORY.add_event(event)
            assert MEMORY.events(said.origin) == [event]
        else:
            row = Window(said.origin, 1, 5, said.held, said.score, said.label, 0, said.row)
            MEMORY.add_window(row)
            assert MEMORY.windows(said.origin) == [row]
            counts = {"strategy": "", "votes": 0, "members": 0, "rule": False, "champion": None}
            numbers = {"weight": said.weight, "total": said.total, "scores": {name: s for name, (s, _) in said.ballot.items()}}
            MEMORY.add_verdict(row, outcome=said.outcome, **counts, **numbers)
        raise ZeroDivisionError  # leave nothing for the next example


@pytest.mark.parametrize("value", [-1, True, 1 << 32, "1", None, 1.0])
def test_an_event_about_a_package_names_one_that_can_be(value: object) -> None:
    assert Event("pump-1", 0, 0, "installed", {"sequence": (1 << 32) - 1}).sequence() == (1 << 32) - 1
    with pytest.raises(SampleError, match="sequence"):
        Event("pump-1", 0, 0, "installed", {"sequence": value}).sequence()


# The registry, and what it announces


def filed(registry: Registry, name: str) -> str:
    wire = name.encode()
    model = Model(identity(wire, ("rms",)), wire, ("rms",), "engine", "pump-1", None, {}, {"held_out_false_alarms": 7})
    registry.add(model)
    return model.id


def announced(registry: Registry) -> list[Any]:
    """Everything from the first on."""
    said: list[Any] = []
    while (one := registry.announcement(len(said))) is not None:
        said.append(one)
    return said


def test_whoever_comes_or_goes_is_announced_once(base: KnowledgeBase) -> None:
    registry = Registry(base)
    model = filed(registry, "a")
    join = [JOIN, "pump-1", model, b"a", ["rms"], 0, 0, 7]
    for role, expected in (("candidate", [join]), ("champion", []), ("pool", []), ("retired", [[LEAVE, "pump-1", model]])):
        before = len(announced(registry))
        registry.enter("pump-1", model, role)
        assert announced(registry)[before:] == expected
    registry.reward("pump-1", {model: 1})
    registry.enter("pump-1", model, "retired")
    registry.enter("pump-1", model, "candidate")
    assert announced(registry)[2:] == [[*join[:5], 1, 1, 7]], "with the standing it has by now"


def test_with_which_package_a_model_comes_is_announced_before_it_goes_out_and_taken_back_when_it_fails(base: KnowledgeBase) -> None:
    registry = Registry(base)
    own, other = filed(registry, "a"), filed(registry, "b")
    registry.crown("pump-1", own, 0, 5, "trained")
    registry.want("pump-1", 1, other, {}, "gateway", "")
    registry.packaged("pump-1", 1, b"package", other)
    assert announced(registry) == [[SPEAKS, "pump-1", 0, own], [SPEAKS, "pump-1", 1, other]]
    assert [registry.speaker("pump-1", sequence) for sequence in (0, 1, 2)] == [own, other, other]
    registry.advance("pump-1", 1, "refused", "too large")
    assert announced(registry)[2:] == [[SPEAKS, "pump-1", 1, own]]
    assert registry.speaker("pump-1", 1) == own


def test_a_pool_is_presented_as_it_is_now_to_a_judge_that_knows_of_no_package(base: KnowledgeBase) -> None:
    registry = Registry(base)
    own, gone, flying = (filed(registry, name) for name in "abc")
    for model, role in ((own, "champion"), (gone, "candidate"), (flying, "candidate")):
        registry.enter("pump-1", model, role)
    registry.enter("pump-1", gone, "retired")
    registry.enter("pump-2", gone, "candidate")
    registry.crown("pump-1", own, 4, 5, "package 4 installed")
    registry.want("pump-1", 5, flying, {}, "gateway", "")
    registry.packaged("pump-1", 5, b"package", flying)
    before = len(announced(registry))
    registry.present("pump-1")
    said = announced(registry)[before:]
    assert sorted(one[2] for one in said[:2]) == sorted([own, flying]) and {one[0] for one in said[:2]} == {JOIN}
    assert said[2:] == [[SPEAKS, "pump-1", 0, own], [SPEAKS, "pump-1", 5, flying]]


def test_packages_are_counted_for_each_device_as_they_were_built(base: KnowledgeBase) -> None:
    registry = Registry(base)
    for device, sequence in (("pump-1", 1), ("pump-2", 1), ("pump-1", 7), ("pump-1", 8)):
        registry.want(device, sequence, None, {"threshold": 1}, "ada", "")
        if sequence < 8:
            registry.packaged(device, sequence, f"{device}/{sequence}".encode(), None)
    assert [registry.package("pump-1", position) for position in range(3)] == [b"pump-1/1", b"pump-1/7", None]
    assert [registry.package("pump-2", position) for position in range(2)] == [b"pump-2/1", None]
    assert announced(registry) == [], "they only configure"
