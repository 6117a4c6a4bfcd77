"""Answers from a lake: what a query says, and what it cannot do."""

import os
import pwd
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lakes import START_NS, rows, sample

from eddy.dashboard.lake import render
from eddy.errors import BadInput, DataError, EddyError, NotAllowed, OverLimit, TooLarge
from eddy.knowledge.insight import findings
from eddy.knowledge.lake import Lake as Sink
from eddy.knowledge.query import Lake

SECRET = "the secret of another file"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "secret.csv").write_text(f"a\n{SECRET}\n")
    parquet.write_table(pa.table({"a": [SECRET]}), folder / "secret.parquet")
    lake = Sink(to=str(folder / "lake"), streams={"ward": {"private": "gateway"}, "room": {"unit": "Cel", "rate_hz": "1", "owner": "Ada"}})
    lake.write_all([sample(i, {"temp": i, "hum": 2.0 * i}, origin="ab"[i % 2]) for i in range(0, 120)])
    lake.write_all([sample(i, i) for i in range(120, 130)])
    lake.write_all([sample(i, i, "ward") for i in range(130, 140)])
    lake.write_all([sample(140, "x", "ward"), ("record/record/abcdef/141", START_NS, ["room", "a", 500, "overflow", 509])])
    return folder / "lake"


def test_each_stream_is_a_view_and_rows_from_before_a_column_have_nothing_there(root: Path) -> None:
    with Lake(root) as lake:
        assert lake.query("SELECT count(*) AS n, sum(temp) AS t, sum(value) AS v FROM room").rows() == [
            {"n": 130, "t": sum(range(120)), "v": sum(range(120, 130))}
        ]
        names = {row["name"] for row in lake.query("SHOW TABLES").rows()}
        assert names == {"room", "ward", "quarantine", "gaps", "audit", "streams", "fields", "quality", "tiers"}


def test_the_catalog_says_what_there_is(root: Path) -> None:
    with Lake(root) as lake:
        room = lake.query("FROM streams WHERE stream = 'room'").rows()[0]
        assert (room["unit"], room["rate_hz"], room["owner"], room["rows"], room["origins"]) == ("Cel", "1", "Ada", 130, 2)
        assert room["first"].timestamp() == START_NS / 10**9
        quality = lake.query("FROM quality WHERE stream = 'room' AND origin = 'a'").rows()[0]
        assert (quality["missing"], quality["doubled"], quality["late"]) == (10, 0, 0)


def test_the_answer_is_arrow(root: Path) -> None:
    with Lake(root) as lake:
        assert lake.query("SELECT DISTINCT origin FROM room ORDER BY 1").arrow().to_pydict() == {"origin": ["a", "b"]}


def test_series_are_resampled_filled_and_joined(root: Path) -> None:
    with Lake(root) as lake:
        minute = lake.query("FROM resample('room', 'temp', INTERVAL 1 MINUTE) WHERE origin = 'a' LIMIT 1").rows()[0]
        assert (minute["n"], minute["mean"], minute["least"], minute["most"]) == (30, 29.0, 0, 58)
        filled = lake.query("FROM filled('room', 'temp', INTERVAL 1 SECOND) WHERE origin = 'b' LIMIT 3").rows()
        assert [(row["n"], row["mean"]) for row in filled] == [(1, 1.0), (0, 1.0), (1, 3.0)]
        joined = lake.query("FROM joined('ward', 'room', 'value', 'value') LIMIT 1").rows()[0]
        assert (joined["value"], joined["other_value"]) == (130, 129)


