"""From YAML text to plain data, with the line and column of every key and value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from eddy.spec.diagnostics import Finding

Way = tuple[str | int, ...]

# What YAML 1.1 takes for something else than YAML 1.2 does (yaml.org/type: bool, int, float; both specifications, section 10).
_TRAP = re.compile(
    r"(?:y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF"
    r"|[-+]?0[0-7_]+|0o[0-7]+|[-+]?0b[01_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|[-+]?[0-9][0-9]*_[0-9_.]*)"
)
_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))
_DATE = "tag:yaml.org,2002:timestamp"
_LARGEST = 100_000  # values; aliases of aliases grow without bound


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands.

    Attributes:
        line, column: From 1.
        counted: Columns within the text can be counted from there: it is on one line and without escapes.
        quote: Characters before the text.
    """

    line: int
    column: int
    counted: bool = False
    quote: int = 0

    def inside(self, offset: int) -> int:
        """The column of a character of the text; offset 0 is the start of it all."""
        return self.column + (offset + self.quote if offset and self.counted else 0)


@dataclass(frozen=True)
class Positions:
    """Where everything stands in a file; of an app that was made in Python, nothing."""

    file: str = ""
    keys: dict[Way, Mark] = field(default_factory=dict)
    values: dict[Way, Mark] = field(default_factory=dict)

    def where(self, path: Way, key: bool = False, column: int = 0) -> str:
        """`file:line:column` of the path or of the nearest thing around it; without a file, the path."""
        if not self.file:
            return ".".join(map(str, path)) or "app"
        mark = self._mark(path, key)
        return f"{self.file}:{mark.line}:{mark.inside(column)}"

    def order(self, path: Way, key: bool = False) -> tuple[int, int]:
        """To sort by."""
        mark = self._mark(path, key)
        return mark.line, mark.column

    def _mark(self, path: Way, key: bool) -> Mark:
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        for length in range(len(path), -1, -1):
            there = path[:length]
            found = first.get(there) or second.get(there)
            if found is not None:
                return found
            if there and isinstance(there[-1], str):
                first, second = self.keys, self.values  # around it, the key says more than the start of its value
        return Mark(1, 1)


def is_trap(text: str) -> bool:
    """Whether YAML 1.1 and YAML 1.2 read this word differently when it stands without quotes."""
    return _TRAP.fullmatch(text) is not None


def read(text: str, file: str) -> tuple[Any, Positions, list[Finding]]:
    """Plain data, the positions in it, and what is wrong with it as YAML; None where it is no YAML at all."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        reader = _Reader(yaml.constructor, Positions(file))
        return reader.plain(yaml.compose(text), ()), reader.positions, reader.findings
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = ", ".join(str(part) for part in (error.context, error.problem) if part)
    except (YAMLError, ValueError) as error:
        line, column, reason = 1, 1, str(error).splitlines()[0]
    except RecursionError:
        line, column, reason = 1, 1, "it is nested without end"
    way_out = "look at the indentation, brackets and quotes just before"
    return None, Positions(file, values={(): Mark(line, column)}), [Finding((), "E101", f"this is no YAML: {reason}", way_out)]


class _Reader:
    """Turns the nodes of a YAML document into plain data and keeps where they stood."""

    def __init__(self, constructor: Any, positions: Positions) -> None:
        self.positions = positions
        self.findings: list[Finding] = []
        self._constructor = constructor
        self._seen = 0

    def plain(self, node: Any, way: Way) -> Any:
        """One node, and all below."""
        self._seen += 1
        if self._seen > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} values")
        if node is None:
            return None
        self.positions.values[way] = _mark(node)
        if node.id == "mapping":
            return dict(self._entries(node, way))
        if node.id == "sequence":
            return [self.plain(item, (*way, number)) for number, item in enumerate(node.value)]
        return self._scalar(node, way)

    def _entries(self, node: Any, way: Way) -> Iterator[tuple[str, Any]]:
        for key, value in node.value:
            name = str(key.value) if key.id == "scalar" else "?"
            here = (*way, name)
            if here in self.positions.keys:
                first = self.positions.keys[here].line
                self.positions.keys[here] = _mark(key)
                self._found(here, "E102", f"'{name}' is there twice", f"it is in line {first} already; rename or remove one", key=True)
                continue
            self.positions.keys[here] = _mark(key)
            if key.id != "scalar":
                self._found(here, "E101", "a key that is no word", "write a name before the colon", key=True)
            elif key.style is None and is_trap(name):
                self._found(here, "E103", f"the key '{name}' is no text in YAML 1.1", "choose another name", key=True)
            yield name, self.plain(value, here)

    def _scalar(self, node: Any, way: Way) -> Any:
        if str(node.tag) not in _TAGS:
            if str(node.tag) != _DATE:
                self._found(way, "E101", f"the tag {node.tag} is not used in this language", "leave it out")
            return node.value
        safe = way[2:] == ("safe",) and node.value in ("on", "off")  # mean the same in both there
        if node.style is None and is_trap(node.value) and not safe:
            way_out = f'write "{node.value}" for the text, or true, false or a decimal number'
            self._found(way, "E103", f"'{node.value}' means different things in YAML 1.1 and 1.2", way_out)
            return node.value
        return self._constructor.construct_object(node)

    def _found(self, way: Way, code: str, reason: str, way_out: str, key: bool = False) -> None:
        self.findings.append(Finding(way, code, reason, way_out, key))


def _mark(node: Any) -> Mark:
    """Where a node begins; within quotes, the first character after them."""
    start = node.start_mark
    quoted = node.id == "scalar" and node.style in ("'", '"')
    one_line = start.line == node.end_mark.line
    plain = node.id == "scalar" and one_line and node.end_mark.column - start.column == len(str(node.value)) + 2 * quoted
    return Mark(start.line + 1, start.column + 1, plain, int(quoted))
