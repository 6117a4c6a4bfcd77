"""Passes on what comes in: what a source or sink does, whose work is done by its driver."""

from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any


class Same(Function):
    """Emits the value of each sample.

    >>> Same().on(Sample("s", "o", 0, 0, 7))
    [7]
    """

    def on(self, sample: Sample) -> "list[Any]":
        """The same value."""
        return [sample.value]