FORBIDDEN = [
    "SELECT * FROM read_text('{here}/secret.txt')",
    "SELECT * FROM read_blob('{here}/*')",
    "SELECT * FROM '{here}/secret.csv'",
    "SELECT * FROM read_csv('{here}/secret.csv')",
    "SELECT * FROM read_csv_auto('{here}/secret.csv')",
    "SELECT * FROM sniff_csv('{here}/secret.csv')",
    "SELECT * FROM glob('{here}/*')",
    "SELECT * FROM read_json('{here}/lake/room/_delta_log/00000000000000000000.json')",
    "SELECT * FROM read_parquet('{here}/lake/room/../../secret.csv')",
    "SELECT * FROM query('SELECT * FROM read_text(''{here}/secret.txt'')')",
    "WITH a AS (SELECT * FROM read_text('{here}/secret.txt')) SELECT * FROM a",
    "SELECT (SELECT content FROM read_text('{here}/secret.txt'))",
    "COPY room TO '{here}/out.csv'",
    "COPY (SELECT 1) TO '{file}'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{here}/out.csv'",
    "EXPORT DATABASE '{here}/out'",
    "ATTACH '{here}/out.db'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW room AS SELECT 1",
    "DROP VIEW room",
    "INSERT INTO room VALUES (1)",
    "DELETE FROM room",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA memory_limit = '100GB'",
    "INSTALL httpfs",
    "LOAD '{here}/secret.txt'",
    "CALL pragma_version()",
    "SELECT 1; DROP VIEW room",
    "SELECT 1; SELECT 2",
    "PREPARE p AS SELECT 1",
    "USE memory",
    "BEGIN",
    "SELECT * FROM read_parquet('https://example.org/a.parquet')",
    "SELECT * FROM SECRET",
    "",
    "SELECT * FROM '{here}/secret.parquet'",
    "SELECT * FROM '{file}'",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_scan('{here}/lake/wa' || 'rd/**')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM read_duckdb('{here}/out.db')",
    "SELECT * FROM system.main.read_text('{here}/secret.txt')",
    "DESCRIBE '{here}/secret.csv'",
    "SUMMARIZE '{file}'",
    "/* room */ SELECT * FROM read_text(/* ward */'{here}/secret.txt') -- room",
    'WITH "{here}/secret.csv" AS (SELECT 1 AS a) SELECT * FROM "{here}/secret.csv"',
    "SELECT * FROM (WITH \"{file}\" AS (SELECT 1) SELECT 1), '{file}'",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{here}/secret.txt'')'))",
    "SELECT * FROM query('SELECT * FROM wa' || 'rd')",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '{here}/out')",
    "SELECT * FROM enable_profiling(save_location = '{here}/out.json')",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM add_grammar_extension('x')",
    "SELECT * FROM '/proc/self/environ'",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT getenv('HOME')",
    "WITH gone AS (DELETE FROM room RETURNING *) SELECT * FROM gone",
    "WITH new AS (INSERT INTO audit VALUES (1) RETURNING *) SELECT * FROM new",
    "MERGE INTO room USING ward ON true WHEN MATCHED THEN DELETE",
    "DETACH memory",
    "VACUUM",
    "EXECUTE p",
    "SET VARIABLE x = 1",
    "CREATE MACRO resample(a) AS TABLE SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "IMPORT DATABASE '{here}'",
    "COMMENT ON VIEW room IS 'x'",
    "SELECT " + "+".join(["1"] * 990),
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_a_query_reads_the_tables_and_nothing_else(root: Path, sql: str) -> None:
    before = sorted(root.parent.rglob("*"))
    some_file = next(root.glob("room/day=*/*.parquet"))
    content = some_file.read_bytes()
    with Lake(root) as lake:
        with pytest.raises((NotAllowed, BadInput)) as refused:
            lake.query(sql.format(here=root.parent, file=some_file))
        assert SECRET not in str(refused.value)
        assert lake.query("SELECT count(*) AS n FROM room").rows() == [{"n": 130}]
    assert sorted(root.parent.rglob("*")) == before
    assert some_file.read_bytes() == content


