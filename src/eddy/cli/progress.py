"""What a long verb shows while it runs: a bar on a terminal, plain lines elsewhere (a log file, a continuous integration run)."""

from types import TracebackType
from typing import Any, Self, TypedDict

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_LINES = 10  # plain lines for a run, besides the events


class Step(TypedDict, total=False):
    """What a run tells while it goes on; every key may be left out.

    Attributes:
        done: How many steps (recordings, rows) are behind.
        total: How many there are.
        doing: What is going on now, in a few words; it replaces the last one.
        event: Something worth keeping on the screen, such as an alarm; one line.
    """

    done: int
    total: int
    doing: str
    event: str


class Display:
    """Shows steps; a context manager.

    Args:
        console: Where to.
        title: What runs.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._doing = title
        self._done = 0
        self._total = 0
        self._told = -1
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(title, total=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, step: Step) -> None:
        """Takes note of a step."""
        self._done = step.get("done", self._done)
        self._total = step.get("total", self._total)
        self._doing = step.get("doing", self._doing)
        if "event" in step:
            self._console.print(step["event"], markup=False)
        if self._bar is not None and self._task is not None:
            fields: dict[str, Any] = {"completed": self._done, "description": self._doing, "total": self._total or None}
            self._bar.update(self._task, **fields)
        elif self._total and self._done * _LINES // self._total != self._told:
            self._told = self._done * _LINES // self._total
            self._console.print(f"{self._done:,} of {self._total:,}  {self._doing}", markup=False)
