"""A function that counts, with as much state as you like: what shows that moving loses and doubles nothing."""

from typing import Any

from eddy.kernel.function import Function, Sample


class Counter(Function):
    """Emits `[how many samples so far, the sample's number]`.

    Args:
        ballast: Integers to carry along in the state.
    """

    def __init__(self, ballast: int = 0) -> None:
        self._count = 0
        self._ballast = list(range(ballast))

    def on(self, sample: Sample) -> list[Any]:
        """One more."""
        self._count += 1
        if self._ballast:
            self._ballast[self._count % len(self._ballast)] = self._count
        return [[self._count, sample.seq]]

    def state(self) -> Any:
        """The count and the ballast."""
        return [self._count, self._ballast]

    def restore(self, state: Any) -> None:
        """Count on."""
        self._count, self._ballast = state
