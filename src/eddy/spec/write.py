"""An app as a file of the language: one line for each thing declared; what is at its default is left out."""

from io import StringIO
from typing import Any

from eddy.spec.model import App
from eddy.spec.positions import is_trap

MODELINE = "# yaml-language-server: $schema=./.eddy/schema.json\n"
_LINES = 140


def text(app: App) -> str:
    """The app in YAML, the same under 1.1 and 1.2."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = _LINES
    out = StringIO()
    yaml.dump(_styled(plain(app), 0), out)
    return MODELINE + out.getvalue()


def plain(app: App) -> dict[str, Any]:
    """The app as plain data, as reading its file gives it."""
    data: dict[str, Any] = app.model_dump(by_alias=True, exclude_defaults=True)
    return data


def _styled(value: Any, depth: int) -> Any:
    """Sections and their names as blocks, what they declare on one line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        block = CommentedMap({_styled(key, depth): _styled(part, depth + 1) for key, part in value.items()})
        if depth > 1 or not any(isinstance(part, dict) for part in value.values()):
            block.fa.set_flow_style()
        return block
    if isinstance(value, list | tuple):
        items = CommentedSeq(_styled(part, depth + 1) for part in value)
        if depth > 1 or not any(isinstance(part, dict) for part in value):
            items.fa.set_flow_style()
        return items
    return DoubleQuotedScalarString(value) if isinstance(value, str) and is_trap(value) else value
