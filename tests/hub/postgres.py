"""A PostgreSQL server of its own for tests, in a temporary folder, reached by a socket only; run as an unprivileged user, as it demands."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, of the newest version; None when they are not installed."""
    found = [Path(file).parent for file in [shutil.which("initdb")] if file]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    return next((folder for folder in found if (folder / "pg_ctl").exists() and (folder / "initdb").exists()), None)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Runs a server with the programs of `folder`; gives the URL of an empty database."""
    owner = None if os.getuid() else next(name for name in ("postgres", "nobody") if _is_user(name))
    place = Path(tempfile.mkdtemp(prefix="eddy-postgres-"))

    def run(*command: str | Path) -> None:
        subprocess.run([str(part) for part in command], check=True, user=owner, cwd=place, stdout=subprocess.DEVNULL, timeout=60)

    try:
        if owner:
            shutil.chown(place, owner)
        run(folder / "initdb", "--pgdata", place / "data", "--auth", "trust", "--username", "eddy", "--no-sync", "--encoding", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={place} -c fsync=off"
        control = [folder / "pg_ctl", "--pgdata", place / "data", "--silent"]
        run(*control, "--log", place / "log", "--wait", "--options", options, "start")
        try:
            yield f"postgresql+psycopg://eddy@/postgres?host={place}"
        finally:
            run(*control, "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
