"""The form of an app: from plain data to the model, with everything that is wrong and the sound rest.

Pydantic finds what is wrong; here that becomes reasons and ways out in the words of the language. What is wrong is then cut out, as little
as possible, until the rest is an app: so that what names mean is checked in the same go, and all is told at once.
"""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from eddy.spec.catalog import choices
from eddy.spec.diagnostics import Finding, Invalid, did_you_mean
from eddy.spec.model import App

Way = tuple[str | int, ...]

_SECTIONS = ("sources", "functions", "sinks")
_UNNAMED = "unnamed"
_TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a map",
    "tuple_type": "a list",
    "model_type": "a map",
    "model_attributes_type": "a map",
}


def app(data: Any) -> tuple[App | None, list[Finding]]:
    """The app, or what is sound of it, and what is wrong with the form of the rest; None when nothing is left.

    Args:
        data: Plain data as in a file.
    """
    if not isinstance(data, dict):
        return None, [Finding((), "E101", "this is no app", "an app is a map with 'app', 'nodes', 'sources', 'functions' and 'sinks'")]
    findings: list[Finding] = []
    cut: set[Way] = set()
    while True:
        try:
            return App.model_validate(data), _each_once(findings)
        except ValidationError as error:
            errors = [detail for detail in error.errors() if not _within(_way(detail), cut) and not _beside(detail, cut)]
            ways = {_way(detail) for detail in error.errors()}
        findings += (_finding(detail) for detail in errors)
        rest = _without(data, ways)
        if rest is None:
            return None, _each_once(findings)
        data, gone = rest
        cut |= gone


def _each_once(findings: list[Finding]) -> list[Finding]:
    """Without the missing fields that are there under a name with a typo."""
    meant = {(finding.path[:-1], finding.way_out) for finding in findings if finding.code == "E111"}
    return [finding for finding in findings if finding.code != "E112" or (finding.path, f"did you mean '{finding.about}'?") not in meant]


def _within(way: Way, cut: set[Way]) -> bool:
    """Whether this is wrong only because something was cut out."""
    return any(way[: len(gone)] == gone for gone in cut)


def _beside(detail: ErrorDetails, cut: set[Way]) -> bool:
    """Whether fields do not go together only because one of them was cut out."""
    wrong, way = detail.get("ctx", {}).get("error"), _way(detail)
    return isinstance(wrong, Invalid) and wrong.code == "E136" and any(gone[:-1] == way[:-1] for gone in cut)


def _without(data: dict[str, Any], ways: set[Way]) -> tuple[dict[str, Any], set[Way]] | None:
    """A copy without what is at those ways, and what was cut; None when what remains could be no app."""
    copy, gone = _copy(data), set[Way]()
    for way in sorted(ways, key=str):
        if way == ("app",):
            copy["app"] = _UNNAMED
            gone.add(way)
            continue
        length = len(way)
        # A list that loses an item no longer says what its author meant. A field that is missing takes along what it is missing in.
        while length and (isinstance(way[length - 1], int) or not (_there(copy, way[:length]) or _within(way[:length], gone))):
            length -= 1
        if not length:
            return None
        if _there(copy, way[:length]):
            del _at(copy, way[: length - 1])[way[length - 1]]
            gone.add(way[:length])
    return copy, gone


def _copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data


def _at(data: Any, way: Way) -> Any:
    """What is there; LookupError or TypeError when nothing is."""
    for step in way:
        data = data[step]
    return data


def _there(data: Any, way: Way) -> bool:
    try:
        _at(data, way)
    except (LookupError, TypeError):
        return False
    return True


def _way(detail: ErrorDetails) -> Way:
    """The path of an error in the data: without tags, and without what pydantic says about keys."""
    loc = detail["loc"]
    way = [step for number, step in enumerate(loc) if step != "[key]" and not (number == 2 and loc[0] in _SECTIONS and ": " in str(step))]
    if detail["type"] == "union_tag_invalid":  # a tag is `use: NAME`, and NAME is None where there is none
        way.append(detail["ctx"]["tag"].partition(": ")[0])
    return tuple(way)