WORDS = """
SELECT FROM COPY TO ATTACH room ( ) * , ; 1 'x' INSTALL httpfs read_text glob query WITH AS INSERT INTO VALUES DROP VIEW SET PRAGMA EXPLAIN
CREATE TABLE t CALL EXPORT DATABASE DETACH UPDATE DELETE memory_limit = secret.txt '../secret.txt' read_text('{here}/secret.txt')
'{here}/secret.csv' '{here}/out.csv'
"""
words = st.sampled_from(WORDS.split())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, max_size=8).map(" ".join) | st.text(max_size=40))
@example("\x00")
@example("SELECT '\ud800'")
def test_no_text_makes_a_query_do_anything_else(root: Path, sql: str) -> None:
    before = sorted(root.parent.rglob("*"))
    with Lake(root, limit_s=2, memory_mb=64, threads=1) as lake:
        try:
            said = str(lake.query(sql.replace("{here}", str(root.parent))).rows())
        except EddyError as error:
            said = str(error)
    assert SECRET not in said
    assert [file for file in sorted(root.parent.rglob("*")) if "audit" not in file.parts] == [
        file for file in before if "audit" not in file.parts
    ]


def test_variables_of_the_program_cannot_be_read(root: Path) -> None:
    hidden = pa.table({"a": [SECRET]})
    with Lake(root) as lake, pytest.raises(BadInput, match="hidden does not exist"):
        lake.query("SELECT * FROM hidden")
    assert hidden.num_rows == 1


def _log(lake: Path) -> Path:
    return lake / "room" / "_delta_log" / "00000000000000000001.json"


@pytest.mark.parametrize("way", ["absolute", "upwards", "uri", "symlink to the file", "symlink to its folder", "symlink to the table"])
def test_a_log_that_points_outside_the_lake_is_refused(root: Path, tmp_path: Path, way: str) -> None:
    """The rows beyond are those of another lake, so that nothing but the place is wrong."""
    lake, beyond = tmp_path / "lake", tmp_path / "beyond"
    for one in (lake, beyond):
        Sink(to=str(one)).write_all([sample(1, 1)])
    log, other = _log(lake), next(beyond.glob("room/*/*.parquet"))
    own = next(lake.glob("room/*/*.parquet"))
    name = str(own.relative_to(lake / "room"))
    if way == "symlink to the file":
        own.unlink()
        own.symlink_to(other)
    elif way == "symlink to its folder":
        shutil.rmtree(own.parent)
        other.rename(other.with_name(own.name))
        own.parent.symlink_to(other.parent)
    elif way == "symlink to the table":
        shutil.rmtree(lake / "room")
        (lake / "room").symlink_to(beyond / "room")
    else:
        there = {"absolute": str(other), "upwards": f"../../{other.relative_to(tmp_path)}", "uri": other.as_uri()}[way]
        assert name in log.read_text()
        log.write_text(log.read_text().replace(name, there))
    with pytest.raises((NotAllowed, DataError)):
        Lake(lake).query("SELECT * FROM room")


@pytest.mark.parametrize("name", ["a site*", "what?", "it's", "Zähler"])
def test_a_folder_of_any_name_is_read(tmp_path: Path, name: str) -> None:
    Sink(to=str(tmp_path / name)).write_all([sample(1, 1)])
    with Lake(tmp_path / name) as here:
        assert here.query("SELECT value FROM room").rows() == [{"value": 1}]


def test_a_stream_that_is_called_like_a_table_of_the_lake_has_its_own(tmp_path: Path) -> None:
    Sink(to=str(tmp_path)).write_all([sample(1, 1, "Audit"), sample(2, 2, "resample"), sample(3, 3, "range")])
    with Lake(tmp_path) as here:
        assert [here.query(f"SELECT value FROM {name}").rows()[0]["value"] for name in ("Audit_", "resample", "range")] == [1, 2, 3]
        assert here.query("FROM audit").rows() == []


def test_a_query_ends_at_its_limit_of_time(root: Path) -> None:
    with Lake(root, limit_s=0.3) as lake:
        with pytest.raises(OverLimit, match=r"more than 0\.3 s"):
            lake.query("SELECT sum(sin(a.range) * cos(b.range)) FROM range(10000000) a, range(10000000) b")
        assert lake.query("SELECT 1 AS one").rows() == [{"one": 1}]


def test_a_query_ends_at_its_limit_of_memory_and_nothing_is_spilled(root: Path) -> None:
    with Lake(root, memory_mb=64) as lake, pytest.raises(OverLimit, match="more memory"):
        lake.query("SELECT list(range::VARCHAR || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') FROM range(50000000)")


