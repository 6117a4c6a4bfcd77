"""Vectors for `eddy.kernel.functions`: digests of what each function says on CPython, with which every other interpreter is compared.

What they say is right is for `tests/kernel/functions` to tell; this only pins that it is the same bits everywhere, and from now on.
"""

import importlib.util
import sys
from pathlib import Path

CONFORMANCE = Path(__file__).parents[1] / "conformance"


def vectors() -> dict[str, str]:
    sys.path.insert(0, str(CONFORMANCE))
    importlib.import_module("vectors").folder = str(Path(__file__).parent)  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location("functions_case", CONFORMANCE / "cases" / "functions.py")
    assert spec and spec.loader
    case = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(case)
    sys.path.remove(str(CONFORMANCE))
    return {name: case.digest(name) for name in sorted(case.PROGRAMS)}
