"""From an app to what deployment needs to know of each instance."""

from collections.abc import Mapping

from eddy.planner.from_app import problem
from eddy.planner.learning import with_loops
from eddy.planner.privacy import Labels, labels
from eddy.planner.wired import Wired
from eddy.spec.catalog import Subscribe
from eddy.spec.instances import Instance, expand, nodes
from eddy.spec.model import App
from eddy.spec.programs import Program, for_node, program
from eddy.spec.vocabulary import LEVELS


def wiring(app: App) -> list[Wired]:
    """Every instance of a checked app, and those of the loops of its models."""
    labelled = labels(problem(app))
    programs = {
        (kind, name): program(app, kind, name)
        for kind, section in (("source", app.sources), ("function", app.functions), ("sink", app.sinks))
        for name in section
    }
    instances = expand(app)[0]
    wired = [
        _wired(app, instance, programs[instance.kind, instance.of], labelled.into.get(instance.name, Labels()), labelled.out)
        for instance in instances
    ]
    return with_loops(app, wired, instances)


def _wired(app: App, instance: Instance, does: Program, comes: Labels, out: Mapping[str, Labels]) -> Wired:
    copies = 0
    if instance.kind == "source":
        source = app.sources[instance.of]
        does = for_node(does, nodes(app)[source.at].index(instance.at[0]))
        if isinstance(source, Subscribe):
            copies, does = source.copies, _with_session(app, instance, source, does)
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
        function.copies if function else copies,
        function.on_partition if function else "stay",
        sink.effect if sink else None,
        sink.safe if sink else None,
        instance.node,
        min(levels, key=LEVELS.index, default=None),
    )


def _with_session(app: App, instance: Instance, source: Subscribe, does: Program) -> Program:
    """With the name of the session: that of one instance alone, and the same wherever that is, so that a copy goes on with it."""
    name = source.client + instance.name.removeprefix(instance.of) if source.client else f"{app.name}.{instance.name}" * bool(source.copies)
    return [*does[:2], {**does[2], "client": name}]
