"""The driver `lake`: every sample exactly once in the table of its stream, whatever happens in between."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import START_NS, rows, sample, values

import eddy
from eddy.errors import SettingError
from eddy.knowledge import durable
from eddy.knowledge.lake import Lake
from eddy.knowledge.query import Lake as Reader
from eddy.knowledge.tables import Table
from eddy.links.driver import Home, takes_all


def test_samples_are_in_the_table_of_their_stream_with_identity_and_time(tmp_path: Path) -> None:
    Lake(to=str(tmp_path), now_ns=lambda: START_NS + 5_000_000_000).write_all([sample(3, 21, time_ns=START_NS + 1_234_567)])
    (row,) = rows(tmp_path)
    assert (row["origin"], row["seq"], row["birth"], row["value"], row["late"]) == ("a", 3, "abcdef", 21, False)
    assert (row["time_ns"], row["time"].microsecond) == (START_NS + 1_234_567, 1234)
    assert (row["received"] - row["time"]).total_seconds() == pytest.approx(5, abs=0.01)
    assert row["day"].isoformat() == "2026-01-01"


def test_it_lives_in_the_folder_of_its_node(tmp_path: Path) -> None:
    Lake(home=Home(tmp_path, lambda question: None)).write_all([sample(0, 1)])
    assert values(tmp_path / "lake") == [1]
    with pytest.raises(SettingError, match="write `to`"):
        Lake()


def test_what_comes_again_is_not_written_again_also_by_a_new_lake_and_in_other_batches(tmp_path: Path) -> None:
    samples = [sample(i, i) for i in range(10)]
    Lake(to=str(tmp_path)).write_all(samples[:6])
    lake = Lake(to=str(tmp_path))
    lake.write_all(samples[3:9])
    lake.write_all(samples[8:])
    assert values(tmp_path) == list(range(10))


def test_a_sender_that_was_born_anew_begins_again(tmp_path: Path) -> None:
    lake = Lake(to=str(tmp_path))
    lake.write_all([sample(0, 1)])
    key, at_ns, value = sample(0, 2)
    lake.write_all([(key.replace("abcdef", "012345"), at_ns, value)])
    assert sorted(values(tmp_path)) == [1, 2]


def test_samples_of_several_streams_and_origins_are_kept_apart(tmp_path: Path) -> None:
    Lake(to=str(tmp_path)).write_all([sample(0, 1), sample(1, 2, "pump"), sample(2, 3, "pump", "b"), sample(3, 4, "audit")])
    assert values(tmp_path) == [1]
    assert [(row["origin"], row["value"]) for row in rows(tmp_path, "pump")] == [("a", 2), ("b", 3)]
    assert values(tmp_path, "audit_") == [4]


def test_a_value_that_says_its_origin_is_of_that_origin(tmp_path: Path) -> None:
    Lake(to=str(tmp_path)).write_all([sample(0, {"from": "sensor-7", "value": {"temp": 3}}), sample(1, {"from": "x", "temp": 3})])
    assert [(row["origin"], row["temp"], row["from"]) for row in rows(tmp_path)] == [("sensor-7", 3, None), ("a", 3, "x")]


def test_numbers_of_a_stream_with_a_scale_are_what_was_measured(tmp_path: Path) -> None:
    lake = Lake(to=str(tmp_path), streams={"room": {"scale": "1000", "type": "int32"}})
    lake.write_all([sample(0, 21375), sample(1, {"value": [1, 2500], "ok": True}), sample(2, {"from": "b", "value": -1})])
    assert [row["value"] for row in rows(tmp_path) if row["value"] is not None] == [21.375, -0.001]
    assert DeltaTable(str(tmp_path / "quarantine")).to_pyarrow_table()["reason"].to_pylist() == ["value is float here and not floats"]


def test_what_is_older_than_what_was_there_is_late(tmp_path: Path) -> None:
    Lake(to=str(tmp_path)).write_all([sample(0, 0), sample(1, 1)])
    Lake(to=str(tmp_path)).write_all([sample(2, 2, time_ns=START_NS + 1), sample(3, 3), sample(4, 4, origin="b", time_ns=START_NS)])
    assert [row["late"] for row in rows(tmp_path)] == [False, False, True, False, False]


def test_what_was_sent_before_says_so_whoever_sent_it_again(tmp_path: Path) -> None:
    key, time_ns, value = sample(1, 2)
    told = {"from": "b", "value": 3, "resent": True}
    Lake(to=str(tmp_path)).write_all([sample(0, 1), (key, time_ns, [*value, True]), sample(2, told), sample(3, {"key": 4, **told})])
    assert [(row["origin"], row["value"], row["resent"]) for row in rows(tmp_path)] == [
        ("a", 1, False),
        ("a", 2, True),
        ("b", 3, True),
        ("b", 3, True),
    ]


def test_what_fits_nowhere_is_in_quarantine_with_reason_origin_and_payload(tmp_path: Path) -> None:
    told = {"quarantine": "no JSON: line 1", "payload": b"{oops", "from": "site/7"}
    lake = Lake(to=str(tmp_path))
    lake.write_all([sample(0, 1), sample(1, "warm"), sample(2, told), sample(3, 4), sample(4, 5, time_ns=1 << 64)])
    lake.write_all([(f"record/record/abcdef/{5}", 0, "nobody's"), sample(6, 7, "../../etc")])
    assert values(tmp_path) == [1, 4]
    found = [(row["reason"], row["sender"], row["origin"], row["payload"]) for row in rows(tmp_path, "quarantine")]
    assert sorted(found) == sorted(
        [
            ("value is int here and not text", "", "a", b'"warm"'),
            ("no JSON: line 1", "site/7", "a", b"{oops"),
            ("its time is not between 1677 and 2262", "", "a", b"5"),
            ("there can be no table for a stream called ''", "", "", b'"nobody\'s"'),
            ("there can be no table for a stream called '../../etc'", "", "a", b"7"),
        ]
    )
    assert not (tmp_path.parent / "etc").exists()


def test_what_two_streams_have_refused_comes_again_and_is_in_quarantine_once(tmp_path: Path) -> None:
    samples = [sample(0, 1), sample(1, 1, "pump"), sample(2, "x"), sample(3, "x", "pump"), sample(4, "y"), sample(5, "y", "pump")]
    for _ in range(2):
        Lake(to=str(tmp_path)).write_all(samples)
    assert values(tmp_path, "quarantine", "seq") == [2, 3, 4, 5]


def test_much_that_fits_nowhere_costs_few_looks_at_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    position = Table.position

    def counted(table: Table, sender: str) -> int:
        looks.append(sender)
        return position(table, sender)

    monkeypatch.setattr(Table, "position", counted)
    Lake(to=str(tmp_path)).write_all([sample(n, {"quarantine": "no JSON", "payload": b"{"}) for n in range(500)])
    assert len(values(tmp_path, "quarantine", "seq")) == 500 and len(looks) < 5


def test_a_declared_type_decides_what_a_number_is_and_units_are_kept(tmp_path: Path) -> None:
    lake = Lake(to=str(tmp_path), streams={"room": {"type": "float32", "unit": "Cel", "rate_hz": "1", "private": "gateway"}})
    lake.write_all([sample(0, 21)])
    lake.write_all([sample(1, 21.5)])
    assert values(tmp_path) == [21.0, 21.5]
    about = DeltaTable(str(tmp_path / "room")).metadata().configuration
    assert (about["eddy.unit"], about["eddy.rate_hz"], about["eddy.private"]) == ("Cel", "1", "gateway")


def test_what_an_app_says_anew_is_said_of_the_table_and_its_label_becomes_no_looser(tmp_path: Path) -> None:
    def told(**said: Any) -> dict[str, str]:
        seq = len(rows(tmp_path)) if (tmp_path / "room").exists() else 0
        Lake(to=str(tmp_path), streams={"room": said}).write_all([sample(seq, seq)])
        about = DeltaTable(str(tmp_path / "room")).metadata().configuration
        return {name: text for name, text in about.items() if name.startswith("eddy.") and text}

    assert told(unit="Cel", rate_hz="1", private="gateway") == {"eddy.unit": "Cel", "eddy.rate_hz": "1", "eddy.private": "gateway"}
    assert told(units={"day": "K"}, range={"day": [-1.5, 7]}, private="cloud") == {
        **{"eddy.units": '{"day_": "K"}', "eddy.range": '{"day_": [-1.5, 7]}'},
        "eddy.private": "gateway",
    }
    assert told(private="device") == {"eddy.private": "device"}
    Lake(to=str(tmp_path)).write_all([sample(3, 3)])  # one that knows no app
    assert told(private="device") == {"eddy.private": "device"} and values(tmp_path) == [0, 1, 2, 3, 4]


def test_missing_samples_are_told(tmp_path: Path) -> None:
    lost = ("record/record/abcdef/0", START_NS, ["room", "a", 5, "overflow", 9])
    for _ in range(2):
        Lake(to=str(tmp_path)).write_all([lost])
    assert [(row["stream"], row["origin"], row["first"], row["last"], row["reason"]) for row in rows(tmp_path, "gaps")] == [
        ("room", "a", 5, 9, "overflow")
    ]


def test_many_small_commits_are_tended_by_the_sink_itself(tmp_path: Path) -> None:
    lake = Lake(to=str(tmp_path))
    for i in range(70):
        lake.write_all([sample(i, i)])
    assert len(DeltaTable(str(tmp_path / "room")).file_uris()) < 10
    assert (tmp_path / "room" / durable.LOG / "_last_checkpoint").exists()
    assert values(tmp_path) == list(range(70))


def test_it_is_a_driver_that_takes_many_at_once() -> None:
    assert takes_all(["eddy.knowledge.lake", "Lake", {}]) and not takes_all(["eddy.links.log", "Log", {}])


mixed = st.one_of(
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.text(max_size=2),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b", "A", "time"]), st.integers(0, 3) | st.text(max_size=1), max_size=2),
    st.just({"quarantine": "x", "payload": b"y"}),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), sent=st.lists(st.tuples(st.sampled_from(["room", "pump"]), mixed), min_size=1, max_size=12))
def test_whatever_comes_in_whatever_batches_with_a_crash_behind_any_commit_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, sent: list[tuple[str, Any]]
) -> None:
    root = tmp_path_factory.mktemp("lake")
    samples = [sample(i, value, stream) for i, (stream, value) in enumerate(sent)]
    acknowledged, lake = 0, Lake(to=str(root), fsync=False)
    while acknowledged < len(samples):
        upto = data.draw(st.integers(acknowledged + 1, len(samples)))
        commits_left = data.draw(st.sampled_from([9, 0, 1, 2]))
        append = lake._append

        def crashing(*given: Any, append: Any = append) -> None:
            nonlocal commits_left
            if commits_left == 0:
                raise KeyboardInterrupt
            commits_left -= 1
            append(*given)

        lake._append = crashing  # type: ignore[method-assign]
        try:
            lake.write_all(samples[acknowledged:upto])
            acknowledged = upto
        except KeyboardInterrupt:
            pass
        lake = Lake(to=str(root), fsync=False)
    there = Counter(row["seq"] for name in ("room", "pump", "quarantine") if (root / name).exists() for row in rows(root, name))
    assert there == Counter(range(len(samples)))


WRITER = textwrap.dedent(
    """
    import sys
    from lakes import sample
    from eddy.knowledge.lake import Lake
    lake, at = Lake(to=sys.argv[1]), int(sys.argv[2])
    while True:
        batch = [sample(i, "x" if i % 50 == 0 else i, "room" if i % 3 else "pump") for i in range(at, at + 40)]
        lake.write_all(batch)
        at += 40
        print(at, flush=True)
    """
)


def killed(root: Path, at: int, after: int, pause_ms: float) -> int:
    """A writer killed some time behind so many acknowledged batches; returns what it had acknowledged."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(eddy.__file__).parents[1]), str(Path(__file__).parent)])}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(at)], stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout
        for _ in range(after):
            at = int(writer.stdout.readline() or at)
        try:
            writer.wait(pause_ms / 1000)
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        return max([at, *(int(line) for line in writer.stdout if line.endswith("\n"))])


