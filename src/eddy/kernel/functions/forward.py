"""Thins what a model says: all that matters goes on, and of the rest a sample."""

from eddy.kernel.engines import NORMAL
from eddy.kernel.errors import BadInput
from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any


class Forward(Function):
    """A model's outputs `[score, label, row]` in; out goes every one that is not normal, and every n-th normal one, with how many normal
    ones were held back before it: `[score, label, row, held]` (Tiny-MLOps, section IV, step 6).

    Args:
        normal_every: n; 1 passes everything.
    """

    def __init__(self, normal_every: int) -> None:
        if normal_every < 1:
            raise BadInput("every %d-th normal sample cannot be passed: use 1 or more" % normal_every)
        self._every = normal_every
        self._normal = 0  # since the last one of them that was passed
        self._held = 0  # since anything was passed

    def on(self, sample: Sample) -> "list[Any]":
        """Pass it or not."""
        if sample.value[1] == NORMAL:
            self._normal += 1
            if self._normal < self._every:
                self._held += 1
                return []
            self._normal = 0
        held, self._held = self._held, 0
        return [sample.value[:3] + [held]]

    def configure(self, settings: "dict[str, Any]") -> "list[Any]":
        """`normal_every`."""
        self._every = settings.get("normal_every", self._every)
        return []

    def state(self) -> "Any":
        """Normal samples since the last of them that was passed, those held back since anything was, and n."""
        return [self._normal, self._held, self._every]

    def restore(self, state: "Any") -> None:
        """Count on."""
        self._normal, self._held, self._every = state
