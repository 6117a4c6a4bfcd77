"""Passes on what comes in together with whose it is: what a sink does whose driver keeps the samples of many apart."""

from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any


class Named(Function):
    """Emits `[stream, origin, seq, value]` for each sample, with `True` behind it where it was sent again, and
    `[stream, origin, first, reason, last]` for samples that are missing for good.

    >>> Named().on(Sample("s", "o", 5, 0, 7))
    [['s', 'o', 5, 7]]
    """

    def on(self, sample: Sample) -> "list[Any]":
        """The sample and its identity."""
        said = [sample.stream, sample.origin, sample.seq, sample.value]
        return [said + [True] if sample.resent else said]

    def gap(self, sample: Sample) -> "list[Any]":
        """Which samples are missing, and why."""
        return [[sample.stream, sample.origin, sample.value.first, sample.value.reason, sample.value.last]]
