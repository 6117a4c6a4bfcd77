"""Verify: may this model run on that device? Checks before anything is packaged, each with what was measured and what is allowed.

The paper's Verify phase asks that "all the operations required to perform an inference" are supported by the target and that it meets its
limits (Antonini et al., Tiny-MLOps, 2022, section III). Here: it is a sound forest, the device computes its features, its image and
its package fit the heap, it notices a louder or a knocking machine, it scores the same in the kernel's integer arithmetic as in the
batch scorer, and it does not cry wolf on later normal data.
"""

from dataclasses import dataclass

from eddy.errors import EddyError
from eddy.functions.forest import score
from eddy.kernel.forest import Forest
from eddy.models.create import notice, per_mille_above
from eddy.models.derived import Columns, columns, on_device

PACKAGE_OVERHEAD = 400  # bytes: manifest, signature, names and configuration around a model, generously
SAMPLES = 16  # rows on which both scorers are compared


_WAY_OUT = {
    "unsupported_features": "use features that the device reports, or leave it in the pool",
    "image_bytes": "grow fewer trees or smaller subsamples",
    "package_bytes": "grow fewer trees or smaller subsamples",
    "blind": "it would not notice twice the vibration; lower its threshold by more than this (Q16), or train it on more windows",
    "scorers_differ": "report this as a bug of Eddy, with the model",
    "false_alarms": "raise its threshold, or train it on data of this machine",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a device of the class offers a model.

    Attributes:
        heap_bytes: Heap that a model's runtime image may take.
        package_bytes: The largest package: a device holds it several times over while it passes from the line into the log.
        false_alarms: Most windows above the threshold on held-out normal data, per mille.
    """

    heap_bytes: int = 20 * 1024
    package_bytes: int = 6 * 1024
    false_alarms: int = 200


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was measured against which limit; `judging` when a model that fails it is no judge either."""

    name: str
    passed: bool
    measured: int
    limit: int
    judging: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one model on one target."""

    checks: tuple[Check, ...]
    fault: str = ""  # why it is no model at all

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the model."""
        return not self.fault and all(check.passed for check in self.checks)

    @property
    def sound(self) -> bool:
        """Whether the model can judge in a pool, although it may not run on the device."""
        return not self.fault and all(check.passed for check in self.checks if check.judging)

    @property
    def why(self) -> str:
        """What speaks against it, in words; "" when nothing does."""
        failed = [check for check in self.checks if not check.passed]
        return self.fault or "; ".join(f"{c.name} {c.measured}, allowed {c.limit}: {_WAY_OUT[c.name]}" for c in failed)

    def metrics(self) -> dict[str, int]:
        """What was measured, by check."""
        return {check.name: check.measured for check in self.checks}


def verify(
    wire: bytes,
    features: tuple[str, ...],
    rows: Columns,
    target: Target,
    held_out_false_alarms: int | None = None,
) -> Report:
    """Check a model.

    Args:
        wire: The forest in wire form, from whoever.
        features: Names of its columns.
        rows: int64 [n, len(NAMES)]: normal windows of the device, latest last; may be empty for a model pushed before any data.
        target: The device.
        held_out_false_alarms: Per mille on data that this recipe never saw, when a rehearsal measured it; else measured on `rows`.

    Raises:
        ModelError: A feature that nobody knows.
    """
    try:
        forest = Forest.from_wire(wire)
    except EddyError as error:
        return Report((), str(error))
    if forest.features != len(features):
        return Report((), f"the forest takes {forest.features} features, {len(features)} are named")
    table = columns(rows, features)
    seen = notice(forest, features, rows) if len(rows) else 1
    image, package = len(forest.to_image()), len(wire) + PACKAGE_OVERHEAD
    sample = table[-SAMPLES:]
    differing = sum(int(a != forest.score(row.tolist())) for a, row in zip(score(forest, sample), sample, strict=True))
    if held_out_false_alarms is None:
        held_out_false_alarms = per_mille_above(score(forest, table), forest.threshold)
    return Report(
        (
            Check("unsupported_features", on_device(features), sum(not on_device((name,)) for name in features), 0),
            Check("image_bytes", image <= target.heap_bytes, image, target.heap_bytes),
            Check("package_bytes", package <= target.package_bytes, package, target.package_bytes),
            Check("blind", seen > 0, max(0, -seen), 0, judging=True),
            Check("scorers_differ", differing == 0, differing, 0, judging=True),
            Check("false_alarms", held_out_false_alarms <= target.false_alarms, held_out_false_alarms, target.false_alarms),
        )
    )
