"""`eddy hub run`: the control plane as a service of its own."""

from pathlib import Path
from typing import Annotated

import typer

from eddy.cli import client
from eddy.cli.console import JSON_HELP

app = typer.Typer(no_args_is_help=True, help="The control plane.")


@app.callback()
def hub() -> None:
    """The control plane."""


@app.command()
def run(
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where its keys and its database are.")] = Path("eddy-hub"),
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where nodes reach it, over mutual TLS.")] = "127.0.0.1:7447",
    api: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where people reach it; beyond this machine it needs a token.")
    ] = "127.0.0.1:8787",
    database: Annotated[
        str, typer.Option(metavar="URL", help="Such as postgresql+psycopg://user@host/eddy; SQLite in DIR without.", envvar="EDDY_DATABASE")
    ] = "",
    connect: Annotated[list[str] | None, typer.Option(metavar="HOST:PORT", help="A node to find again after a restart.")] = None,
    token_file: client.TokenFile = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Of the API, PEM: people reach it over TLS then.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Of the certificate, PEM.")] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help=JSON_HELP)] = None,
) -> None:
    """Run a hub until Ctrl-C: it places apps, lets nodes in, and answers people. Nodes go on without it. JSON: where it was."""
    from eddy.cli.console import check_writable, progress_console, write_json
    from eddy.errors import SettingError
    from eddy.hub.service import serve

    check_writable(json)
    if (certificate is None) != (key is None):
        raise SettingError("TLS needs both --certificate and --key, files in PEM")
    token = client.read_token(token_file)
    host, port = address(api)
    out = progress_console()
    out.print(f"hub: people at {host}:{port}, nodes at {listen}; Ctrl-C ends", markup=False)
    others = [endpoint(one) for one in connect or []]
    serve(folder, database, endpoint(listen), (host, port), token, others, (certificate, key) if certificate and key else (None, None))
    out.print("stopped; everything that is placed goes on", markup=False)
    if json is not None:
        write_json(json, {"api": f"{host}:{port}", "nodes": listen, "folder": str(folder)})


def address(text: str) -> tuple[str, int]:
    """Host and port; raises SettingError."""
    from eddy.errors import SettingError

    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:8787")
    return host.strip("[]"), int(port)


def endpoint(text: str) -> str:
    """A Zenoh endpoint over TLS; raises SettingError."""
    host, port = address(text)
    return f"tls/{f'[{host}]' if ':' in host else host}:{port}"
