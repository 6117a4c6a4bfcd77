"""The power is cut at every flash operation of a journal, of streaming and of a whole device, and again during the recovery.

The campaign itself is in tests/powercut and runs in MicroPython, in a heap of 256 KiB. `make test` takes a sample, `make soak` everything.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from array import array
from pathlib import Path

import device
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eddy.kernel import features, package
from eddy.kernel.trainer import Trainer

REPO = Path(__file__).parents[2]
# A nearly full littlefs takes hundreds of operations for a few samples: there the whole campaign is every 60th of them.
WHOLE = [("Journal", 1), ("Stream", 1), ("StreamInRam", 1), ("Crowded", 60), ("device.Device", 1)]
SAMPLE = [("Journal", 15), ("Stream", 5), ("StreamInRam", 2), ("Crowded", 1000), ("device.Device", 30)]
# Station, gateway's end and book-keeping take 230 kB, and the next chip wants 4 kB in one piece.
HEAP_BYTES = {"device.Device": 1024 * 1024}


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
    sources = {f"eddy/kernel/{path.stem}": path for path in (REPO / "src/eddy/kernel").glob("*.py")}
    for room in ("functions", "plain"):
        sources |= {f"eddy/kernel/{room}/{path.stem}": path for path in (REPO / "src/eddy/kernel" / room).glob("*.py")}
        (folder / "eddy/kernel" / room).mkdir(parents=True)
    sources |= {name: REPO / f"tests/powercut/{name}.py" for name in ("controls", "device", "scenarios")}
    sources |= {"eddy/__init__": REPO / "src/eddy/__init__.py", "flash": REPO / "targets/micropython/flash.py"}
    for target, source in sources.items():
        subprocess.run([program("mpy-cross"), "-o", folder / f"{target}.mpy", source], check=True)
    shutil.copy(REPO / "tests/powercut/campaign.py", folder)
    (folder / "device.json").write_text(json.dumps(deployments()))
    return folder


def deployments() -> dict[str, object]:
    """The key that the device of the campaign trusts, and two packages for it: a model, and a configuration of that."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"the key of the power cuts").digest())
    names = device.FEATURES
    rows = array("i", [value for number in range(1000, 1040) for value in features.compute(device.samples(number), names)])
    trainer = Trainer(rows, len(names), trees=32, subsample=32, seed=1)
    while trainer.step():
        pass
    forest = trainer.forest()
    forest.calibrate(rows)
    threshold = forest.threshold + 1000
    model = package.encode_body(forest.to_wire(), names)
    packages = [
        package.build(device.CLASS, device.NAME, 1, model, key.sign),
        package.build(
            device.CLASS,
            device.NAME,
            2,
            package.encode_body(configuration={"threshold": threshold}),
            key.sign,
            predecessor=package.fingerprint(model),
        ),
    ]
    return {
        "key": key.public_key().public_bytes_raw().hex(),
        "packages": [data.hex() for data in packages],
        "wire": forest.to_wire().hex(),
        "thresholds": [forest.threshold, threshold],
    }


def campaign(staged: Path, image: Path, scenario: str, every: int = 1, offset: int = 0, control: str | None = None) -> dict[str, object]:
    """Cut the power of `scenario` at each `every`-th flash operation, beginning with `offset`; the figures it ends with."""
    heap = HEAP_BYTES.get(scenario, 256 * 1024)
    command = [program("micropython"), "-X", f"heapsize={heap}", "campaign.py", scenario, image / "flash", str(every), str(offset)]
    result = subprocess.run([*command, *([control] if control else [])], cwd=staged, capture_output=True, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]  # among them complaints about files on a dead chip
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
        ("Journal", "remove_then_rename"),
        ("Journal", "write_in_place"),
        ("Journal", "early_removal"),
        ("Journal", "head_first"),
        ("Journal", "nothing_cleared"),
        ("Stream", "remove_then_rename"),
        ("Stream", "late_append"),
        ("StreamInRam", "no_reservation"),
        ("device.Device", "late_commit"),
        ("device.Device", "package_in_ram"),
        ("device.Device", "package_not_in_snapshot"),
    ],
)
def test_the_campaign_notices_a_deliberate_mistake(scenario: str, control: str, staged: Path, tmp_path: Path) -> None:
    assert "broken" in campaign(staged, tmp_path, scenario, every=3, control=control)
