"""What the hub lets others see and do: the contract between the control loop and the API, the dashboard and the command line.

Everything here is a copy that nobody changes later. The fields' descriptions are those of the API's schema.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

NodeState = Literal["up", "silent", "gone"]
Tier = Literal["device", "gateway", "cloud"]
Kind = Literal["source", "function", "sink"]
DeviceState = Literal["waiting", "approved", "refused"]

APP_FILE = "eddy.yaml"
"""What the file of an app is called among those beside it."""

_DESCRIBED = {"use_attribute_docstrings": True}
"""Pydantic's configuration, as plain data: the contract itself needs no Pydantic."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as the hub sees it."""

    __pydantic_config__: ClassVar = _DESCRIBED

    name: str
    """Its name, unique among nodes."""
    tier: Tier
    """Microcontroller, gateway or cloud."""
    state: NodeState
    """`up`; `silent`, not heard lately, which is not dead; `gone`, declared dead by a person or by an expired lease."""
    heard_ms: int | None
    """Milliseconds since its last report; null when it was never heard."""
    functions: list[str]
    """Instances that it owns."""
    copies: list[str]
    """Instances that it follows without owning them."""
    address: str
    """Where other nodes reach it: a Zenoh endpoint."""


@dataclass(frozen=True, slots=True)
class FunctionView:
    """One instance of a source, function or sink, wherever it runs."""

    __pydantic_config__: ClassVar = _DESCRIBED

    instance: str
    """Its name, unique in the system, such as `features@pump-3`."""
    name: str
    """What the app calls it: `features`."""
    kind: Kind
    """Where samples are born, worked on, or leave the system."""
    app: str
    """The app that it belongs to."""
    node: str
    """The node that owns it."""
    term: int
    """Of its owner; rises with every change of owner."""
    wanted: str
    """The node that shall own it; another one than `node` while it moves."""
    in_sync: list[str]
    """Nodes that have everything of it that was ever heard, and so may become owner."""
    replicas: list[str]
    """Nodes that shall hold a copy of it, the owner among them."""
    stream: str
    """The stream of its outputs."""
    consumers: list[str]
    """Instances that get its outputs."""
    inputs: list[str]
    """Streams that it takes."""
    program: Any
    """What it is built from: `[module, class, {arguments}]`."""
    stopped: bool
    """Its owner takes no more inputs, so that another node can take over."""
    index: int
    """Entries of its input log that its owner has applied; -1 when that is not known."""
    faults: int
    """How often its code raised an error; such an entry counts as applied and emits nothing."""
    fault: str
    """The last such error."""
    labels: list[str]
    """Privacy labels of its outputs."""
    on_partition: Literal["stay", "yield"]
    """What its owner does when it cannot be reached: goes on, or stops before its lease ends."""
    why: str
    """The reason of the last decision about it."""


def is_alarm(one: FunctionView) -> bool:
    """Whether it answers `alarms`, see `HubView.ask`."""
    return isinstance(one.program, list) and one.program[:1] == ["eddy.kernel.functions.alarm"]


@dataclass(frozen=True, slots=True)
class Decision:
    """A line of the ledger: what was decided about an instance, and why."""

    __pydantic_config__: ClassVar = _DESCRIBED

    number: int
    """Rises from line to line, with holes."""
    time_ms: int
    """When, milliseconds since 1970."""
    instance: str
    """About which instance."""
    term: int
    """Of its owner, from this decision on."""
    what: str
    """What was decided."""
    why: str
    """The reason, as whoever decided gave it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a node, or that a node told."""

    __pydantic_config__: ClassVar = _DESCRIBED

    number: int
    """Rises from event to event, with holes."""
    time_ms: int
    """When, milliseconds since 1970."""
    node: str
    """Where."""
    kind: str
    """Such as `refused`, `fault`, `silent`, `back`, `gone`."""
    instance: str
    """Which instance it is about; empty when it is about the node."""
    text: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device that has sent to a source with `unknown: wait`, or what was decided about one that has not, or about a pattern."""

    __pydantic_config__: ClassVar = _DESCRIBED

    app: str
    """The app of the source."""
    source: str
    """What the app calls the source."""
    origin: str
    """The device's name, or a pattern; empty: all those for whose names there is no room in the list of who waits at this source."""
    state: DeviceState
    """What holds now: the last decision that means it; `waiting` without any."""
    first_ms: int | None
    """When the first of its samples waited, milliseconds since 1970; null when none did."""
    last_ms: int | None
    """When the last of its samples waited."""
    waited: int
    """How many of its samples waited: they are in quarantine, and stay there."""
    by: str
    """Who decided; empty while it waits."""
    decided_ms: int | None
    """When; null while it waits."""

    @property
    def waits(self) -> bool:
        """Whether it is one device, and nobody has decided yet."""
        return self.state == "waiting" and bool(self.origin)


