"""Thins what a model says: all that matters goes on, and of the rest a sample."""

from eddy.kernel.engines import NORMAL
from eddy.kernel.errors import BadInput
from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any


class Forward(Function):
    """A model's outputs in; out goes every one that is not normal, and every n-th normal one (Tiny-MLOps, section IV, step 6).

    Args:
        normal_every: n; 1 passes everything.
    """

    def __init__(self, normal_every: int) -> None:
        if normal_every < 1:
            raise BadInput("every %d-th normal sample cannot be passed: use 1 or more" % normal_every)
        self._every = normal_every
        self._held = 0

    def on(self, sample: Sample) -> "list[Any]":
        """Pass it or not."""
        if sample.value[1] == NORMAL:
            self._held += 1
            if self._held < self._every:
                return []
            self._held = 0
        return [sample.value]

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """`normal_every`."""
        self._every = settings.get("normal_every", self._every)
        return []

    def state(self) -> "Any":
        """Normal samples held back since the last one that was passed, and n."""
        return [self._held, self._every]

    def restore(self, state: "Any") -> None:
        """Count on."""
        self._held, self._every = state
