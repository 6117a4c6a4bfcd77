"""Finding things by the names that people type."""

from collections.abc import Iterable
from difflib import get_close_matches

from eddy.errors import UnknownName

_NAMED = 3


def unknown(kind: str, name: str, names: Iterable[str]) -> UnknownName:
    """The error for a name that is not there, with those that look like it.

    Args:
        kind: What was looked for: `node`, `function`, `app`.
        name: What was given.
        names: What is there.
    """
    there = sorted(names)
    bare = [other for other in there if other.partition("@")[0] == name]  # detect, for detect@pump-1
    near = bare[:_NAMED] or get_close_matches(name, there, _NAMED, cutoff=0.5)
    if near:
        return UnknownName(f"there is no {kind} {name!r}: did you mean {' or '.join(near)}?")
    some = ", ".join(there[:_NAMED]) + (f" and {len(there) - _NAMED} more" if len(there) > _NAMED else "")
    return UnknownName(f"there is no {kind} {name!r}: " + (f"there are {some}" if there else f"there is no {kind} at all yet"))
