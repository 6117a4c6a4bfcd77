"""A hub and nodes that it has let in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from company import Company


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    made = Company(tmp_path)
    yield made
    made.close()
