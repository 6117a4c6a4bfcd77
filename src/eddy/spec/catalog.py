"""What `use:` and `driver:` name: parameters with their types and defaults, and the class that does it.

Programs are named here and loaded by the node that runs them; this room never imports them. A new built-in is a class here, in one of the
three unions at the end.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, JsonValue, StringConstraints, Tag, ValidationInfo, field_validator

from eddy.spec.declared import (
    OWN,
    Columns,
    Condition,
    Data,
    Declared,
    FeatureNames,
    Hertz,
    Hex,
    Milliseconds,
    Name,
    Names,
    OneIn,
    Ranges,
    SafeValue,
    Unit,
)
from eddy.spec.diagnostics import Invalid
from eddy.spec.quantities import DURATION_MS, write
from eddy.spec.vocabulary import Level, SampleType

DAY_MS = 86_400_000


class Source(Declared):
    """Where samples of a stream are born.

    Attributes:
        rate_hz: Samples a second; the driver's own when None.
        type: Of a number in a sample.
        unit: Of the values, a name of SenML, or one that instruments show.
        units: Likewise, of the fields of values that are maps.
        range: Lowest and highest value that is to be believed, in the unit; of fields likewise. What is outside is kept, and told.
        owner: Who answers for what is measured: a person, a team.
        private: How far the samples may go.
    """

    program: ClassVar[tuple[str, str]] = ("", "")
    at: Name
    driver: str
    rate_hz: Hertz | None = Field(default=None, alias="rate")
    type: SampleType | None = None
    unit: Unit | None = None
    units: dict[str, Unit] = Field(default_factory=dict)
    range: Ranges = Field(default_factory=dict)
    owner: str = Field(default="", max_length=200)
    private: Level = "cloud"


class Function(Declared):
    """What is placed, deployed and moved.

    Attributes:
        inputs: Sources and functions whose samples come in.
        at: Nodes or tiers that may host it; empty: any.
        near: A function, source or sink to be close to.
        beside: A function to share a node with.
        merge: Node whose instances come together here: one instance takes in what there is on all of them.
        releases: How far the output may go, whatever came in; None: no further than that.
        copies: Replicas on other nodes, in step.
        on_partition: `stay`: the owner goes on when cut off, nobody takes over; `yield`: it stops, and a copy takes over.
    """

    program: ClassVar[tuple[str, str]] = ("", "")
    use: str
    inputs: Annotated[Names, Field(min_length=1)] = Field(alias="from")
    at: Names = ()
    near: Name | None = None
    beside: Name | None = Field(default=None, alias="with")
    merge: Name | None = None
    releases: Level | None = None
    copies: Literal[0, 1, 2] = 1
    on_partition: Literal["stay", "yield"] = "stay"


class Sink(Declared):
    """Where samples leave the system.

    Attributes:
        at: The node it hangs on; None: placed like a function.
        effect: `idempotent`: a repeated write with the same key does no harm; `at-least-once`: it may be seen twice.
        safe: What it is set to when nobody speaks.
    """

    program: ClassVar[tuple[str, str]] = ("", "")
    driver: str
    inputs: Annotated[Names, Field(min_length=1)] = Field(alias="from")
    at: Name | None = None
    merge: Name | None = None
    effect: Literal["idempotent", "at-least-once"] = "at-least-once"
    safe: SafeValue | None = None


class Own(Declared):
    """A person's own class; what else is declared are the arguments of its constructor."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)


OwnName = Annotated[str, StringConstraints(pattern=OWN)]


class Replay(Source):
    """Plays recordings and tables.

    Attributes:
        data: `ims:RUN#BEARING`, `recordings:PATH#BEARING`, `rig:SEED#BEARING` or `csv:FILE#COLUMN`; of several bearings, `#1,2`, each
            node of the source gets one, in turn.
        speed: 1 for real time, more for faster, 0 for as fast as samples are taken.
        scale: Counts per unit: of tables, and of recordings for those who keep what is made of them.
        time: Of tables: columns that make up the time.
    """

    program = ("eddy.links.replay", "Replay")
    driver: Literal["replay"]
    data: Data
    speed: int = Field(default=1, ge=0)
    scale: int = Field(default=1, ge=1)
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    time: Columns = ()
    time_format: str | None = None


