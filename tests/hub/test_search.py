"""What a hub finds among decisions, events and the files of apps: on SQLite and PostgreSQL, and through its API."""

import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sql
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moving import charter
from typer.testing import CliRunner

from eddy.cli.main import app as eddy
from eddy.errors import SettingError
from eddy.hub.api import create
from eddy.hub.control import Control
from eddy.hub.house import House
from eddy.hub.register import DOCUMENT, Register
from eddy.hub.search import Words
from eddy.hub.server import Server
from eddy.hub.terms import Terms, open_database

EXAMPLE = Path(__file__).parents[2] / "examples" / "pump" / "eddy.yaml"
BOTH = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

WORDS = ["p", "pump", "Pumps", "lost", "LÜF", "lüfter", "lufter"]
MARKS = [" ", "-", "@", ": ", "/", "_", "\n", " 'x' ", "…"]


def texts(most: int) -> st.SearchStrategy[str]:
    parts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(MARKS)), min_size=1, max_size=most)
    return parts.map(lambda found: "".join(word + mark for word, mark in found))


def split(text: str) -> list[str]:
    return [word.lower() for word in re.split(r"[\W_]+", text) if word]


def says(text: str, wanted: list[str], begun: bool) -> bool:
    """Whether words follow each other in a text; the last may be the beginning of one."""
    there = split(text)
    for at in range(len(there) - len(wanted) + 1):
        *firsts, last = there[at : at + len(wanted)]
        if firsts == wanted[:-1] and (last.startswith(wanted[-1]) if begun else last == wanted[-1]):
            return True
    return False


@BOTH
@given(
    said=st.lists(texts(6), min_size=3, max_size=6),
    asked=st.lists(st.tuples(st.sampled_from(WORDS) | texts(2), st.booleans()), min_size=1, max_size=2),
)
def test_what_is_found_is_what_has_every_phrase(engine: sql.Engine, said: list[str], asked: list[tuple[str, bool]]) -> None:
    register = Register(engine)
    before = max((event.number for event in register.events(None, 1)), default=0)
    for text in said:
        register.note("n", "k", "", text)
    wanted = Words.of(" ".join(f'"{text}"' + "*" * begun for text, begun in asked))
    found = [event.text for event in register.search(wanted, 1000)[0] if event.number > before]
    assert found == [text for text in said if all(says("n k " + text, split(words), begun) for words, begun in asked)]


@BOTH
@given(st.text(max_size=30))
@example('"')
@example('a"b*" NEAR(c)')
@example("a\0b -c ^d {e} : & | ! <-> 'f")
@example("\ud800x ²*")
def test_whatever_a_person_writes_is_searched_for_or_told_to_be_no_word(engine: sql.Engine, text: str) -> None:
    register = Register(engine)
    try:
        wanted = Words.of(text)
    except SettingError:
        return
    assert register.search(wanted, 9) == ([], [])


def test_a_search_without_a_word_says_how_to_write_one() -> None:
    with pytest.raises(SettingError, match=r"no word in '\* \.\.\.': write words"):
        Words.of("* ...")


def test_the_newest_come_oldest_first_and_no_more_than_asked_for(engine: sql.Engine) -> None:
    register, terms = Register(engine), Terms(engine)
    Control(terms).place(charter("features@pump-3", ["m", "C", {}], "rows", []), [], "gw", [])
    for name in ("b", "c", "d"):
        terms.want(terms.all()[0][0], name, "gw is full")
        register.note("gw", "fault", "features@pump-3", f"division by zero in {name}")
    assert [one.what for one in terms.search(Words.of("GW full"), 2)] == ["want it on c", "want it on d"]
    assert [one.text[-1] for one in register.search(Words.of("pump-3 divis*"), 2)[0]] == ["c", "d"]
    assert terms.search(Words.of("full division"), 9) == []
    assert terms.search(Words.of('"full is"'), 9) == [] and len(terms.search(Words.of('"is full" gw'), 9)) == 3


def test_documents_are_those_of_the_app_as_it_is_now(engine: sql.Engine) -> None:
    register = Register(engine)
    files = {
        "own/rms.py": b"import math\n\ndef rms(row):\n    return math.sqrt(sum(row))\n",
        "model.bin": b"\xff\x00rms",
        "nul.txt": b"a\0b",
    }
    assert register.save_app("mill", "app: mill\n", files, replaces=0)
    (found,) = register.search(Words.of("rms row"), 9)[1]
    assert (found.app, found.path, found.line, found.text) == ("mill", "own/rms.py", 3, "def rms(row):")
    assert [one.path for one in register.search(Words.of("rms.py"), 9)[1]] == ["own/rms.py"]
    assert not register.save_app("mill", "app: mill # late\n", {}, replaces=7)
    assert register.search(Words.of("late"), 9)[1] == []
    assert register.save_app("mill", "app: mill # two\n", {}, replaces=1)
    assert [(one.path, one.text) for one in register.search(Words.of("two"), 9)[1]] == [("eddy.yaml", "app: mill # two")]
    assert register.search(Words.of("rms"), 9)[1] == []
    register.remove_app("mill")
    assert register.search(Words.of("mill"), 9)[1] == []


