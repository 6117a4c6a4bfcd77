"""The error tree: what its drawing promises about classes and codes."""

import re
from types import ModuleType

import pytest

import eddy.errors
import eddy.kernel.errors
from eddy.kernel.errors import CodecError, EddyError


def classes(module: ModuleType) -> dict[str, type[EddyError]]:
    """The error classes that a module offers, by name."""
    return {name: thing for name, thing in vars(module).items() if isinstance(thing, type) and issubclass(thing, EddyError)}


@pytest.mark.parametrize("module", [eddy.kernel.errors, eddy.errors])
def test_the_drawing_shows_every_class_with_its_code_under_its_parent(module: ModuleType) -> None:
    drawn: dict[str, tuple[str, str | None]] = {}
    parents: list[str] = []
    for prefix, name, code in re.findall(r"^    ([ │├└─]*)(\w+) +(\d(?:\d\d|xx)?) ", module.__doc__ or "", re.MULTILINE):
        depth = len(prefix) // 4
        parents[depth:] = [name]
        drawn[name] = (code.replace("xx", "00"), parents[depth - 1] if depth else None)
    actual = {
        name: (str(error.code), error.__base__.__name__ if error.__base__ is not Exception else None)
        for name, error in classes(module).items()
    }
    assert drawn == actual


def test_codes_are_unique_and_in_the_range_of_their_group() -> None:
    errors = classes(eddy.errors)
    assert len({error.code for error in errors.values()}) == len(errors)
    for error in errors.values():
        if error.__base__ is not EddyError and error is not EddyError:
            assert error.code // 100 == error.__base__.code // 100


def test_the_kernels_errors_are_all_offered_beside_those_of_cpython() -> None:
    kernel = classes(eddy.kernel.errors)
    assert kernel.items() <= classes(eddy.errors).items()
    assert set(eddy.errors.__all__) == {*classes(eddy.errors), "Diagnostic"}  # what a SpecError is made of
    assert all(error.code % 100 < 50 for error in kernel.values())
    assert all(error.code % 100 > 50 for name, error in classes(eddy.errors).items() if name not in kernel)


def test_a_codec_error_says_where() -> None:
    assert str(CodecError("bad head", 7)) == "bad head at byte 7"
    assert CodecError("bad head", 7).offset == 7
    assert CodecError("no such value").offset is None
