"""What deployment needs to know of each instance: what it runs, what it takes in, and how far its data may go."""

from dataclasses import dataclass
from typing import Any, Literal

from eddy.planner.privacy import Labels
from eddy.spec.instances import Kind
from eddy.spec.programs import Program
from eddy.spec.vocabulary import Level


@dataclass(frozen=True, slots=True)
class Wired:
    """One instance of a source, function or sink.

    Attributes:
        instance: Its name, `features@pump-1`.
        name: What it is an instance of, as in the app.
        program: `[module, class, {arguments}]`, of sources and sinks that of the driver; of a person's own `[file, class, {arguments}]`,
            the file relative to the app.
        inputs: Instances whose samples come in.
        labels: Of what comes in; they are also those of its state.
        copies: Replicas on other nodes; of functions, and of sources whose senders can be reached from there, too.
        effect: Of a sink; None for others.
        safe: What a sink is set to when nobody speaks; None where nothing is said.
        node: The node that it is pinned to; None: it is where the plan puts it.
        private: How far what it puts out may go; None: anywhere, or nothing comes out.
    """

    instance: str
    kind: Kind
    name: str
    program: Program
    inputs: tuple[str, ...]
    labels: Labels
    copies: int
    on_partition: Literal["stay", "yield"]
    effect: Literal["idempotent", "at-least-once"] | None
    safe: Any
    node: str | None
    private: Level | None
