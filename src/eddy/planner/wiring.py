"""What deployment needs to know of each instance: what it runs, what it takes in, and how far its data may go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eddy.planner.from_app import problem
from eddy.planner.privacy import Labels, labels
from eddy.spec.instances import Instance, Kind, expand
from eddy.spec.model import App
from eddy.spec.programs import Program, program
from eddy.spec.vocabulary import LEVELS, Level


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
        copies: Replicas on other nodes; only functions have any.
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


def wiring(app: App) -> list[Wired]:
    """Every instance of a checked app, producers before consumers."""
    labelled = labels(problem(app))
    programs = {
        (kind, name): program(app, kind, name)
        for kind, section in (("source", app.sources), ("function", app.functions), ("sink", app.sinks))
        for name in section
    }
    return [
        _wired(app, instance, programs[instance.kind, instance.of], labelled.into.get(instance.name, Labels()), labelled.out)
        for instance in expand(app)[0]
    ]


def _wired(app: App, instance: Instance, does: Program, comes: Labels, out: Mapping[str, Labels]) -> Wired:
    function = app.functions[instance.of] if instance.kind == "function" else None
    sink = app.sinks[instance.of] if instance.kind == "sink" else None
    levels = {label.level for label in out.get(instance.name, ())} if sink is None else set()
    return Wired(
        instance.name,
        instance.kind,
        instance.of,
        does,
        instance.inputs,
        comes,
        function.copies if function else 0,
        function.on_partition if function else "stay",
        sink.effect if sink else None,
        sink.safe if sink else None,
        instance.node,
        min(levels, key=LEVELS.index, default=None),
    )
