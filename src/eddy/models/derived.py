"""Features that the gateway computes from the reported ones, such as `ratio(band_1, rms)`.

A feature's name is its definition: a formula and the features it takes. So a model that uses one says in full what it needs, and finds it
again after a restart. Formulas are plain functions of integer columns: `ratio` and `difference`. The device does not know them, so a model
that uses one judges in the pool but never becomes a candidate for the device.

    >>> columns([[0] * 12, [30] * 12], ["ratio(band_1, rms)", "mean"]).tolist()
    [[0, 0], [1000, 30]]
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eddy.errors import ModelError
from eddy.kernel.features import NAMES

Columns = NDArray[np.int64]
Formula = Callable[..., Columns]

_CALL = re.compile(r"([a-z_][a-z0-9_]{0,31})\(([a-z0-9_, ]+)\)")
_INT32 = np.iinfo(np.int32)


def ratio(a: Columns, b: Columns) -> Columns:
    """a / b in per mille, floored; b = 0 counts as 1."""
    return a * 1000 // np.where(b == 0, 1, b)


def difference(a: Columns, b: Columns) -> Columns:
    """a - b."""
    return a - b


FORMULAS: Mapping[str, Formula] = {"ratio": ratio, "difference": difference}


def sources(names: Sequence[str]) -> set[str]:
    """The reported features from which these are computed."""
    found = [(_CALL.fullmatch(name), name) for name in names]
    return {part.strip() for call, name in found for part in (call[2].split(",") if call else [name])}


def on_device(names: Sequence[str]) -> bool:
    """Whether the device computes all of these features itself."""
    return all(name in NAMES for name in names)


def columns(rows: Sequence[Sequence[int]] | Columns, names: Sequence[str]) -> Columns:
    """The named features of reported rows.

    Args:
        rows: int [n, len(NAMES)], as the device reports them.
        names: Features, reported or derived.

    Returns:
        int64 [n, len(names)], each clipped to int32 as a forest takes it.

    Raises:
        ModelError: A name that is neither, or a formula of other arguments.
    """
    table = np.asarray(rows, dtype=np.int64).reshape(-1, len(NAMES))
    known = {name: table[:, i] for i, name in enumerate(NAMES)}
    chosen = [known[name] if name in known else _derive(name, known) for name in names]
    return np.clip(np.stack(chosen, axis=1), _INT32.min, _INT32.max)


def _derive(name: str, known: Mapping[str, Columns]) -> Columns:
    call = _CALL.fullmatch(name)
    if call is None or call[1] not in FORMULAS:
        raise ModelError(f"feature {name!r} is not known here: use {', '.join(NAMES)} or one of {', '.join(sorted(FORMULAS))} over them")
    arguments = [argument.strip() for argument in call[2].split(",")]
    unknown = [argument for argument in arguments if argument not in known]
    if unknown:
        raise ModelError(f"feature {name!r} is computed from {unknown[0]!r}, which no device reports: use {', '.join(NAMES)}")
    try:
        return FORMULAS[call[1]](*[known[argument] for argument in arguments])
    except TypeError:
        raise ModelError(f"feature {name!r} is computed from {len(arguments)} others: write {call[1]}(a, b)") from None
