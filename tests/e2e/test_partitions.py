"""Processes that are killed, stopped, or cut off: what is heard is one owner, and every sample once.

The same in virtual time, at every step, is in tests/sim/test_cluster.py.
"""

import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from relay import Relay

from eddy.bench.move import INSTANCE, NODES, Ends, Stage, check
from eddy.hub import service
from eddy.kernel.assignment import HUB
from eddy.kernel.charter import Charter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
RATE = 200
SOAK = [pytest.mark.soak]


class Land:
    """Three nodes, a hub, and the test's own source and sink, each way between two of them through a relay."""

    def __init__(self, folder: Path, stay: bool) -> None:
        self._relays: dict[tuple[str, str], Relay] = {}
        self.stage = Stage(folder, RATE, self._way)
        charter = Charter(INSTANCE, 1, ["eddy.functions.counter", "Counter", {}], {}, b"cnt", "counted", ["source"], [], stay)
        order = service.place(charter, ["sink"], "a", ["b"])
        assert self.stage.run(lambda: len(self.ends.history) > 100 and self.in_sync() == ["a", "b"], order)

    def _way(self, one: str, other: str, endpoint: str) -> str:
        relay = self._relays[one, other] = Relay(int(endpoint.rpartition(":")[2]))
        return f"tcp/127.0.0.1:{relay.port}"

    @property
    def ends(self) -> Ends:
        return self.stage.ends

    def cut(self, *here: str) -> None:
        """Nothing passes between these and all others; connections stay open."""
        for (one, other), relay in self._relays.items():
            if (one in here) != (other in here):
                relay.cut()

    def heal(self) -> None:
        for relay in self._relays.values():
            relay.heal()

    def in_sync(self) -> list[str]:
        return self.stage.terms.all()[0][0].in_sync if self.stage.terms.all() else []

    def owner(self) -> tuple[str, int]:
        assignment = self.stage.terms.all()[0][0]
        return assignment.owner, assignment.term

    def silence_s(self, since: float) -> float:
        """Longest time between two samples at the sink since then."""
        times = [at for at in self.ends.arrived if at >= since - 0.1]
        return max((later - earlier for earlier, later in pairwise(times)), default=float("inf"))

    def settle(self) -> dict[str, int]:
        """No more samples; all that were made arrive. What the sink's history says."""
        end = time.monotonic() + 30
        while len(self.ends.history) < self.ends.made and time.monotonic() < end:
            self.ends.turn(sample=False)
        return check(self.ends.history, self.ends.made)

    def close(self) -> None:
        self.heal()
        self.stage.close()
        for relay in self._relays.values():
            relay.close()


@pytest.fixture
def land(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Land]:
    made = Land(tmp_path, request.param == "stay")
    yield made
    made.close()


WELL = {"lost": 0, "doubled": 0, "restarts": 0, "owners_max": 1}
both = pytest.mark.parametrize("land", ["stay", "yield"], indirect=True)
stays = pytest.mark.parametrize("land", ["stay"], indirect=True)
yields = pytest.mark.parametrize("land", ["yield"], indirect=True)
long = pytest.mark.parametrize("seconds", [7, pytest.param(60, marks=SOAK)])


@both
def test_what_a_killed_node_owned_speaks_elsewhere_within_two_seconds(land: Land) -> None:
    since = time.monotonic()
    land.stage.processes["a"].kill(down_s=6)
    assert land.stage.run(lambda: land.owner() == ("b", 2), patience_s=10)
    land.stage.wait(1)
    assert land.silence_s(since) < 2
    assert land.stage.run(lambda: land.in_sync() == ["a", "b"], patience_s=30)  # it is back, and holds the copy
    assert land.owner() == ("b", 2)
    assert land.settle() == WELL


@stays
@long
def test_an_owner_that_stays_goes_on_while_its_link_is_cut_and_nobody_takes_over(land: Land, seconds: int) -> None:
    land.cut("a", "ends")
    land.stage.wait(seconds - 2)
    heard = len(land.ends.history)
    land.stage.wait(2)
    assert len(land.ends.history) > heard + RATE
    assert land.owner() == ("a", 1)
    land.heal()
    assert land.stage.run(lambda: land.in_sync() == ["a", "b"], patience_s=60)
    assert land.owner() == ("a", 1)
    assert land.settle() == WELL


@yields
@long
def test_an_owner_that_yields_is_replaced_while_its_link_is_cut_and_is_told_so(land: Land, seconds: int) -> None:
    since = time.monotonic()
    land.cut("a")
    assert land.stage.run(lambda: land.owner() == ("b", 2), patience_s=10)
    land.stage.wait(max(2, seconds - 4))
    assert land.silence_s(since) < 4
    land.heal()
    assert land.stage.run(lambda: land.in_sync() == ["a", "b"], patience_s=60)  # the old owner follows: it was told
    assert land.owner() == ("b", 2)
    assert land.settle() == WELL


@yields
def test_an_owner_that_was_stopped_and_goes_on_finds_itself_fenced(land: Land) -> None:
    since = time.monotonic()
    land.stage.processes["a"].signal(signal.SIGSTOP)
    assert land.stage.run(lambda: land.owner() == ("b", 2), patience_s=10)
    land.stage.wait(1)
    assert land.silence_s(since) < 3
    land.stage.processes["a"].signal(signal.SIGCONT)
    assert land.stage.run(lambda: land.in_sync() == ["a", "b"], patience_s=30)
    assert land.owner() == ("b", 2)
    assert land.settle() == WELL


@stays
def test_an_owner_that_stays_is_waited_for_while_it_is_stopped(land: Land) -> None:
    land.stage.processes["a"].signal(signal.SIGSTOP)
    heard = len(land.ends.history)
    land.stage.wait(5)
    assert land.owner() == ("a", 1)
    assert len(land.ends.history) < heard + RATE
    land.stage.processes["a"].signal(signal.SIGCONT)
    assert land.stage.run(lambda: len(land.ends.history) > heard + 5 * RATE, patience_s=30)
    assert land.owner() == ("a", 1)
    assert land.settle() == WELL


@both
def test_while_the_hub_is_down_everything_placed_goes_on(land: Land) -> None:
    since = time.monotonic()
    land.stage.processes[HUB].kill(down_s=4)
    land.stage.wait(3.5)
    assert land.silence_s(since) < 1
    land.stage.run(lambda: land.stage.processes[HUB].down_until is None, patience_s=10)
    order = service.move(INSTANCE, "c")
    assert NODES[2] == "c" and land.stage.run(lambda: land.owner() == ("c", 2), order, patience_s=20)
    assert land.settle() == WELL
