"""An app in Python: makes the same object as the file, with the same words and the same checks.

>>> app = Builder("greenhouse")
>>> gw = app.node("gw", tier="gateway")
>>> air = app.source("air", at=gw, driver="simulated", rate="1Hz", unit="ppm")
>>> hourly = app.function("hourly", use="mean", from_=air, over="1h")
>>> stuffy = app.function("stuffy", use="rule", from_=hourly, when="value > 1000 for 10m")
>>> door = app.sink("door", from_=stuffy, driver="log", file="door.jsonl")
>>> app.build().functions["stuffy"].inputs
('hourly',)
"""

from pathlib import Path
from typing import Any

from eddy.errors import Diagnostic, SpecError
from eddy.spec.load import made
from eddy.spec.model import App


class Builder:
    """Collects declarations; everything declared is known by its name, which each method returns.

    Fields are those of the language, quantities are text (`size="500ms"`). Words that Python keeps for itself end with an
    underscore: `from_`, `with_`.

    Args:
        app: Name of the app.
        folder: Where people's own files are.
        fields: `version`, `place`, `adapt`, `release`, `verify`.

    Raises:
        SpecError: By the methods: a name is declared twice. What else is wrong is told by `build`, all at once.
    """

    def __init__(self, app: str, folder: Path | None = None, **fields: Any) -> None:
        self._data: dict[str, Any] = {"app": app, **fields}
        self._folder = folder

    def node(self, name: str, **fields: Any) -> str:
        """Declare a node."""
        return self._declare("nodes", name, fields)

    def link(self, a: str, b: str, **fields: Any) -> str:
        """Declare a link between two nodes."""
        return self._declare("links", f"{a}-{b}", fields)

    def source(self, name: str, **fields: Any) -> str:
        """Declare a source."""
        return self._declare("sources", name, fields)

    def function(self, name: str, **fields: Any) -> str:
        """Declare a function."""
        return self._declare("functions", name, fields)

    def sink(self, name: str, **fields: Any) -> str:
        """Declare a sink."""
        return self._declare("sinks", name, fields)

    def model(self, name: str, **fields: Any) -> str:
        """Declare a model."""
        return self._declare("models", name, fields)

    def build(self) -> App:
        """The app.

        Raises:
            SpecError: It is not written in the language; holds every problem.
        """
        return made(self._data, self._folder)

    def _declare(self, section: str, name: str, fields: dict[str, Any]) -> str:
        if name in self._data.get(section, {}):
            told = Diagnostic(f"{section}.{name}", "E102", f"'{name}' is there twice", "give each its own name")
            raise SpecError(self._data["app"], [told])
        self._data.setdefault(section, {})[name] = {field.removesuffix("_"): value for field, value in fields.items()}
        return name
