"""Passes each key once: what a source does whose senders send again what they are not sure of."""

from hashlib import sha256
from typing import Any

from eddy.kernel.codec import encode
from eddy.kernel.function import Function, Sample

REMEMBER = 65536
_BYTES = 16  # of a hash


class Unique(Function):
    """Emits the samples whose key was not among the last ones. What it knows is in the log of its source, so a restart forgets nothing.

    A sample is `{"key": key, "from": origin or null, "value": value}`; a key tells it from others of its origin. What has no key passes.

    Args:
        remember: How many keys; 16 bytes each.

    >>> unique = Unique()
    >>> [unique.on(Sample("s", "o", n, 0, {"key": key, "from": None, "value": 1})) for n, key in enumerate([7, 7])]
    [[{'key': 7, 'from': None, 'value': 1}], []]
    """

    def __init__(self, remember: int = REMEMBER) -> None:
        self._remember = remember
        self._known: dict[bytes, None] = {}

    def on(self, sample: Sample) -> list[Any]:
        """It, or nothing when its key is known."""
        value = sample.value
        if not isinstance(value, dict) or "key" not in value:
            return [value]
        mark = sha256(encode([value.get("from"), value["key"]])).digest()[:_BYTES]
        if mark in self._known:
            return []
        self._known[mark] = None
        if len(self._known) > self._remember:
            del self._known[next(iter(self._known))]
        return [value]

    def state(self) -> Any:
        """The hashes, the oldest first."""
        return b"".join(self._known)

    def restore(self, state: Any) -> None:
        """Know them again."""
        self._known = dict.fromkeys(bytes(state[at : at + _BYTES]) for at in range(0, len(state), _BYTES))
