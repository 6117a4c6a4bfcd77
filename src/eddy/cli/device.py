"""`eddy device`: real boards. Nothing here has been tried on hardware yet; `--dry-run` shows what would be done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from eddy.cli.console import JSON_HELP

app = typer.Typer(no_args_is_help=True, help="Real boards.")

Arch = Literal["xtensawin", "xtensa", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "rv32imc", "none"]


@app.callback()
def device() -> None:
    """Real boards."""


@app.command()
def install(
    port: Annotated[str, typer.Option(help="Serial port of the board, such as /dev/ttyUSB0.")],
    arch: Annotated[Arch, typer.Option(help="Native code for the fast twins: xtensawin is the ESP32; none leaves them out.")] = "xtensawin",
    name: Annotated[str, typer.Option(help="Name of the device.")] = "pump-1",
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="The hub's folder: the device trusts the key in it.")] = Path(
        ".eddy/hub"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; touch nothing.")] = False,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Put the compiled kernel and its entry point on a board that runs MicroPython (not tried on hardware yet)."""
    import tempfile

    from eddy.cli import console

    console.check_writable(json)
    with tempfile.TemporaryDirectory(prefix="eddy-") as made:
        commands = plan(port, Path(made) / "flash")
        if not dry_run:
            _check(port)
        files = _firmware(Path(made), None if arch == "none" else arch, _settings(name, folder, dry_run))
        out = console.result_console(json)
        out.print(f"{len(files)} files, {sum(files.values()):,} bytes, native code: {arch}", markup=False)
        for command in commands:
            out.print(f"{'would run' if dry_run else 'running'}: {' '.join(command)}", markup=False, soft_wrap=True)
            if not dry_run:
                _run(command)
    if json is not None:
        console.write_json(json, {"port": port, "arch": arch, "dry_run": dry_run, "files": files, "commands": commands})


def plan(port: str, flash: Path) -> list[list[str]]:
    """The commands that put the content of a folder on a board and start it anew.

    Args:
        port: Serial port of the board.
        flash: Folder with what belongs on the board's root.
    """
    mpremote = ["mpremote", "connect", port]
    copies = [[*mpremote, "fs", "cp", "-r", str(flash / "lib"), ":/"]]
    copies += [[*mpremote, "fs", "cp", str(flash / file), f":/{file}"] for file in ("settings.cbor", "main.py")]
    return [*copies, [*mpremote, "reset"]]


def _settings(name: str, folder: Path, dry_run: bool) -> dict[str, object]:
    """Settings of a board; a dry run makes no key."""
    from eddy.security.signing import SigningKey

    key = bytes(32)
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
        key = SigningKey.load_or_create(folder / "signing.key").public_bytes()
    return {"device": name, "key": key}


def _firmware(folder: Path, arch: str | None, settings: dict[str, object]) -> dict[str, int]:
    """Compiles the kernel and adds settings and start; returns bytes by name of what goes to the board."""
    from eddy.kernel import codec
    from eddy.links.micropython import firmware

    flash = firmware(folder, arch) / "flash"
    (flash / "settings.cbor").write_bytes(codec.encode(settings))
    (flash / "main.py").write_text("import board\n\nboard.start()\n")
    return {str(file.relative_to(flash)): file.stat().st_size for file in sorted(flash.rglob("*")) if file.is_file()}


def _check(port: str) -> None:
    from importlib.util import find_spec

    from eddy.errors import LinkLost, ToolMissing

    if find_spec("mpremote") is None:
        raise ToolMissing("mpremote is not installed: pip install 'eddy[device]'")
    if not Path(port).exists():
        raise LinkLost(f"there is no {port}: plug the board in, and see which port appears with 'mpremote devs'")


def _run(command: Sequence[str]) -> None:
    import subprocess
    import sys

    from eddy.errors import LinkLost

    result = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        reason = said[-1] if said else f"exit code {result.returncode}"
        raise LinkLost(f"{' '.join(command)} failed: {reason}. Is MicroPython on the board, and the port free?")
