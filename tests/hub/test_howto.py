"""The examples of docs/howto/hub.md, run one after the other as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest
from fake_hub import FakeHub

from eddy.hub.api import create
from eddy.hub.server import Server

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "hub.md"


def examples(page: str) -> list[tuple[str, str]]:
    """(command, what it prints) of all blocks of the console."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page, re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def pattern(output: str) -> str:
    """What a command prints: `...` is anything, times are any."""
    text = re.escape(output.rstrip("\n")).replace(r"\.\.\.", ".*")
    return re.sub(r"in\\ 0\\.2\\ s", r"in [0-9.]+ s", text)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl")
def test_the_examples_print_what_the_page_says() -> None:
    hub, over = FakeHub(), Event()

    def finish_the_first_move() -> None:
        while not over.wait(0.15):
            if hub.decisions("judge", None, 9) and hub.functions()[2].term == 1:
                hub.finish("judge")

    found = examples(PAGE.read_text())
    assert len(found) == 9
    with Server(create(hub, None), port=0) as server:
        nodes = Thread(target=finish_the_first_move)
        nodes.start()
        environment = {
            **os.environ,
            "EDDY_HUB": server.url,
            "COLUMNS": "200",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        try:
            for command, output in found:
                line = command.replace("http://127.0.0.1:8787", server.url)
                ran = subprocess.run(["sh", "-c", f"{line} 2>&1"], check=False, env=environment, capture_output=True, text=True, timeout=30)
                assert re.fullmatch(pattern(output), ran.stdout.rstrip("\n")), f"{command}\n{ran.stdout}"
        finally:
            over.set()
            nodes.join()
