"""Says of each origin when an alarm is raised, acknowledged and cleared, with one condition for each way: hysteresis."""

from eddy.kernel.errors import BadInput, SampleError
from eddy.kernel.function import Function, Sample
from eddy.kernel.functions.condition import Condition

MYPY = False
if MYPY:
    from typing import Any

MOST = 1024
"""Origins that are told apart."""


class Alarm(Function):
    """Samples in; out a map for each change: `alarm` (its name), `state` (`raised`, `acknowledged`, `cleared`), `origin`, `at` and `since`
    (ns: of this change, and of raising), `value`: the number that `when` compares first, None without one. An acknowledgement has `by` and
    `note`, too.

    The origin is that of the sample, or whom the sample names: `{"from": origin, "value": value}`, or text at index 4 as a pool has it. A
    sample for which both conditions hold changes nothing. The setting `acknowledge` is {origin: [since, at, by, note]}; it counts where the
    alarm is still raised since then.

    Args:
        name: Of the alarm.
        when: The condition that raises it, see `eddy.kernel.functions.condition`.
        clear: The condition that clears it; None: `when` does not hold any more.

    Raises:
        BadInput: It is no condition.
    """

    def __init__(self, name: str, when: "list[Any]", clear: "list[Any] | None" = None) -> None:
        self._name = name
        self._conditions = [when] if clear is None else [when, clear]
        self._watched: dict[str, list[Condition]] = {}
        self._raised: dict[str, list[Any]] = {}  # origin → since, value, by whom it was acknowledged, note
        self._new()  # raises what is wrong with them
        self._field = compared(when)

    def on(self, sample: Sample) -> "list[Any]":
        """One more sample; emits on a change only."""
        origin, value = _whose(sample)
        if isinstance(value, dict) and "quarantine" in value:
            return []
        if origin not in self._watched:
            if len(self._watched) >= MOST:
                raise SampleError("%r is one origin too many: an alarm tells %d apart" % (origin, MOST))
            self._watched[origin] = self._new()
        held = [condition.holds(value, sample.time_ns) for condition in self._watched[origin]]
        raises, clears = held[0], held[1] if len(held) == 2 else not held[0]
        if raises in (clears, origin in self._raised):
            return []
        number = _number(value, self._field)
        if raises:
            self._raised[origin] = [sample.time_ns, number, "", ""]
            return [self._change("raised", origin, sample.time_ns, sample.time_ns, number)]
        return [self._change("cleared", origin, sample.time_ns, self._raised.pop(origin)[0], number)]

    def gap(self, sample: Sample) -> "list[Any]":
        """What is missing cannot be anomalous."""
        for origin in [sample.origin] if sample.origin in self._watched else list(self._watched):
            for condition in self._watched[origin]:
                condition.missed(sample.value.last - sample.seq + 1)
        return []

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """Somebody has seen it."""
        out = []
        asked = settings.get("acknowledge", {})
        for origin in sorted(asked):
            try:
                since, at, by, note = asked[origin]
            except (TypeError, ValueError):
                raise BadInput("%r acknowledges nothing: expected since, at, by and note" % (asked[origin],))
            one = self._raised.get(origin)
            if one and one[0] == since and not one[2]:
                one[2:] = [by, note]
                change = self._change("acknowledged", origin, at, since, one[1])
                change["by"], change["note"] = by, note
                out.append(change)
        return out

    def alarms(self) -> "list[Any]":
        """[origin, since, value, by, note] of what is raised; `by` is empty until somebody has acknowledged it."""
        return [[origin] + self._raised[origin] for origin in sorted(self._raised)]

    def state(self) -> "Any":
        """What is raised, and what the conditions remember."""
        watched = {origin: [condition.state() for condition in self._watched[origin]] for origin in self._watched}
        return [{origin: self._raised[origin][:] for origin in self._raised}, watched]

    def restore(self, state: "Any") -> None:
        """Go on within episodes. A condition that is another one by now remembers nothing."""
        self._raised, watched = state
        self._watched = {}
        for origin in watched:
            conditions = self._watched[origin] = self._new()
            for i in range(min(len(conditions), len(watched[origin]))):
                try:
                    conditions[i].restore(watched[origin][i])
                except SampleError:
                    continue

    def _new(self) -> "list[Condition]":
        return [Condition(tree) for tree in self._conditions]

    def _change(self, state: str, origin: str, at: int, since: int, value: "Any") -> "dict[str, Any]":
        return {"alarm": self._name, "state": state, "origin": origin, "at": at, "since": since, "value": value}


def _whose(sample: Sample) -> "tuple[str, Any]":
    """Origin and value, as a source or a pool says them."""
    value = sample.value
    if isinstance(value, dict) and "from" in value and "value" in value:
        return str(value["from"]), value["value"]
    if isinstance(value, list) and len(value) > 4 and isinstance(value[4], str):
        return value[4], value
    return sample.origin, value


def compared(tree: "Any") -> "str | None":
    """The field of the first comparison of a condition: that of the `value` of an alarm. None without one."""
    if tree and tree[0] == "compare":
        field: str = tree[1]
        return field
    for part in tree[1:] if tree else ():
        if isinstance(part, (list, tuple)):
            found = compared(part)
            if found is not None:
                return found
    return None


def _number(value: "Any", field: "str | None") -> "Any":
    """What is told of a sample: a whole number, since the conditions may be about several things."""
    if field is None:
        return None
    found = value
    if field:
        found = value[int(field)] if isinstance(value, list) else value[field]
    return found if isinstance(found, int) else None