def _finding(detail: ErrorDetails) -> Finding:
    """One error of pydantic in the words of the language."""
    loc, way, kind, context = detail["loc"], _way(detail), detail["type"], detail.get("ctx", {})
    last, field, shown = str(way[-1]) if way else "app", _field(way), _shown(detail["input"])
    wrong = context.get("error")
    if isinstance(wrong, Invalid):
        return Finding(way, wrong.code, wrong.reason, wrong.way_out, column=wrong.column)
    if "[key]" in loc or kind.startswith("string_"):
        return _text(way, loc, detail)
    match kind:
        case "extra_forbidden":
            finding = Finding(way, "E111", f"unknown field '{last}'", did_you_mean(last, _fields(loc)), key=True)
        case "missing":
            finding = Finding(way[:-1], "E112", f"'{last}' is missing", f"add '{last}:'", key=True, about=last)
        case "union_tag_invalid":
            finding = _unknown_choice(way, str(context["tag"]))
        case "literal_error":
            known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            finding = Finding(way, "E113", f"'{shown}' is not known as '{field}'", did_you_mean(shown, known))
        case "too_short":
            finding = Finding(way, "E113", f"'{field}' is empty", "write at least one")
        case _ if kind in _TYPES:
            finding = Finding(way, "E113", f"'{field}' is {shown}, which is not {_TYPES[kind]}", f"write {_TYPES[kind]}")
        case _:
            limit = detail["msg"].removeprefix("Input ").removeprefix("Value ")
            finding = Finding(way, "E113", f"'{field}' is {shown}, which {limit}", "write another value")
    return finding


def _unknown_choice(way: Way, tag: str) -> Finding:
    """An unknown `use` or `driver`, or none."""
    field, _, name = tag.partition(": ")
    known = [one.partition(": ")[2] for one in choices(str(way[0])) if not one.endswith("own")]
    if name == "None":
        way_out = f"add '{field}:' with one of {', '.join(known)}, or file.py:Class"
        return Finding(way[:-1], "E112", f"'{field}' is missing", way_out, key=True, about=field)
    way_out = did_you_mean(name, known, f"choose one of {', '.join(known)}, or your own as file.py:Class")
    return Finding(way, "E131", f"'{name}' is no {field} of {way[0]}", way_out)


def _text(way: Way, loc: tuple[str | int, ...], detail: ErrorDetails) -> Finding:
    """A name or a text that does not look as it should."""
    field, value = _field(way), _shown(detail["input"])
    if detail["type"] == "string_type" and "[key]" not in loc:
        way_out = f'write "{value}" in quotes, if that is the text' if isinstance(detail["input"], int | float) else "write a text"
        return Finding(way, "E113", f"'{field}' is {value}, which is not a text", way_out)
    if field in ("use", "driver"):
        return Finding(way, "E113", f"'{value}' is no class of yours", "write file.py:Class, the file relative to the app")
    if field == "version":
        return Finding(way, "E113", f"'{value}' is no version", "write three numbers, as in 0.3.0")
    if detail["type"] == "string_too_short":
        return Finding(way, "E113", f"'{field}' is empty", "write a text")
    return Finding(way, "E114", f"'{value}' cannot be a name", "use up to 63 letters, digits, - and _, a letter first", key="[key]" in loc)


def _fields(loc: tuple[str | int, ...]) -> list[str]:
    """The fields that could have stood where an unknown one did: the way down the classes of the model."""
    here: list[type[BaseModel]] = [App]
    for number, step in enumerate(loc[:-1]):
        if number == 2 and loc[0] in _SECTIONS:
            here = [choices(str(loc[0]))[str(step)]]
            continue
        fields = [field for model in here for name, field in model.model_fields.items() if (field.alias or name) == step]
        here = [model for field in fields for model in _models(field.annotation)] or here
    return [field.alias or name for model in here for name, field in model.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _field(way: Way) -> str:
    """The last name on the way; numbers are places in its list."""
    return next((step for step in reversed(way) if isinstance(step, str)), "app")


def _shown(value: Any) -> str:
    """A value for a message."""
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
