"""Functions: one input log, and checkpoints that continue with the same bits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddy.kernel.errors import Refused, SampleError
from eddy.kernel.function import CONFIGURE, MODEL, SAMPLE, TICK, Function, Instance, Sample


class Meter(Function):
    """Adds up what it hears, times a factor; every kind of input leaves a trace."""

    def __init__(self) -> None:
        self.total = 0
        self.factor = 1
        self.ticks: list[int] = []

    def on(self, sample: Sample) -> list[Any]:
        self.total += self.factor * sample.value
        return [self.total]

    def tick(self, time_ns: int) -> list[Any]:
        self.ticks.append(time_ns)
        return [len(self.ticks)]

    def configure(self, settings: dict[str, Any]) -> list[Any]:
        self.factor = settings["factor"]
        return []

    def model(self, data: bytes) -> list[Any]:
        self.total += len(data)
        return [self.total, self.total]

    def state(self) -> Any:
        return [self.total, self.factor, self.ticks]

    def restore(self, state: Any) -> None:
        self.total, self.factor, self.ticks = state


class NewMeter(Meter):
    """Counts in thousandths since schema 2."""

    schema = 2

    def upgrade(self, state: Any, schema: int) -> Any:
        return [1000 * state[0], *state[1:]] if schema == 1 else super().upgrade(state, schema)


integers = st.integers(-1000, 1000)
entries = st.one_of(
    st.tuples(st.just(SAMPLE), integers.map(lambda n: Sample("s", "o", 0, 0, n))),
    st.tuples(st.just(TICK), st.integers(0, 2**60)),
    st.tuples(st.just(CONFIGURE), integers.map(lambda n: {"factor": n})),
    st.tuples(st.just(MODEL), st.binary(max_size=20)),
)


@given(st.lists(entries, max_size=30), st.integers(0, 30))
def test_a_restored_checkpoint_and_the_rest_of_the_log_give_the_same_outputs(log: list[tuple[int, Any]], cut: int) -> None:
    stayed = Instance(Meter(), "meter")
    outputs = [stayed.feed(*entry) for entry in log]
    source = Instance(Meter(), "meter")
    for entry in log[:cut]:
        source.feed(*entry)
    target = Instance(Meter(), "meter")
    target.restore(source.checkpoint())
    assert [target.feed(*entry) for entry in log[cut:]] == outputs[cut:]
    assert target.checkpoint() == stayed.checkpoint()
    assert target.position == len(log)


def test_a_checkpoint_of_another_instance_is_refused() -> None:
    with pytest.raises(Refused, match="meter@pump-1"):
        Instance(Meter(), "meter@pump-2").restore(Instance(Meter(), "meter@pump-1").checkpoint())


def test_a_checkpoint_of_other_code_with_the_same_schema_is_refused() -> None:
    with pytest.raises(Refused, match="other code"):
        Instance(Meter(), "meter", b"new").restore(Instance(Meter(), "meter", b"old").checkpoint())


def test_a_newer_schema_upgrades_the_state_of_the_older_one() -> None:
    old = Instance(Meter(), "meter", b"old")
    old.feed(SAMPLE, Sample("s", "o", 0, 0, 7))
    new = Instance(NewMeter(), "meter", b"new")
    new.restore(old.checkpoint())
    assert new.feed(SAMPLE, Sample("s", "o", 1, 0, 1)) == [7001]


def test_a_schema_that_nobody_can_upgrade_is_refused() -> None:
    new = Instance(NewMeter(), "meter")
    with pytest.raises(Refused, match="cannot be upgraded"):
        Instance(Meter(), "meter").restore(new.checkpoint())


def test_an_unknown_kind_of_entry_is_refused_and_not_counted() -> None:
    instance = Instance(Meter(), "meter")
    with pytest.raises(SampleError):
        instance.feed(9, None)
    assert instance.position == 0
