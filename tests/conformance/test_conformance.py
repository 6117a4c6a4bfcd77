"""One suite for every interpreter: CPython, MicroPython and, where Node.js is there, 32-bit WebAssembly MicroPython.

To add a case, write `cases/<module>.py` in the kernel's dialect: plain functions named `check_<what holds>()` that take nothing and assert.
It is found by its place; nothing is registered. A case needs no oracle at hand: what comes from one is a golden vector,

    from vectors import load        # load("rng") is the content of tests/vectors/rng.json, on every interpreter

made by `tests/vectors/rng.py`, a function `vectors()` that returns plain JSON data (bytes as hex), and written by
`python scripts/make_vectors.py rng`; a test compares the files with what the generators give. Keep a vector file below 20 kB: it has to fit
into a 256 KiB heap beside the case.

Each case runs in an interpreter of its own, compiled by mpy-cross, in a heap of 256 KiB (on WebAssembly as well, where words are half as
wide). Every kernel module has to be imported by some case.

WebAssembly: `npm install --prefix .wasm @micropython/micropython-webassembly-pyscript`, or into the folder that EDDY_WASM_DIR names.
"""

import ast
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPO = HERE.parent.parent
KERNEL = REPO / "src" / "eddy" / "kernel"
VECTORS = REPO / "tests" / "vectors"
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.py"))
HEAP_BYTES = 256 * 1024
WASM = Path(os.environ.get("EDDY_WASM_DIR", REPO / ".wasm")) / "node_modules/@micropython/micropython-webassembly-pyscript"
# The architecture of mpy-cross whose native code the installed MicroPython loads; elsewhere the viper twins are left out.
MARCH = {"x86_64": "x64"}.get(platform.machine())
RUN_CASE = "import sys; sys.path.insert(0, {root!r}); import run_case; run_case.run({case!r}, {root!r})"


def program(name: str) -> str:
    """A program that was installed with this Python or is on the path; skips the test when there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed here")
    return found


def stage(root: Path, viper: bool) -> Path:
    """Compile kernel and cases into `root`, beside the vectors, laid out as `run_case` expects it.

    A file that does not compile is left out, so that it fails the cases that import it and no others.
    """
    cross = program("mpy-cross")
    package = KERNEL.parent
    sources = [(path, path.relative_to(package.parent)) for path in [package / "__init__.py", *KERNEL.rglob("*.py")]]
    sources += [(path, path.relative_to(HERE)) for path in [HERE / "run_case.py", HERE / "vectors.py", *HERE.glob("cases/*.py")]]
    for source, place in sources:
        options = []
        if source.parent.name == "viper":
            if not viper:
                continue
            options = [f"-march={MARCH}"]
        target = (root / place).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run([cross, *options, "-o", target, source], check=False).returncode:
            target.unlink(missing_ok=True)
    shutil.copytree(VECTORS, root / "golden", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return root


def run(command: list[str | Path], folder: Path) -> None:
    """Run one case in another process and an empty folder; its last line tells that all checks passed."""
    environment = {**os.environ, "MICROPYPATH": ""}
    result = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=120, env=environment)
    lines = result.stdout.splitlines()
    assert lines and lines[-1].startswith("passed "), result.stdout + result.stderr


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(tmp_path_factory.mktemp("micropython"), viper=MARCH is not None)


@pytest.fixture(scope="module")
def staged_plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(tmp_path_factory.mktemp("wasm"), viper=False)


@pytest.fixture
def vectors_importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(HERE)
    vectors = importlib.import_module("vectors")
    monkeypatch.setattr(vectors, "folder", str(VECTORS))
    yield
    sys.modules.pop("vectors")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("vectors_importable")
def test_on_cpython(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(f"conformance_{case}", HERE / "cases" / f"{case}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checks = [name for name in dir(module) if name.startswith("check_")]
    assert checks, "a case without a check"
    for check in checks:
        getattr(module, check)()


@pytest.mark.parametrize("case", CASES)
def test_on_micropython(case: str, staged: Path, tmp_path: Path) -> None:
    run([program("micropython"), "-X", f"heapsize={HEAP_BYTES}", "-c", RUN_CASE.format(root=str(staged), case=case)], tmp_path)


@pytest.mark.parametrize("case", CASES)
def test_on_webassembly(case: str, staged_plain: Path, tmp_path: Path) -> None:
    if not (WASM / "micropython.mjs").exists():
        pytest.skip(f"no {WASM}: npm install --prefix .wasm @micropython/micropython-webassembly-pyscript")
    run([program("node"), HERE / "wasm.mjs", WASM, staged_plain, case, str(HEAP_BYTES)], tmp_path)


def test_every_kernel_module_is_covered_by_a_case() -> None:
    modules = {path.stem for path in KERNEL.glob("*.py")} - {"__init__", "errors"}
    functions = {path.stem for path in (KERNEL / "functions").glob("[!_]*.py")}
    covered = set()
    for path in (HERE / "cases").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "eddy.kernel":
                covered |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module == "eddy.kernel.functions":
                functions -= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("eddy.kernel."):
                covered.add(node.module.split(".")[2])
    assert not modules - covered, f"no case in tests/conformance/cases imports eddy.kernel.{{{', '.join(sorted(modules - covered))}}}"
    assert not functions, f"no case in tests/conformance/cases imports eddy.kernel.functions.{{{', '.join(sorted(functions))}}}"


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.json")))
def test_vectors_are_what_their_generators_make(name: str) -> None:
    command = [sys.executable, REPO / "scripts" / "make_vectors.py", "--check", name]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
