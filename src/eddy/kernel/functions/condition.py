"""Conditions on samples, as plain data, the same on every tier.

    ["and", a, b]   ["or", a, b]   ["not", a]
    ["for", a, duration_ms]          a has held without a break for that much sample time
    ["compare", field, op, milli]    op is one of < <= > >= == !=; milli is a thousand times the number, so that it is an integer.
                                     The field "" is the value itself, a name that of a map, a decimal number the index in a list
    ["anomalies", k, n]              k of the last n samples are anomalous: label 1 at index 1, as a model emits it; its news (label 3)
                                     are none. Behind a `forward` an integer at index 3 says how many normal ones were held back before;
                                     where several origins were merged, text at index 4 says whose it is: each is counted apart, and one
                                     suffices

Both sides of `and` and `or` are always looked at, since each may remember what it has seen. Samples that are missing for good break no
`for`, and count as not anomalous (supplementary run rules, Western Electric 1956, know no missing values).
"""

from eddy.kernel.errors import BadInput, SampleError

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

NEWS = 3  # label of what is not about a sample, see `eddy.kernel.functions.model`
_MS = 1000000
_COMPARE: "dict[str, Callable[[Any, Any], bool]]" = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_ARITY = {"and": 2, "or": 2, "not": 1, "for": 2, "compare": 3, "anomalies": 2}


class Condition:
    """A condition with what it remembers.

    >>> hot = Condition(["for", ["compare", "", ">", 50000], 60000])
    >>> [hot.holds(value, minute * 60 * 10**9) for minute, value in enumerate([49, 51, 52, 50])]
    [False, False, True, False]

    Args:
        tree: As above.

    Raises:
        BadInput: It is not built so, or can only be evaluated where the whole system is seen (`drift(...)`, `battery(...)`).
    """

    def __init__(self, tree: "Any") -> None:
        self._memory: list[Any] = []  # one place for each `for` (since when, ns) and `anomalies` ({origin: last labels}), in preorder
        self._tree = self._plan(tree)

    def holds(self, value: "Any", time_ns: int) -> bool:
        """Whether it holds with this sample; call once for each sample.

        Raises:
            SampleError: The sample has not what the condition asks for.
        """
        return self._evaluate(self._tree, value, time_ns)

    def missed(self, count: int) -> None:
        """So many samples are missing for good."""
        for i in range(len(self._memory)):
            if isinstance(self._memory[i], dict):
                for origin in self._memory[i]:
                    self._memory[i][origin] = _shifted(self._memory[i][origin], count)

    def state(self) -> "list[Any]":
        """What it remembers."""
        return [{origin: one[origin][:] for origin in one} if isinstance(one, dict) else one for one in self._memory]

    def restore(self, state: "list[Any]") -> None:
        """Remember what `state` returned."""
        if len(state) != len(self._memory):
            raise SampleError("the state is of another condition: it remembers %d things, not %d" % (len(state), len(self._memory)))
        self._memory = state

    def _plan(self, tree: "Any") -> "list[Any]":
        """The tree checked, with the place of its memory behind each node that has one."""
        if not isinstance(tree, (list, tuple)) or not tree or _ARITY.get(tree[0]) != len(tree) - 1:
            where = " here: `adapt` is where the whole system is seen" if isinstance(tree, (list, tuple)) and tree[:1] == ["call"] else ""
            raise BadInput("%r is no condition%s" % (tree, where))
        kind, first = tree[0], tree[1]
        if kind == "compare":
            if not isinstance(first, str) or tree[2] not in _COMPARE or not isinstance(tree[3], int):
                raise BadInput("%r compares nothing: expected field, one of %s, and an integer" % (tree, " ".join(sorted(_COMPARE))))
            return list(tree)
        if kind == "anomalies":
            if not (isinstance(first, int) and isinstance(tree[2], int) and 1 <= first <= tree[2]):
                raise BadInput("%s of %s samples cannot be anomalous: use 1 <= k <= n" % (first, tree[2]))
            self._memory.append({})
            return list(tree) + [len(self._memory) - 1]
        if kind == "for":
            if not isinstance(tree[2], int) or tree[2] < 0:
                raise BadInput("%r is no duration: use milliseconds, 0 or more" % (tree[2],))
            place = len(self._memory)
            self._memory.append(None)
            return [kind, self._plan(first), tree[2], place]
        return [kind] + [self._plan(part) for part in tree[1:]]

    def _evaluate(self, node: "list[Any]", value: "Any", time_ns: int) -> bool:
        kind = node[0]
        if kind == "compare":
            return _COMPARE[node[2]](_number(value, node[1]) * 1000, node[3])
        if kind == "anomalies":
            if not isinstance(value, list) or len(value) < 2:
                raise SampleError("%r has no label at index 1: the rule on anomalies belongs behind a model" % (value,))
            counted = self._memory[node[3]]
            held = value[3] if len(value) > 3 and isinstance(value[3], int) and value[3] > 0 else 0
            origin = value[4] if len(value) > 4 and isinstance(value[4], str) else ""
            labels = _shifted(counted.get(origin, [0] * node[2]), held)
            counted[origin] = labels if value[1] == NEWS else labels[1:] + [1 if value[1] == 1 else 0]
            return any(sum(labels) >= node[1] for labels in counted.values())
        first = self._evaluate(node[1], value, time_ns)
        if kind == "not":
            return not first
        if kind == "for":
            return self._lasts(first, node[2] * _MS, node[3], time_ns)
        second = self._evaluate(node[2], value, time_ns)
        return (first and second) if kind == "and" else (first or second)

    def _lasts(self, held: bool, duration_ns: int, place: int, time_ns: int) -> bool:
        since = self._memory[place]
        if not held:
            self._memory[place] = None
            return False
        if since is None or time_ns < since:  # the origin's clock was set back: the time counts afresh
            self._memory[place] = since = time_ns
        return bool(time_ns - since >= duration_ns)


def _shifted(labels: list[int], count: int) -> list[int]:
    """After so many more that are not anomalous."""
    return labels[count:] + [0] * min(count, len(labels))


def _number(value: "Any", field: str) -> "Any":
    """The number that a field names."""
    found = value
    if field:
        try:
            found = value[int(field)] if isinstance(value, list) else value[field]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SampleError("%r has no field %r: change the condition, or what feeds it" % (value, field))
    if not isinstance(found, (int, float)):
        raise SampleError("%r is no number: name a field in the condition" % (found,))
    return found
