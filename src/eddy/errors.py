"""All errors of Eddy: those of the kernel and those that only happen where CPython runs.

    EddyError                     0    anything that Eddy itself says
    ├── BadInput                1xx    the sender or user must change the input
    │   ├── CodecError          101    bytes that are no deterministic CBOR, or a value that has no such form
    │   ├── FrameError          102    a payload that cannot be framed
    │   ├── ManifestError       103    a package or manifest that is not built as one
    │   ├── ModelError          104    a forest that is not built as one
    │   ├── SampleError         105    a sample or record that is not built as one
    │   ├── DataError           151    a data file that is missing, truncated or of another shape
    │   ├── KeyFileError        152    a key file that is not readable as a key, or that others can read
    │   ├── SettingError        153    an option or setting outside its range
    │   │   └── UnknownName     163    no node, function or app of that name
    │   ├── SpecError           154    an app that is not written in the language; holds every problem that was found
    │   ├── Undecodable         155    a message that is not in the form that its source declares
    │   ├── CodeError           161    a person's own code that cannot be loaded, or that raised an error
    │   └── CertificateError    162    a certificate, or a request for one, that is not built as one
    ├── Refused                 2xx    well-formed, but not acceptable here
    │   ├── SignatureError      201    not signed by the key that this node trusts, or changed after signing
    │   ├── RollbackError       202    the sequence is not newer than the newest accepted one
    │   ├── WrongTarget         203    meant for another device or another class of devices
    │   ├── TooLarge            204    larger than what this node takes
    │   ├── Fenced              205    from an owner with a lower term
    │   ├── NoPlan              251    no placement satisfies every constraint
    │   ├── TokenRefused        261    a join token that is not known, used up, or for another node
    │   ├── TokenExpired        262    a join token after its time
    │   ├── TokenRevoked        263    a join token that was taken back
    │   ├── WrongHub            264    a token or certificate of another hub
    │   ├── NameTaken           265    a node with another key has the name
    │   ├── NotAllowed          266    no token, or not the right one
    │   └── Outdated            267    somebody else has changed it in the meantime
    ├── Resource                3xx    the operator must make room, or install something
    │   ├── StorageFull         301    no room in flash or on disk
    │   ├── OutOfMemory         302    no room on the heap
    │   ├── ToolMissing         351    a program or optional package that is needed here is not installed
    │   └── OverLimit           361    a person's own code took more time or memory than it may, or its process died
    └── LinkError               4xx    the line
        ├── LinkLost            401    the port is gone or cannot be opened
        ├── LinkTimeout         402    nothing heard in time
        └── DeviceFailed        451    the process that stands for a device ended or could not start

Codes x01 to x49 belong to the kernel (`eddy.kernel.errors`) and mean the same on a microcontroller; those from x51 exist on CPython only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from eddy.kernel.errors import (
    BadInput,
    CodecError,
    EddyError,
    Fenced,
    FrameError,
    LinkError,
    LinkLost,
    LinkTimeout,
    ManifestError,
    ModelError,
    OutOfMemory,
    Refused,
    Resource,
    RollbackError,
    SampleError,
    SignatureError,
    StorageFull,
    TooLarge,
    WrongTarget,
)

__all__ = [
    "BadInput",
    "CertificateError",
    "CodeError",
    "CodecError",
    "DataError",
    "DeviceFailed",
    "Diagnostic",
    "EddyError",
    "Fenced",
    "FrameError",
    "KeyFileError",
    "LinkError",
    "LinkLost",
    "LinkTimeout",
    "ManifestError",
    "ModelError",
    "NameTaken",
    "NoPlan",
    "NotAllowed",
    "OutOfMemory",
    "Outdated",
    "OverLimit",
    "Refused",
    "Resource",
    "RollbackError",
    "SampleError",
    "SettingError",
    "SignatureError",
    "SpecError",
    "StorageFull",
    "TokenExpired",
    "TokenRefused",
    "TokenRevoked",
    "TooLarge",
    "ToolMissing",
    "Undecodable",
    "UnknownName",
    "WrongHub",
    "WrongTarget",
]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong in an app.

    Attributes:
        where: `file:line:column`, or the path in an app that was made in Python, as in `functions.features`.
        code: Of the language's problems (`eddy.spec.diagnostics`), E101 and up.
        reason: What is wrong.
        way_out: What to do about it.
    """

    where: str
    code: str
    reason: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.where}: {self.code} {self.reason}" + (f": {self.way_out}" if self.way_out else "")


class DataError(BadInput):
    """A data file is missing, truncated or of another shape than announced."""

    code = 151


class KeyFileError(BadInput):
    """A key file does not hold a key of the right kind, or others than its owner can read it."""

    code = 152


class SettingError(BadInput):
    """An option or setting is outside its range."""

    code = 153


class UnknownName(SettingError):
    """There is no node, function or app of that name; the message says which names look like it."""

    code = 163


class SpecError(BadInput):
    """An app is not written in the language.

    Args:
        app: Name of its file, or of the app when it was made in Python.
        diagnostics: What is wrong, in the order of the file.
        more: How many there are beside these.
    """

    code = 154

    def __init__(self, app: str, diagnostics: Sequence[Diagnostic], more: int = 0) -> None:
        count = len(diagnostics) + more
        kept = f"; these are the first {len(diagnostics)}" if more else ""
        self.summary = f"{app} has {count} {'problem' if count == 1 else 'problems'}{kept}"
        super().__init__("\n".join([self.summary, *map(str, diagnostics)]))
        self.diagnostics = tuple(diagnostics)
        self.more = more


class Undecodable(BadInput):
    """A message is not in the form that its source declares; the message says what, where in it, and why."""

    code = 155


class CodeError(BadInput):
    """A person's own code cannot be loaded, or raised an error; the message says where."""

    code = 161


class CertificateError(BadInput):
    """A certificate, or a request for one, is not built as one."""

    code = 162


class NoPlan(Refused):
    """No placement satisfies every constraint.

    Args:
        reasons: What stands against every placement, with the function, source or sink that it is about, or "".
        way_out: What to change.
    """

    code = 251

    def __init__(self, reasons: Sequence[tuple[str, str]], way_out: str = "") -> None:
        super().__init__("\n  ".join(["there is no plan:", *(reason for _, reason in reasons), *filter(None, [way_out])]))
        self.reasons = tuple(reasons)
        self.way_out = way_out


class TokenRefused(Refused):
    """A join token is not known here, was used by another node, or is for another one."""

    code = 261


class TokenExpired(Refused):
    """A join token is no longer good."""

    code = 262


class TokenRevoked(Refused):
    """A join token was taken back."""

    code = 263


class WrongHub(Refused):
    """A join token or certificate is of another hub."""

    code = 264


class NameTaken(Refused):
    """A node with another key has the name."""

    code = 265


class NotAllowed(Refused):
    """Whoever asks showed no token, or not the right one."""

    code = 266


class Outdated(Refused):
    """Somebody else has changed it in the meantime: read it again, then decide again."""

    code = 267


class ToolMissing(Resource):
    """A program or optional package that is needed here is not installed."""

    code = 351


class OverLimit(Resource):
    """A person's own code took more time or memory than it may, or its process died, and did so again."""

    code = 361


class DeviceFailed(LinkError):
    """The process that stands for a device ended, or could not be started."""

    code = 451
