"""Moves, fail-overs and crashes in virtual time: the real host, hop and hub on a bad network."""

from collections.abc import Callable

import pytest
from moving import NODES, App, charter, cluster_terms, journey, one_way, wander

from eddy.errors import Refused
from eddy.hub.control import Control, Peer
from eddy.kernel.assignment import ACK, ASSIGN, BATCH, Assignment, message
from eddy.kernel.batch import encode_ack
from eddy.kernel.hop import Outbox
from eddy.kernel.joining import Join
from eddy.kernel.leading import Leading
from eddy.kernel.store import RamStore
from eddy.sim.cluster import HUB, Faults

ALL = [pytest.mark.soak, pytest.mark.timeout(3600)]
SAMPLE = 320  # every so many of the runs that the soak makes


def all_or_sample() -> pytest.MarkDecorator:
    """A campaign in full for the soak, and some of it otherwise."""
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


def cut_off(app: App, node: str) -> None:
    """Nothing passes between a node and the other machines; sources and sinks go on with it."""
    others = [other for other in NODES if other != node]
    out = {(node, to) for to in [*(f"@{other}" for other in others), HUB]}
    app.cluster.cut = out | {(sender, f"@{node}") for sender in [*others, HUB]}


def test_an_owner_that_stays_goes_on_while_it_is_cut_off_and_nobody_takes_over() -> None:
    app = App(8, count_held=("b",), stay=True)
    app.run(300)
    cut_off(app, "a")
    app.run(5000)
    heard = len(app.k2.history)
    app.run(5000)
    assert len(app.k2.history) > heard + 3000
    assert (app.owner("count"), app.term("count")) == ("a", 1)
    app.cluster.cut = set()
    app.run(3000)
    assert app.cluster.hub
    assert app.cluster.hub.in_sync("count") == ["a", "b"]  # the copy has caught up
    app.settle()
    app.check()


def test_an_owner_that_yields_is_silent_while_it_is_cut_off_and_another_takes_over() -> None:
    app = App(9, count_held=("b",), stay=False)
    app.run(300)
    cut_off(app, "a")
    app.run(5000)
    assert (app.owner("count"), app.term("count")) == ("b", 2)
    host = app.cluster.machines["a"].host
    assert host and host.owns() == ["count"]  # nobody could tell it; it cannot be heard
    app.cluster.cut = set()
    app.run(1000)
    assert host.owns() == []
    app.settle()
    app.check()


def taken_for_dead(hears_the_hub: bool) -> App:
    """An owner that stays is killed, replaced, and started again where all sources and sinks are, but neither its copy nor, for long, the
    hub: it cannot know that it was taken for dead, for what the hub decides does not reach it."""
    app = App(12, count_held=("b",), stay=True)
    app.run(300)
    app.cluster.crash("a")
    here, there = {"a": "@a", "c": "@c", "s1": "s1", "s2": "s2", "k1": "k1", "k2": "k2"}, {"b": "@b", HUB: HUB}
    apart = {(one, there[other]) for one in here for other in there} | {(other, here[one]) for one in here for other in there}
    app.cluster.cut = apart | {("b", "count"), ("b", "even")}
    app.run(20)
    assert (app.owner("count"), app.term("count")) == ("b", 2)
    app.cluster.deaf = {"a"}
    app.cluster.start("a")
    if hears_the_hub:
        app.cluster.cut -= {("a", HUB), (HUB, "@a")}
        app.run(500)
        app.cluster.cut = apart
    app.run(6000)
    app.cluster.cut, app.cluster.deaf = set(), set()
    app.settle()
    return app


@pytest.mark.parametrize("hears_the_hub", [False, True])
def test_an_owner_that_was_taken_for_dead_while_it_was_down_does_not_go_on_alone(hears_the_hub: bool) -> None:
    taken_for_dead(hears_the_hub).check()


def test_a_copy_that_was_given_up_and_is_wanted_again_counts_once_it_is_there_again() -> None:
    app = App(13, count_held=("b",), stay=True)
    hub, host = app.cluster.hub, app.cluster.machines["b"].host
    assert hub and host
    app.run(300)
    app.cluster.deaf, app.cluster.cut = {"a"}, {("b", "@a")}  # the owner hears neither that the copy was given up nor that it is gone
    hub.hold("count", [], "no longer wanted")
    app.run(300)
    assert host.replica("count") is None
    hub.hold("count", ["b"], "wanted again")
    app.run(300)
    app.cluster.deaf = set()
    app.run(600)
    app.cluster.crash("a")
    app.run(300)
    assert app.owner("count") == "a"
    app.cluster.cut = set()
    app.settle()
    app.check()


