"""The errors of the kernel, named by who must act.

    EddyError                     0    anything that Eddy itself says
    ├── BadInput                1xx    malformed: the sender or user must change the input
    │   ├── CodecError          101    bytes that are no deterministic CBOR, or a value that has no such form
    │   ├── FrameError          102    a payload that cannot be framed
    │   ├── ManifestError       103    a package or manifest that is not built as one
    │   ├── ModelError          104    a forest that is not built as one
    │   └── SampleError         105    a sample or record that is not built as one
    ├── Refused                 2xx    well-formed, but not acceptable here
    │   ├── SignatureError      201    not signed by the key that this node trusts, or changed after signing
    │   ├── RollbackError       202    the sequence is not newer than the newest accepted one
    │   ├── WrongTarget         203    meant for another device or another class of devices
    │   ├── TooLarge            204    larger than what this node takes
    │   └── Fenced              205    from an owner with a lower term
    ├── Resource                3xx    the operator must make room
    │   ├── StorageFull         301    no room in flash or on disk
    │   └── OutOfMemory         302    no room on the heap
    └── LinkError               4xx    the line
        ├── LinkLost            401    the port is gone or cannot be opened
        └── LinkTimeout         402    nothing heard in time

A message says what happened, where, and what to do next. The code travels over the line instead of the message.
"""


class EddyError(Exception):
    """Base of all errors that Eddy raises on purpose; `code` is stable and travels in events."""

    code = 0


class BadInput(EddyError):
    """The input is malformed: its sender must change it."""

    code = 100


class CodecError(BadInput):
    """Not deterministic CBOR, or a value that has no such form.

    Args:
        message: What is wrong.
        offset: Byte of the input at which it was noticed; None when encoding.
    """

    code = 101

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else "%s at byte %d" % (message, offset))
        self.offset = offset


class FrameError(BadInput):
    """A payload that cannot be framed."""

    code = 102


class ManifestError(BadInput):
    """A package or manifest that is not built as one."""

    code = 103


class ModelError(BadInput):
    """A forest that is not built as one."""

    code = 104


class SampleError(BadInput):
    """A sample or record that is not built as one."""

    code = 105


class Refused(EddyError):
    """Well-formed, but not acceptable on this node."""

    code = 200


class SignatureError(Refused):
    """Not signed by the trusted key, or changed after it was signed."""

    code = 201


class RollbackError(Refused):
    """The sequence is not newer than the newest one accepted here."""

    code = 202


class WrongTarget(Refused):
    """Meant for another device or another class of devices."""

    code = 203


class TooLarge(Refused):
    """Larger than what this node takes."""

    code = 204


class Fenced(Refused):
    """Sent by an owner whose term has been superseded."""

    code = 205


class Resource(EddyError):
    """Something ran out: the operator must make room."""

    code = 300


class StorageFull(Resource):
    """No room in flash or on disk."""

    code = 301


class OutOfMemory(Resource):
    """No room on the heap."""

    code = 302


class LinkError(EddyError):
    """The line failed."""

    code = 400


class LinkLost(LinkError):
    """The port is gone or cannot be opened."""

    code = 401


class LinkTimeout(LinkError):
    """Nothing was heard in time."""

    code = 402
