"""The gate of the kernel's dialect: what runs on a microcontroller must compile for it, and import there.

    python scripts/kernel_gate.py

Every file of `src/eddy/kernel` and `targets/micropython` goes through mpy-cross, the viper twins for each architecture below; then each
module is imported by the real MicroPython in a heap of its own (mpy-cross does not notice a bad import). Exit status 1 when one fails.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).parent.parent
PACKAGE = REPO / "src" / "eddy"
KERNEL = PACKAGE / "kernel"
TARGET = REPO / "targets" / "micropython"
# The host's MicroPython, the ESP32, and Cortex-M4F/M7 boards such as the Pyboard.
MARCHES = ("x64", "xtensawin", "armv7emsp")
HOST_MARCH = {"x86_64": "x64"}.get(platform.machine())
HEAP = "256k"


def program(name: str) -> str:
    """A program that was installed with this Python or is on the path."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not installed here: make setup")
    return found


def run(command: list[str | Path], what: str, problems: list[str]) -> bool:
    """Run one command; note what it said when it fails."""
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", env={"MICROPYPATH": ""})
    if result.returncode:
        problems.append(f"{what}\n{result.stdout}{result.stderr}".rstrip())
    return result.returncode == 0


def compile_all(root: Path, problems: list[str]) -> list[str]:
    """Compile everything; returns the names of the modules that the host's MicroPython can import from `root`."""
    cross = program("mpy-cross")
    modules = []
    for source in [PACKAGE / "__init__.py", *sorted(KERNEL.rglob("*.py"))]:
        place = source.relative_to(PACKAGE.parent)
        target = (root / place).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        twin = source.parent.name == "viper" and source.name != "__init__.py"
        for march in MARCHES if twin else ("",):
            other = target if march in ("", HOST_MARCH) else target.with_suffix(f".{march}")
            options = [f"-march={march}"] if march else []
            if run([cross, *options, "-o", other, source], f"mpy-cross {march} {place}", problems) and other == target:
                modules.append(".".join(place.with_suffix("").parts).removesuffix(".__init__"))
    for source in sorted(TARGET.rglob("*.py")):
        run([cross, "-o", root / "target.out", source], f"mpy-cross {source.relative_to(REPO)}", problems)
    return modules


def main() -> int:
    """The command; returns its exit status."""
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        modules = compile_all(root, problems)
        sizes = sum(path.stat().st_size for path in root.rglob("*.mpy"))
        interpreter = program("micropython")
        for module in modules:
            code = f"import sys; sys.path[:] = [{folder!r}]; __import__({module!r})"
            run([interpreter, "-X", f"heapsize={HEAP}", "-c", code], f"import {module}", problems)
    files = len(list(KERNEL.rglob("*.py")))
    twins = len(list(KERNEL.glob("viper/[!_]*.py")))
    targets = len(list(TARGET.rglob("*.py")))
    print(f"mpy-cross: {files} kernel files ({twins} viper twins, each for {', '.join(MARCHES)}), {targets} target files")
    print(f"micropython: {len(modules)} modules imported one by one in a heap of {HEAP}; compiled, they take {sizes} bytes")
    for problem in problems:
        print(f"FAILED {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
