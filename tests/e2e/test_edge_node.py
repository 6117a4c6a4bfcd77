"""What an edge node of Sparkplug B says through a real broker is in the lake, and a node that restarts asks for what it has missed."""

from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from edge import Edge
from kept import LAKE
from running import Running
from senders import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APP = """
app: plant
nodes:
  gw: {tier: gateway}
sources:
  line: {at: gw, driver: mqtt, format: sparkplug, to: "mqtt://127.0.0.1:PORT", topic: "spBv1.0/plant/#", scale: 10, allow: "plant/*"}
sinks:
  lake: {from: line, at: gw, driver: lake}
"""
HOT = "Temperature/Hot"


def rows(lake: Path, table: str = "line") -> list[dict[str, Any]]:
    """What can be read at the moment."""
    try:
        found: list[dict[str, Any]] = DeltaTable(str(lake / table)).to_pyarrow_table().to_pylist()
    except (DeltaError, pa.ArrowException, OSError):
        return []
    return found


def hot(lake: Path) -> dict[int, float]:
    """{time in ms: temperature}."""
    found = [(row["time_ns"] // 1_000_000, row[HOT]) for row in rows(lake) if row.get(HOT) is not None]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_what_an_edge_node_says_is_in_the_lake_and_a_node_that_starts_asks_for_its_births(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Running(tmp_path / "app", APP.replace("PORT", str(broker.port))) as app,
        Edge(broker.port) as edge,
    ):
        lake = app.folder / LAKE
        said: dict[int, float] = {}

        def all_there() -> bool:
            return len(hot(lake)) >= len(said)

        for start in (1, 2):
            app.until(lambda start=start: bool(edge.hot(-99.9) and edge.asked == start), 60)  # type: ignore[misc]
            said[edge.born()] = 20.5
            said.update({edge.hot(tenth / 10): tenth / 10 for tenth in range(-50, 50)})
            app.until(all_there, 60)
            assert hot(lake) == said
            if start == 1:
                app.kill("gw")
        edge.die()
        app.until(lambda: any(row["online"] is False for row in rows(lake)), 60)
        found = sorted(rows(lake), key=lambda row: row["time_ns"])
        refused = rows(lake, "quarantine")
    birth = [("plant/press", True), ("plant/press/oven", True)]
    assert [(row["origin"], row["online"]) for row in found if row["online"] is not None] == [*birth, *birth, ("plant/press", False)]
    assert {row["origin"] for row in found if row[HOT] is not None} == {"plant/press/oven"}
    assert {(row["doors"], row["state"]) for row in found if row["doors"] is not None} == {(-1, "idle")}
    assert {row["reason"] for row in refused} == {"alias 2 of plant/press is not known: its birth was not heard"}
    assert {row["sender"] for row in refused} == {"spBv1.0/plant/DDATA/press/oven"} and edge.asked == 2