def test_a_result_that_is_too_large_is_refused(root: Path) -> None:
    with Lake(root, result_mb=1) as lake, pytest.raises(TooLarge, match="1 MiB"):
        lake.query("SELECT * FROM range(100000000)")


def _asked(root: Path) -> list[tuple[str, str, int | None]]:
    found = rows(root, "audit") if (root / "audit").exists() else []
    return [(row["who"], row["sql"], row["rows"]) for row in sorted(found, key=lambda row: row["time"])]


OPEN = [
    "SELECT 1",
    "SELECT max(temp) FROM room",
    "FROM resample('room', 'temp', INTERVAL 1 MINUTE)",
    "SELECT 'ward' AS ward FROM room",
    "FROM audit",
    "SHOW TABLES",
]
LABELLED = [
    "SELECT max(value) FROM ward",
    "SELECT 1 WHERE EXISTS (FROM memory.main.WARD)",
    "FROM resample('ward', 'value', INTERVAL 1 MINUTE)",
    "FROM filled('wa' || 'rd', 'value', INTERVAL 1 MINUTE)",
    "FROM resample(step := INTERVAL 1 MINUTE, stream := 'wa' || 'rd', field := 'value')",
    "FROM joined('room', 'ward', 'value', 'value')",
    "FROM query_table('wa' || 'rd')",
    "FROM query_table(['ward'])",
    "FROM query_table('main.ward')",
    "FROM query_table('samples.ward')",
    "FROM resample('main.ward', 'value', INTERVAL 1 MINUTE)",
    "DESCRIBE ward",
    "SUMMARIZE ward",
    "SHOW ward",
    "FROM streams",
    "FROM quality",
    "FROM quarantine",
    "FROM gaps",
    "WITH ward AS (FROM ward) FROM ward",
    "TABLE ward",
]


def test_a_run_of_a_command_that_ends_with_an_error_is_kept_too(tmp_path: Path) -> None:
    Sink(to=str(tmp_path), streams={"ward": {"private": "gateway"}}).write_all([sample(1, 1, "ward"), sample(2, 1, "room")])
    with pytest.raises(BadInput), Lake(tmp_path, who="ann", command="look") as lake:
        lake.query("SELECT 1 FROM ward")
        lake.query("SELECT error('x') FROM ward")
    with Lake(tmp_path, who="ann", command="look") as lake:
        lake.query("SELECT 1 FROM room")
    assert _asked(tmp_path) == [("ann", "look", None)]


@pytest.mark.parametrize("sql", OPEN)
def test_queries_on_open_streams_are_not_kept(root: Path, sql: str) -> None:
    before = _asked(root)
    with Lake(root) as lake:
        lake.query(sql)
    assert _asked(root) == before


@pytest.mark.parametrize("sql", LABELLED)
def test_queries_on_labelled_streams_are_kept(root: Path, sql: str) -> None:
    before = _asked(root)
    with Lake(root, who="ann") as lake:
        count = lake.query(sql).table.num_rows
    assert _asked(root) == [*before, ("ann", sql, count)]


def test_an_error_that_says_a_labelled_value_is_kept_too(root: Path) -> None:
    sql = "SELECT error('it is ' || value) FROM ward WHERE value = '131'"
    with Lake(root, who="eve") as lake, pytest.raises(BadInput):
        lake.query(sql)
    assert _asked(root)[-1] == ("eve", sql, None)


def test_nobody_can_ask_under_another_name_by_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    with Lake(root) as lake:
        lake.query("SELECT count(*) FROM ward")
    assert _asked(root)[-1][0] == pwd.getpwuid(os.getuid()).pw_name


def test_what_insight_and_the_report_read_of_labelled_streams_is_kept(root: Path) -> None:
    for read in (findings, lambda lake: render(lake, "x")):
        before = len(_asked(root))
        with Lake(root, who="ann") as lake:
            read(lake)
        assert any("'ward'" in sql for _, sql, _ in _asked(root)[before:])


def test_where_nothing_is_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no lake"):
        Lake(tmp_path)
