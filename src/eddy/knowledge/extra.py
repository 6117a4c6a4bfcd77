"""What the extras `knowledge` and `cluster` install, loaded when it is used: nothing else of Eddy needs it."""

from functools import cache
from importlib import import_module
from typing import Any

from eddy.errors import ToolMissing


@cache
def load(module: str) -> Any:
    """A module of `deltalake`, `duckdb`, `pyarrow` or `distributed`, or what people want their answers in: `pandas`, `polars`.

    Raises:
        ToolMissing: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        package = module.partition(".")[0]
        wanted = package if package in ("pandas", "polars") else f"'eddy[{'cluster' if package == 'distributed' else 'knowledge'}]'"
        raise ToolMissing(f"this needs {package}, which is not installed: pip install {wanted}") from None
