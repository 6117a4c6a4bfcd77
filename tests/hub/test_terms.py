"""Who owns what, by compare-and-swap, with the reason in the ledger."""

from pathlib import Path

import pytest
from moving import charter

from eddy.errors import SettingError
from eddy.hub.control import Control
from eddy.hub.terms import Terms, open_database
from eddy.kernel.assignment import Assignment


def placed(terms: Terms) -> Control:
    control = Control(terms)
    control.place(charter("count", "program", "counted", []), ["sink"], "a", ["b"])
    return control


def test_what_was_decided_survives_the_hub(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    placed(Terms(open_database(url), lambda: 7)).move("count", "c", "asked for by ada")
    again = Terms(open_database(url))
    ((assignment, wanted, holders),) = again.all()
    assert (assignment.owner, assignment.term, assignment.consumers, wanted, holders) == ("a", 1, ["sink"], "c", ["b"])
    assert again.decisions("count") == [(7, 1, "place on a", "asked for"), (7, 1, "want it on c", "asked for by ada")]


def test_of_two_hubs_the_slower_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    one, two = Terms(open_database(url)), Terms(open_database(url))
    placed(one)
    ((before, _, _),) = two.all()
    for terms, owner, won in ((one, "b", True), (two, "c", False)):
        after = Assignment.of(before.plain())
        after.version, after.term, after.owner = before.version + 1, before.term + 1, owner
        assert terms.swap(before.version, after, "owner is " + owner, "test", owner, []) is won
    assert [assignment.owner for assignment, _, _ in two.all()] == ["b"]
    assert [what for _, _, what, _ in two.decisions("count")] == ["place on a", "owner is b"]


def test_an_instance_is_placed_once_and_only_what_is_placed_moves() -> None:
    control = placed(Terms(open_database("sqlite://")))
    with pytest.raises(SettingError, match="count is placed already"):
        control.place(charter("count", "program", "counted", []), [], "b", [])
    with pytest.raises(SettingError, match="no coumt is placed: there are count"):
        control.move("coumt", "b")