def campaign(root: Path, kills: int) -> None:
    chance, at = random.Random(1), 0
    for _ in range(kills):
        at = killed(root, at, chance.randrange(1, 4), chance.uniform(1, 60))
    Lake(to=str(root)).write_all([])
    for name in ("room", "pump", "quarantine"):
        durable.mend(root / name)
    there = Counter(row["seq"] for name in ("room", "pump", "quarantine") for row in rows(root, name))
    assert max(there.values()) == 1 and set(range(at)) <= set(there)


@pytest.mark.slow
def test_a_writer_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    campaign(tmp_path, 6)


@pytest.mark.soak
def test_two_hundred_kills(tmp_path: Path) -> None:
    campaign(tmp_path, 200)  # minutes: run it with --timeout=0


def test_lists_whose_parts_have_names_become_columns(tmp_path: Path) -> None:
    told = {
        "fields": {"0": "score", "1": "label", "2": "news", "2.0": "mean", "2.1": "rms"},
        "per": {"score": 65536, "rms": 16},
        "absent": {"score": -1},
        "units": {"rms": "gn"},
    }
    lake = Lake(to=str(tmp_path), streams={"room": told})
    lake.write_all([sample(0, [32768, 1, [5, 24]]), sample(1, [-1, 3, {"e": "trained"}]), sample(2, [-1, 2]), sample(3, {"label": 9})])
    found = [{name: row.get(name) for name in ("score", "label", "news", "mean", "rms")} for row in rows(tmp_path)]
    assert found == [
        {"score": 0.5, "label": 1, "news": None, "mean": 5, "rms": 1.5},
        {"score": None, "label": 3, "news": '{"e":"trained"}', "mean": None, "rms": None},
        {"score": None, "label": 2, "news": None, "mean": None, "rms": None},
        {"score": None, "label": 9, "news": None, "mean": None, "rms": None},
    ]


