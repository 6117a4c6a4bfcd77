"""`eddy query`: SQL over the tables of a lake, read-only."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from eddy.knowledge.query import Lake

LAKE_HELP = "Folder or URL of the lake; that of a node is the folder `lake` in its own."
FORMATS = ("table", "json", "csv", "markdown", "arrow")
_WHOLE = 1 << 20  # columns of a table that goes to a file or another program, where no line is too long


def query(
    sql: Annotated[str, typer.Argument(help='As "select * from streams", which tells what there is.')],
    lake: Annotated[str, typer.Option(envvar="EDDY_LAKE", metavar="DIR", help=LAKE_HELP)],
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="How the rows are written.")] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    limit_s: Annotated[float, typer.Option("--limit-s", min=0.01, max=86_400, help="Most seconds it may take.")] = 30.0,
    memory: Annotated[int, typer.Option("--memory", min=16, max=1_048_576, help="Most MiB it may need.")] = 1024,
) -> None:
    """Ask the lake. A query reads the tables and nothing else, within its limits of time and memory."""
    from eddy.cli import limits
    from eddy.errors import BadInput, SettingError
    from eddy.knowledge.query import RESULT_MB

    form = "json" if json else form
    if form not in FORMATS:
        raise SettingError(f"{form!r} is no format: choose one of {', '.join(FORMATS)}")
    with opened(lake, limit_s=limit_s, memory_mb=memory) as here, limits.memory(memory + RESULT_MB):
        with limits.time(limit_s):
            answer = here.query(sql).arrow()
        try:
            write(answer, form)
        except OverflowError as error:
            raise BadInput(f"there is a time in the answer that cannot be written ({error}): cast it to text") from None


def opened(lake: str, **limits: Any) -> "Lake":
    """A lake for reading; `~` and `file:` are understood."""
    from eddy.knowledge.query import Lake

    return Lake(located(lake), **limits)


def located(lake: str) -> str:
    """A folder or URL as the lake knows it."""
    return lake if "://" in lake else str(Path(lake).expanduser().absolute())


def write(answer: Any, form: str) -> None:
    """Rows to standard output."""
    import csv
    import json

    if form == "arrow":
        from eddy.knowledge.extra import load

        with load("pyarrow").ipc.new_stream(sys.stdout.buffer, answer.schema) as out:
            out.write_table(answer)
        return
    names = answer.column_names
    rows = (row.values() for batch in answer.to_batches(10_000) for row in batch.to_pylist())
    if form == "json":
        for row in rows:
            sys.stdout.write(json.dumps(dict(zip(names, map(_plain, row), strict=True)), ensure_ascii=False) + "\n")
    elif form == "csv":
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow(names)
        out.writerows([_shown(one) for one in row] for row in rows)
    elif form == "markdown":
        sys.stdout.write("| " + " | ".join(names) + " |\n|" + " --- |" * len(names) + "\n")
        for row in rows:
            sys.stdout.write("| " + " | ".join(_shown(one).replace("|", "\\|").replace("\n", " ") for one in row) + " |\n")
    else:
        _table(names, rows)


def _table(names: list[str], rows: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, padding=(0, 2, 0, 0))
    for name in names:
        shown.add_column(Text(name))
    for row in rows:
        shown.add_row(*(Text(_shown(one)) for one in row))
    size = (None, None) if sys.stdout.isatty() else (_WHOLE, 1)  # without a height a dumb terminal has 80 columns, whatever is said
    Console(highlight=False, width=size[0], height=size[1]).print(shown)


def _plain(value: Any) -> Any:
    import math
    from decimal import Decimal

    match value:
        case float() if not math.isfinite(value):
            plain: Any = str(value)
        case None | bool() | int() | float() | str():
            plain = value
        case Decimal():
            plain = int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            plain = value.hex()
        case list():
            plain = [_plain(one) for one in value]
        case dict():
            plain = {str(name): _plain(one) for name, one in value.items()}
        case _:
            plain = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return plain


def _shown(value: Any) -> str:
    import json

    plain = _plain(value)
    return "" if plain is None else plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
