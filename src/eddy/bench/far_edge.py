"""`eddy bench far-edge`: isolation forests on the far edge, beside the usual way in the same run and beside the paper's figures.

The paper is Antonini et al., Tiny-MLOps (2022), section VI: the same number of trees, the same subsample of 100 and the same three
features, on an ESP32 and a 2,400-baud half-duplex line. Times of this run are a computer's: compare their ratios, not with the paper's.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from eddy.bench.transfer import BAUD, FRAMING, PAYLOAD, TURN_MS, Transfer, delivery, send_frames, send_object
from eddy.bench.windows import FEATURES, Windows, gather
from eddy.errors import DeviceFailed, ToolMissing
from eddy.functions.forest import NumpyTrainer
from eddy.kernel.forest import LEAF, Forest
from eddy.kernel.grid import STEPS
from eddy.links import micropython
from eddy.models.package import pack, sign
from eddy.security.signing import SigningKey

TREES = (10, 20, 30, 40, 50)
SUBSAMPLE = 100
SEED = 2022
CLASS, DEVICE = "pump", "pump-1"
BASELINE_HEAP = 16 * 1024 * 1024
_DEVICE = Path(__file__).parent / "device"

# What the paper prints; the sizes in between it only draws. Bearing 1 for inference, bearing 2 for deployment.
PAPER: dict[int, dict[str, float]] = {10: {"infer_us": 8700, "deploy_s": 759}, 50: {"infer_us": 34400, "deploy_s": 5147}}
KEYS = ("wire_bytes", "deploy_s", "channel_use", "infer_us", "infer_anomalous_us", "load_ms", "train_ms", "ram_bytes")


def run(
    trees: Iterable[int] = TREES,
    speed: float | None = None,
    data: Path | None = None,
    progress: Callable[[Any], None] | None = None,
) -> dict[str, Any]:
    """Measure.

    Args:
        trees: Forest sizes.
        speed: None computes transfers in virtual time; a number sends Eddy's packages through the emulator process, that many seconds on
            the line's clock per second on the wall.
        data: Recordings to take windows from; see `eddy.bench.windows.gather`.
        progress: Is told how far it is.

    Returns:
        `rows`, one for each number of trees, with `KEYS`, `package_bytes`, `verify_ms` and `adopt_ms` for Eddy, and below `baseline` and
        `paper` (None where nothing is printed), and what they were measured on.

    Raises:
        ToolMissing: There is no MicroPython for this platform.
        DeviceFailed: A measurement ended with an error.
    """
    if micropython.interpreter() is None:
        raise ToolMissing("the far edge is measured in MicroPython, and there is no wheel of it for this platform: use Linux x86-64")
    sizes = list(trees)
    tell = progress or (lambda step: None)
    tell({"done": 0, "total": len(sizes), "doing": "computing features"})
    windows = gather(data)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        firmware = micropython.firmware(folder / "firmware")
        key = SigningKey.load_or_create(folder / "key")
        for done, count in enumerate(sizes):
            tell({"done": done, "total": len(sizes), "doing": f"{count} trees"})
            rows.append(_row(folder, firmware / "flash" / "lib", key, windows, count, speed))
    tell({"done": len(sizes), "total": len(sizes), "doing": "done"})
    return {
        "rows": rows,
        "data": windows.source,
        "features": list(FEATURES),
        "subsample": SUBSAMPLE,
        "interpreter": "micropython",
        "heap_bytes": micropython.HEAP_BYTES,
        "baseline_heap_bytes": BASELINE_HEAP,
        "line": {"baud": BAUD, "turn_ms": TURN_MS, "clock": "virtual" if speed is None else f"emulator, {speed:g} times real time"},
        "notes": [
            f"Eddy: all on a heap of {micropython.HEAP_BYTES // 1024} KiB, training included; wire_bytes is the whole message that carries "
            "the signed package as a sample of a stream, package_bytes the package in it.",
            "load_ms brings the model from its wire form into execution, as after every start and with every package; verify_ms opens a "
            "package, its Ed25519 signature and SHA-256 included; adopt_ms is all that a running model does with one. The baseline "
            "verifies nothing.",
            f"Baseline: tree objects, floats, JSON, pure Python in a heap of {BASELINE_HEAP // 2**20} MiB (`fits_heap`: whether its forest "
            "loads in Eddy's heap); wire_bytes is the JSON of the model alone.",
            f"Baseline deployment: {PAYLOAD} bytes and {FRAMING} of framing in a frame, each acknowledged by one of {FRAMING + 1} bytes.",
            "Paper: an ESP32 (inference on bearing 1, deployment to bearing 2); a channel use of 0.6 to 0.7 is printed for every size.",
        ],
    }


def _row(folder: Path, library: Path, key: SigningKey, windows: Windows, trees: int, speed: float | None) -> dict[str, Any]:
    """Everything about one size."""
    trainer = NumpyTrainer(windows.pool.ravel().tolist(), len(FEATURES), trees, SUBSAMPLE, SEED)
    while trainer.step():
        pass
    forest = trainer.forest()
    package = sign(pack(CLASS, DEVICE, 1, forest.to_wire(), FEATURES, {"threshold": forest.threshold}), key.sign)
    message = delivery(package)
    (folder / "forest.wire").write_bytes(forest.to_wire())
    (folder / "forest.package").write_bytes(package)
    described = json.dumps(describe(forest), separators=(",", ":"))
    (folder / "forest.json").write_text(described)
    job = {
        "features": len(FEATURES),
        "names": list(FEATURES),
        "trees": trees,
        "subsample": SUBSAMPLE,
        "seed": SEED,
        "pool": windows.pool.ravel().tolist(),
        "normal": windows.normal.tolist(),
        "anomalous": windows.anomalous.tolist(),
        "class": CLASS,
        "device": DEVICE,
        "key": list(key.public_bytes()),
    }
    (folder / "job.json").write_text(json.dumps(job))
    ours = _measure("forest.py", micropython.HEAP_BYTES, library, folder)
    theirs = _measure("baseline.py", BASELINE_HEAP, library, folder)
    fits = _start("baseline.py", micropython.HEAP_BYTES, library, folder, "load").returncode == 0
    if not ours.pop("same_bytes"):
        raise DeviceFailed("the device trained another forest from the same seed than this computer: please report this")
    difference = max(abs(a - b) for a, b in zip(ours.pop("scores"), theirs.pop("scores"), strict=True))
    baseline = {**theirs, "wire_bytes": len(described), **_figures(send_frames(len(described)))}
    return {
        "trees": trees,
        "nodes": forest.nodes,
        "wire_bytes": len(message),
        "package_bytes": len(package),
        "model_bytes": len(forest.to_wire()),
        **_figures(send_object(message, speed)),
        **ours,
        "score_difference": round(difference, 5),
        "baseline": {**{name: baseline[name] for name in KEYS}, "fits_heap": fits},
        "paper": {name: PAPER.get(trees, {}).get(name) for name in KEYS},
    }


def _figures(transfer: Transfer) -> dict[str, float]:
    return {"deploy_s": round(transfer.seconds, 3), "channel_use": round(transfer.channel_use, 4)}


def describe(forest: Forest) -> dict[str, Any]:
    """The forest as nested dictionaries with thresholds in the features' units, ready for JSON: how the paper stores it."""
    bounds = forest.grid().bounds

    def node(words: Any, at: int) -> dict[str, Any]:
        split = words[2 * at]
        if split >= LEAF:
            return {"size": split & 0xFFF}
        low, high = bounds[split >> 12]
        threshold = low + ((split & 0xFFF) + 1) * (high - low) / STEPS
        return {"feature": split >> 12, "threshold": threshold, "left": node(words, at + 1), "right": node(words, words[2 * at + 1])}

    return {"subsample": forest.subsample, "trees": [node(forest.tree(tree), 0) for tree in range(forest.trees)]}


def _start(script: str, heap: int, library: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(micropython.interpreter()), "-X", f"heapsize={heap}", str(_DEVICE / script), *map(str, arguments)]
    # MicroPython looks in the current folder first.
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=_DEVICE, env={"MICROPYPATH": str(library)})


def _measure(script: str, heap: int, library: Path, folder: Path) -> dict[str, Any]:
    """Run a script on the device and read its figures."""
    result = _start(script, heap, library, folder)
    try:
        figures: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        raise DeviceFailed(f"{script} ended with code {result.returncode}: {(result.stderr or result.stdout).strip()[-400:]}") from None
    return figures