def test_a_document_larger_than_an_index_takes_is_kept_and_found_by_its_beginning(engine: sql.Engine) -> None:
    register = Register(engine)
    text = "".join(f"w{number:x}\n" for number in range(DOCUMENT // 4))
    assert register.save_app("mill", text, {}, replaces=0)
    assert register.search(Words.of("w1f"), 9)[1][0].line == 0x1F + 1
    assert register.search(Words.of(f"w{DOCUMENT // 4 - 1:x}"), 9)[1] == []
    assert register.apps()[0].text == text


def test_a_database_of_an_older_hub_is_searched_too(engine: sql.Engine) -> None:
    register = Register(engine)
    register.save_app("mill", "app: mill\n", {}, replaces=0)
    register.note("gw", "fault", "judge", "division by zero")
    with engine.begin() as connection:  # as it was before there was a search
        connection.execute(sql.text("DROP TABLE documents"))
        if connection.dialect.name == "sqlite":
            connection.execute(sql.text("DROP TABLE documents_words"))
            connection.execute(sql.text("DROP TABLE events_words"))
            connection.execute(sql.text("DROP TRIGGER events_words_new"))
            connection.execute(sql.text("DROP TRIGGER events_words_old"))
        else:
            connection.execute(sql.text("DROP INDEX events_words"))
    again = Register(engine)
    again.note("gw", "fault", "judge", "division by two")
    events, _ = again.search(Words.of("division"), 9)
    assert [event.text for event in events] == ["division by zero", "division by two"]
    assert [one.path for one in Register(engine).search(Words.of("mill"), 9)[1]] == ["eddy.yaml"]


@pytest.mark.slow
def test_postgres_looks_into_its_index(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    Register(engine)
    asked: list[tuple[str, object]] = []
    sql.event.listen(engine, "before_cursor_execute", lambda c, cursor, statement, given, *more: asked.append((statement, given)))
    Register(engine).search(Words.of("pump* zero"), 9)
    statement, given = next(one for one in asked if "FROM events" in one[0])
    with engine.connect() as connection:
        connection.execute(sql.text("SET enable_seqscan = off"))
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", given).scalars().all()  # type: ignore[arg-type]
    engine.dispose()
    assert any("events_words" in line for line in plan), plan


# Of a whole hub


def test_people_search_what_was_applied_and_why_it_is_where_it_is(house: House) -> None:
    house.apply(EXAMPLE.read_text(), {}, dry=False)
    house.declare_gone("pump-4", "struck by lightning")
    with Server(create(house, None), port=0) as server:
        shown = CliRunner().invoke(eddy, ["search", "lightning", "--hub", server.url])
        assert shown.exit_code == 0 and "pump-4  gone  declared gone: struck by lightning" in shown.stdout, shown.output
        said = json.loads(CliRunner().invoke(eddy, ["search", "place pump-2", "--hub", server.url, "--json", "-"]).stdout)
        assert {one["instance"] for one in said["decisions"]} >= {"detect@pump-2"} and said["events"] == []
        shown = CliRunner().invoke(eddy, ["search", "bearing-health", "--hub", server.url])
        line = next(number for number, text in enumerate(EXAMPLE.read_text().splitlines(), 1) if "bearing-health" in text)
        assert f"pump-guard/eddy.yaml:{line}" in shown.stdout, shown.output
        nothing = CliRunner().invoke(eddy, ["search", "unicorn", "--hub", server.url])
        assert (nothing.exit_code, nothing.stdout) == (0, "Nothing holds all of these words.\n")
        wrong = CliRunner().invoke(eddy, ["search", "...", "--hub", server.url])
        assert wrong.exit_code == 1 and "there is no word in '...'" in wrong.stderr


def test_who_may_not_read_the_hub_may_not_search_it(house: House) -> None:
    with TestClient(create(house, "0123456789abcdef"), base_url="http://127.0.0.1:8787") as client:
        assert client.get("/api/v1/search", params={"text": "pump"}).status_code == 401
        assert client.get("/api/v1/search", params={"text": "pump"}, headers={"Authorization": "Bearer 0123456789abcdef"}).json() == {
            "documents": [],
            "decisions": [],
            "events": [],
        }
