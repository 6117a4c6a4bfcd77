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
    │   └── SettingError        153    an option or setting outside its range
    │       └── UnknownName     161    no node, function or app of that name
    ├── Refused                 2xx    well-formed, but not acceptable here
    │   ├── SignatureError      201    not signed by the key that this node trusts, or changed after signing
    │   ├── RollbackError       202    the sequence is not newer than the newest accepted one
    │   ├── WrongTarget         203    meant for another device or another class of devices
    │   ├── TooLarge            204    larger than what this node takes
    │   ├── Fenced              205    from an owner with a lower term
    │   ├── NoPlan              251    no placement satisfies every constraint
    │   ├── NotAllowed          261    no token, or not the right one
    │   └── Outdated            262    somebody else has changed it in the meantime
    ├── Resource                3xx    the operator must make room, or install something
    │   ├── StorageFull         301    no room in flash or on disk
    │   ├── OutOfMemory         302    no room on the heap
    │   └── ToolMissing         351    a program or optional package that is needed here is not installed
    └── LinkError               4xx    the line
        ├── LinkLost            401    the port is gone or cannot be opened
        ├── LinkTimeout         402    nothing heard in time
        └── DeviceFailed        451    the process that stands for a device ended or could not start

Codes x01 to x49 belong to the kernel (`eddy.kernel.errors`) and mean the same on a microcontroller; those from x51 exist on CPython only.
"""

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
    "CodecError",
    "DataError",
    "DeviceFailed",
    "EddyError",
    "Fenced",
    "FrameError",
    "KeyFileError",
    "LinkError",
    "LinkLost",
    "LinkTimeout",
    "ManifestError",
    "ModelError",
    "NoPlan",
    "NotAllowed",
    "OutOfMemory",
    "Outdated",
    "Refused",
    "Resource",
    "RollbackError",
    "SampleError",
    "SettingError",
    "SignatureError",
    "StorageFull",
    "TooLarge",
    "ToolMissing",
    "UnknownName",
    "WrongTarget",
]


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

    code = 161


class NoPlan(Refused):
    """No placement satisfies every constraint; the message says which stand against it."""

    code = 251


class NotAllowed(Refused):
    """Whoever asks showed no token, or not the right one."""

    code = 261


class Outdated(Refused):
    """Somebody else has changed it in the meantime: read it again, then decide again."""

    code = 262


class ToolMissing(Resource):
    """A program or optional package that is needed here is not installed."""

    code = 351


class DeviceFailed(LinkError):
    """The process that stands for a device ended, or could not be started."""

    code = 451
