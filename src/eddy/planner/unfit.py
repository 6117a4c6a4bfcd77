"""Why a function cannot be on a node, for people."""

from eddy.planner.costs import RESOURCES, Costs
from eddy.planner.privacy import may_be
from eddy.planner.problem import Function, Node


def reason(costs: Costs, unit: int, position: int) -> str | None:
    """Why a unit cannot be on a node whatever the others do; None when it can."""
    node = costs.topology.nodes[position]
    functions = {function.name: function for function in costs.problem.functions}
    pinned = costs.problem.pinned()
    for name in costs.units[unit]:
        why = f"{name} is on {pinned[name]}" if pinned.get(name, node.name) != node.name else None
        if name in functions:
            why = unfit(functions[name], node)
        for label in sorted(costs.labels.into.get(name, ())) if costs.private else ():
            birth = pinned.get(label.born)
            if why is None and birth is not None and not may_be(label.level, node, birth):
                why = f"private: data of {label.born} stays on {birth}" + (" and gateways" if label.level == "gateway" else "")
        if why is not None:
            return why
    for resource, need, there in zip(RESOURCES, costs.demand[:, unit, position], costs.capacity[:, position], strict=True):
        if need > there:
            return f"needs {need:,.6g} {resource}, {node.name} has {there:,.6g}"
    return next((why for one, mask, why in costs.narrowed if one == unit and mask[position]), None)


def unfit(function: Function, node: Node) -> str | None:
    """Why a function cannot run on a node at all."""
    if function.at and node.name not in function.at and node.tier not in function.at:
        return f"{function.name} is at {' or '.join(function.at)}"
    if function.cpu_s_on(node) is None:
        return f"{function.name} does not run on a {node.tier}"
    lacks = function.operators - (function.operators if node.operators is None else node.operators)
    return f"{node.name} lacks {', '.join(sorted(lacks))}" if lacks else None
