"""Sources that a test opens."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Keeps a source, and closes it at the end."""
    made: list[Any] = []

    def keep(source: Any) -> Any:
        made.append(source)
        return source

    yield keep
    for source in made:
        source.close()
