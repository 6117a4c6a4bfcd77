"""The app as one object: what the YAML file and the Python builder both make, and the only source of the schema.

Reading a file and all checks are in `eddy.spec.load`; an app that is made here directly is checked for its form only.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from eddy.spec.catalog import AnyFunction, AnySink, AnySource
from eddy.spec.declared import (
    AdaptCondition,
    Below,
    BitsPerSecond,
    Bytes,
    Declared,
    Expectation,
    Joules,
    Many,
    Milliseconds,
    Name,
    PricePerGigabyte,
    PricePerHour,
    Ring,
    Seconds,
    Share,
    Task,
)
from eddy.spec.learning import Learned
from eddy.spec.positions import Positions
from eddy.spec.vocabulary import Criterion, Level


class Node(Declared):
    """A place that hosts functions, or several alike.

    Attributes:
        count: Of nodes alike; 4 of `pump` are `pump-1` to `pump-4`.
        battery_j: None: mains.
    """

    tier: Level
    board: str | None = None
    count: int = Field(default=1, ge=1, le=10_000)
    cores: float | None = Field(default=None, gt=0)
    memory_bytes: Bytes | None = Field(default=None, alias="memory")
    flash_bytes: Bytes | None = Field(default=None, alias="flash")
    battery_j: Joules | None = Field(default=None, alias="battery")
    price_per_h: PricePerHour | None = Field(default=None, alias="price")


class Link(Declared):
    """Carries bytes between two nodes; it is named after both, `pump-gw`.

    Attributes:
        rate_bit_s: Of a serial line, in baud.
        bandwidth_bit_s: Of anything else.
        duplex: `half`: one direction at a time.
    """

    kind: Literal["ip", "serial"] = "ip"
    rate_bit_s: BitsPerSecond | None = Field(default=None, alias="rate")
    bandwidth_bit_s: BitsPerSecond | None = Field(default=None, alias="bandwidth")
    duplex: Literal["half", "full"] | None = None
    latency_s: Seconds | None = Field(default=None, alias="latency")
    price_per_gb: PricePerGigabyte | None = Field(default=None, alias="price")


class Place(Declared):
    """What a placement minimises, the most important first."""

    minimise: Annotated[Many[Criterion], Field(min_length=1)] = ("latency", "energy", "traffic")


class Adaptation(Declared):
    """What to do when something happens."""

    when: AdaptCondition
    do: Task


class Gate(Declared):
    """What a release must show in a ring before it goes on to the next.

    Attributes:
        false_alarms: Share of the windows, at most.
        soak_ms: Time in the ring.
    """

    false_alarms: Below | None = None
    soak_ms: Milliseconds | None = Field(default=None, alias="soak")


class Release(Declared):
    """How a release goes out."""

    rings: Annotated[Many[Ring], Field(min_length=1)]
    gate: Gate = Gate()
    otherwise: Literal["rollback", "stop"] = "rollback"


class Stress(Declared):
    """Under what a verification holds.

    Attributes:
        loss: Share of the messages that are lost.
        latency_s: Added to each link.
    """

    loss: Share = 0.0
    latency_s: Seconds = Field(default=0.0, alias="latency")


class Verification(Declared):
    """What must hold."""

    expect: Expectation
    under: Stress = Stress()


class App(Declared):
    """An app: one ML-intensive IoT system."""

    name: Name = Field(alias="app")
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = "0.1.0"
    nodes: Annotated[dict[Name, Node], Field(min_length=1)]
    links: dict[Name, Link] = Field(default_factory=dict)
    sources: dict[Name, AnySource] = Field(default_factory=dict)
    functions: dict[Name, AnyFunction] = Field(default_factory=dict)
    sinks: dict[Name, AnySink] = Field(default_factory=dict)
    models: dict[Name, Learned] = Field(default_factory=dict)
    place: Place = Place()
    adapt: Many[Adaptation] = ()
    release: Release | None = None
    verify: Many[Verification] = ()
    _positions: Positions = PrivateAttr(default_factory=Positions)
    _folder: Path = PrivateAttr(default_factory=Path)

    @property
    def folder(self) -> Path:
        """Where people's own files are looked for."""
        return self._folder

    def written(self, positions: Positions, folder: Path) -> "App":
        """The same app, knowing where it is written."""
        app = self.model_copy()
        app._positions, app._folder = positions, folder
        return app

    def where(self, *path: str | int) -> str:
        """The place of a declaration: `file:line:column`, or the path itself when the app was made in Python.

        Args:
            path: As `"functions", "features"`.
        """
        return self._positions.where(path, key=True)

    def to_yaml(self) -> str:
        """As a file of the language; reading it gives an equal app."""
        from eddy.spec.write import text

        return text(self)

    def __eq__(self, other: Any) -> bool:
        """Apps that say the same are equal, wherever they are written."""
        return isinstance(other, App) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash((self.name, self.version))
