"""An alarm in an app that runs: raised by what is posted, told to a sink, listed, acknowledged by a person, cleared."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from running import Running
from typer.testing import CliRunner

from eddy.cli.main import app
from eddy.dashboard.lake import render
from eddy.fabric.ports import free_port
from eddy.knowledge.query import Lake

APP = """
app: boilers
nodes: {gw: {tier: gateway}}
sources:
  heat: {at: gw, driver: http, listen: "127.0.0.1:%d", value: t, origin: id, scale: 10, unit: Cel}
functions:
  hot: {use: alarm, from: heat, raise: value > 80, clear: value < 75}
sinks:
  told: {from: hot, at: gw, driver: log, file: %s, effect: idempotent}
  lake: {from: [heat, hot], at: gw, driver: lake, to: %s}
"""


def eddy(url: str, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments, "--hub", url], env={"COLUMNS": "160"})
    return done.exit_code, done.stdout if "--json" in arguments else done.output


@pytest.mark.slow
def test_an_alarm_is_raised_listed_acknowledged_cleared_and_in_the_report(tmp_path: Path) -> None:
    log = tmp_path / "told.jsonl"
    port = free_port()

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line)["value"] for line in log.read_text().splitlines()] if log.exists() else []

    def told() -> list[tuple[str, str]]:
        return [(value["state"], value["origin"]) for value in lines()]

    def post(**sample: Any) -> bool:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(sample).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bool(answer.status == 200)

    with Running(tmp_path / "app", APP % (port, log, tmp_path / "lake")) as running:
        assert running.hub
        url = running.hub._url
        running.until(lambda: post(id="b-1", t=90.5), 60)
        post(id="b-2", t=79.9)
        post(id="b-3", t=81)
        running.until(lambda: told() == [("raised", "b-1"), ("raised", "b-3")], 30)
        code, said = eddy(url, "alarms", "--json", "-")
        assert code == 0
        rows = json.loads(said)["alarms"]
        shown = [("b-1", 90.5, "Cel"), ("b-3", 81, "Cel")]
        assert [(row["origin"], row["value"], row["unit"]) for row in rows] == shown
        assert [(value["origin"], value["value"], value["unit"]) for value in lines()] == shown
        assert {(row["alarm"], row["by"]) for row in rows} == {("hot", "")}

        code, said = eddy(url, "alarms", "ack", "hot", "--origin", "b-3", "--note", "on my way", "--by", "ann")
        assert (code, "b-3 acknowledged by ann" in said) == (0, True), said
        running.until(lambda: told()[2:] == [("acknowledged", "b-3")], 30)
        assert "b-3 by ann: on my way" in running.hub.history("hot")[-1].why
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            measured = answer.read().decode().splitlines()
        hot = '{app="boilers",function="hot"}'
        assert {f"eddy_alarms_raised{hot} 2", f"eddy_alarms_unacknowledged{hot} 1", "eddy_alarms_unknown 0"} <= set(measured)
        assert 'eddy_node_up{node="gw",tier="gateway"} 1' in measured
        code, said = eddy(url, "alarms")
        assert "b-1" in said and "value 90.5 Cel  not acknowledged" in said and "acknowledged by ann: on my way" in said
        code, said = eddy(url, "alarms", "ack", "hot", "--origin", "b-3")
        assert code == 1 and "nothing of hot of b-3 waits" in said
        code, said = eddy(url, "alarms", "ack", "told")
        assert code == 1 and "told is no alarm" in said

        for one in ("b-1", "b-3"):
            post(id=one, t=60)
        running.until(lambda: told()[3:] == [("cleared", "b-1"), ("cleared", "b-3")], 30)
        assert eddy(url, "alarms")[1].strip() == "No alarm is raised."

        def kept() -> int:
            return len(DeltaTable(str(tmp_path / "lake" / "hot")).to_pyarrow_table()) if (tmp_path / "lake" / "hot").exists() else 0

        running.until(lambda: kept() == 5, 30)
    with Lake(tmp_path / "lake") as lake:
        page = render(lake, "Boilers")
    said = re.findall(r"<tr><td>hot</td><td[^>]*>(b-\d)</td>.*?<td[^>]*>([\d.]+ Cel)</td><td>(.*?)</td>", page)
    assert sorted((who, value, seen.partition(" by ")[2]) for who, value, seen in said) == [
        ("b-1", "90.5 Cel", ""),
        ("b-3", "81 Cel", "ann: on my way"),
    ]
    assert page.index(">Cleared<") < page.index(">b-1<")
