"""A node that ends in order leaves nothing in its journal that nobody waits for."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eddy.fabric.mesh import Mesh, free_endpoint
from eddy.kernel.assignment import ASSIGN, Assignment, message
from eddy.kernel.charter import Charter
from eddy.knowledge.forget import forget
from eddy.node.drivers import door
from eddy.node.service import Node


def gateway(folder: Path, inbox: Path, lake: Path) -> Node:
    """A node with a folder whose rows go into a lake."""
    node = Node("gw", folder, Mesh(["@gw"], free_endpoint("tcp")))
    source = ["source", ["eddy.links.folder", "Folder", {"folder": str(inbox), "time": "at", "origin": "who"}], []]
    sink = ["sink", ["eddy.knowledge.lake", "Lake", {"to": str(lake), "fsync": False}], {}]
    for name, program, inputs, consumers in (("room", source, [], ["lake"]), ("lake", sink, ["room"], [door("lake")])):
        sealed = Charter(name, 1, program, {}, b"new", name, inputs, [], True).sealed
        node.host.receive(message(ASSIGN, Assignment(name, 1, 1, "gw", ["gw"], [], False, False, consumers, {}, sealed).plain()))
    return node


def turned(node: Node, until: Callable[[], bool]) -> None:
    for _ in range(5000):
        node.turn()
        if until():
            return
    raise AssertionError("it does not come to that")


def settled(node: Node) -> bool:
    """Everything that came in is in the lake, and the journal has that."""
    found: list[Any] = [node.host.replica(name) for name in ("room", "lake")]
    return all(one.emitted > 0 and one.pending() == 0 for one in found)


@pytest.mark.slow
@pytest.mark.parametrize("in_order", [True, False])
def test_what_the_lake_has_is_forgotten_wholly_once_its_node_has_ended(tmp_path: Path, in_order: bool) -> None:
    state, inbox = tmp_path / "state", tmp_path / "inbox"
    lake = state / "nodes" / "gw" / "lake"
    inbox.mkdir()
    lake.parent.mkdir(parents=True)
    rows = "".join(f"{n},{n},{('patient-4711', 'other')[n % 2]}\n" for n in range(100))
    (inbox / "a.csv").write_text(f"at,value,who\n{rows}")
    with closing(gateway(lake.parent, inbox, lake)) as node:
        turned(node, lambda: settled(node))
        if in_order:
            node.rest()
    done = forget(lake, "patient-4711", state)
    assert done.rows["room"] == 50
    assert done.left == done.journals == ([] if in_order else ["nodes/gw/gw.db"])
    with closing(gateway(lake.parent, inbox, lake)) as node:  # it goes on as if nothing had been
        (inbox / "b.csv").write_text("at,value,who\n200,200,other\n")
        turned(node, lambda: node.host.kept("room") == 101 and settled(node))
        node.rest()
    assert forget(lake, "patient-4711", state).left == []