@dataclass(frozen=True, slots=True)
class Document:
    """A line of an app's file, or of a file beside it."""

    __pydantic_config__: ClassVar = _DESCRIBED

    app: str
    """Whose."""
    path: str
    """Beside the app's file, which is `eddy.yaml`."""
    line: int
    """Its number, from 1: the first that has the most of the words."""
    text: str
    """What it says, cut off when it is long."""


@dataclass(frozen=True, slots=True)
class Found:
    """What holds all the words of a search."""

    __pydantic_config__: ClassVar = _DESCRIBED

    documents: list[Document]
    """By app and path."""
    decisions: list[Decision]
    """The newest, oldest first."""
    events: list[Event]
    """Likewise."""


class HubView(Protocol):
    """The hub as others see and steer it. Every method may be called from any thread at any time.

    Everything raises EddyError: UnknownName for a name that is not there, with the names that look like it; other BadInput for what cannot
    be; Refused for what is not allowed here.
    """

    @property
    def fabric(self) -> str:
        """Endpoint at which nodes reach the hub."""

    def nodes(self) -> list[NodeView]:
        """All nodes, by name."""

    def progress(self, app: str) -> dict[str, int]:
        """How far an app is: `instances`; of these `running`; sources that have `ended`; outputs that are `pending` somewhere."""

    def functions(self) -> list[FunctionView]:
        """All instances, by name."""

    def decisions(self, instance: str | None, after: int | None, limit: int) -> list[Decision]:
        """Lines of the ledger, oldest first.

        Args:
            instance: About this one only; None for all.
            after: The first `limit` with a higher number; None for the newest `limit`.
            limit: At most so many.
        """

    def events(self, after: int | None, limit: int) -> list[Event]:
        """Events, oldest first; `after` and `limit` as in `decisions`."""

    def search(self, text: str, limit: int) -> Found:
        """Decisions, events and documents of apps that hold all words of a text.

        Args:
            text: Words, `begin*` and `"several words"`. Words are what stands between punctuation; case makes no difference.
            limit: At most so many of each.
        """

    def apps(self) -> list[str]:
        """Names of the apps that run."""

    def app(self, name: str) -> str:
        """An app's file, YAML as it was applied."""

    def apply(self, text: str, files: dict[str, bytes], dry: bool) -> dict[str, Any]:
        """Place an app, or change one that runs.

        Args:
            text: Its file, YAML.
            files: {path beside the app's file: content} of the person's own functions and drivers.
            dry: Only say what would be done.

        Returns:
            The plan as JSON: placement, changes, reasons, figures.

        Raises:
            NoPlan: No placement satisfies every constraint.
        """

    def remove(self, app: str) -> None:
        """Stop all that belongs to an app, and forget it."""

    def move(self, instance: str, node: str, why: str) -> None:
        """Another node shall own an instance. It returns at once; `FunctionView.node` says when that is so."""

    def configure(self, instance: str, settings: dict[str, Any]) -> None:
        """New settings for a running instance: an entry of its input log. Plain data without floats."""

    def ask(self, instance: str, what: str) -> Any:
        """Ask the owner of an instance, whoever that is now.

        Args:
            instance: Its name.
            what: `last`: its last output as `[seq, time_ns, value]`, or `[]` when there was none; `state-size`: bytes of its state;
                `alarms`: what an alarm has raised, `[origin, since_ns, value, by, note, unit]` each, the value as it was measured;
                `driver`: of a source or sink `[works, fault]`: whether its driver works, and what it said if it failed last.

        Returns:
            Plain data; None when the owner did not answer in time.
        """

    def devices(self) -> list[DeviceView]:
        """All devices that wait or waited for approval, and what was decided; by app, source and origin."""

    def admit(self, app: str, source: str, origin: str, approved: bool, by: str) -> None:
        """A person says whether a device may send to a source, or all whose origins fit a pattern. The last word counts.

        Args:
            app: The app of the source.
            source: What the app calls it; one with `unknown: wait`.
            origin: Name, or pattern with `*` and `?`.
            approved: Whether it may.
            by: Who says so.
        """

    def enrol(self, csr_pem: str, proof: str) -> str:
        """Let a node in.

        Args:
            csr_pem: Its certificate signing request, PEM; the common name is the node's.
            proof: That it has a join token.

        Returns:
            Its certificate with those up to the hub's authority, PEM.
        """

    def token(self, node: str | None, expires_s: int) -> str:
        """A join token for this node, or for any; it is worth nothing after `expires_s` seconds."""

    def declare_gone(self, node: str, why: str) -> None:
        """A person says that a node is dead: what it owned may go to others, and it is heard no more."""
