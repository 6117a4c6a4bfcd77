"""Runs viper source in CPython on words that do not survive an overflow of 32 bits.

Viper on a 64-bit host has 64-bit words, so no test there can see what wraps on a microcontroller. Here the same source is executed with
every number, literals included, a `Word`; pointers are views that refuse what does not fit an item, what lies outside of the array, and
(for ptr32) negative numbers, which a compiled load of 32 bits would bring back without their sign on a 64-bit host.
"""

import ast
import operator
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

VIPER = Path(__file__).parents[2] / "src" / "eddy" / "kernel" / "viper"


class Word(int):
    """A signed 32-bit word."""

    def __new__(cls, value: int) -> "Word":
        if not -(2**31) <= value < 2**31:
            raise OverflowError(f"{int(value)} does not fit 32 bits")
        return super().__new__(cls, value)


def _checked(compute: Callable[[int, int], int]) -> Callable[[int, int], "Word"]:
    return lambda a, b: Word(compute(int(a), int(b)))


def _shift(compute: Callable[[int, int], int]) -> Callable[[int, int], "Word"]:
    def shift(a: int, b: int) -> Word:
        if not 0 <= b < 32:
            raise OverflowError(f"a shift by {int(b)}")
        return Word(compute(int(a), int(b)))

    return shift


for _name in ("add", "sub", "mul", "floordiv", "mod", "and_", "or_", "xor"):
    setattr(Word, f"__{_name.strip('_')}__", _checked(getattr(operator, _name)))
for _name in ("lshift", "rshift"):
    setattr(Word, f"__{_name}__", _shift(getattr(operator, _name)))
Word.__neg__ = lambda self: Word(-int(self))


class Address:
    """A pointer as a number: only bytes may be added to it."""

    def __init__(self, items: Any, offset: int) -> None:
        self.items, self.offset = items, offset

    def __add__(self, offset: int) -> "Address":
        return Address(self.items, self.offset + offset)


class Pointer:
    """An array behind a pointer of `width` bytes."""

    width, top = 1, 2**8

    def __init__(self, of: Any) -> None:
        if isinstance(of, Address):
            assert of.offset % self.width == 0, "not aligned"
            self.items, self.first = of.items, of.offset // self.width
        elif isinstance(of, Pointer):
            self.items, self.first = of.items, of.first
        else:
            self.items, self.first = memoryview(of), 0
        assert self.items.itemsize == self.width

    def __getitem__(self, index: int) -> Word:
        value = self.items[self._inside(index)]
        # Loads have no sign; a negative 32-bit one would differ between hosts.
        return Word(value % self.top if self.width < 4 else value)

    def __setitem__(self, index: int, value: int) -> None:
        if not 0 <= value < self.top:
            raise OverflowError(f"{int(value)} stored through a pointer to {self.width} bytes")
        self.items[self._inside(index)] = value

    def _inside(self, index: int) -> int:
        at = self.first + index
        if not 0 <= at < len(self.items):
            raise IndexError(f"{at} of {len(self.items)}")
        return at


class Ptr16(Pointer):
    width, top = 2, 2**16


class Ptr32(Pointer):
    width, top = 4, 2**31


def _int(value: Any) -> Any:
    return Address(value.items, value.first * value.width) if isinstance(value, Pointer) else Word(value)


TYPES = {"ptr8": Pointer, "ptr16": Ptr16, "ptr32": Ptr32, "int": _int, "object": lambda value: value}


def _viper(function: Callable[..., Any]) -> Callable[..., Any]:
    kinds = [TYPES[kind] for name, kind in function.__annotations__.items() if name != "return"]

    def run(*values: Any) -> Any:
        assert len(values) == len(kinds)
        result = function(*[kind(value) for kind, value in zip(kinds, values, strict=True)])
        return result if result is None else int(result)

    return run


class _Words(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return ast.Call(ast.Name("Word", ast.Load()), [node], [])
        return self.generic_visit(node)


def load(name: str, folder: Path = VIPER) -> SimpleNamespace:
    """The functions of `eddy/kernel/viper/<name>.py`, in words."""
    tree = ast.parse("from __future__ import annotations\n" + (folder / f"{name}.py").read_text())
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            statement.body = [_Words().visit(line) for line in statement.body]
    tree.body = [statement for statement in tree.body if not isinstance(statement, ast.Import)]
    space: dict[str, Any] = {"micropython": SimpleNamespace(viper=_viper), "Word": Word, **TYPES}
    exec(compile(ast.fix_missing_locations(tree), name, "exec"), space)
    return SimpleNamespace(**{name: space[name] for name in space if callable(space[name]) and name not in TYPES})
