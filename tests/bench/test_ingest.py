"""`eddy bench ingest` measures real processes, each of which takes in all that was sent."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eddy.cli.main import app


@pytest.mark.slow
def test_everything_is_taken_in_and_the_broker_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ingest.json"
    done = CliRunner().invoke(app, ["bench", "ingest", "--messages", "3000", "--json", str(file)])
    assert done.exit_code == 0, done.output
    result = json.loads(file.read_text())
    assert result["broker"] in ("mosquitto", "amqtt") and result["http"]["clients"] == 32
    single, batched = result["mqtt_qos1_single"], result["mqtt_batched"]
    figures = [single["samples_per_s"], single["bare_subscriber_per_s"], batched["values_per_s"], result["http"]["single_per_s"]]
    assert all(figure > 0 for figure in figures)


@pytest.mark.soak
def test_a_whole_node_is_watched_for_minutes_and_under_too_much(tmp_path: Path) -> None:
    file = tmp_path / "chain.json"
    done = CliRunner().invoke(app, ["bench", "ingest", "--minutes", "0.2", "--overload", "--json", str(file)])
    assert done.exit_code == 0, done.output
    result = json.loads(file.read_text())
    lasting, overload = result["lasting"], result["overload"]
    assert lasting["lake_samples_per_s"] > 100 and 0 < lasting["settled_mib"] <= lasting["peak_mib"]
    assert overload["offered_per_s"] > 10 * overload["kept_per_s"] > 0 and overload["unacknowledged"] > 0
    assert overload["peak_mib"] < overload["before_mib"] + 256
