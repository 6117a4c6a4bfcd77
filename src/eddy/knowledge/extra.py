"""What the extra `knowledge` installs, loaded when it is used: nothing else of Eddy needs it."""

from functools import cache
from importlib import import_module
from typing import Any

from eddy.errors import ToolMissing


@cache
def load(module: str) -> Any:
    """A module of `deltalake`, `duckdb` or `pyarrow`.

    Raises:
        ToolMissing: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise ToolMissing(f"the lake needs {module.partition('.')[0]}, which is not installed: pip install 'eddy[knowledge]'") from None