def test_an_owner_that_went_on_alone_is_not_replaced_by_the_copy_it_left_when_it_stops() -> None:
    app = App(8, count_held=("b",), stay=True)
    hub = app.cluster.hub
    assert hub
    app.run(300)
    cut_off(app, "a")
    hub.move("count", "b")
    app.run(5000)
    app.cluster.cut = {("a", "@b")}  # the owner hears the hub again, and that it shall stop; its copy hears of nothing yet
    app.run(1000)
    assert app.owner("count") == "a"
    app.cluster.cut = set()
    app.run(1000)
    assert app.owner("count") == "b"
    app.settle()
    app.check()


def test_a_person_may_say_that_a_node_is_gone() -> None:
    app = App(11, count_held=("b",), stay=True)
    app.run(300)
    app.cluster.machines["a"].reachable = False
    app.cluster.crash("a")
    app.run(5000)
    assert app.owner("count") == "a"
    assert app.cluster.hub
    app.cluster.hub.declare_gone("a", "burnt")
    app.run(500)
    assert app.owner("count") == "b"
    app.settle()
    app.check()


def test_a_charter_that_changes_changes_code_and_settings_and_keeps_the_state() -> None:
    app = App(12, count_held=("b",))
    app.run(100)
    assert app.cluster.hub
    later = charter("count", "settable", "counted", ["s1", "s2"])
    later.settings = {"add": 1000}
    assert app.cluster.hub.change(later, ["even", "k2"], {}, "a new version")
    app.run(200)
    app.cluster.crash("a")
    app.run(2000)
    app.settle()
    heard = [record.value[0] for record in app.k2.history]
    changed = next(index for index, value in enumerate(heard) if value > 1000)
    assert 50 < changed < 200
    assert heard == [number + 1 + 1000 * (number >= changed) for number in range(len(heard))]


def test_a_removed_instance_is_forgotten_by_every_node_and_its_name_is_free_again() -> None:
    app = App(13, count_held=("b",))
    app.run(100)
    assert app.cluster.hub
    app.cluster.hub.remove("count", "no longer needed")
    app.run(500)
    hosts = [machine.host for machine in app.cluster.machines.values()]
    assert all(host and host.replica("count") is None for host in hosts)
    assert [assignment.instance for assignment, _, _ in app.cluster.terms.all()] == ["even"]
    app.cluster.hub.place(charter("count", "counter", "counted", ["s1", "s2"]), ["k2"], "b", [])


def test_labelled_data_is_not_held_moved_or_taken_where_it_must_not_be() -> None:
    app = App(14)
    cluster = app.cluster
    assert cluster.hub
    private = charter("secret", "counter", "secrets", ["s1"])
    private.confined = ["a"]
    for owner, holders in (("b", []), ("a", ["b"])):
        with pytest.raises(Refused, match="must not be on b"):
            cluster.hub.place(private, [], owner, holders)
    cluster.hub.place(private, [], "a", [])
    with pytest.raises(Refused, match="must not be on c"):
        cluster.hub.move("secret", "c")
    app.run(200)
    host = cluster.machines["c"].host
    assert host
    forged = Assignment("secret", 9, 99, "c", ["c"], ["c"], False, False, [], {}, private.sealed)
    host.receive(message(ASSIGN, forged.plain()))  # a hub that errs, or somebody who pretends to be it
    assert host.replica("secret") is None
    stranger = Outbox("raw", "pump", RamStore())
    stranger.keep(1, 42)
    before = len(app.k1.history)
    host.receive(message(BATCH, "even", stranger.batch(1000)))  # a raw sample, pushed by hand
    app.run(500)
    assert all(record.value != 42 for record in app.k1.history[before:])
    told = [(node, kind, instance) for node, kind, instance, _ in cluster.incidents]
    assert ("c", "refused", "secret") in told and ("c", "refused", "even") in told
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
@pytest.mark.parametrize("stay", [False, True], ids=["yield", "stay"])
@pytest.mark.parametrize("fault", ["lose", "double", "delay"])
def test_any_one_message_may_be_lost_doubled_or_late(fault: str, stay: bool, step: int) -> None:
    for number in range(1 + stay, journey(stay=stay).cluster.messages + 1, step):
        app = journey(Faults(**{fault: frozenset([number])}), stay=stay)
        _check(app, f"{fault} message {number}")


