"""Two slots run the old artefact or the new one, never neither. (Power cuts at every flash operation: tests/soak/test_powercut.py.)"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddy.kernel.errors import RollbackError, StorageFull
from eddy.kernel.slots import Slots


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "slots")


def runs(slots: Slots) -> tuple[int, bytes] | None:
    """Boot: the sequence and contents of what runs."""
    found = slots.boot()
    if found is None:
        return None
    with found[1] as file:
        return found[0], file.read()


def confirmed(folder: str, *artefacts: tuple[int, bytes]) -> Slots:
    slots = Slots(folder)
    for sequence, data in artefacts:
        slots.install(sequence, data)
        slots.confirm()
    return slots


def test_empty_slots_boot_nothing(folder: str) -> None:
    slots = Slots(folder)
    assert runs(slots) is None
    assert (slots.active(), slots.trial(), slots.sequence()) == (None, False, 0)
    slots.confirm()
    slots.revert()
    assert runs(slots) is None


def test_an_artefact_on_trial_runs_and_stays_when_it_is_confirmed(folder: str) -> None:
    slots = confirmed(folder, (1, b"old"))
    slots.install(2, b"new")
    assert slots.trial()
    assert slots.active() == 1
    assert runs(Slots(folder)) == (2, b"new")
    slots = Slots(folder)
    slots.confirm()
    for _ in range(10):
        assert runs(Slots(folder)) == (2, b"new")


def test_an_unconfirmed_artefact_is_reverted_after_its_tries(folder: str) -> None:
    confirmed(folder, (1, b"old")).install(2, b"new")
    ran = [runs(Slots(folder, max_tries=3)) for _ in range(5)]
    assert ran == [(2, b"new")] * 3 + [(1, b"old")] * 2
    assert not Slots(folder).trial()


def test_a_first_artefact_that_is_never_confirmed_leaves_nothing(folder: str) -> None:
    Slots(folder).install(0, b"born here")
    ran = [runs(Slots(folder, max_tries=2)) for _ in range(3)]
    assert ran == [(0, b"born here"), (0, b"born here"), None]


def test_rollback_is_refused_even_after_a_revert(folder: str) -> None:
    slots = confirmed(folder, (3, b"old"))
    slots.install(7, b"new")
    slots.revert()
    assert runs(slots) == (3, b"old")
    for sequence in (1, 3, 6, 7):
        with pytest.raises(RollbackError, match=f"sequence {sequence} is not above 7"):
            Slots(folder).install(sequence, b"older")
    assert Slots(folder).sequence() == 7
    slots.install(8, b"newer")
    assert runs(slots) == (8, b"newer")


def test_what_was_made_here_has_no_sequence_to_roll_back(folder: str) -> None:
    slots = confirmed(folder, (0, b"born here"), (5, b"sent"), (0, b"born again"))
    assert runs(slots) == (0, b"born again")
    assert slots.sequence() == 5


def test_a_confirmed_artefact_can_be_reverted_once(folder: str) -> None:
    slots = confirmed(folder, (1, b"old"), (2, b"new"))
    slots.revert()
    assert runs(slots) == (1, b"old")
    slots.revert()
    assert runs(slots) == (1, b"old")


def test_a_damaged_trial_is_given_up_for_the_confirmed_artefact(folder: str) -> None:
    confirmed(folder, (1, b"old")).install(2, b"new" * 100)
    damage(folder, b"new" * 100)
    slots = Slots(folder)
    assert runs(slots) == (1, b"old")
    assert not slots.trial()


def test_a_damaged_confirmed_artefact_is_given_up_for_the_one_before(folder: str) -> None:
    confirmed(folder, (1, b"old"), (2, b"new" * 100))
    damage(folder, b"new" * 100)
    assert runs(Slots(folder)) == (1, b"old")
    assert Slots(folder).active() == 1


def damage(folder: str, data: bytes) -> None:
    (path,) = [path for path in Path(folder).iterdir() if path.read_bytes() == data]
    path.write_bytes(data[:-1] + b"?")


def test_at_most_three_files_rest_and_strangers_are_swept_up(folder: str) -> None:
    slots = Slots(folder)
    for sequence in range(1, 9):
        slots.install(sequence, bytes(100))
        if sequence % 3:
            slots.confirm()
        assert len(list(Path(folder).iterdir())) <= 3
    (Path(folder) / "99").write_bytes(b"cut off")
    (Path(folder) / "state.new").write_bytes(b"cut off")
    Slots(folder)
    assert not {"99", "state.new"} & {path.name for path in Path(folder).iterdir()}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("file", ["2", "state.new"])
def test_without_room_everything_stays_as_it_was(folder: str, file: str) -> None:
    slots = confirmed(folder, (1, b"old"))
    (Path(folder) / file).symlink_to("/dev/full")
    with pytest.raises(StorageFull, match="no room at"):
        slots.install(2, b"new")
    assert not slots.trial()
    assert slots.sequence() == 1
    assert runs(Slots(folder)) == (1, b"old")
    slots.install(2, b"new")
    assert runs(slots) == (2, b"new")


STEPS = st.lists(st.sampled_from(["install", "boot", "confirm", "revert", "reboot"]), max_size=30)


@settings(deadline=None)
@given(steps=STEPS)
def test_once_confirmed_there_is_always_something_to_run(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tmp_path_factory.mktemp("slots"))
    slots = confirmed(folder, (1, b"1"))
    known = {(1, b"1")}
    for step in steps:
        if step == "install":
            sequence = slots.sequence() + 1
            slots.install(sequence, b"%d" % sequence)
            known.add((sequence, b"%d" % sequence))
        elif step == "reboot":
            slots = Slots(folder)
        elif step == "boot":
            assert runs(slots) in known
        else:
            getattr(slots, step)()
        trial = slots.trial()
        assert runs(slots) in known
        assert slots.trial() <= trial


def test_on_full_flash_the_confirmed_artefact_runs_and_the_trial_is_not_forgotten(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start on trial that cannot be counted might be repeated for ever."""
    slots = confirmed(folder, (1, b"old"))
    slots.install(2, b"new")
    with monkeypatch.context() as patch:
        patch.setattr("eddy.kernel.slots.write_map", full)
        slots = Slots(folder)
        assert runs(slots) == (1, b"old")
        assert not slots.trial()
    assert runs(Slots(folder)) == (2, b"new")


def full(path: str, value: dict[object, object]) -> None:
    raise StorageFull("no room")
