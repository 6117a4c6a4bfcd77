"""Origins by name or pattern: whom a list means, and what was decided last about each of them."""

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Generic, TypeVar

LONGEST = 256
"""Characters of a name."""

T = TypeVar("T")


def is_pattern(name: str) -> bool:
    """Whether it may mean several: `*` stands for any characters, also none and also `/`, `?` for one."""
    return "*" in name or "?" in name


def is_name(origin: str) -> bool:
    """Whether it is a name that a person can decide about, and that means nobody else."""
    return 0 < len(origin) <= LONGEST and origin.isprintable() and not is_pattern(origin)


class Names:
    """Origins that are meant: `origin in names`. Upper and lower case are different.

    >>> "floor-1/room-2" in Names(["kitchen", "floor-1/*"])
    True

    Args:
        patterns: Names, or patterns as `is_pattern` says.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        several = list(patterns)
        self._names = frozenset(several)
        # All that `translate` knows besides are sets of characters in brackets; here these stand for themselves.
        self._patterns = [re.compile(translate(one.replace("[", "[[]"))) for one in several if is_pattern(one)]

    def __contains__(self, origin: str) -> bool:
        return origin in self._names or any(one.match(origin) for one in self._patterns)


class Decided(Generic[T]):
    """What was decided about names and patterns: of those that mean an origin, the last one counts.

    Args:
        rules: (name or pattern, what was decided), the oldest first.
    """

    def __init__(self, rules: Iterable[tuple[str, T]] = ()) -> None:
        self._names: dict[str, tuple[int, T]] = {}
        self._patterns: list[tuple[int, Names, T]] = []  # the newest first
        for number, (origin, what) in enumerate(rules):
            if is_pattern(origin):
                self._patterns.insert(0, (number, Names([origin]), what))
            else:
                self._names[origin] = number, what

    def of(self, origin: str) -> T | None:
        """What counts for an origin; None where nothing was decided."""
        number, what = self._names.get(origin, (-1, None))
        for newer, names, other in self._patterns:
            if newer < number:
                break
            if origin in names:
                return other
        return what
