"""What `eddy bench fabric` measures."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eddy.cli.main import app


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["--tls"]])
def test_samples_cross_between_processes_effectively_once(tmp_path: Path, how: list[str]) -> None:
    file = tmp_path / "fabric.json"
    done = CliRunner().invoke(app, ["bench", "fabric", "--records", "20000", *how, "--json", str(file)])
    assert done.exit_code == 0, done.output
    result = json.loads(file.read_text())
    assert (result["lost"], result["doubled"], result["out_of_order"]) == (0, 0, 0)
    assert result["tls"] == bool(how)
    assert min(result["single"]["messages_per_s"], result["batched"]["samples_per_s"]) > 0
    assert max(result["slow_receiver"]["growth_bytes"].values()) < 32 << 20
    assert result["latency_us"]["p50"] <= result["latency_us"]["p99"]