class Simulated(Source):
    """A sine with noise, and from some time on with a fault; the same for the same seed.

    Attributes:
        chunk: So many int16 values make one sample; 0: each is one.
        amplitude: Of the sine, counts.
        cycle_ms: Of the sine.
        noise: From minus this to this, counts.
        fault_after_ms: When the noise becomes `fault_factor` times as much.
        speed: As of `Replay`.
    """

    program = ("eddy.links.simulated", "Simulated")
    driver: Literal["simulated"]
    rate_hz: Hertz = Field(default=10.0, alias="rate")
    chunk: int = Field(default=0, ge=0)
    amplitude: int = Field(default=1000, ge=0, le=32767)
    cycle_ms: Milliseconds = Field(default=1000, alias="cycle")
    noise: int = Field(default=50, ge=0, le=32767)
    fault_after_ms: Milliseconds | None = Field(default=None, alias="fault_after")
    fault_factor: int = Field(default=5, ge=1)
    seed: int = Field(default=1, ge=1)
    speed: int = Field(default=1, ge=0)


class Taken(Source):
    """What others send, or leave as files, in a form that is declared here; see `eddy.links.decoders.Form`.

    Attributes:
        format: How a message is written.
        items: Path to a list of samples.
        value: Path to the value, or several.
        time: Path to the time.
        time_unit: Of times that are numbers.
        origin: Path to who measured it.
        unique: Path to what tells a sample from others of its origin; `.` for all of it. Each is then taken once.
        remember: How many of these are remembered.
        scale: Counts per unit of every number; None: numbers are whole.
        columns: Of `csv` and `raw`.
        delimiter, decimal: Of `csv`.
        struct: Of `raw`, as Python's module `struct` takes it.
    """

    format: Literal["json", "senml", "senml-cbor", "cbor", "csv", "raw"] = "json"
    items: str = ""
    value: Columns = ()
    time: str = ""
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    origin: str = ""
    unique: str = ""
    remember: int = Field(default=65536, ge=1, le=1 << 20)
    scale: int | None = Field(default=None, ge=1)
    columns: Columns = ()
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    struct: str = ""


class _Sent(Taken):
    """What comes over a network, from whoever is there.

    Attributes:
        allow: Origins that may send, or patterns of them: `*` for any characters, `?` for one.
        unknown: What happens to the samples of others; `wait`: until their device is approved. Where `allow` names somebody they are
            refused without, else taken.
    """

    allow: Columns = ()
    unknown: Literal["take", "refuse", "wait"] | None = None


class _Bounded(_Sent):
    """What comes over a network, bounded.

    Attributes:
        largest: Bytes of a message.
        queue: Samples that wait to be kept.
        certificate, key: Files, PEM, for TLS.
    """

    largest: int = Field(default=1 << 20, ge=1, le=8 << 20)
    queue: int = Field(default=8192, ge=1, le=65536)
    certificate: str | None = None
    key: str | None = None


