"""People's own functions and drivers, looked at without running them: the file's syntax tree tells what the class needs and takes."""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eddy.spec.catalog import Function, OwnFunction, OwnSink, OwnSource, Sink, Source
from eddy.spec.diagnostics import Finding, Invalid, did_you_mean
from eddy.spec.model import App

_METHODS = {"functions": ("on", "tick"), "sources": ("read",), "sinks": ("write",)}
_FIELDS = {"functions": Function.model_fields, "sources": Source.model_fields, "sinks": Sink.model_fields}
_GIVEN = {"sources": ("resume",)}  # arguments that the node gives
_LARGEST_B = 1 << 20


def check(app: App) -> Iterator[Finding]:
    """What is wrong with the files, classes and arguments of an app's own."""
    for name, source in app.sources.items():
        if isinstance(source, OwnSource):
            yield from _own(app.folder, ("sources", name, "driver"), source.driver, source.model_extra or {})
    for name, function in app.functions.items():
        if isinstance(function, OwnFunction):
            yield from _own(app.folder, ("functions", name, "use"), function.use, function.model_extra or {})
    for name, sink in app.sinks.items():
        if isinstance(sink, OwnSink):
            yield from _own(app.folder, ("sinks", name, "driver"), sink.driver, sink.model_extra or {})


def _own(folder: Path, path: tuple[str, str, str], own: str, arguments: dict[str, Any]) -> Iterator[Finding]:
    """One class and the arguments that the app gives it."""
    yield from _class(folder, path, own, arguments)
    for name, value in arguments.items():
        if any(isinstance(part, float) for part in _parts(value)):
            reason = f"'{name}' is no whole number; what is deployed holds none but these, equal on every interpreter"
            yield Finding((*path[:2], name), "E143", reason, "give it in thousandths, or as text")


def _parts(value: Any) -> Iterator[Any]:
    """A value and all within."""
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(part)


def _class(folder: Path, path: tuple[str, str, str], own: str, arguments: dict[str, Any]) -> Iterator[Finding]:
    """One class of a person's own."""
    name, _, wanted = own.partition(":")
    inside = len(name) + 1  # the column of the class in `file.py:Class`
    try:
        classes = {node.name: node for node in _tree(folder, name).body if isinstance(node, ast.ClassDef)}
    except Invalid as error:
        yield Finding(path, error.code, error.reason, error.way_out)
        return
    if wanted not in classes:
        way_out = did_you_mean(wanted, classes, "" if classes else "write the class in it")
        yield Finding(path, "E142", f"{name} has no class '{wanted}'", way_out, column=inside)
        return
    lineage, complete = _lineage(classes, classes[wanted])
    methods = {part.name: part for one in reversed(lineage) for part in one.body if isinstance(part, ast.FunctionDef)}
    needed = _METHODS[path[0]]
    if complete and not any(method in methods for method in needed):
        way_out = did_you_mean(needed[0], methods, f"{path[0]} of your own need one")
        yield Finding(path, "E142", f"{wanted} in {name} has no method '{needed[0]}'", way_out, column=inside)
    if complete or "__init__" in methods:
        yield from _arguments(path[:2], wanted, methods.get("__init__"), arguments)


def _tree(folder: Path, name: str) -> ast.Module:
    """The syntax tree of a file beside the app.

    Raises:
        Invalid: It is not there, or no Python.
    """
    file = folder / name
    if ".." in Path(name).parts:
        raise Invalid("E141", f"'{name}' is outside the app's folder", "put the file beside the app, or in a folder below")
    try:
        if file.stat().st_size > _LARGEST_B:
            raise Invalid("E141", f"{file} is larger than 1 MiB", "name a file with the class and little else")
        with warnings.catch_warnings(action="ignore"):  # on the style of the file
            return ast.parse(file.read_bytes())
    except FileNotFoundError:
        there = [str(one.relative_to(folder)) for one in folder.glob("*.py")]
        way_out = did_you_mean(name, there, "make it, or name another; it is relative to the app")
        raise Invalid("E141", f"there is no file {file}", way_out) from None
    except SyntaxError as error:
        raise Invalid("E141", f"{file} cannot be read as Python", f"{file}:{error.lineno}: {error.msg}") from None
    except (OSError, RecursionError, MemoryError) as error:
        raise Invalid("E141", f"{file} cannot be read", str(error) or "it is nested too deeply") from None


def _lineage(classes: dict[str, ast.ClassDef], start: ast.ClassDef) -> tuple[list[ast.ClassDef], bool]:
    """The class and its bases in the same file, and whether that is all there is to know: no other base, no decorator."""
    found, complete, waiting = [start], not start.decorator_list, list(start.bases)
    while waiting:
        base = waiting.pop(0)
        name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
        if name in classes and classes[name] not in found:
            found.append(classes[name])
            waiting += classes[name].bases
            complete = complete and not classes[name].decorator_list
        elif name not in ("Function", "object"):  # Eddy's base has no constructor of its own, and its handlers do nothing
            complete = False
    return found, complete


def _arguments(path: tuple[str, str], wanted: str, init: ast.FunctionDef | None, given: dict[str, Any]) -> Iterator[Finding]:
    """What the constructor does not take, and what it needs."""
    arguments = init.args if init is not None else ast.arguments([], [], None, [], [], None, [])
    positional = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]][1:]
    optional = positional[len(positional) - len(arguments.defaults) :] if arguments.defaults else []
    named = [argument.arg for argument in arguments.kwonlyargs]
    optional += [name for name, default in zip(named, arguments.kw_defaults, strict=True) if default is not None]
    takes = [name for name in positional + named if name not in _GIVEN.get(path[0], ())]
    fields = [field.alias or name for name, field in _FIELDS[path[0]].items()]
    if arguments.kwarg is None:
        for name in given:
            if name not in takes:
                yield Finding((*path, name), "E143", f"{wanted} takes no argument '{name}'", did_you_mean(name, takes + fields), key=True)
    for name in takes:
        if name not in given and name not in optional:
            yield Finding(path, "E143", f"{wanted} needs the argument '{name}'", f"add '{name}:'", key=True)
