"""The power is cut at every flash operation of an update and of streaming, and again during the recovery.

The campaign itself is in tests/powercut and runs in MicroPython, in a heap of 256 KiB. `make test` takes a sample, `make soak` everything.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
KERNEL = ["__init__", "errors", "codec", "rng", "store", "batch", "hop", "slots"]
# A nearly full littlefs takes hundreds of operations for a few samples: there the whole campaign is every 60th of them.
WHOLE = [("Update", 1), ("Stream", 1), ("StreamInRam", 1), ("Crowded", 60)]
SAMPLE = [("Update", 5), ("Stream", 5), ("StreamInRam", 2), ("Crowded", 1000)]


def program(name: str) -> Path:
    """A program that was installed with this Python; skips the test when it is not there."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.skip(f"{name} is not installed here")
    return path


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the campaign and the kernel, compiled."""
    folder = tmp_path_factory.mktemp("powercut")
    sources = {f"eddy/kernel/{name}": REPO / f"src/eddy/kernel/{name}.py" for name in KERNEL}
    sources |= {name: REPO / f"tests/powercut/{name}.py" for name in ("controls", "scenarios")}
    sources |= {"eddy/__init__": REPO / "src/eddy/__init__.py", "flash": REPO / "targets/micropython/flash.py"}
    (folder / "eddy/kernel").mkdir(parents=True)
    for target, source in sources.items():
        subprocess.run([program("mpy-cross"), "-o", folder / f"{target}.mpy", source], check=True)
    shutil.copy(REPO / "tests/powercut/campaign.py", folder)
    return folder


def campaign(staged: Path, image: Path, scenario: str, every: int = 1, offset: int = 0, control: str | None = None) -> dict[str, object]:
    """Cut the power of `scenario` at each `every`-th flash operation, beginning with `offset`; the figures it ends with."""
    command = [program("micropython"), "-X", "heapsize=262144", "campaign.py", scenario, image / "flash", str(every), str(offset)]
    result = subprocess.run([*command, *([control] if control else [])], cwd=staged, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    assert result.returncode == 0 and lines, result.stdout[-2000:] + result.stderr[-2000:]
    return json.loads(lines[-1])


def survive(figures: dict[str, object], every: int) -> None:
    print(figures)
    assert "broken" not in figures, figures["broken"]
    operations, first_cuts, second_cuts = (int(str(figures[key])) for key in ("operations", "first_cuts", "second_cuts"))
    assert first_cuts >= 4 * max(1, operations // every)
    assert second_cuts >= first_cuts or every > operations


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "every"), SAMPLE)
def test_a_sample_of_power_cuts_leaves_old_or_new_and_every_sample_or_its_gap(
    scenario: str, every: int, staged: Path, tmp_path: Path
) -> None:
    survive(campaign(staged, tmp_path, scenario, every, offset=152), every)


@pytest.mark.soak
@pytest.mark.parametrize(("scenario", "every"), WHOLE)
def test_a_power_cut_at_every_flash_operation_and_at_every_one_of_the_recovery(
    scenario: str, every: int, staged: Path, tmp_path: Path
) -> None:
    survive(campaign(staged, tmp_path, scenario, every), every)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "control"),
    [
        ("Update", "remove_then_rename"),
        ("Update", "write_in_place"),
        ("Stream", "remove_then_rename"),
        ("Stream", "late_append"),
        ("StreamInRam", "no_reservation"),
    ],
)
def test_the_campaign_notices_a_deliberate_mistake(scenario: str, control: str, staged: Path, tmp_path: Path) -> None:
    assert "broken" in campaign(staged, tmp_path, scenario, every=3, control=control)
