"""Moves, fail-overs and crashes in virtual time: the real host, hop and hub on a bad network."""

from collections.abc import Callable

import pytest
from moving import NODES, App, cluster_terms, journey, one_way, wander

from eddy.hub.control import Control
from eddy.kernel.leading import Leading, _Join
from eddy.sim.cluster import HUB, Faults

ALL = [pytest.mark.soak, pytest.mark.timeout(3600)]
SAMPLE = 20  # every so many of the runs that the soak makes


def all_or_sample() -> pytest.MarkDecorator:
    """A campaign in full for the soak, and every 20th run of it otherwise."""
    return pytest.mark.parametrize("step", [pytest.param(SAMPLE, marks=pytest.mark.slow), pytest.param(1, marks=ALL)])


def test_a_move_takes_the_state_along_and_nothing_is_lost_or_doubled() -> None:
    app = App(3)
    app.run(100)
    assert app.cluster.hub
    app.cluster.hub.move("count", "b")
    app.run(200)
    assert (app.owner("count"), app.term("count")) == ("b", 2)
    assert app.cluster.machines["a"].host and app.cluster.machines["a"].host.replica("count") is None  # retired
    app.settle()
    app.check()


def test_a_copy_takes_over_when_its_owner_is_gone_for_good_and_no_copy_means_waiting() -> None:
    app = App(4, count_held=("b",))
    app.run(100)
    app.cluster.crash("a")
    app.cluster.crash("c")  # owns `even`, of which there is no copy
    app.run(2500)
    assert app.owner("count") == "b"
    assert app.owner("even") == "c"
    app.settle()
    app.check()


def test_a_node_that_was_cut_off_is_not_heard_and_is_told_what_it_no_longer_owns() -> None:
    app = App(5, count_held=("b",))
    app.run(100)
    machine = app.cluster.machines["a"]
    machine.reachable = False
    app.run(2500)
    assert app.owner("count") == "b"
    assert machine.host and machine.host.owns() == ["count"]  # nobody could tell it
    machine.reachable = True
    app.run(1000)
    assert "count" not in machine.host.owns() or app.owner("count") == "a"
    app.settle()
    app.check()


def test_while_the_hub_is_down_everything_placed_goes_on() -> None:
    app = App(6, count_held=("b",))
    app.run(100)
    app.cluster.crash(HUB)
    heard = len(app.k2.history)
    app.run(5000)
    assert len(app.k2.history) > heard + 3000
    app.settle()
    app.check()


def test_what_a_journey_does_without_faults() -> None:
    app = journey()
    app.check()
    assert app.term("count") >= 3  # moved, and taken over
    assert app.owner("even") == "b"


@all_or_sample()
@pytest.mark.parametrize("fault", ["lose", "double", "delay"])
def test_any_one_message_may_be_lost_doubled_or_late(fault: str, step: int) -> None:
    for number in range(1, journey().cluster.messages + 1, step):
        app = journey(Faults(**{fault: frozenset([number])}))
        _check(app, f"{fault} message {number}")


@all_or_sample()
@pytest.mark.parametrize("machine", [*NODES, HUB])
@pytest.mark.parametrize("before", [True, False], ids=["before it acts", "before it speaks"])
def test_any_machine_may_crash_at_any_step(machine: str, before: bool, step: int) -> None:
    for number in range(1, journey().cluster.steps + 1, step):
        app = journey(crash=(number, machine, before))
        _check(app, f"{machine} crashes at step {number}")


@pytest.mark.parametrize("runs", [pytest.param(25, marks=pytest.mark.slow), pytest.param(500, marks=ALL)])
def test_moves_and_failovers_at_random(runs: int) -> None:
    """20 changes of owner in each: 10,000 in the soak."""
    changes = 0
    for seed in range(runs):
        app = wander(seed, 20)
        _check(app, f"seed {seed}")
        changes += sum(cluster_terms(app)) - 2
    assert changes >= 20 * runs * 0.95


def test_a_seed_replays_identically() -> None:
    one, two = (wander(7, 8) for _ in range(2))
    assert one.cluster.messages == two.cluster.messages
    assert [repr(record) for record in one.k2.history] == [repr(record) for record in two.k2.history]
    assert one.cluster.terms.decisions("count") == two.cluster.terms.decisions("count")


def _everybody_may_own(control: Control) -> None:
    """Mistake: a node that is only a replica, not in sync, becomes owner."""
    for entry in control._entries.values():
        entry.assignment.in_sync = list(entry.assignment.replicas)


def test_an_owner_that_its_followers_do_not_hear_is_not_heard_by_anybody() -> None:
    one_way().check()


@pytest.mark.parametrize("mistake", ["speak before it is committed", "take what was sent for received", "promote who is not in sync"])
def test_the_campaign_notices_a_deliberate_mistake(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mistake == "speak before it is committed":
        speak = Leading.speak

        def too_early(self: Leading, now_ms: int) -> list[tuple[str, bytes]]:
            self._released = self.replica.emitted
            return speak(self, now_ms)

        monkeypatch.setattr(Leading, "speak", too_early)
    elif mistake == "take what was sent for received":
        monkeypatch.setattr(_Join, "acked", lambda self: self._index + self.box.next() - self._first)
    else:
        poll: Callable[[Control, int], list[tuple[str, bytes]]] = Control.poll

        def anybody(self: Control, now_ms: int) -> list[tuple[str, bytes]]:
            _everybody_may_own(self)
            return poll(self, now_ms)

        monkeypatch.setattr(Control, "poll", anybody)
    with pytest.raises(AssertionError):
        one_way().check()


def _check(app: App, what: str) -> None:
    try:
        app.check()
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
