"""Starts the interpreter that stands for a microcontroller: a real MicroPython with a heap limit, on a flash image.

Where no MicroPython wheel exists for the platform the same kernel files run on CPython, in a folder instead of a flash image;
`Device.interpreter` says which one it is.
"""

import json
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import eddy
from eddy.errors import DeviceFailed, StorageFull
from eddy.kernel import codec

HEAP_BYTES = 256 * 1024
BLOCKS = 256
_BLOCK_BYTES = 4096  # of the emulated flash, see targets/micropython/flash.py
"""Flash blocks of 4 KiB: 1 MiB."""

_NATIVE = {"x86_64": "x64", "AMD64": "x64", "armv7l": "armv7emsp"}
"""Native code that mpy-cross can emit for this host; elsewhere the plain twins run."""


def targets() -> Path:
    """Folder of the entry points, in a checkout or in an installed package."""
    package = Path(eddy.__file__).parent
    installed = package / "targets"
    return installed if installed.is_dir() else package.parents[1] / "targets"


def interpreter() -> str | None:
    """Path of the MicroPython that was installed with Eddy, or None where there is no wheel for the platform."""
    beside = Path(sys.executable).with_name("micropython")
    return str(beside) if beside.exists() else shutil.which("micropython")


def compile_tree(source: Path, out: Path, arch: str | None = None) -> None:
    """Compile every module below `source` with mpy-cross into `out`, same names, ending `.mpy`.

    Args:
        source: Folder with `.py` files.
        out: Folder to fill.
        arch: Native architecture for the compiled twins; None leaves them out.

    Raises:
        DeviceFailed: A file that mpy-cross does not take.
    """
    for path in sorted(source.rglob("*.py")):
        native = path.parent.name == "viper"
        if native and arch is None:
            continue
        made = out / path.relative_to(source).with_suffix(".mpy")
        made.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-O3", *([f"-march={arch}"] if native else [])]  # the numbers of lines would take 5 KiB of a device's heap
        command = [sys.executable, "-m", "mpy_cross", *flags, "-o", str(made), str(path)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise DeviceFailed(f"mpy-cross does not take {path}: {result.stderr.strip()}")


def firmware(folder: Path, arch: str | None = _NATIVE.get(platform.machine())) -> Path:
    """What a board needs, compiled: `folder/flash` for its flash and `folder/boot` for the unix port's start.

    Returns:
        `folder`, filled. A folder that is filled already is taken as it is.
    """
    done = folder / "complete"
    if not done.exists():
        library = folder / "flash" / "lib"
        compile_tree(Path(eddy.__file__).parent / "kernel", library / "eddy" / "kernel", arch)
        compile_tree(targets() / "micropython", folder / "boot")
        (library / "eddy").mkdir(exist_ok=True)
        shutil.copy(Path(eddy.__file__), library / "eddy" / "__init__.py")
        for name in ("device", "replay", "board"):
            shutil.move(folder / "boot" / f"{name}.mpy", library / f"{name}.mpy")
        done.touch()
    return folder


@dataclass
class Device:
    """A device process: samples go in when it asks, figures come out at the end.

    Args:
        process: The interpreter.
        interpreter: `micropython` or `cpython`.
        heap_bytes: Its limit; 0 where there is none.

    Attributes:
        figures: What it says at the end.
        pins: Levels of its outputs.
    """

    process: subprocess.Popen[bytes]
    interpreter: str
    heap_bytes: int
    figures: dict[str, object] | None = field(default=None)
    pins: dict[int, int] = field(default_factory=dict)

    def fileno(self) -> int:
        """Readable when the device has said something."""
        assert self.process.stdout
        return self.process.stdout.fileno()

    def asks(self) -> bool:
        """Read one line that the device has written; True when it asks for samples.

        Raises:
            DeviceFailed: The process has ended without its figures.
        """
        assert self.process.stdout
        line = self.process.stdout.readline()
        if line.startswith(b"!"):
            self.figures = json.loads(line[1:])
            return False
        if line.startswith(b"="):
            pin, level = line[1:].split()
            self.pins[int(pin)] = int(level)
            return False
        if not line and self.figures is None:
            code = self.process.wait()
            assert self.process.stderr
            said = self.process.stderr.read().decode(errors="replace").strip()
            raise DeviceFailed(f"the device process ended with code {code}: {said[-600:] or 'it said nothing'}")
        return line == b"?\n"

    def play(self, samples: bytes, time_ns: int, period_ns: int) -> None:
        """Answer a question with int16 samples, little-endian; none at all end the data."""
        assert self.process.stdin
        head = time_ns.to_bytes(8, "little") + period_ns.to_bytes(4, "little") + (len(samples) // 2).to_bytes(4, "little")
        self.process.stdin.write(head + samples)
        self.process.stdin.flush()

    def kill(self) -> None:
        """Take the power away."""
        self.process.kill()
        with suppress(BrokenPipeError):  # samples that were on their way
            self.process.__exit__(None, None, None)


def provision(folder: Path, settings: dict[str, object], blocks: int = BLOCKS) -> Path:
    """Make the flash of one device: kernel, entry point and settings.

    Args:
        folder: Empty folder of the device; the compiled kernel is shared through its parent.
        settings: See `eddy.kernel.station.Station`.
        blocks: Size of the flash in blocks of 4 KiB.

    Returns:
        The flash image (MicroPython) or folder (CPython) to start from.

    Raises:
        DeviceFailed: It does not fit, or the interpreter fails.
        StorageFull: The disk has no room for the flash image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    micropython = interpreter()
    if micropython is None:
        flash = folder / "flash"
        flash.mkdir(exist_ok=True)
        (flash / "settings.cbor").write_bytes(codec.encode(settings))
        return flash
    made = firmware(folder.parent / "firmware")
    image = folder / "flash.img"
    (made / "settings").mkdir(exist_ok=True)
    (made / "settings" / "settings.cbor").write_bytes(codec.encode(settings))
    free, size = shutil.disk_usage(folder).free, blocks * _BLOCK_BYTES
    if not image.exists() and free < size:
        needs = f"it takes {size // 1024:,} KiB, and {free // 1024:,} are free"
        raise StorageFull(f"no room for {image}: {needs}; make room, or choose another disk")
    for source in ("flash", "settings"):
        command = [micropython, "-m", "install", str(image.resolve()), str(blocks), str((made / source).resolve())]
        result = subprocess.run(command, cwd=made / "boot", capture_output=True, text=True, check=False)
        said = (result.stderr or result.stdout).strip()
        if "OSError: 28" in said:  # ENOSPC
            raise DeviceFailed(f"a flash of {blocks * 4} KiB is too small for the kernel: give {image} more blocks")
        if result.returncode:
            raise DeviceFailed(f"the flash image {image} cannot be made: {said[-400:]}")
    return image


def start(flash: Path, port: str, speed: int = 1, heap_bytes: int = HEAP_BYTES, blocks: int = BLOCKS) -> Device:
    """Switch a device on.

    Args:
        flash: What `provision` made; what the device writes stays there.
        port: Terminal of its line to the gateway.
        speed: How many times faster than real the line runs.
        heap_bytes: Limit of the MicroPython heap.
        blocks: As provisioned.
    """
    micropython = interpreter()
    if micropython is None:
        command = [sys.executable, str(targets() / "linux" / "twin.py"), str(flash.resolve()), port, str(speed)]
        boot = flash
    else:
        command = [micropython, "-X", f"heapsize={heap_bytes}", "-m", "unix", str(flash.resolve()), port, str(speed), str(blocks)]
        boot = flash.parent.parent / "firmware" / "boot"
    # MicroPython looks for modules in the current folder first: nobody's `flash.py` may come in the way.
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=boot, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    return Device(process, "micropython" if micropython else "cpython", heap_bytes if micropython else 0)
