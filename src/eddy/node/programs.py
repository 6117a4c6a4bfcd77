"""From the program of a charter to what runs.

    function   [module, class, {arguments}], or of a person's own [file, class, {arguments}, SHA-256 of the file]
    source     ["source", program of its driver, [programs of the functions that run inside it]]; one with `unique` passes each key once
    sink       ["sink", program of its driver, {"safe": value, "silence_ms": int}]

A source is a function whose inputs are what its driver reads; a sink is one whose only consumer is its driver. So both are numbered, kept,
moved and taken over like any other.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from eddy.errors import LinkTimeout, Refused
from eddy.kernel.charter import Charter
from eddy.kernel.function import Function
from eddy.kernel.functions.chain import Chain
from eddy.kernel.functions.named import Named
from eddy.kernel.functions.same import Same
from eddy.links import driver
from eddy.node.apart import Apart
from eddy.node.worker import WorkerDriver, WorkerFunction

SOURCE, SINK = "source", "sink"
ROOMS = ("eddy.kernel.functions.", "eddy.functions.", "eddy.pool.")
"""Whose classes are Eddy's own functions. Everything else runs in a worker process."""


def build(program: Any, code: Mapping[bytes, bytes]) -> Function:
    """The function of a program.

    Args:
        code: {SHA-256: source} of people's own files.

    Raises:
        Refused: No function of Eddy's own, and no code that came with the app.
    """
    if program[0] == SOURCE:
        return _inside(program[1], program[2])
    if program[0] == SINK:
        return Named() if driver.takes_names(program[1]) else Same()
    if len(program) == 4:
        return WorkerFunction(program, code)
    module, name, arguments = program
    if not str(module).startswith(ROOMS):
        raise Refused(f"{module}:{name} is no function of Eddy's own: deploy it as a file of the app")
    made = getattr(import_module(module), name, None)
    if not isinstance(made, type) or not issubclass(made, Function):
        raise Refused(f"{module} holds no function called {name}")
    return made(**arguments)


def _inside(driver: Any, stages: list[Any]) -> Function:
    """What a source does with what its driver reads."""
    if stages:
        return Chain(stages)
    if len(driver) == 3 and driver[2].get("unique") and str(driver[0]).startswith("eddy.links."):
        options = {"remember": driver[2]["remember"]} if driver[2].get("remember") else {}
        return build(["eddy.functions.unique", "Unique", options], {})
    return Same()


def start(program: Any, code: Mapping[bytes, bytes], home: driver.Home | None = None, **more: Any) -> Any:
    """The driver of a program of a source or sink; raises Refused, BadInput, CodeError."""
    if len(program) == 4:
        return WorkerDriver(program, code, **more)
    return Apart(program, home) if driver.takes_all(program) else driver.start(program, home, **more)


def wanted(charter: Charter) -> list[bytes]:
    """SHA-256 of the files that a program needs."""
    program = charter.program
    parts = [program[1]] if program[0] in (SOURCE, SINK) else [program]
    return [part[3] for part in parts if len(part) == 4]


def admit(charter: Charter, code: Mapping[bytes, bytes]) -> None:
    """Raises LinkTimeout while code is missing: the hub repeats itself until it has come."""
    for digest in wanted(charter):
        if digest not in code:
            raise LinkTimeout(f"the code of {charter.instance} is not here yet")
