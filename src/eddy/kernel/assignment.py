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
REPORT = 1  # node → hub: [node, what it has (see `Held`), stamp of the last HEARD, incidents that the hub does not know yet]
BATCH = 2  # to a consumer: [consumer, batch of the hop]
ACK = 3  # to a producer: [consumer, acknowledgement]
LOG = 4  # owner → follower: [instance, batch of the log]
LOGGED = 5  # follower → owner: [instance, follower, acknowledgement]
AGAIN = 6  # follower → owner: [instance, follower, join]: begin again, that join is lost
NEXT = 7  # new owner of a consumer, or new follower → producer: [producer, consumer or @follower]: send again now
HEARD = 8  # hub → node: [stamp, which the next report repeats, number of the last incident that it has written down]

OWNER = 1  # flags of a report
STOPPED = 2
ENDED = 4

HUB = "@"


class Assignment:
    """Desired state of one instance, as the hub decided it.

    Attributes:
        instance: Its name.
        term: Of its owner. It rises with every change of owner, by compare-and-swap.
        version: Rises with every change of anything.
        owner: Node that speaks for it; none when it shall be no more.
        in_sync: Nodes that may become owner: what they all have is committed, nothing else is.
        replicas: Nodes that shall hold a replica.
        stop: The owner shall take no more inputs, so that another can take over where it stopped.
        born: Some node has had it: who is told to own it and has no replica must not begin anew.
        consumers: Who gets its outputs.
        narrow: {consumer or @node: most bytes of a message}, for those behind a slow line.
        charter: What it is, sealed; see `kernel.charter`.
    """

    FIELDS = ("instance", "term", "version", "owner", "in_sync", "replicas", "stop", "born", "consumers", "narrow", "charter")

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
        consumers: list[str],
        narrow: "dict[str, int]",
        charter: bytes,
    ) -> None:
        self.instance = instance
        self.term = term
        self.version = version
        self.owner = owner
        self.in_sync = in_sync
        self.replicas = replicas
        self.stop = stop
        self.born = born
        self.consumers = consumers
        self.narrow = narrow
        self.charter = charter

    def plain(self) -> "list[Any]":
        """As plain data."""
        return [getattr(self, name) for name in self.FIELDS]

    @classmethod
    def of(cls, data: "Any") -> "Assignment":
        """From plain data; raises SampleError."""
        if not isinstance(data, list) or len(data) != len(cls.FIELDS):
            raise SampleError("not an assignment: expected %d fields" % len(cls.FIELDS))
        return cls(*data)


class Held:
    """What a node reports of an instance.

    Attributes:
        instance, term, version: As in the assignment that the node knows.
        flags: OWNER, STOPPED (everything taken is committed, and no more is taken), ENDED (a source whose data have ended).
        index: Entries applied; -1 when it has nothing of it.
        synced: Followers without which nothing is committed any more.
        left: Followers in sync that an owner without hub went on without: they may not lead.
        lagging: Followers for which it waits in vain.
        faults, fault: How often the function raised an error, and the last one.
        pending: Outputs that some consumer has not acknowledged.
    """

    FIELDS = ("instance", "term", "version", "flags", "index", "synced", "left", "lagging", "faults", "fault", "pending")

    def __init__(
        self,
        instance: str,
        term: int,
        version: int,
        flags: int,
        index: int,
        synced: list[str],
        left: list[str],
        lagging: list[str],
        faults: int,
        fault: str,
        pending: int,
    ) -> None:
        self.instance = instance
        self.term = term
        self.version = version
        self.flags = flags
        self.index = index
        self.synced = synced
        self.left = left
        self.lagging = lagging
        self.faults = faults
        self.fault = fault
        self.pending = pending


def message(kind: int, *fields: "Any") -> bytes:
    """One message."""
    return encode([kind] + list(fields))


def read(data: bytes | memoryview, views: bool = False) -> "list[Any]":
    """[kind, fields ...]; raises CodecError, SampleError. `views` as in `codec.decode`."""
    parts = decode(data, views)
    if not isinstance(parts, list) or not parts or not isinstance(parts[0], int):
        raise SampleError("not a message: %d bytes" % len(data))
    return parts


def kind(data: bytes | memoryview) -> int:
    """The kind of a message without reading the rest; -1 when it is none."""
    return data[1] if len(data) > 1 and 0x80 < data[0] < 0x98 and data[1] < 24 else -1