@all_or_sample()
@pytest.mark.parametrize("machine", [*NODES, HUB])
@pytest.mark.parametrize("before", [True, False], ids=["before it acts", "before it speaks"])
@pytest.mark.parametrize("stay", [False, True], ids=["yield", "stay"])
def test_any_machine_may_crash_at_any_step(machine: str, before: bool, stay: bool, step: int) -> None:
    for number in range(1 + stay, journey(stay=stay).cluster.steps + 1, step):
        app = journey(crash=(number, machine, before), stay=stay)
        _check(app, f"{machine} crashes at step {number}")


@pytest.mark.parametrize("runs", [pytest.param(8, marks=pytest.mark.slow), pytest.param(500, marks=ALL)])
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
    for entry in control.entries.values():
        entry.assignment.in_sync = list(entry.assignment.replicas)


def test_an_owner_that_its_followers_do_not_hear_is_not_heard_by_anybody() -> None:
    one_way().check()
    one_way(4000).check()


def stranded() -> App:
    """An owner that stays is cut off from its copy and the hub, with all sources and sinks on its side; alone for long, it dies unheard."""
    app = App(10, count_held=("b",), stay=True)
    app.run(600)
    here, there = ["a", "c", "s1", "s2", "k1", "k2"], ["b", HUB]
    names = {"a": "@a", "b": "@b", "c": "@c", HUB: HUB, "k1": "k1", "k2": "k2"}
    out = {(sender, names[to]) for sender in here for to in there}
    app.cluster.cut = out | {(sender, names[to]) for sender in there for to in here if to in names}
    app.run(10_000)
    app.cluster.crash("a")
    assert app.cluster.hub
    app.cluster.hub.closed("a", app.cluster.now_ms)
    app.cluster.cut = set()
    app.run(3000)
    app.settle()
    return app


@pytest.mark.parametrize("mistake", ["quiet is dead", "closed is dead"])
def test_taking_an_owner_that_stays_for_dead_too_early_is_noticed(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stranded().check()
    if mistake == "quiet is dead":
        monkeypatch.setattr(Control, "_gone", lambda self, entry, now: "" if self.alive(entry.assignment.owner, now) else "quiet")
    else:
        monkeypatch.setattr(Control, "closed", lambda self, node, now: setattr(self.peers.setdefault(node, Peer(now)), "dead", True))
    with pytest.raises(AssertionError):
        stranded().check()


@pytest.mark.parametrize("mistake", ["speak before it is committed", "take what was sent for received", "promote who is not in sync"])
def test_the_campaign_notices_a_deliberate_mistake(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mistake == "speak before it is committed":
        speak = Leading.speak

        def too_early(self: Leading, now_ms: int) -> list[tuple[str, bytes]]:
            self._released = self.replica.emitted
            return speak(self, now_ms)

        monkeypatch.setattr(Leading, "speak", too_early)
    elif mistake == "take what was sent for received":
        monkeypatch.setattr(Join, "acked", lambda self: self._index + self.box.next() - self._first)
    else:
        poll: Callable[[Control, int], list[tuple[str, bytes]]] = Control.poll

        def anybody(self: Control, now_ms: int) -> list[tuple[str, bytes]]:
            _everybody_may_own(self)
            return poll(self, now_ms)

        monkeypatch.setattr(Control, "poll", anybody)
    with pytest.raises(AssertionError):
        one_way(4000 if mistake == "promote who is not in sync" else 300).check()


def _check(app: App, what: str) -> None:
    try:
        app.check()
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


def test_an_owner_that_is_told_by_a_consumer_that_it_is_none_any_more_takes_nothing_more_into_its_log() -> None:
    app = App(15, count_held=("b",))
    app.run(300)
    host = app.cluster.machines["a"].host
    assert host
    replica = host.replica("count")
    assert replica
    box = replica.outboxes["k2"]
    known = [box.next() - 2, box.next() - 1]
    for term, upto in zip((1, 2), known, strict=True):  # the first one waits to be logged when the second one comes
        host.receive(message(ACK, "k2", encode_ack("counted", "count", b"cou", term, upto)))
    index = replica.index
    host.poll(10**6)
    assert replica.index == index
