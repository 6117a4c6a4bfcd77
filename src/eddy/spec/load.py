"""From a file, or plain data, to an app; or to everything that is wrong with it.

Steps: YAML with positions, form, what names mean. Each reports all that it finds, and the next looks at what is sound.
"""

from pathlib import Path
from typing import Any

from eddy.errors import DataError, Diagnostic, SpecError
from eddy.spec import form, positions
from eddy.spec.check import Known, check
from eddy.spec.diagnostics import Finding
from eddy.spec.model import App
from eddy.spec.positions import Positions

MOST = 50
"""Problems that are told at once."""


def load(file: Path) -> App:
    """The app in a file.

    Raises:
        DataError: The file cannot be read.
        SpecError: It is not written in the language; holds every problem.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"cannot read {file} ({reason}): name an app's file, or make one with eddy init") from None
    return parse(text, str(file), file.parent)


def parse(text: str, file: str = "eddy.yaml", folder: Path | None = None) -> App:
    """The app in a text.

    Args:
        file: Its name, for positions.
        folder: Where people's own files are.

    Raises:
        SpecError: It is not written in the language.
    """
    data, where, findings = positions.read(text, file)
    return _app(data, where, findings, file, folder or Path())


def made(data: dict[str, Any], folder: Path | None = None) -> App:
    """The app in plain data as in a file.

    Raises:
        SpecError: It is not written in the language.
    """
    return _app(data, Positions(), [], str(data.get("app", "the app")), folder or Path())


def _app(data: Any, where: Positions, findings: list[Finding], name: str, folder: Path) -> App:
    unreadable = data is None and bool(findings)
    app, wrong = (None, []) if unreadable else form.app(data)
    findings = [*findings, *wrong]
    if app is not None:
        app = app.written(where, folder)
        findings += check(app, Known.of(data))
    if app is None or findings:
        findings.sort(key=lambda finding: where.order(finding.path, finding.key))
        shown = [_diagnostic(finding, where) for finding in findings[:MOST]]
        raise SpecError(name, shown, max(0, len(findings) - MOST))
    return app


def _diagnostic(finding: Finding, where: Positions) -> Diagnostic:
    return Diagnostic(where.where(finding.path, finding.key, finding.column), finding.code, finding.reason, finding.way_out)