def test_days_of_streams_that_hardly_send_grow_old_all_the_same(tmp_path: Path) -> None:
    now_ns = START_NS
    streams: dict[str, dict[str, str]] = {"room": {}, "hall": {}}

    def opened() -> Lake:
        return Lake(to=str(tmp_path), keep_ms=10 * 86_400_000, streams=streams, now_ns=lambda: now_ns)

    opened().write_all([sample(0, 1, "room"), sample(1, 1, "hall")])
    lake = opened()
    for number in range(2, 30):  # a sample of one of them each half a day, and a new process in between
        now_ns += 43_200 * 10**9
        lake.write_all([sample(number, number, "hall", time_ns=now_ns)])
        lake.write_all([sample(100 + number, number, "hall", time_ns=now_ns)])
        lake = opened() if number == 10 else lake
    assert rows(tmp_path, "room") == []
    kept = [row["time_ns"] for row in rows(tmp_path, "hall")]
    assert 0 < now_ns - min(kept) <= 11 * 86_400 * 10**9


def test_what_an_app_says_of_a_stream_with_a_reserved_name_is_said_of_its_table(tmp_path: Path) -> None:
    Lake(to=str(tmp_path), streams={"audit": {"private": "gateway", "scale": 10}}).write_all([sample(0, 25, "audit")])
    with Reader(tmp_path) as reader:
        assert reader.labels["audit_"] == "gateway"
        assert [row["value"] for row in rows(tmp_path, "audit_")] == [2.5]
