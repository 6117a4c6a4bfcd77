"""What the hub keeps, on SQLite and on PostgreSQL; and two hubs at once on one PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sql
from moving import charter

from eddy.hub.control import Control
from eddy.hub.register import Register
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import Assignment
from eddy.kernel.charter import open_charter

HUBS = 4
ROUNDS = 25


def placed(terms: Terms) -> Assignment:
    Control(terms).place(charter("count", ["module", "Class", {}], "counted", []), ["sink"], "a", ["b"])
    return terms.all()[0][0]


def test_an_assignment_comes_back_as_it_was_and_the_ledger_has_its_reason(engine: sql.Engine) -> None:
    terms = Terms(engine, lambda: 1_700_000_000_000)
    before = placed(terms)
    assert (open_charter(before.charter).program, before.owner, before.consumers) == (["module", "Class", {}], "a", ["sink"])
    terms.want(before, "b", "ada asked")
    ((after, wanted, holders),) = Terms(engine).all()
    assert (after.plain(), wanted, holders) == (before.plain(), "b", ["b"])
    assert terms.decisions("count")[1] == (1_700_000_000_000, 1, "want it on b", "ada asked")


def test_the_ledger_is_read_from_either_end(engine: sql.Engine) -> None:
    terms = Terms(engine)
    assignment = placed(terms)
    for name in ("b", "c", "d"):
        terms.want(assignment, name, "test")
    assert [one.what for one in terms.ledger(None, None, 2)] == ["want it on c", "want it on d"]
    first, second = terms.ledger("count", 0, 2)
    assert (first.what, second.what, second.instance, second.term, second.why) == ("place on a", "want it on b", "count", 1, "test")
    assert [one.what for one in terms.ledger("count", second.number, 9)] == ["want it on c", "want it on d"]
    assert terms.ledger("other", None, 9) == []


def test_an_app_is_changed_only_by_who_has_seen_its_latest_version(engine: sql.Engine) -> None:
    register = Register(engine)
    assert register.save_app("mill", "app: mill\n", {"rms.py": b"\x00\xff"}, replaces=0)
    assert not register.save_app("mill", "app: mill # other\n", {}, replaces=0)
    assert register.save_app("mill", "app: mill # two\n", {}, replaces=1)
    assert not register.save_app("mill", "app: mill # late\n", {}, replaces=1)
    (app,) = register.apps()
    assert (app.version, app.text, app.files) == (2, "app: mill # two\n", {})
    register.remove_app("mill")
    assert register.apps() == []
    assert register.save_app("mill", "app: mill\n", {"rms.py": b"\x00\xff"}, replaces=0)
    assert register.apps()[0].files == {"rms.py": b"\x00\xff"}


def test_a_name_belongs_to_the_key_that_came_first(engine: sql.Engine) -> None:
    register = Register(engine)
    assert register.admit("pump", "device", "aa")
    assert not register.admit("pump", "gateway", "bb")
    assert register.declare_gone("pump")
    assert not register.declare_gone("pmup")
    assert [(one.tier, one.fingerprint, one.gone) for one in register.members()] == [("device", "aa", True)]
    assert register.admit("pump", "device", "aa")
    assert not register.members()[0].gone


def test_events_come_back_in_order(engine: sql.Engine) -> None:
    register = Register(engine, lambda: 42)
    for number in range(3):
        register.note("gw", "fault", "judge", f"fault {number}")
    first = register.events(0, 1)[0]
    assert (first.time_ms, first.node, first.kind, first.instance, first.text) == (42, "gw", "fault", "judge", "fault 0")
    assert (
        [one.text for one in register.events(first.number, 9)] == [one.text for one in register.events(None, 2)] == ["fault 1", "fault 2"]
    )


@pytest.mark.slow
def test_of_hubs_that_decide_at_once_exactly_one_wins_each_term(postgres_url: str) -> None:
    start = Barrier(HUBS, timeout=20)

    def hub(number: int) -> list[int]:
        engine = open_database(postgres_url)
        start.wait()
        terms = Terms(engine)  # all of them make the tables, too
        if number == 0:
            placed(terms)
        start.wait()
        won = []
        for version in range(1, ROUNDS + 1):
            after = Assignment.of(terms.all()[0][0].plain())
            after.version, after.term, after.owner = version + 1, version + 1, f"n{number}"
            start.wait()
            if terms.swap(version, after, f"owner is n{number}", "race", f"n{number}", []):
                won.append(version + 1)
            start.wait()
        engine.dispose()
        return won

    with ThreadPoolExecutor(HUBS) as pool:
        wins = list(pool.map(hub, range(HUBS)))
    engine = open_database(postgres_url)
    ledger = Terms(engine).ledger("count", 0, 1000)
    engine.dispose()
    assert sorted(term for won in wins for term in won) == list(range(2, ROUNDS + 2))
    owners = {term: f"n{number}" for number, won in enumerate(wins) for term in won}
    assert [(one.term, one.what) for one in ledger] == [(1, "place on a")] + [(term, f"owner is {owners[term]}") for term in sorted(owners)]


@pytest.mark.slow
def test_who_follows_the_ledger_misses_nothing_of_hubs_that_write_at_once(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    register = Register(engine)

    def write(hub: int) -> None:
        for number in range(ROUNDS):
            register.note(f"hub-{hub}", "fault", "", str(number))

    seen: list[tuple[str, str]] = []
    position = 0
    with ThreadPoolExecutor(HUBS) as pool:
        writers = [pool.submit(write, hub) for hub in range(HUBS)]
        done = False
        while not done:
            done = all(writer.done() for writer in writers)
            for event in register.events(position, 7):
                position = event.number
                seen.append((event.node, event.text))
                done = False
    engine.dispose()
    for writer in writers:
        writer.result()
    assert sorted(seen) == sorted((f"hub-{hub}", str(number)) for hub in range(HUBS) for number in range(ROUNDS))
