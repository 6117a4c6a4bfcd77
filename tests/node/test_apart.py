"""A store in a process of its own is the same store: what it does and what goes wrong is known here, and it ends with the node."""

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from eddy.errors import BadInput, DeviceFailed, EddyError, SettingError
from eddy.kernel.codec import encode
from eddy.links.driver import Home
from eddy.node.apart import Apart
from eddy.node.sinks import SinkRunner

PARENT = """
import sys
from pathlib import Path
from eddy.links.driver import Home
from eddy.node.apart import Apart
apart = Apart(["eddy.knowledge.lake", "Lake", {}], Home(Path(sys.argv[1]), lambda question: None))
print(apart.pid, flush=True)
sys.stdin.read()
"""


def samples(first: int, count: int) -> list[tuple[str, int, Any]]:
    return [(f"n/a/00/{number}", number, encode(["n", "a", number, number])) for number in range(first, first + count)]


def made(folder: Path, **arguments: Any) -> Apart:
    return Apart(["eddy.knowledge.lake", "Lake", arguments], Home(folder, lambda question: None))


def found(lake: Path) -> Counter[int]:
    return Counter(pa.table(DeltaTable(str(lake / "n")).to_pyarrow_table(columns=["value"]))["value"].to_pylist())


def test_what_is_written_is_in_the_lake_of_the_node_when_it_returns(tmp_path: Path) -> None:
    store = made(tmp_path)
    assert store.gather_s > 0
    for first in (0, 1000, 2000):
        store.write_all(samples(first, 1000))
        assert found(tmp_path / "lake") == Counter(range(first + 1000))
    store.close()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"to": "env:NOWHERE_TO_BE_SEEN"}, SettingError, "NOWHERE_TO_BE_SEEN, which is not set"),
        ({"too": "lake"}, BadInput, "does not take the arguments too"),
    ],
)
def test_a_store_that_cannot_be_made_says_why(tmp_path: Path, arguments: dict[str, Any], error: type[EddyError], says: str) -> None:
    with pytest.raises(error, match=says):
        made(tmp_path, **arguments)


def test_what_cannot_be_written_is_an_error_and_comes_again(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("in the way")
    store = made(tmp_path)
    with pytest.raises(EddyError, match="lake"):
        store.write_all(samples(0, 10))
    (tmp_path / "lake").unlink()
    store.write_all(samples(0, 10))
    assert found(tmp_path / "lake") == Counter(range(10))
    store.close()


def test_when_its_process_is_killed_a_new_one_goes_on_and_every_sample_is_there_once(tmp_path: Path) -> None:
    stores: list[Apart] = []

    def start() -> Apart:
        stores.append(made(tmp_path))
        return stores[-1]

    runner = SinkRunner(start).begin()
    done = 0
    for first in range(0, 600, 200):
        assert runner.offer_all(samples(first, 200)) == 200
        if stores:
            os.kill(stores[-1].pid, signal.SIGKILL)
        while done < first + 200:
            done += runner.done()[0]
            os.sched_yield()
    runner.close()
    assert runner.faults >= 1 and len(stores) >= 2
    assert found(tmp_path / "lake") == Counter(range(600))


def test_who_writes_to_one_that_is_gone_is_told(tmp_path: Path) -> None:
    store = made(tmp_path)
    os.kill(store.pid, signal.SIGKILL)
    with pytest.raises(DeviceFailed, match="ended with status -9"):
        store.write_all(samples(0, 1))


def test_it_ends_with_the_node(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout and parent.stdin
    ended = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    assert select.select([ended], [], [], 30)[0]
    os.close(ended)
    parent.stdout.close()
    parent.stdin.close()
