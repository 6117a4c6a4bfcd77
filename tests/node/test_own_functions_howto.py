"""The code in `docs/howto/own-functions.md` does what the page says."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from eddy.node.worker import WorkerDriver

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "own-functions.md"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The page's code by file name, written to the current folder; what has none is to be run."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    named = {match[1] if (match := re.match(r"# (\w+\.py)\n", block)) else "": block for block in blocks}
    for name, block in named.items():
        if name:
            Path(name).write_text(block)
    return named


def driver(name: str, cls: str, **arguments: Any) -> WorkerDriver:
    source = Path(name).read_bytes()
    digest = hashlib.sha256(source).digest()
    return WorkerDriver([name, cls, arguments, digest], {digest: source})


def test_the_function_works_as_it_is_tried(files: dict[str, str]) -> None:
    seen: dict[str, Any] = {}
    exec(files[""], seen)
    assert seen["outputs"] == [[], [], [4]]
    seen["function"].close()


def test_the_source_and_the_sink_work(files: dict[str, str]) -> None:
    Path("temp").write_text("21500\n")
    source = driver("thermometer.py", "Thermometer", path=str(Path("temp").resolve()))
    assert [value for _, value in source.read() or []] == [21500]
    source.close()
    sink = driver("siren.py", "Siren", path=str(Path("siren").resolve()))
    sink.write("a", 1, [1, 1])
    assert Path("siren").read_text() == "1"
    sink.safe("off")
    assert Path("siren").read_text() == "0"
    sink.close()