class Subscribe(_Bounded):
    """Messages of an MQTT broker, acknowledged when they are kept.

    Attributes:
        format: Also `sparkplug`; see `eddy.links.sparkplug.Sparkplug`.
        to: The broker.
        topic: What to subscribe to, one or several.
        version: 5, or 4 for MQTT 3.1.1.
        client: Name of the session; made up without.
        session_ms: How long the broker keeps it for a node that is away.
        inflight: Messages ahead of acknowledgements.
        ca: Whom to trust, PEM.
        broker: `embedded` starts one within the node.
        rebirth: Whether edge nodes of Sparkplug are asked for what was missed of them.
        copies: Replicas on other nodes, in step; one of them takes over the session when the node ends.
    """

    program = ("eddy.links.mqtt_in", "Subscribe")
    driver: Literal["mqtt"]
    format: Literal["json", "senml", "senml-cbor", "cbor", "csv", "raw", "sparkplug"] = "json"  # type: ignore[assignment]  # one more
    to: str = Field(min_length=1)
    topic: Annotated[Columns, Field(min_length=1)]
    version: Literal[4, 5] = 5
    client: str = ""
    session_ms: Milliseconds = Field(default=7 * 24 * 3600 * 1000, alias="session")
    inflight: int = Field(default=4096, ge=1, le=65535)
    ca: str | None = None
    broker: Literal["embedded"] | None = None
    rebirth: bool = True
    copies: Literal[0, 1, 2] = 0

    @field_validator("items", "time", "time_unit", "origin", "unique", "columns", "delimiter", "decimal", "struct", "topic")
    @classmethod
    def _goes_with_sparkplug(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("format") == "sparkplug":
            match info.field_name:
                case "topic":
                    if any(one.startswith("$share/") for one in value):
                        way_out = "subscribe to the topics themselves"
                        raise Invalid("E136", "of a shared subscription each hears a part, births or data", way_out)
                case "unique":
                    if value not in ("", "."):
                        raise Invalid("E136", "messages of Sparkplug have no keys", "write 'unique: .', or leave it out")
                case name:
                    raise Invalid("E136", f"'{name}' is nothing of Sparkplug: its messages say themselves what they hold", "leave it out")
        return value

    @field_validator("rebirth")
    @classmethod
    def _is_of_sparkplug(cls, rebirth: bool, info: ValidationInfo) -> bool:
        if info.data.get("format", "sparkplug") != "sparkplug":
            raise Invalid("E136", "only who speaks Sparkplug is asked for a rebirth", "leave it out, or write 'format: sparkplug'")
        return rebirth


class Consume(_Sent):
    """Messages of a queue of an AMQP broker, acknowledged when they are kept.

    Attributes:
        to: The broker.
        queue: Name of the queue.
        exchange: What to bind it to.
        routing_key: What to bind it with, one or several.
        prefetch: Messages ahead of acknowledgements.
        largest: Bytes of a message.
        ca: Whom to trust, PEM.
        certificate, key: Files, PEM, for TLS.
    """

    program = ("eddy.links.amqp_in", "Consume")
    driver: Literal["amqp"]
    to: str = Field(min_length=1)
    queue: str = Field(min_length=1, max_length=255)
    exchange: str = ""
    routing_key: Columns = ()
    prefetch: int = Field(default=1000, ge=1, le=65535)
    largest: int = Field(default=1 << 20, ge=1, le=8 << 20)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class Http(_Bounded):
    """What is posted, answered when it is kept.

    Attributes:
        listen: `host:port`.
        path: Where to post.
        token: What senders show; without, only the node's machine is listened to.
        tokens: Likewise, for the origins that a name or pattern stands for, and no others.
    """

    program = ("eddy.links.http", "Http")
    driver: Literal["http"]
    listen: str = Field(min_length=1)
    path: str = Field(default="/", pattern="^/")
    token: str | None = None
    tokens: dict[str, str] | None = None


class WebSocket(_Bounded):
    """Messages of WebSockets, each answered with its number when it is kept.

    Attributes:
        listen, path, token, tokens: As of `Http`.
    """

    program = ("eddy.links.websocket", "WebSocket")
    driver: Literal["websocket"]
    listen: str = Field(min_length=1)
    path: str = Field(default="/", pattern="^/")
    token: str | None = None
    tokens: dict[str, str] | None = None


class Folder(Taken):
    """CSV and Parquet files that are put into a folder, each read once; one with other content under the same name is another one.

    Attributes:
        folder: Where.
    """

    program = ("eddy.links.folder", "Folder")
    driver: Literal["folder"]
    folder: str = Field(min_length=1)


class Serial(Taken):
    """Lines or records that a device sends on a serial port; it cannot be told what is kept.

    Attributes:
        port: Path of the port.
        baud: Bits a second.
        framing: Data bits, parity, stop bits.
        start: Of `raw`: the bytes that each record begins with, in hex.
        largest: Bytes of a line.
        queue: Samples that wait to be kept.
    """

    program = ("eddy.links.serial_in", "Serial")
    driver: Literal["serial"]
    format: Literal["json", "senml", "csv", "raw"] = "json"
    port: str = Field(min_length=1)
    baud: int = Field(default=9600, ge=50, le=4_000_000)
    framing: Literal["8N1", "8N2", "8E1", "8E2", "8O1", "8O2", "7N1", "7N2", "7E1", "7E2", "7O1", "7O2"] = "8N1"
    start: Hex = ""
    largest: int = Field(default=65536, ge=1, le=1 << 20)
    queue: int = Field(default=8192, ge=1, le=65536)


class OwnSource(Source, Own):
    """A driver of a person's own."""

    driver: OwnName


class Window(Function):
    """Collects samples to windows of a length in sample time."""

    program = ("eddy.kernel.functions.window", "Window")
    use: Literal["window"]
    size_ms: Milliseconds = Field(alias="size")


class Features(Function):
    """Turns a window into a row of numbers."""

    program = ("eddy.kernel.functions.features", "Features")
    use: Literal["features"]
    compute: FeatureNames


class Model(Function):
    """Learns from the first rows, then scores each.

    Attributes:
        features: Names of the columns; None: those of the features function that the rows come from.
    """

    program = ("eddy.kernel.functions.model", "Model")
    use: Literal["model"]
    model: Name
    features: FeatureNames | None = None


class Forward(Function):
    """Passes every anomaly, and every n-th of the normal rest."""

    program = ("eddy.kernel.functions.forward", "Forward")
    use: Literal["forward"]
    normal_every: OneIn = Field(alias="normal")
    anomalous: Literal["all"] = "all"


class Rule(Function):
    """Says when a condition becomes true, and when false again."""

    program = ("eddy.kernel.functions.rule", "Rule")
    use: Literal["rule"]
    when: Condition


class Alarm(Function):
    """Says of each origin when an alarm is raised, acknowledged and cleared.

    Attributes:
        when: Raises it.
        clear: Clears it; None: `raise` does not hold any more.
    """

    program = ("eddy.kernel.functions.alarm", "Alarm")
    use: Literal["alarm"]
    when: Condition = Field(alias="raise")
    clear: Condition | None = None


class Filter(Function):
    """Passes the samples for which a condition holds."""

    program = ("eddy.kernel.functions.filter", "Filter")
    use: Literal["filter"]
    when: Condition


class Mean(Function):
    """The mean of the last stretch of time."""

    program = ("eddy.kernel.functions.mean", "Mean")
    use: Literal["mean"]
    over_ms: Milliseconds = Field(alias="over")


class Counter(Function):
    """Counts samples."""

    program = ("eddy.functions.counter", "Counter")
    use: Literal["counter"]
    ballast: int = Field(default=0, ge=0)


class Judge(Function):
    """A pool of models that judges what a champion reported."""

    program = ("eddy.pool.judging", "Judge")
    use: Literal["pool"]
    model: Name
    decide: Literal["majority", "rank", "validation"] = "majority"


class OwnFunction(Function, Own):
    """A function of a person's own."""

    use: OwnName


class Webhook(Sink):
    """Posts each sample to an address."""

    program = ("eddy.links.webhook", "Webhook")
    driver: Literal["webhook"]
    to: str = Field(min_length=1)


class Email(Sink):
    """Sends one mail for each sample.

    Attributes:
        server: `smtp://host:port` (STARTTLS) or `smtps://host:port`.
        to: Addresses that get it.
        sender: From whom it is.
        user, password: Of the server.
        ca: Whom to trust, PEM.
    """

    program = ("eddy.links.email", "Email")
    driver: Literal["email"]
    server: str = Field(min_length=1)
    to: Annotated[Columns, Field(min_length=1)]
    sender: str = Field(min_length=1)
    user: str | None = None
    password: str | None = None
    ca: str | None = None


class Publish(Sink):
    """Publishes each sample at an MQTT broker.

    Attributes:
        to: The broker.
        topic: Where; with `discovery`, what topics begin with.
        version: 5, or 4 for MQTT 3.1.1.
        discovery: `homeassistant` finds each stream of each origin as a sensor.
    """

    program = ("eddy.links.mqtt", "Publish")
    driver: Literal["mqtt"]
    to: str = Field(min_length=1)
    topic: str = Field(min_length=1)
    version: Literal[4, 5] = 5
    discovery: Literal["homeassistant"] | None = None


class Pin(Sink):
    """Sets a pin."""

    program = ("eddy.links.gpio", "Pin")
    driver: Literal["gpio"]
    pin: int = Field(ge=0)


class Log(Sink):
    """Appends each sample to a file of JSON lines."""

    program = ("eddy.links.log", "Log")
    driver: Literal["log"]
    file: str = Field(min_length=1)


class Tier(Declared):
    """What is kept of samples behind their time.

    Attributes:
        every_ms: Length of a step that is summed up.
        keep_ms: Age at which whole days of sums are removed; None: never.
    """

    every_ms: Milliseconds = Field(alias="every")
    keep_ms: Milliseconds | None = Field(default=None, alias="keep")

    @field_validator("every_ms")
    @classmethod
    def _divides_a_day(cls, every_ms: int) -> int:
        if DAY_MS % every_ms:
            reason = f"steps of {write(every_ms, DURATION_MS)} do not fill a day"
            raise Invalid("E113", reason, "write a duration that divides a day, such as 1m, 15m or 1h")
        return every_ms


class Lake(Sink):
    """Keeps each sample exactly once, in Delta tables.

    Attributes:
        to: Folder or URL; a folder of the node when None.
        keep_ms: Age at which whole days of samples are removed; None: never.
        warm: What such days are summed up into before.
        cold: Likewise, in longer steps.
        options: Of an object store, as deltalake names them.
    """

    program = ("eddy.knowledge.lake", "Lake")
    driver: Literal["lake"]
    to: str | None = Field(default=None, min_length=1)
    keep_ms: Milliseconds | None = Field(default=None, alias="keep")
    warm: Tier | None = None
    cold: Tier | None = None
    options: dict[str, str] | None = None

    @field_validator("warm", "cold")
    @classmethod
    def _goes_with_the_rest(cls, tier: Tier | None, info: ValidationInfo) -> Tier | None:
        if tier is None or "keep_ms" not in info.data:
            return tier  # a broken `keep` is told already
        keep_ms, warm = info.data["keep_ms"], info.data.get("warm")
        if keep_ms is None:
            raise Invalid("E136", f"'{info.field_name}' is for samples that are let go, and these are kept for ever", "add 'keep: 30d'")
        if tier.keep_ms is not None and tier.keep_ms < keep_ms:
            ages = [write(age_ms, DURATION_MS) for age_ms in (tier.keep_ms, keep_ms)]
            reason = f"the sums would go after {ages[0]}, before the samples, kept for {ages[1]}"
            raise Invalid("E136", reason, f"let '{info.field_name}' keep them for longer")
        if info.field_name == "cold" and warm is not None and warm.every_ms >= tier.every_ms:
            reason = f"the steps of 'cold' are {write(tier.every_ms, DURATION_MS)}, those of 'warm' {write(warm.every_ms, DURATION_MS)}"
            raise Invalid("E136", reason, "let those of 'cold' be the longer ones")
        return tier


class OwnSink(Sink, Own):
    """A driver of a person's own."""

    driver: OwnName


def _tag(field: str) -> Callable[[Any], str]:
    """Which class a declaration is of: its driver or use, where everything with a colon is a person's own."""

    def tag(value: Any) -> str:
        name = value.get(field) if isinstance(value, dict) else getattr(value, field, None)
        return f"{field}: {'own' if isinstance(name, str) and ':' in name else name}"

    return tag


AnySource = Annotated[
    Annotated[Replay, Tag("driver: replay")]
    | Annotated[Simulated, Tag("driver: simulated")]
    | Annotated[Subscribe, Tag("driver: mqtt")]
    | Annotated[Consume, Tag("driver: amqp")]
    | Annotated[Http, Tag("driver: http")]
    | Annotated[WebSocket, Tag("driver: websocket")]
    | Annotated[Folder, Tag("driver: folder")]
    | Annotated[Serial, Tag("driver: serial")]
    | Annotated[OwnSource, Tag("driver: own")],
    Discriminator(_tag("driver")),
]
AnyFunction = Annotated[
    Annotated[Window, Tag("use: window")]
    | Annotated[Features, Tag("use: features")]
    | Annotated[Model, Tag("use: model")]
    | Annotated[Forward, Tag("use: forward")]
    | Annotated[Rule, Tag("use: rule")]
    | Annotated[Alarm, Tag("use: alarm")]
    | Annotated[Filter, Tag("use: filter")]
    | Annotated[Mean, Tag("use: mean")]
    | Annotated[Counter, Tag("use: counter")]
    | Annotated[Judge, Tag("use: pool")]
    | Annotated[OwnFunction, Tag("use: own")],
    Discriminator(_tag("use")),
]
AnySink = Annotated[
    Annotated[Webhook, Tag("driver: webhook")]
    | Annotated[Email, Tag("driver: email")]
    | Annotated[Publish, Tag("driver: mqtt")]
    | Annotated[Pin, Tag("driver: gpio")]
    | Annotated[Log, Tag("driver: log")]
    | Annotated[Lake, Tag("driver: lake")]
    | Annotated[OwnSink, Tag("driver: own")],
    Discriminator(_tag("driver")),
]


def choices(section: str) -> dict[str, type[Declared]]:
    """The classes of a section (`sources`, `functions`, `sinks`) by their tags, as `use: window`."""
    union = {"sources": AnySource, "functions": AnyFunction, "sinks": AnySink}[section]
    tagged = (get_args(member) for member in get_args(get_args(union)[0]))
    return {tag.tag: declared for declared, tag in tagged}
