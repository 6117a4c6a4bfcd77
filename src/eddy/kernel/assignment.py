"""What hub and nodes tell each other about who hosts what: desired state one way, reported state the other.

Everything is repeated until it is answered, and a repeat changes nothing, so messages may be lost, doubled and late. A message is a CBOR
array that begins with its kind. Names of nodes begin with `@` on the wire; other addresses are instances, sources and sinks, wherever
they are.
"""

from eddy.kernel.codec import decode, encode
from eddy.kernel.errors import SampleError

MYPY = False
if MYPY:
    from typing import Any

ASSIGN = 0  # hub → node: an assignment
REPORT = 1  # node → hub: [node, [[instance, term, version, role, index, stopped, synced] ...]]
BATCH = 2  # to a consumer: [consumer, batch of the hop]
ACK = 3  # to a producer: [consumer, acknowledgement]
LOG = 4  # owner → follower: [instance, batch of the log]
LOGGED = 5  # follower → owner: [instance, follower, acknowledgement]
AGAIN = 6  # follower → owner: [instance, follower, join]: begin again, that join is lost
NEXT = 7  # new owner of a consumer, or new follower → producer: [producer, consumer or @follower]: send again now

FOLLOWER = 0
OWNER = 1

HUB = "@"


class Assignment:
    """Desired state of one instance, as the hub decided it.

    Attributes:
        instance, program, birth: What it is: its name, what its class is built from (plain data), the mark of this incarnation.
        stream, consumers: The stream of its outputs, and who gets it.
        term: Of its owner. It rises with every change of owner, by compare-and-swap.
        version: Rises with every change of anything.
        owner: Node that speaks for it.
        in_sync: Nodes that may become owner: what they all have is committed, nothing else is.
        replicas: Nodes that shall hold a replica.
        stop: The owner shall take no more inputs, so that another can take over where it stopped.
        born: Some node has had it: who is told to own it and has no replica must not begin anew.
    """

    FIELDS = ("instance", "term", "version", "owner", "in_sync", "replicas", "stop", "born", "program", "birth", "stream", "consumers")

    def __init__(
        self,
        instance: str,
        term: int,
        version: int,
        owner: str,
        in_sync: list[str],
        replicas: list[str],
        stop: bool,
        born: bool,
        program: "Any",
        birth: bytes,
        stream: str,
        consumers: list[str],
    ) -> None:
        self.instance = instance
        self.term = term
        self.version = version
        self.owner = owner
        self.in_sync = in_sync
        self.replicas = replicas
        self.stop = stop
        self.born = born
        self.program = program
        self.birth = birth
        self.stream = stream
        self.consumers = consumers

    def plain(self) -> "list[Any]":
        """As plain data."""
        return [getattr(self, name) for name in self.FIELDS]

    @classmethod
    def of(cls, data: "Any") -> "Assignment":
        """From plain data; raises SampleError."""
        if not isinstance(data, list) or len(data) != len(cls.FIELDS):
            raise SampleError("not an assignment: expected %d fields" % len(cls.FIELDS))
        return cls(*data)


def message(kind: int, *fields: "Any") -> bytes:
    """One message."""
    return encode([kind] + list(fields))


def read(data: bytes) -> "list[Any]":
    """[kind, fields ...]; raises CodecError, SampleError."""
    parts = decode(data)
    if not isinstance(parts, list) or not parts or not isinstance(parts[0], int):
        raise SampleError("not a message: %d bytes" % len(data))
    return parts


def kind(data: bytes) -> int:
    """The kind of a message without reading the rest; -1 when it is none."""
    return data[1] if len(data) > 1 and 0x80 < data[0] < 0x98 and data[1] < 24 else -1
