"""Built-in functions that run on every tier, one per file; a device loads only those that it hosts.

A function is named by its program, plain data: `[module, class, {arguments}]`.
"""

from eddy.kernel.errors import BadInput, Refused
from eddy.kernel.function import Function

MYPY = False
if MYPY:
    from typing import Any

_ROOM = "eddy.kernel.functions."


def load(program: "list[Any]") -> Function:
    """The function of a program of this room.

    >>> load(["eddy.kernel.functions.forward", "Forward", {"normal_every": 20}]).state()
    [0, 0, 20]

    Raises:
        BadInput: Not a program, or arguments that the function does not take.
        Refused: Anything but a function of this room; other code is not loaded from a name.
    """
    if not isinstance(program, (list, tuple)) or len(program) != 3 or not isinstance(program[0], str) or not isinstance(program[2], dict):
        raise BadInput("not a program: expected [module, class, {arguments}], got %r" % (program,))
    module, name, arguments = program
    if not module.startswith(_ROOM) or "." in module[len(_ROOM) :]:
        raise Refused("%s:%s is no function that runs on every tier; those are modules of %s*" % (module, name, _ROOM))
    try:
        made = getattr(__import__(module, None, None, (name,)), name, None)
    except ImportError:
        raise Refused("%s is not here: update this node, or place the function elsewhere" % module)
    if not isinstance(made, type) or not issubclass(made, Function):
        raise Refused("%s holds no function called %s" % (module, name))
    try:
        function: Function = made(**arguments)
    except TypeError as error:
        raise BadInput("%s does not take the arguments %s: %s" % (name, ", ".join(sorted(arguments)), error))
    return function
