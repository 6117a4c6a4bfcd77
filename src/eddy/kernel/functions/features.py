"""Features of windows; which there are and what they mean is in `eddy.kernel.features`."""

from array import array

from eddy.kernel import features
from eddy.kernel.engines import columns
from eddy.kernel.function import Function, Sample

MYPY = False
if MYPY:
    from typing import Any


class Features(Function):
    """Windows `[int16 samples, period_ns]` in; rows of int32 out, in the order of `compute`.

    Args:
        compute: Names of `eddy.kernel.features.NAMES`.

    Raises:
        ModelError: A feature that this kernel does not compute.
    """

    def __init__(self, compute: list[str]) -> None:
        columns(compute)
        self._names = compute

    def sums(self) -> features.Sums:
        """What makes the same rows of windows that come in pieces."""
        return features.Sums(self._names)

    def on(self, sample: Sample) -> "list[Any]":
        """The row of one window."""
        samples, _ = sample.value
        return [features.compute(array("h", samples) if isinstance(samples, bytes) else samples, self._names)]
